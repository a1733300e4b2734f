import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// What a simulation needs to know of the pipeline.
package struct SimulatedPipeline {
    package var layout: TopicLayout
    package var inboxes: (StageName) -> [TopicName]
    package var outputs: (StageName) -> [TopicName]
    /// True if the twin-updater counts samples, so that each can be accounted for.
    package var keepsTwins = false
    /// Makes a task of any stage.
    package var make: (TaskSetting, StateReader?) throws(StateError) -> any TaskLogic

    package init(
        layout: TopicLayout, inboxes: @escaping (StageName) -> [TopicName],
        outputs: @escaping (StageName) -> [TopicName],
        make: @escaping (TaskSetting, StateReader?) throws(StateError) -> any TaskLogic
    ) {
        self.layout = layout
        self.inboxes = inboxes
        self.outputs = outputs
        self.make = make
    }

    /// A fresh task; of a second incarnation, it may be built from where the log starts for it.
    func makeTask(
        _ task: TaskID, incarnation: UInt64 = 1, rebuilds: Bool = false, restoring reader: StateReader? = nil
    ) throws(StateError) -> any TaskLogic {
        let setting = TaskSetting(
            task: task, incarnation: incarnation, layout: layout, rebuildsFromStart: rebuilds)
        return try make(setting, reader)
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
        /// So many steps later its successor starts.
        package var restartSteps = 0
        package var heartbeatIntervalMilliseconds: Int64 = 5_000
        package var takeOver: TakeOver?
        /// Tasks accept gaps that stay open.
        package var acceptsGaps = false
        /// Milliseconds of wall clock that watermarks may follow, to one of virtual time; 0: none.
        package var wallClockPace: Int64 = 0
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
        /// Declared limits that were met: what the folds of the inboxes refused.
        package var limits: [String] = []
    }

    /// A stage is replaced by a second incarnation.
    package struct TakeOver: Sendable {
        package var stage: StageName
        /// After this step of the simulation.
        package var step: Int
        /// It has no snapshots, and finds logs that start above zero: its state is built anew from there.
        package var rebuilds: Bool

        package init(_ stage: StageName, step: Int, rebuilds: Bool) {
            self.stage = stage
            self.step = step
            self.rebuilds = rebuilds
        }
    }

    typealias SimulatedWorker = Worker<SimulatedWorld>

    package let hub: SimulationHub
    let settings: Settings
    let pipeline: SimulatedPipeline
    var workers: [SimulatedWorker] = []
    var report: Report
    /// Counters of the twin-updater's folds, for the count of samples.
    var twinCounters: [StageCounter] = []
    /// The stage that was replaced, once it was.
    private(set) var takenOver: TakeOver?
    private var nextID = 0
    private var asleep: [(id: Int, until: Int64)] = []
    /// A stage that waits for a worker in the place of one that was killed.
    private var restarting: StageName?
    /// Workers of a first incarnation that go on for a while beside the second.
    private var retiring: [(id: Int, until: Int64)] = []

    package init(_ settings: Settings, pipeline: SimulatedPipeline) {
        self.settings = settings
        self.pipeline = pipeline
        var generator = SeededGenerator(seed: settings.seed ^ 0xfa)
        let faults = settings.faults ?? Faults.swarm(&generator)
        hub = SimulationHub(
            layout: pipeline.layout, seed: settings.seed, faults: faults, inboxes: pipeline.inboxes)
        hub.wallClockPace = settings.wallClockPace
        report = Report(seed: settings.seed)
        for stage in StageName.allCases {
            for _ in 0..<settings.workersPerStage { startWorker(stage) }
        }
    }

    private func startWorker(_ stage: StageName) {
        nextID += 1
        guard let store = try? hub.makeStore() else { return }
        let incarnation = incarnation(of: stage)
        let rebuilds = incarnation > 1 && takenOver?.rebuilds == true
        let world = SimulatedWorld(id: nextID, stage: stage, incarnation: incarnation, hub: hub, snapshots: store)
        var loop = LoopSettings()
        loop.commitRecordsMax = hub.random.int(8...200)
        loop.commitIntervalMilliseconds = Int64(hub.random.int(1...200))
        loop.snapshotIntervalMilliseconds = Int64(hub.random.int(50...3_000))
        loop.rebuildsMax = .max
        loop.heartbeatIntervalMilliseconds = settings.heartbeatIntervalMilliseconds
        let pipeline = self.pipeline
        let factory = TaskFactory(
            stage: stage, incarnation: incarnation, fingerprint: 7, rebuildFromStart: rebuilds,
            acceptsGaps: settings.acceptsGaps
        ) { (task, reader) throws(StateError) in
            try pipeline.makeTask(task, incarnation: incarnation, rebuilds: rebuilds, restoring: reader)
        }
        workers.append(Worker(settings: loop, factory: factory, world: world))
        hub.group(stage, incarnation).join(nextID)
    }

    /// The incarnation of a stage that is current.
    func incarnation(of stage: StageName) -> UInt64 { takenOver?.stage == stage ? 2 : 1 }

    /// The group of a stage's current incarnation.
    func group(_ stage: StageName) -> SimulatedGroup { hub.group(stage, incarnation(of: stage)) }

    /// Runs the feed through the pipeline under faults, lets it come to rest, and compares everything with the oracle.
    package func run(_ feed: inout SimulatedFeed) -> Report {
        for step in 0..<settings.stepsWithFaults {
            feed.write(to: hub, most: hub.random.int(0...3))
            disturb()
            let index = stepOne()
            if step == settings.crashAtStep, workers.indices.contains(index) {
                crash(index, isRestarted: settings.restartSteps == 0)
            }
            if step >= (settings.crashAtStep ?? .max / 2) + settings.restartSteps { restart() }
            if let next = settings.takeOver, step == next.step { replace(next) }
        }
        hub.faults = .none
        restart()
        for (id, _) in retiring { retire(id) }
        retiring = []
        while !feed.isDone { feed.write(to: hub, most: 10) }
        for (id, _) in asleep { wake(id) }
        asleep = []
        comeToRest()
        if hub.violations.isEmpty { compare() }
        if hub.violations.isEmpty && pipeline.keepsTwins {
            countSamples(feed)
            checkHomes(feed)
        }
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
        noteStop(worker)
        return index
    }

    /// No worker stops by itself, but one of a first incarnation that begins anew after the second has committed.
    private func noteStop(_ worker: Worker<SimulatedWorld>) {
        guard let reason = worker.stopReason else { return }
        if case .fenced = reason, worker.world.incarnation < incarnation(of: worker.world.stage) {
            return retire(worker.world.id)
        }
        hub.check(false, "a \(worker.world.stage.text) worker stopped: \(reason)")
    }

    // MARK: faults that strike whole workers

    private func disturb() {
        if hub.random.chance(hub.faults.crash * Double(workers.count) / 4) {
            crash(hub.random.int(0...(workers.count - 1)))
        }
        if hub.random.chance(hub.faults.zombie * Double(workers.count) / 4) { makeZombie() }
        if hub.random.chance(hub.faults.rebalance * 4) {
            group(StageName.allCases[hub.random.int(0...4)]).rebalance()
        }
        if hub.random.chance(hub.faults.compaction) { hub.compactPolicies() }
        for (id, until) in asleep where until <= hub.now { wake(id) }
        asleep.removeAll { $0.until <= hub.now }
        for (id, until) in retiring where until <= hub.now { retire(id) }
        retiring.removeAll { $0.until <= hub.now }
    }

    /// A second incarnation starts. The first goes on for a while, writing and committing, unless its state is lost.
    private func replace(_ next: TakeOver) {
        let old = workers.filter { $0.world.stage == next.stage }.map(\.world.id)
        if next.rebuilds {
            for id in old { retire(id) }
            for topic in pipeline.inboxes(next.stage) {
                for partition in 0..<pipeline.layout[topic] { trim(next.stage, TopicPartition(topic, partition)) }
            }
        } else {
            retiring += old.map { ($0, hub.now + Int64(hub.random.int(0...2_000))) }
        }
        takenOver = next
        for _ in 0..<settings.workersPerStage { startWorker(next.stage) }
    }

    /// Retention passes some of what was committed.
    private func trim(_ stage: StageName, _ partition: TopicPartition) {
        let committed = hub.log.committed(stage, 1, partition) ?? 0
        hub.trim(stage, partition, below: Int64(hub.random.int(0...Int(committed))))
    }

    /// The last that is seen of a worker of the first incarnation.
    private func retire(_ id: Int) {
        guard let index = workers.firstIndex(where: { $0.world.id == id }) else { return }
        let old = workers.remove(at: index)
        report.rebuilds += old.loop.rebuildsTotal
        old.world.dropSome()
        hub.group(old.world.stage, old.world.incarnation).leave(id)
        asleep.removeAll { $0.id == id }
    }

    /// Kills a worker between two actions and starts another in its place, at once or when it is time.
    private func crash(_ index: Int, isRestarted: Bool = true) {
        report.crashes += 1
        let isOld = workers[index].world.incarnation < incarnation(of: workers[index].world.stage)
        if isOld { return retire(workers[index].world.id) }
        let dead = workers.remove(at: index)
        report.rebuilds += dead.loop.rebuildsTotal
        dead.world.dropSome()
        if hub.random.chance(0.5) { hub.files.powerCut { bound in self.hub.random.int(0...max(0, bound - 1)) } }
        if hub.random.chance(hub.faults.commitForgotten) { forgetCommit(dead.world.stage) }
        group(dead.world.stage).leave(dead.world.id)
        asleep.removeAll { $0.id == dead.world.id }
        restarting = dead.world.stage
        if isRestarted { restart() }
    }

    private func restart() {
        if let stage = restarting { startWorker(stage) }
        restarting = nil
    }

    private func forgetCommit(_ stage: StageName) {
        for topic in pipeline.inboxes(stage) {
            for partition in 0..<pipeline.layout[topic] {
                let id = TopicPartition(topic, partition)
                let incarnation = incarnation(of: stage)
                guard let committed = hub.log.committed(stage, incarnation, id), committed > 0, hub.random.chance(0.3)
                else { continue }
                let start = Int(hub.start(stage, id))
                hub.log.commit(stage, incarnation, id, Int64(hub.random.int(start...max(start, Int(committed)))))
            }
        }
    }

    private func makeZombie() {
        let worker = workers[hub.random.int(0...(workers.count - 1))]
        let group = hub.group(worker.world.stage, worker.world.incarnation)
        guard !group.isEvicted(worker.world.id) else { return }
        report.zombies += 1
        group.evict(worker.world.id)
        asleep.append((worker.world.id, hub.now + Int64(hub.random.int(50...2_000))))
    }

    private func wake(_ id: Int) {
        guard let worker = workers.first(where: { $0.world.id == id }) else { return }
        hub.group(worker.world.stage, worker.world.incarnation).wake(id)
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
        for worker in workers where worker.world.stage == stage && group(stage).owns(worker.world.id, id) {
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
            for worker in workers { noteStop(worker) }
            guard step % 8 == 0, isAtRest else { continue }
            restSince = restSince ?? hub.now
            if hub.now - (restSince ?? 0) >= settings.restMilliseconds {
                report.stepsToRest = step
                return
            }
        }
        hub.check(false, "the pipeline did not come to rest within \(settings.stepsToRestMax) rounds: \(unrest)")
    }
}
