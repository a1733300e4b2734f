import Simulation
import StageKit
import Testing
import TwinCore

@Suite("The loop under faults, with relays for stages")
struct RelaySimulationTests {
    static func run(seed: UInt64, faults: Faults? = nil, steps: Int = 3_000) -> Simulation.Report {
        var layout = TopicLayout(partitions: 3)
        layout[.telemetry] = 2
        var settings = Simulation.Settings(seed: seed)
        settings.faults = faults
        settings.stepsWithFaults = steps
        let simulation = Simulation(settings, pipeline: relayPipeline(layout: layout))
        var feed = SimulatedFeed(records: 400)
        return simulation.run(&feed)
    }

    @Test("Without faults every task equals the fold of its inbox and nothing is repeated")
    func calm() {
        let report = Self.run(seed: 1, faults: Faults.none)
        #expect(report.violations == [], "seed 1")
        #expect(report.entries > 1_000)
        #expect(report.repeats == 0)
    }

    @Test(
        "Whatever happens, outputs and states equal the fold of the recorded inbox",
        arguments: 100..<160 as Range<UInt64>)
    func faults(seed: UInt64) {
        let report = Self.run(seed: seed)
        #expect(report.violations == [], "seed \(seed)")
        #expect(report.entries > 1_000)
    }
}
