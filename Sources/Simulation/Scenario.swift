import Normalization
import Scaling
import StageKit
import Topology
import TwinCore

/// A run of the real topology whose whole course follows from its seed: faults, and in some of the seeds a second
/// incarnation, a resource that moves, a wall clock.
package struct Scenario: Sendable {
    package var seed: UInt64
    package var partitions: Int32 = 3
    package var records = 400
    /// Steps with faults.
    package var steps = 3_000
    /// Nothing goes wrong, and nothing changes hands.
    package var isCalm = false

    package init(seed: UInt64) { self.seed = seed }

    package var layout: TopicLayout {
        var layout = TopicLayout(partitions: partitions)
        layout[.telemetry] = max(partitions - 1, 1)
        return layout
    }

    private var settings: Simulation.Settings {
        var settings = Simulation.Settings(seed: seed)
        settings.stepsWithFaults = steps
        if isCalm {
            settings.faults = Faults.none
            return settings
        }
        var random = SeededGenerator(seed: seed ^ 0x5ce)
        if random.chance(0.5) { settings.wallClockPace = 80 }
        let stage = StageName.allCases[random.int(0...StageName.allCases.count - 1)]
        let step = random.int(steps / 6...steps * 3 / 4)
        let isRebuilt = random.chance(0.5)
        if random.chance(0.6) { settings.takeOver = Simulation.TakeOver(stage, step: step, rebuilds: isRebuilt) }
        return settings
    }

    /// Runs it and compares everything with the oracle.
    package func run() -> Simulation.Report {
        var stages = PipelineSettings()
        stages.normalizer.restateSeconds = 120
        stages.scaling.policyRestateSeconds = 600
        let simulation = Simulation(settings, pipeline: .real(layout: layout, settings: stages))
        var feed = SimulatedFeed(records: records, moves: !isCalm && seed % 4 == 1)
        return simulation.run(&feed)
    }
}
