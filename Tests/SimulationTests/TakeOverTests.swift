import Messages
import Simulation
import Snapshots
import StageKit
import TaskLoop
import Testing
import TwinCore
import Worker

/// A task that notes which records it may speak about.
private final class Listener: TaskLogic {
    let emitter: Emitter
    let upstream: Senders? = nil
    let watermark: EventTime? = nil
    let stageCounters: [StageCounter] = []
    private(set) var firstFolded: Int64?
    private(set) var firstSpoken: Int64?

    init(_ task: TaskID) {
        emitter = Emitter(
            task: task, incarnation: 2, layout: TopicLayout(partitions: 1), outputs: [.forecasts],
            names: NameTable(namesMax: 10))
    }

    func receive(_ record: InboxRecord, muted: Bool) {
        firstFolded = firstFolded ?? record.offset
        if !muted { firstSpoken = firstSpoken ?? record.offset }
    }

    func freeze() -> StateWriter { StateWriter() }
}

/// A log that ends at 30, where two incarnations have committed.
private final class TwoGroups: WorkerWorld {
    let nowMilliseconds: Int64 = 0
    let wallClock: EventTime? = nil
    let snapshots: any SnapshotStore
    let commits: [UInt64: Int64]
    let start: Int64
    private var position: Int64?
    private var hasJoined = false

    init(commits: [UInt64: Int64], start: Int64) throws {
        self.commits = commits
        self.start = start
        snapshots = try DirectorySnapshotStore(root: "/", namespace: "none", files: MemoryFileSystem())
    }

    func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) {
        if !hasJoined {
            hasJoined = true
            _ = body(.assigned([TakeOverTests.partition]))
        }
        guard let next = position, next < 30 else { return }
        position = next + 1
        _ = body(.record(TakeOverTests.partition, InboxRecord(offset: next, key: nil, value: nil)))
    }

    func rest(milliseconds: Int64) {}
    func committed(_ partition: TopicPartition, incarnation: UInt64) -> Int64? { commits[incarnation] }
    func bounds(_ partition: TopicPartition) -> LogBounds { LogBounds(start: start, end: 30) }
    func assign(_ starts: [StartOffset]) { position = starts.first?.offset }
    func release(_ partitions: [TopicPartition]) {}
    func produce(_ records: borrowing Outbox) {}
    func flush(timeoutMilliseconds: Int64) {}
    func commit(_ offsets: [StartOffset], timeoutMilliseconds: Int64) {}
    func rebuildProducer(afterMilliseconds: Int64) {}
    func submit(_ job: SnapshotJob) {}
    func note(_ event: WorkerEvent) {}
}

@Suite("A second incarnation")
struct TakeOverTests {
    fileprivate static let partition = TopicPartition(.observations, 0)

    private func listen(_ commits: [UInt64: Int64], start: Int64 = 0, rebuilds: Bool) throws -> Listener? {
        let factory = TaskFactory(stage: .twinUpdater, incarnation: 2, fingerprint: 1, rebuildFromStart: rebuilds) {
            task, _ in Listener(task)
        }
        let world = try TwoGroups(commits: commits, start: start)
        let worker = Worker(settings: LoopSettings(), factory: factory, world: world)
        for _ in 0..<100 { _ = worker.step() }
        return worker.runningTasks.first?.logic as? Listener
    }

    @Test("What was built anew is silent up to where the first had committed, whatever became of its own commits")
    func rebuilt() throws {
        for commits: [UInt64: Int64] in [[1: 20], [1: 20, 2: 5], [1: 20, 2: 10], [1: 20, 2: 20]] {
            let task = try listen(commits, start: 5, rebuilds: true)
            #expect(task?.firstFolded == 5 && task?.firstSpoken == 20, "\(commits)")
        }
        #expect(try listen([1: 20, 2: 25], start: 5, rebuilds: true)?.firstSpoken == 25)
    }

    @Test("The first stops where a higher one has committed, also where a number was left out", arguments: [2, 3])
    func replaced(by higher: UInt64) throws {
        let factory = TaskFactory(stage: .twinUpdater, incarnation: 1, fingerprint: 1) { task, _ in Listener(task) }
        let world = try TwoGroups(commits: [1: 20, higher: 5], start: 0)
        let worker = Worker(settings: LoopSettings(), factory: factory, world: world)
        for _ in 0..<100 { _ = worker.step() }
        guard case .fenced(let reason) = worker.stopReason else {
            Issue.record("it goes on")
            return
        }
        #expect(reason.contains("--incarnation \(higher)"))
    }

    @Test("One that has folded all goes on from its own commit: what the first committed later was refused")
    func folded() throws {
        #expect(try listen([1: 20], rebuilds: false)?.firstSpoken == 20)
        #expect(try listen([1: 20, 2: 10], rebuilds: false)?.firstSpoken == 10)
    }
}

@Suite("A crash at every action boundary of a take-over")
struct TakeOverBoundaryTests {
    /// The first goes on while the second's successor is away. The seeds are such that the second is killed between its
    /// first flush and its first commit, after step 336, 331 and 354.
    @Test("Killed after its n-th action, a second incarnation leaves nothing unsaid", arguments: [1, 4, 8] as [UInt64])
    func everyBoundary(seed: UInt64) {
        for step in 325..<361 {
            var layout = TopicLayout(partitions: 1)
            layout[.telemetry] = 1
            var settings = Simulation.Settings(seed: seed)
            settings.faults = Faults.none
            settings.workersPerStage = 1
            settings.stepsWithFaults = 600
            settings.takeOver = Simulation.TakeOver(.twinUpdater, step: 300, rebuilds: false)
            settings.crashAtStep = step
            settings.restartSteps = 60
            let simulation = Simulation(settings, pipeline: relayPipeline(layout: layout))
            var feed = SimulatedFeed(records: 300, resources: 4, localities: 2)
            let report = simulation.run(&feed)
            #expect(report.violations == [], "crash after step \(step), seed \(seed)")
        }
    }
}
