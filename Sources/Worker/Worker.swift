import Messages
import Snapshots
import StageKit
import Synchronization
import TaskLoop
import TwinCore

/// How a worker's tasks are made.
package struct TaskFactory {
    package let stage: StageName
    package let incarnation: UInt64
    /// Of the logic and the configuration that change outputs.
    package let fingerprint: UInt64
    package let rebuildFromStart: Bool
    /// The operator's word that a gap is to be passed over.
    package var acceptsGaps: Bool
    /// Version of the layout of the state's sections.
    package let schemaVersion: UInt32
    /// The topic's epoch, from the configuration.
    package let epoch: (TopicName) -> UInt16
    package let make: (TaskID, StateReader?) throws(StateError) -> any TaskLogic

    package init(
        stage: StageName, incarnation: UInt64, fingerprint: UInt64, rebuildFromStart: Bool = false,
        acceptsGaps: Bool = false, schemaVersion: UInt32 = 1, epoch: @escaping (TopicName) -> UInt16 = { _ in 1 },
        make: @escaping (TaskID, StateReader?) throws(StateError) -> any TaskLogic
    ) {
        self.stage = stage
        self.incarnation = incarnation
        self.fingerprint = fingerprint
        self.rebuildFromStart = rebuildFromStart
        self.acceptsGaps = acceptsGaps
        self.schemaVersion = schemaVersion
        self.epoch = epoch
        self.make = make
    }

    /// The task of a partition.
    package func id(_ partition: TopicPartition) -> TaskID {
        TaskID(stage: stage, inbox: partition.topic, epoch: epoch(partition.topic), partition: partition.partition)
    }
}

/// How much memory only snapshots hold.
private final class HeldPages: PageLedger {
    private let bytes = Atomic<Int>(0)

    var byteCount: Int { bytes.load(ordering: .relaxed) }

    func add(bytes count: Int) { bytes.add(count, ordering: .relaxed) }
    func remove(bytes count: Int) { bytes.subtract(count, ordering: .relaxed) }
}

