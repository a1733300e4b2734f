import Foundation
import Messages
import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Twins
import Worker

/// What taking and restoring a snapshot of a large task costs, with the production loop, task and store.
struct SnapshotBench {
    /// One run.
    struct Run {
        var pauseSeconds = 0.0
        /// The same by the loop's own CPU time: without what other processes took from it.
        var pauseCPUSeconds = 0.0
        var pauseWithoutSnapshotSeconds = 0.0
        var freezeSeconds = 0.0
        var writeSeconds = 0.0
        var restoreSeconds = 0.0
        var storedBytes = 0
        var contentBytes = 0
        var residentBytesPerSeries = 0.0
        var series = 0
    }

    private typealias TwinWorker = Worker<MemoryWorld>

    let twins: Int
    let metricsPerTwin: Int
    /// What comes within a commit interval at 10 000 samples a second over four partitions.
    private static let samplesPerFrame = 250
    private static let partition = TopicPartition(.observations, 0)

    /// Frames of samples of all series in turn, made by a normalizer's emitter.
    private final class Frames {
        private let emitter: Emitter
        private let names = NameTable(namesMax: 1_000_000)
        private let twins: Int
        private let metrics: Int
        private var next = 0
        private var resources: [NameID] = []
        private var metricNames: [NameID] = []
        private let locality: NameID

        init(twins: Int, metrics: Int) {
            self.twins = twins
            self.metrics = metrics
            emitter = Emitter(
                task: TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0), incarnation: 1,
                layout: TopicLayout(partitions: 1), outputs: [.observations], names: names)
            locality = names.intern("cluster-0") ?? 0
            for metric in 0..<metrics { metricNames.append(names.intern("metric-\(metric)") ?? 0) }
            for twin in 0..<twins { resources.append(names.intern("svc-\(twin)") ?? 0) }
        }

        func frame(_ offset: Int64) -> [UInt8]? {
            emitter.begin(inputOffset: offset, muted: false)
            for _ in 0..<SnapshotBench.samplesPerFrame {
                let series = next % (twins * metrics)
                let round = next / (twins * metrics)
                next += 1
                let entry = Entry(
                    kind: .sample, code: SampleCode(role: .demand, isCounter: false).raw,
                    resource: resources[series / metrics], object: metricNames[series % metrics],
                    time: EventTime(seconds: 1_795_525_200 + Int64(round) * 60),
                    value: 100 + Double((series * 31 + round * 7) % 100))
                emitter.emit(entry, to: .observations, partition: 0)
            }
            emitter.cutAll()
            return emitter.takeOutgoing().first?.value
        }
    }

    func run(_ progress: ProgressBar) throws -> Run {
        let directory = NSTemporaryDirectory() + "twinscale-bench-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try DirectorySnapshotStore(root: directory, namespace: "bench")
        var run = Run(series: twins * metricsPerTwin)
        let frames = Frames(twins: twins, metrics: metricsPerTwin)
        let framesPerRound = Int64(twins * metricsPerTwin / Self.samplesPerFrame)
        let before = Usage.residentBytes
        let committed = try fold(store, frames, framesPerRound, &run, progress)
        run.residentBytesPerSeries = Double(Usage.residentBytes - before) / Double(run.series)
        try restore(store, committed: committed, &run)
        return run
    }

    private func worker(_ world: MemoryWorld, snapshotsEveryMilliseconds interval: Int64) -> TwinWorker {
        var loop = LoopSettings()
        loop.snapshotIntervalMilliseconds = interval
        loop.snapshotBytes = .max
        var settings = TwinSettings()
        settings.resourcesMax = max(settings.resourcesMax, twins)
        settings.seriesMax = max(settings.seriesMax, twins * metricsPerTwin)
        let made = settings
        let factory = TaskFactory(stage: .twinUpdater, incarnation: 1, fingerprint: 1) {
            (task, reader) throws(StateError) in
            try FrameTask<TwinStage>(
                TaskSetting(task: task, layout: TopicLayout(partitions: 1)), settings: made, restoring: reader)
        }
        return Worker(settings: loop, factory: factory, world: world)
    }

    /// Samples of each series before anything is measured, so that histories hold something to compress.
    private static let warmRounds: Int64 = 60
    private static let measuredRounds: Int64 = 10

    /// Fills the task, then goes on while snapshots are taken; returns the committed offset.
    private func fold(
        _ store: any SnapshotStore, _ frames: Frames, _ framesPerRound: Int64, _ run: inout Run, _ progress: ProgressBar
    ) throws -> Int64 {
        let warm = framesPerRound * Self.warmRounds
        let last = warm + framesPerRound * Self.measuredRounds
        let world = try MemoryWorld(Self.partition, snapshots: store, committed: nil) {
            $0 < last ? frames.frame($0) : nil
        }
        // A small task is done before a long interval is over.
        let worker = worker(world, snapshotsEveryMilliseconds: twins >= 50_000 ? 1_500 : 50)
        var offset: Int64 = 0
        while offset < last, worker.stopReason == nil {
            let action = worker.nextAction
            let isWriting = world.isWriting
            let begin = (wall: Usage.now.wallSeconds, cpu: threadSeconds())
            _ = worker.step()
            let taken = Usage.now.wallSeconds - begin.wall
            let used = threadSeconds() - begin.cpu
            offset = worker.loop.partitions.first?.next ?? 0
            progress.show(Int(offset), of: Int(last), "folding")
            guard offset > warm else { continue }
            if case .snapshot = action {
                run.freezeSeconds = max(run.freezeSeconds, taken)
                run.pauseSeconds = max(run.pauseSeconds, taken)
                run.pauseCPUSeconds = max(run.pauseCPUSeconds, used)
            } else if isWriting {
                run.pauseSeconds = max(run.pauseSeconds, taken)
                run.pauseCPUSeconds = max(run.pauseCPUSeconds, used)
            } else {
                run.pauseWithoutSnapshotSeconds = max(run.pauseWithoutSnapshotSeconds, taken)
            }
        }
        worker.requestStop()
        while worker.step() {}
        world.drain()
        for result in world.results {
            guard case .saved(let receipt) = result.outcome else { continue }
            run.writeSeconds = max(run.writeSeconds, result.seconds)
            run.storedBytes = receipt.info.bytes
            run.contentBytes = receipt.contentBytes
        }
        guard let committed = world.committedOffset, run.contentBytes > 0, run.pauseSeconds > 0 else {
            throw ToolError("no snapshot was taken in time; is \(NSTemporaryDirectory()) writable?")
        }
        return committed
    }

    private func restore(_ store: any SnapshotStore, committed: Int64, _ run: inout Run) throws {
        let world = try MemoryWorld(Self.partition, snapshots: store, committed: committed) { _ in nil }
        let worker = worker(world, snapshotsEveryMilliseconds: .max / 4)
        for _ in 0..<10 {
            let action = worker.nextAction
            let begin = Usage.now.wallSeconds
            _ = worker.step()
            if case .recover = action {
                run.restoreSeconds = Usage.now.wallSeconds - begin
                break
            }
        }
        if let reason = worker.stopReason { throw ToolError("the snapshot was not restored: \(reason)") }
    }
}
