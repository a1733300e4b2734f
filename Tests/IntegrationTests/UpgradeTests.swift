import Foundation
import Kafka
import Runtime
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

@Suite("Upgrades", .serialized, .tags(.integration))
struct UpgradeTests {
    /// For each stage something that changes what it writes.
    private static let changes: [StageName: [String]] = [
        .normalizer: ["--stage-metrics", "cpu=backlog"],
        .twinUpdater: ["--stage-horizon-seconds", "60,600"],
        .driftDetector: ["--stage-average-run-length", "80"],
        .graphPropagator: ["--stage-damping", "0.3"],
        .scalingDecider: ["--stage-decision-interval-seconds", "45"],
    ]

    @Test(
        "A change of every stage's outputs needs new incarnations, which take over without doubling anything",
        .timeLimit(.minutes(5)), arguments: BrokerKind.available)
    func incarnations(kind: BrokerKind) async throws {
        let seed = PipelineRun.chooseSeed()
        say("seed \(seed): TWINSCALE_KILL_SEED=\(seed) repeats it")
        try await checking { findings in
            let run = try PipelineRun(kind, seed: seed, records: 2_000)
            let half = run.stream.items.count / 2
            try run.fleet.start(perStage: 1)
            let before = try run.finish(run.feed(0..<half, seconds: 10))
            findings.expectNone(before.violations)
            let old = run.fleet
            let takeOver = try GroupLag(run.broker, layout: run.layout).ends
            for stage in StageName.allCases { try Self.checkRefusal(stage, old, findings) }

            let new = Fleet(run.broker, layout: run.layout, directory: old.directory)
            for (stage, change) in Self.changes {
                new.incarnations[stage] = 2
                new.stageOptions[stage] = change
            }
            run.fleet = new
            try new.start(perStage: 1)
            run.checksSamples = false
            let after = try run.finish(run.feed(half..<run.stream.items.count, seconds: 10), stages: [])
            run.report("upgrade", after)
            findings.expectNone(after.violations)
            findings.expectNone(new.unexpected)
            guard let contents = run.contents else { throw Trouble("nothing was read back") }
            try Comparison(contents, old, new, takeOver).run(findings)
        }
    }

    /// With the same incarnation the changed stage does not start.
    private static func checkRefusal(_ stage: StageName, _ fleet: Fleet, _ findings: Findings) throws {
        let ending = try StartTests.run(
            stage, fleet.arguments(stage) + (changes[stage] ?? []), directory: fleet.directory)
        findings.expect(ending.code == 2, "\(stage.text): exit code \(ending.code ?? -1): \(ending.text)")
        findings.expect(ending.text.contains("written by other logic or configuration"), ending.text)
        findings.expect(ending.text.contains("raise --incarnation"), ending.text)
    }
}

/// Until the take-over every task's entries are those of the old fold of its inbox, from there on those of the new one
/// of the whole inbox; and every sample is in the new twins once.
private struct Comparison {
    private let contents: TopicContents
    private let old: Fleet
    private let new: Fleet
    private let takeOver: [TopicPartition: Int64]
    private let oracle: Oracle

    /// - Parameter takeOver: up to where the old incarnations had committed, by inbox.
    init(_ contents: TopicContents, _ old: Fleet, _ new: Fleet, _ takeOver: [TopicPartition: Int64]) {
        self.contents = contents
        self.old = old
        self.new = new
        self.takeOver = takeOver
        oracle = Oracle(layout: contents.layout) { contents[$0] }
    }

    func run(_ findings: Findings) throws {
        var counted: UInt64 = 0
        for stage in StageName.allCases {
            var spoken = 0
            for inbox in Topology.inboxes(of: stage) {
                for partition in 0..<contents.layout[inbox] {
                    let task = TaskID(stage: stage, inbox: inbox, epoch: 1, partition: partition)
                    let (said, logic) = try compare(task, findings)
                    spoken += said
                    guard stage == .twinUpdater else { continue }
                    for counter in logic.stageCounters
                    where ["accepted", "mergedLate", "duplicates", "late"].contains(counter.name) {
                        counted += counter.value
                    }
                }
            }
            // Whether the second half holds a drift is up to the seed.
            findings.expect(spoken > 0 || stage == .driftDetector, "the new \(stage.text) had nothing to say")
        }
        let samples = Verdict.sampleCounts(contents).values.reduce(0, +)
        findings.expect(counted == UInt64(samples), "of \(samples) samples the new twins have counted \(counted)")
    }

    /// Returns how much the new incarnation had to say, and its state at the end.
    private func compare(_ task: TaskID, _ findings: Findings) throws -> (said: Int, logic: any TaskLogic) {
        let offset = takeOver[TopicPartition(task.inbox, task.partition)] ?? 0
        var (expected, _) = try oracle.fold(task, end: offset) { try Self.make($0, old) }
        let (later, logic) = try oracle.fold(task, speakFrom: offset) { try Self.make($0, new) }
        for (destination, entries) in later.frames { expected.frames[destination, default: []] += entries }
        for (destination, records) in later.json { expected.json[destination, default: []] += records }
        let topics = Topology.outputs(of: task.stage) + [.deadletters]
        let written = oracle.written(by: task, topics: TopicName.allCases.filter { topics.contains($0) })
        findings.expectNone(Oracle.differences(task, written: written, expected: expected))
        let said = later.frames.values.reduce(0) { $0 + $1.count } + later.json.values.reduce(0) { $0 + $1.count }
        return (said, logic)
    }

    private static func make(_ task: TaskID, _ fleet: Fleet) throws -> any TaskLogic {
        try fleet.settings().makeTask(fleet.configuration(task.stage).taskSetting(task), restoring: nil)
    }
}