/// Does what the loop says: joins tasks, log and snapshots. One action a step, so that a simulation can stop it between
/// any two of them.
package final class Worker<World: WorkerWorld> {
    @exclusivity(unchecked) package private(set) var loop: TaskLoop
    package let world: World
    private let factory: TaskFactory
    private let held = HeldPages()
    /// Since when snapshots have held too much without a break.
    @exclusivity(unchecked) private var heldUpSince: Int64?
    @exclusivity(unchecked) private var tasks: [(id: TopicPartition, logic: any TaskLogic)] = []
    /// Tasks of partitions that were let go at a commit; they resume if the partition comes back where they stand.
    private var suspended: [(id: TopicPartition, logic: any TaskLogic, next: Int64, since: Int64)] = []
    /// How long they are kept: longer than a rebalance, or than a neighbour takes to restart.
    private static var suspendedMillisecondsMax: Int64 { 120_000 }
    @exclusivity(unchecked) private var recent = 0
    /// Bytes that wait to be produced, over all tasks.
    @exclusivity(unchecked) private var outputBytesPending = 0
    /// Why the worker stopped, once it has.
    package private(set) var stopReason: StopReason?
    /// Records folded, counted for status.
    @exclusivity(unchecked) package private(set) var recordsFolded: UInt64 = 0

    package init(settings: LoopSettings, factory: TaskFactory, world: World) {
        loop = TaskLoop(settings: settings)
        self.factory = factory
        self.world = world
    }

    /// The running tasks, by partition in order of assignment.
    package var runningTasks: [(id: TopicPartition, logic: any TaskLogic)] { tasks }

    /// Asks the worker to commit what is pending and leave.
    package func requestStop() { loop.requestStop() }

    /// What the worker would do next.
    package var nextAction: LoopAction { loop.next(now: world.nowMilliseconds) }

    /// Does one action. Returns false once the worker has stopped.
    package func step() -> Bool {
        if stopReason != nil { return false }
        let action = loop.next(now: world.nowMilliseconds)
        do {
            try perform(action)
        } catch {
            world.note(.failed(error.reason))
            loop.failed(error.disposition, error.reason)
        }
        return stopReason == nil
    }

    private func perform(_ action: LoopAction) throws(WorldError) {
        switch action {
        case .recover(let partition): try recover(partition)
        case .assign(let starts):
            try world.assign(starts)
            loop.assigned()
        case .poll(let timeout): try poll(timeout)
        case .heartbeat: sendHeartbeats()
        case .flush(let timeout): loop.flushed(outcome { () throws(WorldError) in try self.flush(timeout) })
        case .commit(let offsets, let timeout):
            let failure = outcome { () throws(WorldError) in
                try self.world.commit(offsets, timeoutMilliseconds: timeout)
            }
            loop.committed(failure, now: world.nowMilliseconds)
        case .snapshot(let offsets): snapshot(offsets)
        case .release(let partitions): try release(partitions)
        case .rebuild(let wait):
            tasks = []
            suspended = []
            outputBytesPending = 0
            world.note(.rebuilding("producer or task state is unsafe; recovering from the last commit"))
            try world.rebuildProducer(afterMilliseconds: wait)
            loop.rebuilt(now: world.nowMilliseconds)
        case .stop(let reason):
            stopReason = reason
            loop.stopped()
        }
    }

    private func outcome(_ body: () throws(WorldError) -> Void) -> (disposition: Disposition, reason: String)? {
        do {
            try body()
            return nil
        } catch {
            world.note(.failed(error.reason))
            return (error.disposition, error.reason)
        }
    }

    // MARK: records

    /// True while snapshots on their way to the disk hold so much that nothing more may be copied for them. A disk that
    /// stands still holds up nobody for ever: then memory gives way, to one more copy of the state at most.
    private var isHeldUp: Bool {
        guard held.byteCount > loop.settings.snapshotHeldBytesMax else {
            heldUpSince = nil
            return false
        }
        let now = world.nowMilliseconds
        guard let since = heldUpSince else {
            heldUpSince = now
            return true
        }
        return now - since < Self.heldUpMillisecondsMax
    }

    /// Far less than a consumer may stay away from its group.
    private static var heldUpMillisecondsMax: Int64 { 10_000 }

    private func poll(_ timeout: Int64) throws(WorldError) {
        guard !isHeldUp else {
            world.rest(milliseconds: 1)
            loop.polled()
            return
        }
        var fault: WorldError?
        try world.poll(timeoutMilliseconds: timeout) { event in
            switch event {
            case .assigned(let partitions): loop.assigned(partitions, now: world.nowMilliseconds)
            case .revoked(let partitions, let lost):
                loop.revoked(partitions, lost: lost)
                return false
            case .end(let partition, let position):
                loop.reachedEnd(partition, position: position, now: world.nowMilliseconds)
                return !loop.mustCommit(now: world.nowMilliseconds)
            case .record(let partition, let record):
                do throws(WorldError) {
                    try receive(partition, record)
                } catch {
                    fault = error
                    return false
                }
                return !loop.mustCommit(now: world.nowMilliseconds) && !isHeldUp
            }
            return true
        }
        loop.polled()
        if let fault { throw fault }
        // A task with much to say must not wait for the commit: its records go out while it reads on.
        try produceWaiting(above: loop.settings.commitBytesMax / 4)
    }

    private func receive(_ partition: TopicPartition, _ record: InboxRecord) throws(WorldError) {
        let admission = loop.admit(partition, offset: record.offset)
        guard admission != .drop, let logic = task(partition) else { return }
        let before = logic.emitter.pendingBytes
        do {
            try logic.receive(record, muted: admission == .replay)
        } catch {
            try pass(error, of: partition)
        }
        recordsFolded &+= 1
        outputBytesPending &+= logic.emitter.pendingBytes &- before
        loop.received(
            partition, offset: record.offset, inputBytes: (record.value?.count ?? 0) + (record.key?.count ?? 0),
            outputBytesPending: outputBytesPending, now: world.nowMilliseconds)
    }

    /// Stops at a gap, or accepts it where the operator has said so: by a record in the inbox, so that every replay
    /// does the same. A repeat of that record says nothing new.
    private func pass(_ fault: TaskFault, of partition: TopicPartition) throws(WorldError) {
        guard factory.acceptsGaps else { throw WorldError(.stopBroken, fault.text) }
        world.note(.acceptedGap(factory.id(partition), fault.text))
        try world.record(fault.acceptance, in: partition)
    }

    private func task(_ partition: TopicPartition) -> (any TaskLogic)? {
        if recent < tasks.count, tasks[recent].id == partition { return tasks[recent].logic }
        guard let found = tasks.firstIndex(where: { $0.id == partition }) else { return nil }
        recent = found
        return tasks[found].logic
    }

    private func produceWaiting(above limit: Int) throws(WorldError) {
        guard outputBytesPending > limit else { return }
        for (_, logic) in tasks where logic.emitter.pendingBytes > limit {
            try logic.emitter.drain { (records) throws(WorldError) in try world.produce(records) }
        }
        countPending()
    }

    private func countPending() { outputBytesPending = tasks.reduce(0) { $0 + $1.logic.emitter.pendingBytes } }

    private func flush(_ timeout: Int64) throws(WorldError) {
        for (_, logic) in tasks {
            logic.emitter.cutAll()
            guard logic.emitter.hasOutgoing else { continue }
            try logic.emitter.drain { (records) throws(WorldError) in try world.produce(records) }
        }
        countPending()
        try world.flush(timeoutMilliseconds: timeout)
    }

    private func sendHeartbeats() {
        for (id, logic) in tasks {
            guard logic.isSourceOfTime else { continue }
            askForEnd(of: id)
            let state = loop.partitions.first { $0.id == id }
            guard let state, state.phase == .running else { continue }
            logic.heartbeat(
                isCaughtUp: loop.isCaughtUp(state, now: world.nowMilliseconds), wallClock: world.wallClock)
        }
        loop.heartbeatSent(now: world.nowMilliseconds)
        let oldest = world.nowMilliseconds - Self.suspendedMillisecondsMax
        suspended.removeAll { $0.since < oldest }
    }

    /// Asks the broker again whether a quiet partition still ends where it did. No answer is an answer as well: after a
    /// while the task does not count as caught up.
    private func askForEnd(of partition: TopicPartition) {
        guard let state = loop.partitions.first(where: { $0.id == partition }),
            loop.isEndInDoubt(state, now: world.nowMilliseconds), let end = try? world.bounds(partition).end,
            end <= state.next
        else { return }
        loop.reachedEnd(partition, position: state.next, now: world.nowMilliseconds)
    }

    // MARK: tasks come and go

    private func recover(_ partition: TopicPartition) throws(WorldError) {
        let id = factory.id(partition)
        let committed = try world.committed(partition, incarnation: factory.incarnation)
        if let kept = suspended.firstIndex(where: { $0.id == partition }) {
            let task = suspended.remove(at: kept)
            if task.next == committed {
                install(partition, task.logic)
                world.note(.resumed(id, at: task.next))
                loop.recovered(partition, from: task.next, speakFrom: task.next, committed: committed)
                return
            }
        }
        try stopIfReplaced(partition, id)
        let choice = try newestSnapshot(id)
        let bounds = try world.bounds(partition)
        var facts = RecoveryFacts(
            committed: committed, logStart: bounds.start, logEnd: bounds.end, incarnation: factory.incarnation,
            fingerprint: factory.fingerprint, rebuildFromStart: factory.rebuildFromStart)
        // A state that was built anew is not the same and says other things than the former incarnation did, so it is
        // silent up to where that one had committed, even if its own commits are lost. A state that has folded all goes
        // on from its own commit: the former one may have committed since what was refused.
        if choice == nil, committed == nil || factory.rebuildFromStart {
            facts.committedBefore = try committedBefore(partition)
        }
        let snapshot = choice.map {
            SnapshotFacts(offset: $0.header.identity.offset, fingerprint: $0.header.identity.fingerprint)
        }
        switch RecoveryPlan.decide(facts, snapshot: snapshot, task: id) {
        case .refuse(let reason): loop.refused(reason)
        case .start(let usesSnapshot, let from, let speakFrom, let settles):
            try start(partition, id, usesSnapshot ? choice : nil)
            world.note(.recovered(id, from: from, speakFrom: speakFrom, usedSnapshot: usesSnapshot))
            loop.recovered(partition, from: from, speakFrom: speakFrom, committed: committed, settles: settles)
        }
    }

    /// Receivers refuse all that an incarnation says once a higher one has spoken. Where this cannot be asked, they
    /// raise an alarm instead.
    private func stopIfReplaced(_ partition: TopicPartition, _ id: TaskID) throws(WorldError) {
        var newest: (incarnation: UInt64, offset: Int64)?
        _ = try? Incarnations.inUse(from: factory.incarnation + 1) { (incarnation) throws(WorldError) in
            let offset = try world.committed(partition, incarnation: incarnation)
            if let offset { newest = (incarnation, offset) }
            return offset
        }
        guard let newest else { return }
        throw WorldError(
            .stopFenced,
            "\(id): incarnation \(newest.incarnation) has committed offset \(newest.offset), and receivers refuse "
                + "incarnation \(factory.incarnation) since; start with --incarnation \(newest.incarnation)")
    }

    private func newestSnapshot(_ id: TaskID) throws(WorldError) -> SnapshotReader? {
        do {
            let choice = try world.snapshots.newestValid(id, incarnation: Int64(factory.incarnation))
            for problem in choice.skipped { world.note(.skippedSnapshot(id, problem.error.description)) }
            return choice.reader
        } catch {
            throw WorldError(.stopBroken, "the snapshot store cannot be read: \(error)")
        }
    }

    private func committedBefore(_ partition: TopicPartition) throws(WorldError) -> Int64? {
        var incarnation = factory.incarnation
        while incarnation > 1 {
            incarnation -= 1
            if let offset = try world.committed(partition, incarnation: incarnation) { return offset }
        }
        return nil
    }

    private func start(_ partition: TopicPartition, _ id: TaskID, _ snapshot: SnapshotReader?) throws(WorldError) {
        do {
            let logic: any TaskLogic
            if let snapshot {
                logic = try snapshot.withSections { (reader) throws(StateError) -> any TaskLogic in
                    try self.factory.make(id, reader)
                }
            } else {
                logic = try factory.make(id, nil)
            }
            install(partition, logic)
        } catch let error as SnapshotError {
            throw WorldError(.stopBroken, "\(id): the snapshot cannot be restored: \(error)")
        } catch {
            throw WorldError(
                .stopBroken, "\(id): the snapshot does not fit this version (\(error)); raise --incarnation")
        }
    }

    private func install(_ partition: TopicPartition, _ logic: any TaskLogic) {
        tasks.removeAll { $0.id == partition }
        tasks.append((partition, logic))
        recent = 0
        countPending()
    }

    private func release(_ partitions: [TopicPartition]) throws(WorldError) {
        for partition in partitions {
            guard let index = tasks.firstIndex(where: { $0.id == partition }) else { continue }
            let task = tasks.remove(at: index)
            let state = loop.partitions.first { $0.id == partition }
            if let state, state.phase == .running, state.next == state.committed {
                suspended.removeAll { $0.id == partition }
                suspended.append((partition, task.logic, state.next, world.nowMilliseconds))
            }
        }
        recent = 0
        countPending()
        world.note(.released(partitions))
        try world.release(partitions)
        loop.released()
    }

    private func snapshot(_ offsets: [StartOffset]) {
        for start in offsets {
            guard let logic = task(start.partition) else { continue }
            let id = factory.id(start.partition)
            // A page is touched once here: of a large task there are tens of thousands, and none is in a cache.
            let sections = logic.freeze().sections.map { section in
                var chunks: [any SnapshotChunk] = []
                chunks.reserveCapacity(1 + section.pages.count)
                chunks.append(section.bytes)
                for page in section.pages {
                    page.count(in: held)
                    chunks.append(page)
                }
                return SnapshotSection(tag: section.tag, chunks: chunks)
            }
            world.submit(
                SnapshotJob(
                    SnapshotIdentity(
                        task: id, offset: start.offset, incarnation: Int64(factory.incarnation),
                        fingerprint: factory.fingerprint, schemaVersion: factory.schemaVersion),
                    SnapshotContent(sections)))
            world.note(.snapshotSubmitted(id, offset: start.offset))
        }
        loop.snapshotTaken(offsets, now: world.nowMilliseconds)
    }
}

extension SnapshotReader {
    /// Reads all sections into memory, for the time of the call, as a task restores them.
    package func withSections<R>(_ body: (StateReader) throws(StateError) -> R) throws -> R {
        var buffers: [(tag: UInt32, bytes: UnsafeRawBufferPointer)] = []
        defer { for buffer in buffers { buffer.bytes.deallocate() } }
        for section in header.sections {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: section.contentBytes, alignment: 64)
            buffers.append((section.tag, UnsafeRawBufferPointer(memory)))
            try restore(section.tag, into: memory)
        }
        return try body(StateReader(sections: buffers))
    }
}

/// A page of cells is a chunk of a snapshot as it is: nothing is copied.
extension Page: SnapshotChunk {
    /// Gives the page's bytes.
    package func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { body(bytes) }
}
