import ArgumentParser
import Foundation
import Kafka
import Topology

/// `twinscale topics`: the topics on the broker and the files that describe them.
package struct TopicsCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "topics",
        abstract: "Create the topics, and check that files, code and broker agree.",
        discussion: """
            Each topic is described by one file in topics/ (partitions, retention, format, who writes, who reads). \
            This program has the same built in, for where there is no such folder. `apply` creates on the broker what \
            is missing, `check` compares without changing anything, `describe` shows what is there. An existing topic \
            is never changed: its partition count is part of every task's identity.

            Exit code: 0 if all agree, 1 if something differs or is missing, 2 if that could not be found out.
            """,
        subcommands: [TopicsApply.self, TopicsCheck.self, TopicsDescribe.self])

    package init() {}
}

/// What the three subcommands share.
struct TopicsOptions: ParsableArguments {
    @OptionGroup var broker: BrokerOptions

    @Option(
        help: ArgumentHelp(
            "Directory with the topics' files; without it ./topics, and where that is not there, what is built in.",
            valueName: "dir"))
    var topics: String?

    @Option(help: "Partitions of every topic that may have several; the files say otherwise 4.")
    var partitions: Int?

    @Flag(help: "Also the topics that only some configurations need: snapshots, for a snapshot store on the broker.")
    var optional = false

    @Option(help: ArgumentHelp("How long to wait for the broker.", valueName: "seconds"))
    var timeout = 30

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let partitions, !(1...TopicFile.partitionsMax).contains(partitions) {
            throw ValidationError("--partitions is 1 to \(TopicFile.partitionsMax)")
        }
        if !(1...3_600).contains(timeout) { throw ValidationError("--timeout is 1 to 3600 seconds") }
    }

    /// The directory with the files; nil where none is named and none is there.
    var directory: String? { topics ?? (FileManager.default.fileExists(atPath: "./topics") ? "./topics" : nil) }

    /// The topics, after files were compared with the code, and with `--partitions` laid over them.
    func files() throws -> [TopicFile] {
        var files = try directory.map(Self.read) ?? Topology.files
        if let partitions {
            for index in files.indices where Topology.allowsSeveralPartitions(files[index].name) {
                files[index].partitions = partitions
            }
        }
        return files.filter { optional || !$0.isOptional }
    }

    private static func read(_ directory: String) throws -> [TopicFile] {
        let files: [TopicFile]
        do {
            files = try TopicFiles.read(directory: directory)
        } catch {
            throw failure(error.reason)
        }
        let differences = Topology.differences(files: files)
        guard differences.isEmpty else {
            print("The files in \(directory) and this version of twinscale do not agree:")
            for line in differences { print("  \(line)") }
            throw ExitCode(1)
        }
        return files
    }
}

/// `twinscale topics apply`.
struct TopicsApply: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Create the topics that are missing, and check the others.",
        discussion: """
            Safe to repeat. A topic that exists with another partition count or other settings is reported and left \
            as it is; start over in a new --namespace, or change its settings with the broker's own tools.
            """)

    @OptionGroup var options: TopicsOptions

    @Option(help: "Copies of each partition; without it the broker's default.")
    var replication: Int?

    func validate() throws {
        if let replication, !(1...100).contains(replication) { throw ValidationError("--replication is 1 to 100") }
    }

    func run() throws {
        let files = try options.files()
        try TopicsReport.withAdmin(options) { admin throws(KafkaError) in
            let deadline = Deadline(milliseconds: options.timeout * 1_000)
            let before = try admin.compare(files, options, deadline)
            let missing = before.filter { $0.state == .missing }
            try admin.create(missing, replication: replication, deadline)
            var after = missing.isEmpty ? before : try admin.compareWhenVisible(files, options, deadline)
            for index in after.indices
            where after[index].state == .agrees && missing.contains(where: { $0.file.name == after[index].file.name }) {
                after[index].state = .created
            }
            return after
        }
    }
}

/// `twinscale topics check`.
struct TopicsCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Compare the files with the code and with the broker, and change nothing.",
        discussion: "Prints each difference. For CI without a broker there is --files-only.")

    @OptionGroup var options: TopicsOptions

    @Flag(help: "Compare the files with the code only; no broker is asked.")
    var filesOnly = false

    func run() throws {
        let files = try options.files()
        if filesOnly {
            guard let directory = options.directory else {
                throw failure("there are no files in ./topics to compare; name their directory with --topics DIR")
            }
            if !options.json { print("The files in \(directory) agree with the code.") }
            return
        }
        try TopicsReport.withAdmin(options) { admin throws(KafkaError) in
            try admin.compare(files, options, Deadline(milliseconds: options.timeout * 1_000))
        }
    }
}

/// `twinscale topics describe`.
struct TopicsDescribe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show the topics as they are on the broker.",
        discussion: "Partitions, copies in sync, and every setting that is not the broker's default.")

    @OptionGroup var options: TopicsOptions

    func run() throws {
        let files = try options.files()
        try TopicsReport.withAdmin(options, isDescription: true) { admin throws(KafkaError) in
            try admin.compare(files, options, Deadline(milliseconds: options.timeout * 1_000))
        }
    }
}

extension Topology {
    /// False for the topics that have exactly one partition, and for names that are not the topology's.
    static func allowsSeveralPartitions(_ name: String) -> Bool {
        (topics + stores).contains { $0.name == name && $0.partitions == .standard }
    }
}
