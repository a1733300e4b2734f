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
