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
    /// Other horizons: every forecast is another one.
    private static let change = ["--stage-horizon-seconds", "60,600"]

    @Test(
        "A change that changes outputs needs a new incarnation, which takes over without doubling anything",
        .timeLimit(.minutes(4)), arguments: BrokerKind.available)
    func incarnation(kind: BrokerKind) async throws {
        let seed = PipelineRun.chooseSeed()
        say("seed \(seed): TWINSCALE_KILL_SEED=\(seed) repeats it")
        try await checking { findings in
            let run = try PipelineRun(kind, seed: seed, records: 2_000)
            let half = run.stream.items.count / 2
            try run.fleet.start(perStage: 1)
            let before = try run.finish(run.feed(0..<half, seconds: 10))
            findings.expectNone(before.violations)
            let old = run.fleet
            let lag = try GroupLag(run.broker, layout: run.layout, stages: [.twinUpdater])
            try Self.checkRefusal(old, findings)

            let new = Fleet(run.broker, layout: run.layout, directory: old.directory)
            new.incarnations[.twinUpdater] = 2
            new.stageOptions[.twinUpdater] = Self.change
            run.fleet = new
            try new.start(perStage: 1)
            let rest = StageName.allCases.filter { $0 != .twinUpdater }
            run.checksSamples = false
            let after = try run.finish(run.feed(half..<run.stream.items.count, seconds: 10), stages: rest)
            run.report("upgrade", after)
            // The stages behind have folded both incarnations as one stream.
            findings.expectNone(after.violations)
            findings.expectNone(new.unexpected)
            guard let contents = run.contents else { throw Trouble("nothing was read back") }
            try Self.compare(contents, old, new, takenOverAt: lag.ends, findings)
        }
    }

    /// With the same incarnation the changed stage does not start.
    private static func checkRefusal(_ fleet: Fleet, _ findings: Findings) throws {
        let ending = try StartTests.run(
            .twinUpdater, fleet.arguments(.twinUpdater) + change, directory: fleet.directory)
        findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
        findings.expect(ending.text.contains("written by other logic or configuration"), ending.text)
        findings.expect(ending.text.contains("raise --incarnation"), ending.text)
    }

    /// Until the take-over the entries are those of the old fold, from there on those of the new one; every sample is
    /// in the new twins once.
    private static func compare(
        _ contents: TopicContents, _ old: Fleet, _ new: Fleet, takenOverAt: [TopicPartition: Int64],
        _ findings: Findings
    ) throws {
        let oracle = Oracle(layout: contents.layout) { contents[$0] }
        let settings = (try old.settings(), try new.settings())
        var counted: UInt64 = 0
        for partition in 0..<contents.layout[.observations] {
            let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: partition)
            let offset = takenOverAt[TopicPartition(.observations, partition)] ?? 0
            var (expected, _) = try oracle.fold(task, end: offset) {
                try settings.0.makeTask(old.configuration(.twinUpdater).taskSetting($0), restoring: nil)
            }
            let (later, logic) = try oracle.fold(task, speakFrom: offset) {
                try settings.1.makeTask(new.configuration(.twinUpdater).taskSetting($0), restoring: nil)
            }
            for (destination, entries) in later.frames { expected.frames[destination, default: []] += entries }
            for (destination, records) in later.json { expected.json[destination, default: []] += records }
            findings.expect(!later.frames.isEmpty, "\(task): the new incarnation had nothing to say")
            let written = oracle.written(by: task, topics: [.forecasts, .twins, .deadletters])
            findings.expectNone(Oracle.differences(task, written: written, expected: expected))
            for counter in logic.stageCounters
            where ["accepted", "mergedLate", "duplicates", "late"].contains(counter.name) {
                counted += counter.value
            }
        }
        let samples = Verdict.sampleCounts(contents).values.reduce(0, +)
        findings.expect(counted == UInt64(samples), "of \(samples) samples the new twins have counted \(counted)")
    }
}
