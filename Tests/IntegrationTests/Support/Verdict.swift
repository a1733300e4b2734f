import Foundation
import Messages
import Runtime
import Simulation
import Snapshots
import StageKit
import Topology
import TwinCore
import Worker

/// What a run over a real broker left behind, compared with what it should be.
struct Verdict {
    var violations: [String] = []
    /// Records read back, entries of tasks, and how many of these stood there twice.
    var records = 0
    var entries = 0
    var repeats = 0
    var actions = 0
    var drifts = 0
    /// Samples in the telemetry topic, and how many of them are different ones.
    var samples = 0
    var samplesDistinct = 0
    /// Samples that the twins have taken in.
    var samplesFolded = 0
    var snapshotsCompared = 0

    private let contents: TopicContents
    private let fleet: Fleet
    private let settings: PipelineSettings
    private let configurations: [RuntimeConfiguration]

    /// Compares everything with a fold under the settings of the fleet's executables.
    init(
        _ contents: TopicContents, _ fleet: Fleet, stages: [StageName] = StageName.allCases,
        checksSamples: Bool = true
    ) throws {
        self.contents = contents
        self.fleet = fleet
        settings = try fleet.settings()
        configurations = try StageName.allCases.map { try fleet.configuration($0) }
        records = contents.records.values.reduce(0) { $0 + $1.count }
        for partition in contents.truncated {
            violations.append("\(partition) has lost its beginning: the feed is too large for this broker")
        }
        guard violations.isEmpty else { return }
        try compareTasks(stages)
        checkActions()
        if checksSamples { try checkSamples() }
    }

    private func make(_ task: TaskID, _ reader: StateReader?) throws(StateError) -> any TaskLogic {
        try settings.makeTask(configurations[Int(task.stage.rawValue) - 1].taskSetting(task), restoring: reader)
    }

    // MARK: every task's entries equal the fold of its inbox

    private mutating func compareTasks(_ stages: [StageName]) throws {
        let oracle = Oracle(layout: contents.layout) { [contents] in contents[$0] }
        let store = try DirectorySnapshotStore(
            root: "\(fleet.directory.path)/snapshots",
            namespace: fleet.configuration(.normalizer).naming.snapshotNamespace)
        var folded: [String: UInt64] = [:]
        for stage in stages {
            for topic in Topology.inboxes(of: stage) {
                for partition in 0..<contents.layout[topic] {
                    let task = TaskID(stage: stage, inbox: topic, epoch: 1, partition: partition)
                    let (expected, logic) = try oracle.fold(task) { try make($0, nil) }
                    let topics = Topology.outputs(of: stage)
                    let written = oracle.written(
                        by: task, topics: topics.contains(.deadletters) ? topics : topics + [.deadletters])
                    violations += Oracle.differences(task, written: written, expected: expected)
                    entries += written.frames.values.reduce(0) { $0 + $1.count }
                    entries += written.json.values.reduce(0) { $0 + $1.count }
                    repeats += written.repeats
                    if stage == .twinUpdater {
                        for counter in logic.stageCounters { folded[counter.name, default: 0] += counter.value }
                    }
                    try compareSnapshot(task, store)
                }
            }
        }
        samplesFolded = Int((folded["accepted"] ?? 0) + (folded["mergedLate"] ?? 0))
        twins = folded
    }

    /// What all twin-updaters have counted, added up.
    private(set) var twins: [String: UInt64] = [:]

    /// The newest snapshot is the fold of the log before its offset.
    private mutating func compareSnapshot(_ task: TaskID, _ store: DirectorySnapshotStore) throws {
        let choice = try store.newestValid(task, incarnation: 1)
        for problem in choice.skipped { violations.append("\(task): a snapshot is not valid: \(problem.error)") }
        guard let snapshot = choice.reader else { return }
        let offset = snapshot.header.identity.offset
        let logic = try make(task, nil)
        for record in contents[TopicPartition(task.inbox, task.partition)] where record.offset < offset {
            Oracle.feed(record, to: logic)
            if logic.emitter.pendingBytes > 1 << 20 { _ = logic.emitter.takeOutgoing() }
        }
        logic.emitter.cutAll()
        _ = logic.emitter.takeOutgoing()
        let restored = try snapshot.withSections { (sections) throws(StateError) in try make(task, sections) }
        if restored.freeze().digest != logic.freeze().digest {
            violations.append("\(task): the snapshot at offset \(offset) is not the fold of the log before it")
        }
        snapshotsCompared += 1
    }

