import ArgumentParser
import Foundation
import Messages
import Runtime
import Snapshots
import StageKit
import Topology
import TwinCore

/// `twinscale snapshots`: what is in a snapshot store.
struct SnapshotsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "List, describe and verify the snapshots of the tasks.",
        discussion: """
            A snapshot is the state of one task (one stage over one partition) before one offset of its inbox. A \
            stage that \
            starts loads the newest valid one and replays the rest. Snapshots are kept where the stages' setting \
            snapshots.url says: a directory (file:///path) or a compacted topic (kafka:topic).
            """,
        subcommands: [SnapshotsList.self, SnapshotsInspect.self, SnapshotsVerify.self])
}

/// What the subcommands share.
struct SnapshotsOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where the snapshots are: file:///directory or kafka:topic.", valueName: "url"))
    var store = "file:///var/lib/twinscale/snapshots"

    @OptionGroup var broker: BrokerOptions

    @Option(help: ArgumentHelp("Only this stage.", valueName: "stage"))
    var stage: String?

    @Option(help: "Only tasks over this inbox topic.")
    var inbox: String?

    @Option(help: "Only tasks over this partition.")
    var partition: Int32?

    @Option(help: "Only this incarnation.")
    var incarnation: Int64?

    @Flag(help: "Print a JSON object a snapshot.")
    var json = false

    func validate() throws {
        if let stage, StageName(text: stage) == nil {
            let names = StageName.allCases.map(\.text).joined(separator: ", ")
            throw ValidationError("'\(stage)' is no stage: \(names)")
        }
        if let inbox, TopicName(text: inbox) == nil { throw ValidationError("'\(inbox)' is no topic of the pipeline") }
    }

    /// The wanted snapshots, ordered by task, the newest first, with the store that holds them.
    func find() throws -> (store: any SnapshotStore, snapshots: [SnapshotInfo]) {
        let opened = try SnapshotAccess.open(store, broker)
        let found: [SnapshotInfo]
        do {
            found = try opened.listAll()
        } catch { throw ToolError("the snapshots cannot be listed: \(error)") }
        let wanted = found.filter { info in
            (stage.map { info.task.stage.text == $0 } ?? true) && (inbox.map { info.task.inbox.text == $0 } ?? true)
                && (partition.map { info.task.partition == $0 } ?? true)
                && (incarnation.map { info.incarnation == $0 } ?? true)
        }
        guard !wanted.isEmpty else {
            throw ToolError(
                found.isEmpty ? "there is no snapshot in \(store)" : "none of the \(found.count) snapshots matches",
                hint: found.isEmpty
                    ? "name the store that the stages use (snapshots.url) with --store, and their --namespace, if any"
                    : "leave out a filter, or see them all with: twinscale snapshots list --store \(store)")
        }
        return (opened, wanted)
    }
}

/// Opens a store by its URL, for tools.
enum SnapshotAccess {
    static func open(_ url: String, _ broker: BrokerOptions) throws -> any SnapshotStore {
        guard let location = SnapshotLocation(url) else {
            throw ToolError("'\(url)' names no snapshot store", hint: "write file:///directory or kafka:topic")
        }
        if case .directory(let path) = location {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
                throw ToolError("there is no directory \(path)", hint: "name the one that the stages use with --store")
            }
        }
        do {
            let configuration = try RuntimeConfiguration(
                stage: .twinUpdater,
                arguments: ["--snapshots-url", url, "--namespace", broker.namespace] + broker.arguments)
            return try SnapshotStores.open(configuration)
        } catch let error as ConfigurationError {
            throw ToolError(error.reason, hint: error.hint)
        } catch let error as StageFailure {
            throw ToolError(error.reason, hint: error.hint)
        }
    }
}

extension BrokerOptions {
    /// The same for a stage's configuration.
    var arguments: [String] {
        ["--kafka", "bootstrap.servers=\(bootstrap)"] + kafka.flatMap { ["--kafka", $0] }
    }
}

/// `twinscale snapshots list`.
struct SnapshotsList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List snapshots by task, the newest first.",
        discussion: "Reads names and times only; 'verify' reads the content.")

    @OptionGroup var options: SnapshotsOptions

    func run() throws {
        try reporting(options.broker) {
            let (_, snapshots) = try options.find()
            if options.json {
                for info in snapshots {
                    var writer = JSONWriter()
                    writer.beginObject()
                    writer.snapshot(info)
                    writer.endObject()
                    print(String(decoding: writer.bytes, as: UTF8.self))
                }
                return
            }
            var rows = [["TASK", "INCARNATION", "OFFSET", "BYTES", "WRITTEN", "GENERATION"]]
            for info in snapshots {
                rows.append([
                    "\(info.task)", "\(info.incarnation)", "\(info.offset)", "\(info.bytes)",
                    timeText(EventTime(milliseconds: info.createdMilliseconds)),
                    info.generation == 0 ? "newest" : "\(info.generation) before it",
                ])
            }
            print(Topology.aligned(rows).joined(separator: "\n"))
        }
    }
}

