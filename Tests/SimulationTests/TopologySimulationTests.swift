import Normalization
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

@Suite("The whole topology with the real stages under faults")
struct TopologySimulationTests {
    @Test("Without faults every task equals the fold of its inbox and nothing is repeated")
    func calm() {
        var scenario = Scenario(seed: 2)
        scenario.isCalm = true
        let report = scenario.run()
        #expect(report.violations == [], "seed 2")
        #expect(report.entries > 1_000)
        #expect(report.repeats == 0)
        #expect(report.actions > 0)
    }

    @Test(
        "Whatever happens, outputs and states equal the fold of the recorded inbox",
        arguments: 1_000..<1_200 as Range<UInt64>)
    func faults(seed: UInt64) {
        let report = Scenario(seed: seed).run()
        #expect(report.violations == [], "seed \(seed)")
        #expect(report.entries > 500)
    }
}

@Suite("What must never pass in silence")
struct LostRecordTests {
    /// A frame to observations[0] is acknowledged and lost.
    func run(seed: UInt64, acceptsGaps: Bool) -> Simulation.Report {
        var layout = TopicLayout(partitions: 2)
        layout[.telemetry] = 1
        var settings = Simulation.Settings(seed: seed)
        settings.faults = Faults.none
        settings.stepsWithFaults = 500
        settings.restMilliseconds = 60_000
        settings.acceptsGaps = acceptsGaps
        var stages = PipelineSettings()
        stages.normalizer.heartbeatsSkippedMax = 0
        let simulation = Simulation(settings, pipeline: .real(layout: layout, settings: stages, gapFramesMax: 2))
        var feed = SimulatedFeed(records: 600)
        simulation.loseFrame(in: TopicPartition(.observations, 0), number: 3)
        return simulation.run(&feed)
    }

    @Test("A record lost from an inbox shows as a gap, and the task stops", arguments: 1...8 as ClosedRange<UInt64>)
    func lostRecord(seed: UInt64) {
        let report = run(seed: seed, acceptsGaps: false)
        #expect(
            report.violations.contains { $0.contains("twin-updater worker stopped") && $0.contains("are missing") },
            "seed \(seed): \(report.violations.prefix(3))")
    }

    @Test("An accepted gap stands in the inbox: all else equals the fold", arguments: 1...8 as ClosedRange<UInt64>)
    func acceptedGap(seed: UInt64) {
        let report = run(seed: seed, acceptsGaps: true)
        #expect(report.violations.count == 1, "seed \(seed): \(report.violations.prefix(3))")
        #expect(report.violations.first?.contains("→ observations[0]") == true, "seed \(seed)")
    }
}

@Suite("A crash at every action boundary")
struct CrashBoundaryTests {
    @Test("Killed after its n-th action, for every n, a worker's successor goes on unharmed", arguments: 0..<40)
    func everyBoundary(block: Int) {
        for step in (block * 20)..<(block * 20 + 20) {
            var layout = TopicLayout(partitions: 1)
            layout[.telemetry] = 1
            var settings = Simulation.Settings(seed: 77)
            settings.faults = Faults.none
            settings.workersPerStage = 1
            settings.stepsWithFaults = 820
            settings.crashAtStep = step
            let simulation = Simulation(settings, pipeline: .real(layout: layout))
            var feed = SimulatedFeed(records: 40, resources: 4, localities: 2)
            let report = simulation.run(&feed)
            #expect(report.violations == [], "crash after step \(step), seed 77")
            #expect(report.crashes == 1)
        }
    }
}

@Suite("One sender and no loop: equal to a run without any fault")
struct UndisturbedTests {
    /// What a chain of fresh tasks makes of the raw partition, alone and undisturbed: contents in order.
    func undisturbed(_ simulation: Simulation, layout: TopicLayout) throws -> [UInt64] {
        let pipeline = SimulatedPipeline.real(layout: layout)
        let log = simulation.hub.log
        let normalizer = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0)
        let twins = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)
        let first = try pipeline.make(TaskSetting(task: normalizer, layout: layout), nil)
        for record in log.records(TopicPartition(.telemetry, 0)) { Oracle.feed(record, to: first) }
        first.emitter.cutAll()
        let second = try pipeline.make(TaskSetting(task: twins, layout: layout), nil)
        var offset: Int64 = 0
        for record in first.emitter.takeOutgoing() where record.topic == .observations {
            let stored = SimulatedLog.Stored(offset: offset, key: nil, value: record.value, contentType: nil)
            Oracle.feed(stored, to: second)
            offset += 1
        }
        second.emitter.cutAll()
        return second.emitter.takeOutgoing().filter { $0.topic == .forecasts }.flatMap { record in
            (record.value.flatMap { Oracle.entries(of: $0)?.entries } ?? []).map(\.content)
        }
    }

    @Test("Forecasts are the same, entry for entry, as without any fault", arguments: 1...30 as ClosedRange<UInt64>)
    func equality(seed: UInt64) throws {
        var layout = TopicLayout(partitions: 1)
        layout[.telemetry] = 1
        var settings = Simulation.Settings(seed: seed)
        settings.stepsWithFaults = 1_500
        settings.heartbeatIntervalMilliseconds = .max / 4
        let simulation = Simulation(settings, pipeline: .real(layout: layout))
        var feed = SimulatedFeed(records: 200, telemetryOnly: true)
        let report = simulation.run(&feed)
        #expect(report.violations == [], "seed \(seed)")
        let log = simulation.hub.log
        let twins = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)
        let written = Oracle(layout: layout) { log.records($0) }.written(by: twins, topics: [.forecasts])
        let contents = (written.frames[TopicPartition(.forecasts, 0)] ?? []).map(\.content)
        let wanted = try undisturbed(simulation, layout: layout)
        #expect(contents == wanted && contents.count > 100, "seed \(seed): \(contents.count) and \(wanted.count)")
    }
}
