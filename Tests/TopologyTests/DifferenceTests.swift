import StageKit
import Testing
import Topology
import TwinCore

/// Files that agree with the page, made from it.
private func agreeing() -> [TopicFile] {
    (Topology.topics + Topology.stores).map { plan in
        TopicFile(
            name: plan.name, description: plan.summary, epoch: Int(plan.epoch), key: plan.key.rawValue,
            partitions: plan.partitions == .one ? 1 : 4, cleanup: plan.cleanup.rawValue, retention: plan.retention,
            settings: [TopicFile.Setting("max.message.bytes", String(plan.recordBytesMax))],
            schema: "schemas/\(plan.schema)", writers: Topology.writers(of: plan).map(\.text),
            readers: Topology.readers(of: plan).map(\.text), isOptional: plan.topic == nil)
    }
}

@Suite struct FilesAgainstThePage {
    @Test func agreeWhenEveryFieldDoes() { #expect(Topology.differences(files: agreeing()) == []) }

    @Test func areToldApartInEveryField() {
        let changes: [(String, (inout TopicFile) -> Void)] = [
            ("description", { $0.description = "other" }), ("epoch", { $0.epoch = 2 }), ("key", { $0.key = "weather" }),
            ("cleanup", { $0.cleanup = "delete,compact" }), ("retention", { $0.retention = "P1D" }),
            ("schema", { $0.schema = "frame.proto" }), ("writers", { $0.writers.append("cat") }),
            ("readers", { $0.readers.append("cat") }), ("optional", { $0.isOptional.toggle() }),
            ("max.message.bytes", { $0.settings = [] }), ("partitions", { $0.partitions = 0 }),
        ]
        for index in agreeing().indices {
            for (field, change) in changes {
                var files = agreeing()
                change(&files[index])
                let found = Topology.differences(files: files)
                #expect(found.contains { $0.hasPrefix("\(files[index].name): \(field) is ") }, "\(found)")
            }
        }
    }

    @Test func areMissedDoubledAndUnknown() {
        var files = agreeing()
        let removed = files.removeFirst()
        files.append(files[0])
        var stranger = removed
        stranger.name = "weather"
        files.append(stranger)
        #expect(
            Topology.differences(files: files) == [
                "\(removed.name): there is no file for this topic", "\(files[0].name): 2 files claim this topic",
                "weather: the topology has no such topic",
            ])
    }

    @Test func haveEqualPartitionsWhereTasksMeet() {
        var files = agreeing()
        for index in files.indices where files[index].name == "outlooks" { files[index].partitions = 8 }
        #expect(
            Topology.differences(files: files) == [
                "outlooks: partitions is 8, but observations has 4, and the two are co-partitioned"
            ])
        #expect(Topology.layout(of: files)[.outlooks] == 8)
        #expect(Topology.layout(of: files)[.policies] == 1)
    }

    @Test func becomeSettingsOfTheBroker() throws {
        let file = try #require(agreeing().first)
        #expect(
            try file.brokerSettings() == [
                .init("cleanup.policy", "delete"), .init("max.message.bytes", "1048588"),
                .init("retention.ms", "604800000"),
            ])
        var wrong = file
        wrong.retention = "a week"
        #expect(throws: TopicFileError.self) { try wrong.brokerSettings() }
    }
}
