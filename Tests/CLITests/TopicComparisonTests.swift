import ArgumentParser
import CLI
import Testing
import Topology

@testable import Kafka

@Suite struct TopicsOnTheBroker {
    private func file() throws -> TopicFile { try TopicFiles.decode(FilesOfTopics.whole, path: "telemetry.yaml") }

    private func description(partitions: Int) -> TopicDescription {
        TopicDescription(
            name: "telemetry", partitions: (0..<Int32(partitions)).map { (id: $0, leader: 1, replicas: 1, inSync: 1) })
    }

    private func settings(ratio: String = "0.25") -> [TopicSetting] {
        [
            TopicSetting(name: "cleanup.policy", value: "delete", isDefault: true),
            TopicSetting(name: "max.message.bytes", value: "1048588", isDefault: true),
            TopicSetting(name: "min.cleanable.dirty.ratio", value: ratio, isDefault: false),
            TopicSetting(name: "retention.ms", value: "1000", isDefault: false),
        ]
    }

    @Test func agreeByValueNotByText() throws {
        let compared = try TopicComparison(
            file: file(), brokerName: "telemetry", found: description(partitions: 4),
            settings: settings(ratio: "0.250"))
        #expect(compared.state == .agrees)
        #expect(compared.differences == [])
    }

    @Test func differInPartitionsAndInEverySetting() throws {
        for index in settings().indices {
            var settings = settings()
            settings[index] = TopicSetting(name: settings[index].name, value: "7", isDefault: false)
            let compared = try TopicComparison(
                file: file(), brokerName: "telemetry", found: description(partitions: 5), settings: settings)
            #expect(compared.state == .differs)
            #expect(compared.differences.map(\.field) == ["partitions", settings[index].name])
        }
    }

    @Test func areMissing() throws {
        let compared = try TopicComparison(file: file(), brokerName: "telemetry", found: nil, settings: nil)
        #expect(compared.state == .missing)
    }

    @Test func areComparedByPartitionsAloneWhereSettingsAreNotTold() throws {
        let compared = try TopicComparison(
            file: file(), brokerName: "telemetry", found: description(partitions: 4), settings: nil)
        #expect(compared.state == .agrees)
        #expect(compared.explanation.contains("only the partitions"))
    }
}

@Suite struct TopicsCommandLine {
    @Test(arguments: [
        ["topics", "apply", "--partitions", "0"], ["topics", "apply", "--namespace", "a.b"],
        ["topics", "check", "--kafka", "linger"], ["topics", "describe", "--timeout", "0"],
        ["topics", "apply", "--replication", "0"], ["topology", "--format", "svg"],
    ])
    func refuses(arguments: [String]) {
        #expect(throws: (any Error).self) { try TwinscaleCommand.parseAsRoot(arguments) }
    }

    @Test func understandsProperties() throws {
        let options = try BrokerOptions.parse([
            "--bootstrap", "a:1,b:2", "--namespace", "n", "--kafka", "sasl.password=a=b", "--kafka", "linger.ms=1",
        ])
        #expect(options.properties["bootstrap.servers"] == "a:1,b:2")
        #expect(options.properties["sasl.password"] == "a=b")
        #expect(options.properties["linger.ms"] == "1")
        #expect(options.namespace == "n")
    }
}
