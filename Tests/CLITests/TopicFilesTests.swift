import CLI
import Foundation
import Testing
import Topology
import TwinCore

/// `topics` in the package's folder.
private let topicsDirectory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("topics").path

@Suite struct FilesOfTopics {
    @Test func agreeWithTheCodeInEveryField() throws {
        let files = try TopicFiles.read(directory: topicsDirectory)
        #expect(Topology.differences(files: files) == [])
        #expect(files.count == TopicName.allCases.count + 1)
        #expect(files == Topology.files.sorted { $0.name < $1.name })
    }

    @Test func haveFourPartitionsWhereSeveralAreAllowed() throws {
        for file in try TopicFiles.read(directory: topicsDirectory) {
            let isSingle = ["policies", "commands"].contains(file.name)
            #expect(file.partitions == (isSingle ? 1 : Int(Topology.partitionsDefault)))
        }
    }

    @Test func haveSettingsThatTheBrokerUnderstands() throws {
        let known = [
            "cleanup.policy", "retention.ms", "max.message.bytes", "min.cleanable.dirty.ratio", "segment.ms",
            "delete.retention.ms",
        ]
        for file in try TopicFiles.read(directory: topicsDirectory) {
            #expect(try file.brokerSettings().allSatisfy { known.contains($0.name) })
        }
    }

    static let whole = """
        name: telemetry
        description: samples
        epoch: 1
        key: anything
        partitions: 4
        cleanup: delete
        retention: 1000
        settings:
          min.cleanable.dirty.ratio: 0.25
          max.message.bytes: 1048588
        schema: schemas/telemetry.schema.json
        writers: [platform]
        readers: [normalizer]
        """

    @Test func keepNumbersAsTheyStand() throws {
        let file = try TopicFiles.decode(Self.whole, path: "telemetry.yaml")
        #expect(file.retention == "1000")
        #expect(file.settings.map(\.value) == ["1048588", "0.25"])
        #expect(!file.isOptional)
    }

    @Test(arguments: [
        ("epoch: 1", "", "field 'epoch' is missing"), ("epoch: 1", "epoch: one", "epoch"),
        ("epoch: 1", "epoch: 1\ncolour: red", "unknown field 'colour'"), ("epoch: 1", "epoch: [", "not YAML"),
        ("epoch: 1", "epoch: 99999999999999999999", "epoch"), ("writers: [platform]", "writers: platform", "writers"),
    ])
    func sayWhatIsWrongWithThem(old: String, new: String, reason: String) {
        let text = Self.whole.replacingOccurrences(of: old, with: new)
        let error = #expect(throws: TopicFileError.self) { try TopicFiles.decode(text, path: "x.yaml") }
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
        #expect(error?.reason.contains("x.yaml") == true)
    }

    @Test func areAskedForWhereThereAreNone() {
        let error = #expect(throws: TopicFileError.self) { try TopicFiles.read(directory: "/nowhere/topics") }
        #expect(error?.reason.contains("--topics DIR") == true)
    }
}