    // MARK: actions

    /// No action id twice with different content.
    private mutating func checkActions() {
        var byID: [String: [UInt8]] = [:]
        for record in contents.all(.actions) {
            guard let value = record.value, let id = Self.object(value)?["id"] as? String else {
                violations.append("an action without id at offset \(record.offset)")
                continue
            }
            if let before = byID[id], before != value { violations.append("action \(id) stands there in two versions") }
            byID[id] = value
        }
        actions = byID.count
        drifts = Set(contents.all(.drift).compactMap { $0.value }).count
    }

    private static func object(_ bytes: [UInt8]) -> [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
    }

    // MARK: every accepted sample is counted exactly once

    private struct SampleKey: Hashable {
        var resource: String
        var metric: String
        var time: Int64
    }

    /// Reads the telemetry with another JSON reader than the pipeline's, and follows every sample into the twins.
    private mutating func checkSamples() throws {
        var sent: [SampleKey: Int] = [:]
        for record in contents.all(.telemetry) {
            guard let value = record.value,
                let array = (try? JSONSerialization.jsonObject(with: Data(value))) as? [[String: Any]]
            else { continue }
            for object in array {
                guard let resource = object["resource"] as? String, let metric = object["metric"] as? String,
                    let time = object["ts"] as? Int64
                else { continue }
                sent[SampleKey(resource: resource, metric: metric, time: time), default: 0] += 1
            }
        }
        samples = sent.values.reduce(0, +)
        samplesDistinct = sent.count
        let arrived = Self.arrivedSamples(contents)
        if arrived.all != sent {
            let lost = sent.filter { arrived.all[$0.key] == nil }.count
            violations.append(
                "of \(samples) samples (\(sent.count) different ones) \(arrived.all.values.reduce(0, +)) stand in "
                    + "observations; \(lost) are missing")
        }
        let counted = ["accepted", "mergedLate", "duplicates", "late", "invalid"].map { Int(twins[$0] ?? 0) }
        if counted.reduce(0, +) != samples || counted[4] != 0 {
            violations.append("the twins have counted \(counted) (accepted, …, invalid) of \(samples) samples")
        }
        if counted[0] != arrived.inOrder {
            violations.append("the twins have taken \(counted[0]) samples in order, where \(arrived.inOrder) came so")
        }
        // The rest of the different ones was merged, or refused as too late.
        let rest = samplesDistinct - arrived.inOrder
        if counted[1] > rest || rest - counted[1] > counted[3] {
            violations.append("of \(rest) samples out of order \(counted[1]) were merged, \(counted[3]) called late")
        }
    }

    /// Samples that stand in observations, by resource.
    static func sampleCounts(_ contents: TopicContents) -> [String: Int] {
        var counts: [String: Int] = [:]
        for (key, count) in arrivedSamples(contents).all { counts[key.resource, default: 0] += count }
        return counts
    }

    /// The sample entries in observations, repeats dropped as a receiver does, and how many of them were newer than
    /// all before them of their series.
    private static func arrivedSamples(_ contents: TopicContents) -> (all: [SampleKey: Int], inOrder: Int) {
        var all: [SampleKey: Int] = [:]
        var inOrder = 0
        let reader = FrameReader()
        for partition in 0..<contents.layout[.observations] {
            var senders = Senders()
            var newest: [SampleKey: Int64] = [:]
            for record in contents[TopicPartition(.observations, partition)] {
                record.value?.withUnsafeBytes { bytes in
                    guard (try? reader.decode(bytes)) != nil,
                        case .accept(let from) = senders.admit(reader.header, sequences: reader.sequences)
                    else { return }
                    for entry in reader.entries[from...] where entry.kind == .sample {
                        let time = entry.time.milliseconds
                        let name = reader.names[Int(entry.resource) - 1]
                        // What goes to all partitions is kept where the name leads.
                        let home = TwinCore.partition(of: name, among: contents.layout[.observations])
                        if SampleCode(raw: entry.code).isUnrouted && home != partition { continue }
                        let resource = String(decoding: name, as: UTF8.self)
                        let metric = String(decoding: reader.names[Int(entry.object) - 1], as: UTF8.self)
                        all[SampleKey(resource: resource, metric: metric, time: time), default: 0] += 1
                        let series = SampleKey(resource: resource, metric: metric, time: 0)
                        if time > newest[series] ?? .min {
                            newest[series] = time
                            inOrder += 1
                        }
                    }
                }
            }
        }
        return (all, inOrder)
    }
}
