import Messages
import Snapshots
import StageKit
import TaskLoop
import Testing
import TwinCore
import Worker

/// A task that writes to one page of its state after the other.
private final class PageTurner: TaskLogic {
    let emitter: Emitter
    let upstream: Senders? = nil
    let watermark: EventTime? = nil
    let stageCounters: [StageCounter] = []
    private var table = PagedTable<UInt64>(cellsMax: PageTurner.pages * PageTurner.cellsPerPage)
    private(set) var records = 0

    static let pages = 40
    static let cellsPerPage = 8_192

    init(_ task: TaskID) {
        emitter = Emitter(
            task: task, incarnation: 1, layout: TopicLayout(partitions: 1), outputs: [.forecasts],
            names: NameTable(namesMax: 10))
        for _ in 0..<(Self.pages * Self.cellsPerPage) { _ = table.append(0) }
    }

    func receive(_ record: InboxRecord, muted: Bool) {
        records += 1
        table.write(records % Self.pages * Self.cellsPerPage).pointee += 1
    }

    func freeze() -> StateWriter {
        var writer = StateWriter()
        table.freeze(tag: 1, into: &writer)
        return writer
    }
}

/// A world with records without end and a disk that does nothing by itself.
private final class SlowDisk: WorkerWorld {
    var nowMilliseconds: Int64 = 0
    let wallClock: EventTime? = nil
    let snapshots: any SnapshotStore
    var jobs: [SnapshotJob] = []
    private var position: Int64 = -1

    init() throws {
        snapshots = try DirectorySnapshotStore(root: "/", namespace: "held", files: MemoryFileSystem())
    }

    func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) {
        nowMilliseconds += 1
        guard position >= 0 else {
            position = 0
            _ = body(.assigned([HeldPagesTests.partition]))
            return
        }
        var isGoingOn = true
        for _ in 0..<3 where isGoingOn {
            isGoingOn = body(
                .record(HeldPagesTests.partition, InboxRecord(offset: position, key: nil, value: nil)))
            position += 1
        }
    }

    func rest(milliseconds: Int64) { nowMilliseconds += milliseconds }
    func committed(_ partition: TopicPartition, incarnation: UInt64) -> Int64? { nil }
    func bounds(_ partition: TopicPartition) -> LogBounds { LogBounds(start: 0, end: nil) }
    func assign(_ starts: [StartOffset]) {}
    func release(_ partitions: [TopicPartition]) {}
    func produce(_ records: borrowing Outbox) {}
    func flush(timeoutMilliseconds: Int64) {}
    func commit(_ offsets: [StartOffset], timeoutMilliseconds: Int64) {}
    func rebuildProducer(afterMilliseconds: Int64) {}
    func submit(_ job: SnapshotJob) { jobs.append(job) }
    func note(_ event: WorkerEvent) {}
}

@Suite("Snapshots hold a bounded number of pages")
struct HeldPagesTests {
    fileprivate static let partition = TopicPartition(.observations, 0)
    private static let pagesMax = 4

    @Test("What is written while a snapshot waits for the disk waits at the bound, and goes on as pages are let go")
    func bound() throws {
        var settings = LoopSettings()
        settings.snapshotIntervalMilliseconds = 1_000
        settings.snapshotHeldBytesMax = Self.pagesMax * PageTurner.cellsPerPage * 8
        let world = try SlowDisk()
        let factory = TaskFactory(stage: .twinUpdater, incarnation: 1, fingerprint: 1) { task, _ in PageTurner(task) }
        let worker = Worker(settings: settings, factory: factory, world: world)
        func records() -> Int {
            (worker.runningTasks.first?.logic as? PageTurner)?.records ?? 0
        }
        func run(until moment: Int64) { while world.nowMilliseconds < moment, worker.step() {} }
        while world.jobs.isEmpty, worker.step() {}
        #expect(world.jobs.count == 1)
        let frozen = (records: records(), time: world.nowMilliseconds)

        run(until: frozen.time + 5_000)
        #expect(records() == frozen.records + Self.pagesMax + 1, "one page beyond the bound")
        world.jobs = []
        run(until: frozen.time + 5_100)
        #expect(records() > frozen.records + 200, "the disk has caught up")

        // The next one never gets there.
        while world.jobs.isEmpty, worker.step() {}
        let stuck = (records: records(), time: world.nowMilliseconds)
        run(until: stuck.time + 9_000)
        #expect(records() == stuck.records + Self.pagesMax + 1)
        run(until: stuck.time + 11_000)
        #expect(records() > stuck.records + 500, "a disk that stands still holds up nobody for ever")
        #expect(worker.stopReason == nil)
    }
}