/// `twinscale snapshots inspect`.
struct SnapshotsInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Describe the newest snapshot of each task, section by section.",
        discussion:
            "Add --all for the older ones. The sections are those of the stage's state: names, cells, senders, …")

    @OptionGroup var options: SnapshotsOptions

    @Flag(help: "Older ones, too.")
    var all = false

    func run() throws {
        try reporting(options.broker) {
            let (store, snapshots) = try options.find()
            let wanted = snapshots.filter { all || $0.generation == 0 }
            try SnapshotsVerify.check(wanted, in: store, options, verifiesContent: false, describes: true)
        }
    }
}

/// `twinscale snapshots verify`.
struct SnapshotsVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read snapshots whole and check every digest.",
        discussion: """
            Decompresses everything and compares it with what was written. Exit code 1 if one is damaged; a stage that \
            starts passes it over for the one before, so nothing else needs to be done.
            """)

    @OptionGroup var options: SnapshotsOptions

    func run() throws {
        try reporting(options.broker) {
            let (store, snapshots) = try options.find()
            try Self.check(snapshots, in: store, options, verifiesContent: true, describes: false)
        }
    }

    /// Looks at each and prints; throws the exit code if one is damaged.
    static func check(
        _ snapshots: [SnapshotInfo], in store: any SnapshotStore, _ options: SnapshotsOptions, verifiesContent: Bool,
        describes: Bool
    ) throws {
        let bar = ProgressBar(verifiesContent ? "verifying" : "reading")
        var damaged = 0
        for (index, info) in snapshots.enumerated() {
            bar.show(index, of: snapshots.count, "\(info.task)")
            let found = store.inspect(info, verifyingContent: verifiesContent)
            if found.problem != nil { damaged += 1 }
            bar.end()
            if options.json {
                print(json(found))
            } else {
                print(text(found, describes: describes))
            }
        }
        if !options.json, verifiesContent {
            print(
                damaged == 0
                    ? "\(counted(snapshots.count, "snapshot")), all sound"
                    : "\(damaged) of \(snapshots.count) are damaged")
        }
        if damaged > 0 { throw ExitCode(1) }
    }

    private static func text(_ found: SnapshotInspection, describes: Bool) -> String {
        let head = "\(found.info.task) incarnation \(found.info.incarnation) offset \(found.info.offset)"
        if let problem = found.problem { return "\(head)  DAMAGED: \(problem)" }
        guard describes, let header = found.header else {
            return "\(head)  sound, \(found.info.bytes) bytes, \(milliseconds(found.verifySeconds)) ms"
        }
        let identity = header.identity
        var lines = [
            "\(head)",
            "  written \(timeText(EventTime(milliseconds: found.info.createdMilliseconds))), "
                + "\(found.info.bytes) bytes for "
                + "\(header.contentBytes) (\(EntryFields.short(found.ratio)) to 1)",
            "  schema \(identity.schemaVersion), fingerprint \(String(identity.fingerprint, radix: 16)), digest "
                + String(header.contentDigest, radix: 16),
        ]
        for section in found.sections {
            let frames = counted(section.frames, "frame")
            let tag = tagText(section.tag)
            let meaning = StateSection(rawValue: tag).map { "  \($0.meaning)" } ?? ""
            lines.append("  section \(tag)  \(section.contentBytes) bytes in \(frames)\(meaning)")
        }
        return lines.joined(separator: "\n")
    }

    private static func milliseconds(_ seconds: Double) -> String { EntryFields.short(seconds * 1_000) }

    /// The four letters of a tag.
    static func tagText(_ tag: UInt32) -> String {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: tag >> UInt32(24 - $0 * 8)) }
        return bytes.withUnsafeBytes { printable($0) }
    }

    private static func json(_ found: SnapshotInspection) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.snapshot(found.info)
        writer.key("sound")
        writer.bool(found.problem == nil)
        writer.key("problem")
        if let problem = found.problem { writer.string(problem.description) } else { writer.null() }
        if let header = found.header {
            writer.key("contentBytes")
            writer.int(header.contentBytes)
            writer.key("schema")
            writer.int(Int(header.identity.schemaVersion))
            writer.key("fingerprint")
            writer.string(String(header.identity.fingerprint, radix: 16))
            writer.key("digest")
            writer.string(String(header.contentDigest, radix: 16))
            writer.key("sections")
            writer.beginArray()
            for section in found.sections {
                writer.beginObject()
                writer.key("tag")
                writer.string(tagText(section.tag))
                writer.key("contentBytes")
                writer.int(section.contentBytes)
                writer.key("storedBytes")
                writer.int(section.storedBytes)
                writer.key("frames")
                writer.int(section.frames)
                writer.endObject()
            }
            writer.endArray()
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

extension JSONWriter {
    /// The members of a task.
    mutating func task(_ task: TaskID) {
        key("stage")
        string(task.stage.text)
        key("inbox")
        string(task.inbox.text)
        key("epoch")
        int(Int(task.epoch))
        key("partition")
        int(Int(task.partition))
    }

    /// The members of a snapshot's listing.
    mutating func snapshot(_ info: SnapshotInfo) {
        task(info.task)
        key("incarnation")
        int(info.incarnation)
        key("offset")
        int(info.offset)
        key("bytes")
        int(info.bytes)
        key("written")
        time(EventTime(milliseconds: info.createdMilliseconds))
        key("generation")
        int(info.generation)
    }
}
