import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// Any stage's task behind one type, so that one simulation holds all five stages.
package final class AnyTask: TaskLogic {
    package let base: any TaskLogic

    package init(_ base: any TaskLogic) { self.base = base }

    package var emitter: Emitter { base.emitter }
    package func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        try base.receive(record, muted: muted)
    }
    package func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {
        base.heartbeat(isCaughtUp: isCaughtUp, wallClock: wallClock)
    }
    package func freeze() -> StateWriter { base.freeze() }
    package var watermark: EventTime? { base.watermark }
    package var stageCounters: [StageCounter] { base.stageCounters }
    package var upstream: Senders? { base.upstream }
}

/// What a simulation needs to know of the pipeline.
package struct SimulatedPipeline {
    package var layout: TopicLayout
    package var inboxes: (StageName) -> [TopicName]
    package var outputs: (StageName) -> [TopicName]
    /// True if the twin-updater counts samples, so that each can be accounted for.
    package var keepsTwins = false
    /// Makes a task of any stage.
    package var make: (TaskID, StateReader?) throws(StateError) -> any TaskLogic

    package init(
        layout: TopicLayout, inboxes: @escaping (StageName) -> [TopicName],
        outputs: @escaping (StageName) -> [TopicName],
        make: @escaping (TaskID, StateReader?) throws(StateError) -> any TaskLogic
    ) {
        self.layout = layout
        self.inboxes = inboxes
        self.outputs = outputs
        self.make = make
    }
}

