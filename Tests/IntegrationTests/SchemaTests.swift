import DriftDetection
import Foundation
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

@Suite(
    "JSON Schemas against records", .serialized, .tags(.integration),
    .enabled(if: SchemaCheck.isPossible, "needs python3 with jsonschema: apt-get install python3-jsonschema"))
struct SchemaTests {
    private static let layout: TopicLayout = {
        var layout = TopicLayout(partitions: 2)
        layout[.telemetry] = 2
        return layout
    }()

    /// The stages over a feed in memory, then over one that answers what they asked for.
    private static func run(seed: UInt64, _ raw: [BadRecord] = []) -> Simulation {
        var settings = Simulation.Settings(seed: seed)
        settings.faults = Faults.none
        settings.workersPerStage = 1
        settings.stepsWithFaults = 4_000
        var stages = PipelineSettings()
        stages.drift.averageRunLength = 50
        let simulation = Simulation(settings, pipeline: .real(layout: layout, settings: stages))
        for record in raw { simulation.hub.log.append(TopicPartition(record.topic, 0), key: nil, value: record.value) }
        var feed = SimulatedFeed(records: 3_000, resources: 8, shiftAfterMilliseconds: 1_500_000)
        _ = simulation.run(&feed)
        answer(simulation)
        var more = SimulatedFeed(records: 1_000, resources: 8)
        _ = simulation.run(&more)
        return simulation
    }

    private static func records(_ topic: TopicName, _ simulation: Simulation) -> [SimulatedLog.Stored] {
        (0..<layout[topic]).flatMap { simulation.hub.log.records(TopicPartition(topic, $0)) }
    }

    private static func objects(_ topic: TopicName, _ simulation: Simulation) -> [[String: Any]] {
        records(topic, simulation).compactMap { record in
            record.value.flatMap { (try? JSONSerialization.jsonObject(with: Data($0))) as? [String: Any] }
        }
    }

    /// Outcomes of all actions, an approval of all proposals, and orders that are none.
    private static func answer(_ simulation: Simulation) {
        func append(_ topic: TopicName, _ object: [String: Any], key: String? = nil) {
            let value = (try? JSONSerialization.data(withJSONObject: object)).map { Array($0) }
            simulation.hub.log.append(TopicPartition(topic, 0), key: key.map { Array($0.utf8) }, value: value)
        }
        for action in objects(.actions, simulation) {
            guard let data = action["data"] as? [String: Any], let id = data["action"], let to = data["to"],
                let resource = data["resource"], let time = data["deadline"]
            else { continue }
            var outcome: [String: Any] = [
                "action": id, "resource": resource, "status": "ready", "readyReplicas": to, "ts": time,
            ]
            outcome["locality"] = data["locality"]
            append(.outcomes, outcome)
        }
        for decision in objects(.decisions, simulation) {
            guard let data = decision["data"] as? [String: Any], let proposal = data["proposal"] as? String else {
                continue
            }
            append(.commands, ["id": "approve-\(proposal)", "verb": "approve", "action": proposal])
        }
        append(.commands, ["id": "approve-nothing", "verb": "approve", "action": "nothing"])
        append(.policies, ["name": "bad", "version": 1, "targetUtilisation": 7], key: "bad")
    }

    @Test(
        "Every record that the stages write is what its topic's schema says", .timeLimit(.minutes(4)),
        arguments: [1, 2] as [UInt64])
    func outputs(seed: UInt64) throws {
        let simulation = Self.run(seed: seed, BadRecord.telemetry)
        var found: [(schema: String, value: [UInt8])] = []
        for plan in Topology.topics where plan.schema.hasSuffix(".json") {
            guard let topic = plan.topic, !topic.isRaw else { continue }
            let values = Self.records(topic, simulation).compactMap(\.value)
            #expect(!values.isEmpty, "seed \(seed): nothing was written into \(plan.name)")
            found += values.map { (plan.schema, $0) }
        }
        let faults = try SchemaCheck.faults(found)
        for (record, fault) in zip(found, faults).filter({ $0.1 != nil }).prefix(5) {
            Issue.record(
                "seed \(seed): \(record.schema): \(fault ?? "")\n\(String(decoding: record.value, as: UTF8.self))")
        }
        let kinds = Set(
            Self.objects(.decisions, simulation).compactMap { ($0["data"] as? [String: Any])?["kind"] as? String })
        let all: Set = ["decision", "result", "policyRejected", "commandAccepted", "commandRefused"]
        #expect(all.subtracting(kinds).isEmpty, "seed \(seed): the ledger holds only \(kinds)")
    }

    @Test(
        "What a schema of the raw topics accepts is taken in, and what it refuses is a dead letter",
        .timeLimit(.minutes(4)))
    func inputs() throws {
        let seed: UInt64 = 3
        let simulation = Self.run(seed: seed, BadRecord.telemetry + BadRecord.others.filter { $0.topic.isRaw })
        let letters = Set(
            Self.objects(.deadletters, simulation).compactMap { letter -> String? in
                guard let topic = letter["topic"], let partition = letter["partition"], let offset = letter["offset"]
                else { return nil }
                return "\(topic) \(partition) \(offset)"
            })
        var records: [(place: String, schema: String, value: [UInt8])] = []
        for topic in [TopicName.telemetry, .interactions, .environment, .outcomes] {
            for partition in 0..<Self.layout[topic] {
                for record in simulation.hub.log.records(TopicPartition(topic, partition)) {
                    guard let value = record.value else { continue }
                    let place = "\(topic.text) \(partition) \(record.offset)"
                    records.append((place, Topology.plan(of: topic).schema, value))
                }
            }
        }
        let faults = try SchemaCheck.faults(records.map { ($0.schema, $0.value) })
        var unlike: [String] = []
        for (record, fault) in zip(records, faults) where (fault != nil) != letters.contains(record.place) {
            let text = String(decoding: record.value.prefix(200), as: UTF8.self)
            unlike.append("\(record.place): the schema says \(fault ?? "ok"), the normalizer the opposite: \(text)")
        }
        let shown = unlike.prefix(8).joined(separator: "\n")
        #expect(unlike.isEmpty, "seed \(seed): \(unlike.count) of \(records.count)\n\(shown)")
        #expect(faults.contains { $0 != nil } && faults.contains { $0 == nil })
    }
}
