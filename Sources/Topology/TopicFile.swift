import StageKit
import TwinCore

/// One file of `topics/`: a topic as operators, brokers and other programs see it. Decoded by the caller; this module
/// reads no files.
package struct TopicFile: Sendable, Equatable {
    /// A further setting of the topic on the broker.
    package struct Setting: Sendable, Equatable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package var name: String
    package var description: String
    package var epoch: Int
    package var key: String
    package var partitions: Int
    package var cleanup: String
    /// ISO 8601 duration or milliseconds; nil in a compacted topic.
    package var retention: String?
    /// By name, ascending; neither cleanup nor retention.
    package var settings: [Setting]
    /// Path of the schema, relative to the file.
    package var schema: String
    package var writers: [String]
    package var readers: [String]
    /// True for a store that is created only where it is asked for.
    package var isOptional: Bool

    package init(
        name: String, description: String, epoch: Int, key: String, partitions: Int, cleanup: String,
        retention: String?, settings: [Setting], schema: String, writers: [String], readers: [String], isOptional: Bool
    ) {
        self.name = name
        self.description = description
        self.epoch = epoch
        self.key = key
        self.partitions = partitions
        self.cleanup = cleanup
        self.retention = retention
        self.settings = settings.sorted { $0.name < $1.name }
        self.schema = schema
        self.writers = writers
        self.readers = readers
        self.isOptional = isOptional
    }

    /// Partitions of one topic at most.
    package static let partitionsMax = 10_000

    /// Every setting that the topic is to have on the broker, by name. Throws what is wrong with the retention.
    package func brokerSettings() throws(TopicFileError) -> [Setting] {
        var result = [Setting("cleanup.policy", cleanup)]
        if let retention {
            guard let milliseconds = Topology.milliseconds(ofDuration: retention) else {
                throw TopicFileError("\(name): retention '\(retention)' is no ISO 8601 duration, nor milliseconds")
            }
            result.append(Setting("retention.ms", String(milliseconds)))
        }
        return (result + settings).sorted { $0.name < $1.name }
    }
}

/// Why a topic's file cannot be used.
package struct TopicFileError: Error, Equatable, CustomStringConvertible {
    /// One line, lower-case.
    package let reason: String

    package init(_ reason: String) { self.reason = reason }

    package var description: String { reason }
}

extension Topology {
    /// Every topic as its file describes it, for where there are no files.
    package static var files: [TopicFile] { (topics + stores).map { file($0) } }

    private static func file(_ plan: TopicPlan) -> TopicFile {
        TopicFile(
            name: plan.name, description: plan.summary, epoch: Int(plan.epoch), key: plan.key.rawValue,
            partitions: plan.partitions == .one ? 1 : Int(partitionsDefault), cleanup: plan.cleanup.rawValue,
            retention: plan.retention,
            settings: [TopicFile.Setting("max.message.bytes", String(plan.recordBytesMax))] + plan.compaction,
            schema: "schemas/\(plan.schema)", writers: writers(of: plan).map(\.text),
            readers: readers(of: plan).map(\.text), isOptional: plan.topic == nil)
    }

    /// Every difference between the files and this page, one readable line each; empty if they agree.
    package static func differences(files: [TopicFile]) -> [String] {
        var found: [String] = []
        let plans = topics + stores
        for plan in plans {
            let matches = files.filter { $0.name == plan.name }
            if matches.isEmpty { found.append("\(plan.name): there is no file for this topic") }
            if matches.count > 1 { found.append("\(plan.name): \(matches.count) files claim this topic") }
            for file in matches { found += differences(plan, file) }
        }
        for file in files where !plans.contains(where: { $0.name == file.name }) {
            found.append("\(file.name): the topology has no such topic")
        }
        return found + partitionDifferences(files)
    }

    private static func partitionDifferences(_ files: [TopicFile]) -> [String] {
        let together = coPartitioned.compactMap { topic in files.first { $0.name == topic.text } }
        guard let first = together.first else { return [] }
        return together.filter { $0.partitions != first.partitions }.map {
            "\($0.name): partitions is \($0.partitions), but \(first.name) has \(first.partitions), "
                + "and the two are co-partitioned"
        }
    }

    private static func differences(_ plan: TopicPlan, _ file: TopicFile) -> [String] {
        var found: [String] = []
        func compare<Value: Equatable>(_ field: String, file: Value, code: Value) {
            if file != code { found.append("\(plan.name): \(field) is '\(file)' in the file, '\(code)' in the code") }
        }
        func names(_ parties: [Party]) -> String { parties.map(\.text).joined(separator: ", ") }
        compare("description", file: file.description, code: plan.summary)
        compare("epoch", file: file.epoch, code: Int(plan.epoch))
        compare("key", file: file.key, code: plan.key.rawValue)
        compare("cleanup", file: file.cleanup, code: plan.cleanup.rawValue)
        compare("retention", file: file.retention ?? "none", code: plan.retention ?? "none")
        compare("schema", file: file.schema, code: "schemas/\(plan.schema)")
        compare("writers", file: file.writers.joined(separator: ", "), code: names(writers(of: plan)))
        compare("readers", file: file.readers.joined(separator: ", "), code: names(readers(of: plan)))
        compare("optional", file: file.isOptional, code: plan.topic == nil)
        let bytes = file.settings.first { $0.name == "max.message.bytes" }?.value ?? "none"
        compare("max.message.bytes", file: bytes, code: String(plan.recordBytesMax))
        switch plan.partitions {
        case .one: compare("partitions", file: file.partitions, code: 1)
        case .standard:
            if !(1...TopicFile.partitionsMax).contains(file.partitions) {
                found.append("\(plan.name): partitions is \(file.partitions), not 1 to \(TopicFile.partitionsMax)")
            }
        }
        return found
    }

    /// How many partitions each topic has according to the files; topics without a file have the default.
    package static func layout(of files: [TopicFile]) -> TopicLayout {
        var layout = TopicLayout(partitions: partitionsDefault)
        for topic in TopicName.allCases {
            guard let file = files.first(where: { $0.name == topic.text }) else { continue }
            layout[topic] = Int32(clamping: file.partitions)
        }
        return layout
    }
}