/// The whole topology on one thread under virtual time: the production loop and the production stages over a log, a
/// group and a disk that misbehave on command. Same seed, same run.
package final class Simulation {
    /// What a run is like.
    package struct Settings: Sendable {
        package var seed: UInt64
        package var workersPerStage = 2
        /// Steps with faults; after them everything must come to rest.
        package var stepsWithFaults = 6_000
        /// Steps that coming to rest may take.
        package var stepsToRestMax = 30_000
        package var faults: Faults?
        /// Virtual time for which rest must last, so that heartbeats can show what is missing.
        package var restMilliseconds: Int64 = 0
        /// The worker that does this step is killed right after it, before its next action.
        package var crashAtStep: Int?
        package var heartbeatIntervalMilliseconds: Int64 = 5_000
        package init(seed: UInt64) { self.seed = seed }
    }

    /// What a run found.
    package struct Report: Sendable {
        package var seed: UInt64
        package var violations: [String] = []
        package var records = 0
        package var entries = 0
        package var repeats = 0
        package var crashes = 0
        package var zombies = 0
        package var rebuilds: UInt64 = 0
        package var recoveries = 0
        package var recoveriesFromSnapshot = 0
        package var snapshotsSaved = 0
        package var snapshotsDamaged = 0
        package var stepsToRest = 0
        package var actions = 0
    }

    private typealias SimulatedWorker = Worker<AnyTask, SimulatedWorld>

    package let hub: SimulationHub
    private let settings: Settings
    private let pipeline: SimulatedPipeline
    private var workers: [SimulatedWorker] = []
    private var nextID = 0
    private var asleep: [(id: Int, until: Int64)] = []
    private var report: Report
    /// Counters of the twin-updater's folds, for the count of samples.
    private var twinCounters: [StageCounter] = []

    package init(_ settings: Settings, pipeline: SimulatedPipeline) {
        self.settings = settings
        self.pipeline = pipeline
        var generator = SeededGenerator(seed: settings.seed ^ 0xfa)
        let faults = settings.faults ?? Faults.swarm(&generator)
        hub = SimulationHub(
            layout: pipeline.layout, seed: settings.seed, faults: faults, inboxes: pipeline.inboxes)
        report = Report(seed: settings.seed)
        for stage in StageName.allCases {
            for _ in 0..<settings.workersPerStage { startWorker(stage) }
        }
    }

    private func startWorker(_ stage: StageName) {
        nextID += 1
        guard let store = try? hub.makeStore() else { return }
        let world = SimulatedWorld(id: nextID, stage: stage, incarnation: 1, hub: hub, snapshots: store)
        var loop = LoopSettings()
        loop.commitRecordsMax = hub.random.int(8...200)
        loop.commitIntervalMilliseconds = Int64(hub.random.int(1...200))
        loop.snapshotIntervalMilliseconds = Int64(hub.random.int(50...3_000))
        loop.rebuildsMax = .max
        loop.heartbeatIntervalMilliseconds = settings.heartbeatIntervalMilliseconds
        let make = pipeline.make
        let factory = TaskFactory<AnyTask>(stage: stage, incarnation: 1, fingerprint: 7) {
            (task, reader) throws(StateError) -> AnyTask in AnyTask(try make(task, reader))
        }
        workers.append(Worker(settings: loop, factory: factory, world: world))
        hub.group(stage).join(nextID)
    }

    /// Runs the feed through the pipeline under faults, lets it come to rest, and compares everything with the oracle.
    package func run(_ feed: inout SimulatedFeed) -> Report {
        for step in 0..<settings.stepsWithFaults {
            feed.write(to: hub, most: hub.random.int(0...3))
            disturb()
            let index = stepOne()
            if step == settings.crashAtStep { crash(index) }
        }
        hub.faults = .none
        while !feed.isDone { feed.write(to: hub, most: 10) }
        for (id, _) in asleep { wake(id) }
        asleep = []
        comeToRest()
        if hub.violations.isEmpty { compare() }
        if hub.violations.isEmpty && pipeline.keepsTwins { countSamples(feed) }
        finish()
        return report
    }

    /// Lets the n-th record with entries that is appended to a partition vanish, as a careless broker would.
    package func loseFrame(in partition: TopicPartition, number: Int) { hub.log.losses = (partition, number) }

    private func finish() {
        report.violations = hub.violations
        report.snapshotsSaved = hub.snapshotsSaved
        report.snapshotsDamaged = hub.snapshotsDamaged
        report.recoveries = hub.recoveries
        report.recoveriesFromSnapshot = hub.recoveriesFromSnapshot
        for worker in workers { report.rebuilds += worker.loop.rebuildsTotal }
        for partition in 0..<pipeline.layout[.actions] {
            report.actions += hub.log.records(TopicPartition(.actions, partition)).count
        }
    }

    /// Lets one worker do one action and says which.
    private func stepOne() -> Int {
        let index = hub.random.int(0...(workers.count - 1))
        let worker = workers[index]
        _ = worker.step()
        if let reason = worker.stopReason {
            hub.check(false, "a \(worker.world.stage.text) worker stopped: \(reason)")
        }
        return index
    }

    // MARK: faults that strike whole workers

    private func disturb() {
        if hub.random.chance(hub.faults.crash * Double(workers.count) / 4) {
            crash(hub.random.int(0...(workers.count - 1)))
        }
        if hub.random.chance(hub.faults.zombie * Double(workers.count) / 4) { makeZombie() }
        if hub.random.chance(hub.faults.rebalance * 4) {
            hub.group(StageName.allCases[hub.random.int(0...4)]).rebalance()
        }
        for (id, until) in asleep where until <= hub.now { wake(id) }
        asleep.removeAll { $0.until <= hub.now }
    }

    /// Kills a worker between two actions and starts another in its place.
    private func crash(_ index: Int) {
        let dead = workers.remove(at: index)
        report.crashes += 1
        report.rebuilds += dead.loop.rebuildsTotal
        dead.world.dropSome()
        if hub.random.chance(0.5) { hub.files.powerCut { bound in self.hub.random.int(0...max(0, bound - 1)) } }
        if hub.random.chance(hub.faults.commitForgotten) { forgetCommit(dead.world.stage) }
        hub.group(dead.world.stage).leave(dead.world.id)
        asleep.removeAll { $0.id == dead.world.id }
        startWorker(dead.world.stage)
    }

    private func forgetCommit(_ stage: StageName) {
        for topic in pipeline.inboxes(stage) {
            for partition in 0..<pipeline.layout[topic] {
                let id = TopicPartition(topic, partition)
                guard let committed = hub.log.committed(stage, 1, id), committed > 0, hub.random.chance(0.3) else {
                    continue
                }
                hub.log.commit(stage, 1, id, Int64(hub.random.int(0...Int(committed))))
            }
        }
    }

    private func makeZombie() {
        let worker = workers[hub.random.int(0...(workers.count - 1))]
        guard !hub.group(worker.world.stage).isEvicted(worker.world.id) else { return }
        report.zombies += 1
        hub.group(worker.world.stage).evict(worker.world.id)
        asleep.append((worker.world.id, hub.now + Int64(hub.random.int(50...2_000))))
    }

    private func wake(_ id: Int) {
        guard let worker = workers.first(where: { $0.world.id == id }) else { return }
        hub.group(worker.world.stage).wake(id)
    }

    // MARK: rest

    /// Every partition has an owner that has taken and committed all of it.
    private var isAtRest: Bool {
        guard workers.allSatisfy({ $0.loop.isAtBoundary }) else { return false }
        for stage in StageName.allCases {
            for topic in pipeline.inboxes(stage) {
                for partition in 0..<pipeline.layout[topic] where !isDone(stage, TopicPartition(topic, partition)) {
                    return false
                }
            }
        }
        return true
    }

    private func isDone(_ stage: StageName, _ id: TopicPartition) -> Bool {
        for worker in workers where worker.world.stage == stage && hub.group(stage).owns(worker.world.id, id) {
            guard let owned = worker.loop.partitions.first(where: { $0.id == id }) else { return false }
            return owned.phase == .running && owned.next > lastOffset(id)
        }
        return false
    }

    /// Who has not come to rest, in words.
    private var unrest: String {
        var words: [String] = []
        for worker in workers {
            let behind = worker.loop.partitions.filter { $0.phase != .running || $0.next <= lastOffset($0.id) }
            guard !behind.isEmpty || !worker.loop.isAtBoundary else { continue }
            words.append(
                "\(worker.world.stage.text) #\(worker.world.id) next \(worker.nextAction), behind on "
                    + behind.map { "\($0.id) at \($0.next) of \(lastOffset($0.id)), \($0.phase)" }
                    .joined(separator: ", "))
        }
        return words.joined(separator: "; ")
    }

    private func lastOffset(_ id: TopicPartition) -> Int64 { hub.log.records(id).last?.offset ?? -1 }

    private func comeToRest() {
        var restSince: Int64?
        for step in 0..<settings.stepsToRestMax {
            for worker in workers { _ = worker.step() }
            if !hub.violations.isEmpty { return }
            for worker in workers where worker.stopReason != nil {
                let reason = String(describing: worker.stopReason)
                hub.check(false, "a \(worker.world.stage.text) worker stopped: \(reason)")
            }
            guard step % 8 == 0, isAtRest else { continue }
            restSince = restSince ?? hub.now
            if hub.now - (restSince ?? 0) >= settings.restMilliseconds {
                report.stepsToRest = step
                return
            }
        }
        hub.check(false, "the pipeline did not come to rest within \(settings.stepsToRestMax) rounds: \(unrest)")
    }

    // MARK: the oracle

    private func compare() {
        let log = hub.log
        let oracle = Oracle(layout: pipeline.layout) { log.records($0) }
        for stage in StageName.allCases {
            for topic in pipeline.inboxes(stage) {
                for partition in 0..<pipeline.layout[topic] {
                    compare(TaskID(stage: stage, inbox: topic, epoch: 1, partition: partition), oracle)
                }
            }
        }
    }

    /// Every distinct sample of the feed was folded exactly once: what the twin-updater took, with what it called late,
    /// is what the feed says, and everything beyond is a repeat that it recognised.
    private func countSamples(_ feed: SimulatedFeed) {
        let counted = sampleCounts.taken + sampleCounts.late
        hub.check(
            sampleCounts.taken <= feed.samples.count,
            "\(sampleCounts.taken) samples were folded, but only \(feed.samples.count) are distinct")
        hub.check(
            counted + sampleCounts.duplicates == feed.samplesWritten,
            "\(feed.samplesWritten) samples were written, but \(sampleCounts) were accounted for")
    }

    private var sampleCounts: (taken: Int, late: Int, duplicates: Int) {
        var counts = (taken: 0, late: 0, duplicates: 0)
        for counter in twinCounters {
            switch counter.name {
            case "accepted", "mergedLate": counts.taken += Int(counter.value)
            case "late": counts.late += Int(counter.value)
            case "duplicates": counts.duplicates += Int(counter.value)
            default: break
            }
        }
        return counts
    }

    private func compare(_ task: TaskID, _ oracle: Oracle) {
        do {
            let make = pipeline.make
            let (expected, logic) = try oracle.fold(task) { try make($0, nil) }
            if task.stage == .twinUpdater { twinCounters += logic.stageCounters }
            let written = oracle.written(by: task, topics: pipeline.outputs(task.stage))
            for words in Oracle.differences(task, written: written, expected: expected) { hub.check(false, words) }
            report.records += hub.log.records(TopicPartition(task.inbox, task.partition)).count
            report.entries += written.frames.values.reduce(0) { $0 + $1.count }
            report.repeats += written.repeats
            let id = TopicPartition(task.inbox, task.partition)
            for worker in workers
            where worker.world.stage == task.stage && hub.group(task.stage).owns(worker.world.id, id) {
                guard let running = worker.runningTasks.first(where: { $0.id == id }) else { continue }
                hub.check(
                    running.logic.freeze().digest == logic.freeze().digest,
                    "\(task): the running state differs from the fold of its inbox")
            }
        } catch {
            hub.check(false, "\(task): the fold of the recorded inbox failed: \(error)")
        }
    }
}
