import Normalization
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

@Suite("The whole topology with the real stages under faults")
struct TopologySimulationTests {
    static func run(seed: UInt64, faults: Faults? = nil, records: Int = 400) -> Simulation.Report {
        var layout = TopicLayout(partitions: 3)
        layout[.telemetry] = 2
        var settings = Simulation.Settings(seed: seed)
        settings.faults = faults
        settings.stepsWithFaults = 3_000
        let simulation = Simulation(settings, pipeline: .real(layout: layout))
        var feed = SimulatedFeed(records: records)
        return simulation.run(&feed)
    }

    @Test("Without faults every task equals the fold of its inbox and nothing is repeated")
    func calm() {
        let report = Self.run(seed: 2, faults: Faults.none)
        #expect(report.violations == [], "seed 2")
        #expect(report.entries > 1_000)
        #expect(report.repeats == 0)
        #expect(report.actions > 0)
    }

    @Test(
        "Whatever happens, outputs and states equal the fold of the recorded inbox",
        arguments: 1_000..<1_024 as Range<UInt64>)
    func faults(seed: UInt64) {
        let report = Self.run(seed: seed)
        #expect(report.violations == [], "seed \(seed)")
        #expect(report.entries > 1_000)
    }
}

@Suite("What must never pass in silence")
struct LostRecordTests {
    @Test("A record lost from an inbox shows as a gap, and the task stops", arguments: 1...8 as ClosedRange<UInt64>)
    func lostRecord(seed: UInt64) {
        var layout = TopicLayout(partitions: 2)
        layout[.telemetry] = 1
        var settings = Simulation.Settings(seed: seed)
        settings.faults = Faults.none
        settings.stepsWithFaults = 500
        settings.restMilliseconds = 60_000
        var stages = PipelineSettings()
        stages.normalizer.heartbeatsSkippedMax = 0
        let simulation = Simulation(settings, pipeline: .real(layout: layout, settings: stages, gapFramesMax: 2))
        var feed = SimulatedFeed(records: 600)
        simulation.loseFrame(in: TopicPartition(.observations, 0), number: 3)
        let report = simulation.run(&feed)
        #expect(
            report.violations.contains { $0.contains("twin-updater worker stopped") && $0.contains("are missing") },
            "seed \(seed): \(report.violations.prefix(3))")
    }
}
