import DriftDetection
import Normalization
import Propagation
import Scaling
import Simulation
import StageKit
import Testing
import Topology
import TwinCore
import Twins

@Suite("A fleet of ever new names")
struct ChurnSimulationTests {
    private static let layout: TopicLayout = {
        var layout = TopicLayout(partitions: 2)
        layout[.telemetry] = 1
        return layout
    }()

    /// Limits far below the number of resources that ever were, and above that of those that are.
    private static let tight: PipelineSettings = {
        var settings = PipelineSettings()
        settings.normalizer.expireSeconds = 10_800
        settings.normalizer.restateSeconds = 600
        settings.normalizer.resourcesMax = 300
        settings.twins.expireSeconds = 3_600
        // Watermarks lag by hours here: repeats that are too late would look like a clock that was put back.
        settings.twins.allowedLatenessSeconds = 7_200
        settings.twins.resourcesMax = 300
        settings.twins.seriesMax = 900
        settings.drift.seriesMax = 900
        settings.propagation.resourcesMax = 300
        settings.propagation.edgesMax = 900
        settings.propagation.edgeExpirySeconds = 3_600
        settings.scaling.resourcesMax = 300
        return settings
    }()

    private static let namesMax = 500

    private func simulate(seed: UInt64, isCalm: Bool) -> (report: Simulation.Report, simulation: Simulation) {
        var settings = Simulation.Settings(seed: seed)
        settings.stepsWithFaults = 4_000
        // Event time runs some ten thousand times as fast as the simulation's own.
        settings.heartbeatIntervalMilliseconds = 500
        if isCalm { settings.faults = Faults.none }
        let simulation = Simulation(
            settings, pipeline: .real(layout: Self.layout, settings: Self.tight, namesMax: Self.namesMax))
        // Some hundreds of resources, ten at a time.
        var feed = SimulatedFeed(
            records: 1_600, resources: 10, stepMilliseconds: 60_000, renewMilliseconds: 2_400_000)
        return (simulation.run(&feed), simulation)
    }

    @Test(
        "Tables that are small hold it, and under faults all equals the fold", arguments: 1...6 as ClosedRange<UInt64>)
    func bounded(seed: UInt64) {
        let report = simulate(seed: seed, isCalm: seed == 1).report
        #expect(report.violations == [], "seed \(seed)")
        #expect(report.limits == [], "seed \(seed)")
        #expect(report.entries > 5_000)
    }

    @Test("Names that are forgotten and given out again change nothing that is said")
    func names() throws {
        let (report, simulation) = simulate(seed: 7, isCalm: true)
        #expect(report.violations == [])
        let log = simulation.hub.log
        let oracle = Oracle(layout: Self.layout) { log.records($0) }
        for stage in StageName.allCases {
            for topic in Topology.inboxes(of: stage) {
                for partition in 0..<Self.layout[topic] {
                    let task = TaskID(stage: stage, inbox: topic, epoch: 1, partition: partition)
                    let (few, many) = (Self.namesMax, 100_000)
                    func fold(_ namesMax: Int) throws -> Oracle.Outputs {
                        try oracle.fold(task) { task in
                            var setting = TaskSetting(task: task, layout: Self.layout)
                            setting.namesMax = namesMax
                            return try Self.tight.makeTask(setting, restoring: nil)
                        }.0
                    }
                    let differences = Oracle.differences(task, written: try fold(few), expected: try fold(many))
                    #expect(differences == [], "seed 7")
                }
            }
        }
    }
}
