import TwinCore

/// The loop of a worker over its tasks, as a pure state machine: it says what to do next (`next`) and is told what came
/// of it. It holds no record, no state of a stage, no handle; the same code runs over Kafka and in simulation.
///
/// ```
///                    ┌──────────────────────────────────────────────────────────────┐
///   partitions       ▼                                                              │
///   assigned ──► recovering ──► assigning ──► consuming ──► closing ──► flushing ──► committing ──► snapshotting
///                 ▲  │             ▲           │  ▲  │   (heartbeat)      │  │           │                │
///                 │  │ refused     │           │  └──┼──────────────────────│───────────│────────────────┘
///                 │  ▼             │           │     │ partitions revoked   │ failed    │ failed
///                 │ stopping       │           ▼     ▼                      ▼           ▼
///                 │                └────── releasing (flush, commit, let go; one deadline)
///                 │                                        │
///                 └──────────── rebuilding ◄───────────────┴── producer fatal, acknowledgement lost
///                                   │ too often
///                                   ▼
///                                stopping ──► stopped
/// ```
///
/// A *partition* is recovering (offsets and snapshot are being read), replaying (records below `speakFrom` are folded
/// silently), settling or running. It leaves replay at the first of: a record at or beyond `speakFrom`, a position
/// there, the end of the partition there. Offsets are never expected to be consecutive. Settling is what a task that
/// takes over from a former incarnation does: consuming ──► flushing ──► committing at once, for the offset it begins
/// from, and until that is committed it takes nothing and says nothing, not even a heartbeat.
package struct TaskLoop: Sendable {
    /// Where one owned partition stands.
    package struct Partition: Sendable, Equatable {
        package var id: TopicPartition
        package var phase: Phase
        /// The offset of the next record that will be taken.
        package var next: Int64 = 0
        /// Records below are folded silently.
        package var speakFrom: Int64 = 0
        /// The offset after the last record that was folded; between it and `next` are only holes.
        package var folded: Int64 = 0
        /// Committed so far; never moves back.
        package var committed: Int64 = -1
        /// Where it begins must be committed before it speaks.
        package var settles = false
        /// The position has reached the end of the log, and no record has come since.
        package var isAtEnd = false
        /// When the broker said last that this is the end.
        package var endSeen: Int64 = .min / 2
        package var bytesSinceSnapshot = 0
        package var lastSnapshot: Int64 = 0
        package var hasInputSinceSnapshot = false

        /// Where a partition stands.
        package enum Phase: Sendable, Equatable { case recovering, replaying, settling, running }
    }

    /// What to do with a record.
    package enum Admission: Sendable, Equatable {
        /// Not ours any more, or already taken: drop it.
        case drop
        /// Fold it, say nothing.
        case replay
        /// Fold it and speak.
        case speak
    }

    private enum State: Equatable, Sendable {
        case consuming
        case closing
        case flushing
        case committing
        case snapshotting
        case releasing(Release)
        case rebuilding
        case stopping(StopReason)
        case stopped
    }

    private enum Release: Equatable, Sendable { case flush, commit, letGo }

    package let settings: LoopSettings
    /// Owned partitions, in order of assignment.
    package private(set) var partitions: [Partition] = []
    private var state = State.consuming
    private var mustAssign = false
    /// A partition is settling.
    private var mustSettle = false
    /// The group waits for us to let go of `revoked`, which may be empty and must be answered all the same.
    private var mustRelease = false
    private var revoked: [TopicPartition] = []
    private var revokedAreLost = false
    private var releaseDeadline: Int64 = 0
    private var stopRequest: StopReason?
    private var recordsPending = 0
    private var bytesPending = 0
    private var firstPending: Int64?
    private var lastHeartbeat: Int64 = .min / 2
    /// When any task was frozen last.
    private var lastSnapshot: Int64 = .min / 2
    /// In a row, without progress between them.
    private var rebuilds = 0
    private var commitRetries = 0
    /// A commit was refused: look what the group has to say before the next attempt.
    private var mustPoll = false
    private var recent = 0
    /// Counted for status: commits, rebuilds, dropped records.
    package private(set) var commits: UInt64 = 0
    package private(set) var rebuildsTotal: UInt64 = 0
    package private(set) var recordsDropped: UInt64 = 0

    package init(settings: LoopSettings = LoopSettings()) { self.settings = settings }

    // MARK: what to do next

    /// The next thing to do at monotonic time `now` (milliseconds). Asking twice without a report gives the same
    /// answer.
    package mutating func next(now: Int64) -> LoopAction {
        switch state {
        case .stopped: return .stop(stopRequest ?? .requested)
        case .stopping(let reason): return .stop(reason)
        case .rebuilding: return .rebuild(afterMilliseconds: backoff)
        case .releasing(let step): return releaseAction(step, now: now)
        case .closing: return .heartbeat
        case .flushing: return .flush(timeoutMilliseconds: settings.flushTimeoutMilliseconds)
        case .committing:
            return .commit(offsetsToCommit(), timeoutMilliseconds: settings.flushTimeoutMilliseconds)
        case .snapshotting: return .snapshot(snapshotsDue(now: now))
        case .consuming: return consumingAction(now: now)
        }
    }

    private mutating func consumingAction(now: Int64) -> LoopAction {
        if mustRelease {
            let clean = revokedAreLost || isClean
            state = .releasing(clean ? .letGo : .flush)
            releaseDeadline = now + settings.revokeTimeoutMilliseconds
            return next(now: now)
        }
        if mustPoll { return .poll(timeoutMilliseconds: 0) }
        if let stopRequest {
            if case .requested = stopRequest, !isClean {
                state = .flushing
            } else if case .requested = stopRequest, isAnySnapshotDue(now: now) {
                state = .snapshotting
            } else {
                state = .stopping(stopRequest)
            }
            return next(now: now)
        }
        if let waiting = partitions.first(where: { $0.phase == .recovering }) { return .recover(waiting.id) }
        if mustAssign { return .assign(partitions.map { StartOffset($0.id, $0.next) }) }
        if mustSettle {
            state = .flushing
            return next(now: now)
        }
        if isCommitDue(now: now) {
            state = isHeartbeatDue(now: now) ? .closing : .flushing
            return next(now: now)
        }
        // What was folded in silence, and never committed; and what a quiet inbox has left.
        if isClean, hasUncommitted { state = .flushing }
        if isClean, !hasUncommitted, isAnySnapshotDue(now: now) { state = .snapshotting }
        if state != .consuming { return next(now: now) }
        if isHeartbeatDue(now: now) && !partitions.isEmpty && partitions.allSatisfy({ $0.phase == .running }) {
            state = .closing
            return .heartbeat
        }
        return .poll(timeoutMilliseconds: pollTimeout(now: now))
    }

    private func releaseAction(_ step: Release, now: Int64) -> LoopAction {
        let left = max(1, releaseDeadline - now)
        switch step {
        case .flush: return .flush(timeoutMilliseconds: left)
        case .commit: return .commit(offsetsToCommit(), timeoutMilliseconds: left)
        case .letGo: return .release(revoked)
        }
    }

    private var isClean: Bool { recordsPending == 0 }

    private var hasUncommitted: Bool {
        partitions.contains { $0.phase == .running && $0.folded > max($0.committed, 0) }
    }

    private func isCommitDue(now: Int64) -> Bool {
        guard let firstPending, recordsPending > 0 else { return false }
        return recordsPending >= settings.commitRecordsMax || bytesPending >= settings.commitBytesMax
            || now - firstPending >= settings.commitIntervalMilliseconds
    }

    private func isHeartbeatDue(now: Int64) -> Bool {
        now - lastHeartbeat >= settings.heartbeatIntervalMilliseconds
    }

    private func pollTimeout(now: Int64) -> Int64 {
        guard let firstPending else { return settings.pollTimeoutMilliseconds }
        let left = settings.commitIntervalMilliseconds - (now - firstPending)
        return max(0, min(left, settings.pollTimeoutMilliseconds))
    }

    private var backoff: Int64 {
        var wait = settings.rebuildBackoffMilliseconds
        for _ in 0..<max(0, min(rebuilds, 20) - 1) { wait = min(wait * 2, settings.rebuildBackoffMillisecondsMax) }
        return wait
    }

    private func offsetsToCommit() -> [StartOffset] {
        partitions.compactMap {
            ($0.phase == .running || $0.phase == .settling) && $0.next > $0.committed
                ? StartOffset($0.id, $0.next) : nil
        }
    }

    private func isSnapshotDue(_ partition: Partition, now: Int64) -> Bool {
        // Where it is folded beyond what is committed, a snapshot would not be of that offset.
        partition.phase == .running && partition.hasInputSinceSnapshot && partition.committed >= partition.folded
            && (partition.bytesSinceSnapshot >= settings.snapshotBytes
                || now - partition.lastSnapshot >= settings.snapshotIntervalMilliseconds
                || stopRequest == .requested)
    }

    private func isAnySnapshotDue(now: Int64) -> Bool { !snapshotsDue(now: now).isEmpty }

    /// One at a time, some time apart, those first that have waited longest: what a snapshot holds beside the state is
    /// then that of one task. At the end all at once.
    private func snapshotsDue(now: Int64) -> [StartOffset] {
        let due = partitions.filter { isSnapshotDue($0, now: now) }
        guard stopRequest != .requested else { return due.map { StartOffset($0.id, $0.committed) } }
        let apart = settings.snapshotIntervalMilliseconds / Int64(4 * max(partitions.count, 1))
        guard now - lastSnapshot >= apart, let first = due.min(by: { $0.lastSnapshot < $1.lastSnapshot }) else {
            return []
        }
        return [StartOffset(first.id, first.committed)]
    }

    // MARK: reports about partitions

    private mutating func index(of id: TopicPartition) -> Int? {
        if recent < partitions.count, partitions[recent].id == id { return recent }
        guard let found = partitions.firstIndex(where: { $0.id == id }) else { return nil }
        recent = found
        return found
    }

    /// The group gave us these partitions (all of them under the eager protocol, the added ones under cooperative).
    package mutating func assigned(_ added: [TopicPartition], now: Int64) {
        for id in added where index(of: id) == nil {
            partitions.append(Partition(id: id, phase: .recovering, lastSnapshot: now))
        }
        mustAssign = true
    }

    /// The group takes these partitions away; `lost` if it already has.
    package mutating func revoked(_ removed: [TopicPartition], lost: Bool) {
        revoked = removed
        revokedAreLost = lost
        mustRelease = true
    }

    /// A task is ready to consume from `from`; silent below `speakFrom`, which is committed before it speaks if it
    /// `settles`.
    package mutating func recovered(
        _ id: TopicPartition, from: Int64, speakFrom: Int64, committed: Int64?, settles: Bool = false
    ) {
        guard let index = index(of: id) else { return }
        precondition(partitions[index].phase == .recovering, "only a recovering partition can have recovered")
        partitions[index].next = from
        partitions[index].folded = from
        partitions[index].speakFrom = speakFrom
        partitions[index].committed = committed ?? -1
        partitions[index].settles = settles
        partitions[index].phase = .replaying
        endReplayIfReached(index)
        mustAssign = true
    }

    /// A task must not start.
    package mutating func refused(_ reason: String) { stopRequest = stopRequest ?? .refused(reason) }

    /// The consumer has taken over the start offsets.
    package mutating func assigned() { mustAssign = false }

    /// The revoked partitions are let go.
    package mutating func released() {
        partitions.removeAll { revoked.contains($0.id) }
        revoked = []
        revokedAreLost = false
        mustRelease = false
        mustSettle = partitions.contains { $0.phase == .settling }
        recent = 0
        mustAssign = !partitions.isEmpty
        state = .consuming
    }

    // MARK: reports about records

    /// What to do with a record that the consumer delivered. Records of partitions that are no longer owned, that are
    /// about to be let go, or below the expected offset are dropped.
    package mutating func admit(_ id: TopicPartition, offset: Int64) -> Admission {
        guard let index = index(of: id), partitions[index].phase != .recovering, offset >= partitions[index].next else {
            recordsDropped &+= 1
            return .drop
        }
        partitions[index].isAtEnd = false
        guard !mustRelease, !mustAssign else {
            recordsDropped &+= 1
            return .drop
        }
        guard offset >= partitions[index].speakFrom else { return .replay }
        if partitions[index].phase == .replaying {
            // Up to here were only holes.
            if partitions[index].settles { partitions[index].next = partitions[index].speakFrom }
            endReplay(index)
        }
        guard partitions[index].phase == .running else {
            // It comes again once it is committed where this task begins.
            mustAssign = true
            recordsDropped &+= 1
            return .drop
        }
        return .speak
    }

    /// The record was folded; so many bytes came in, and so many wait to be produced over all tasks.
    package mutating func received(
        _ id: TopicPartition, offset: Int64, inputBytes: Int, outputBytesPending: Int, now: Int64
    ) {
        guard let index = index(of: id) else { return }
        partitions[index].next = offset + 1
        partitions[index].folded = offset + 1
        partitions[index].bytesSinceSnapshot += inputBytes
        partitions[index].hasInputSinceSnapshot = true
        endReplayIfReached(index)
        guard partitions[index].phase == .running else { return }
        recordsPending += 1
        bytesPending = outputBytesPending
        if firstPending == nil { firstPending = now }
    }

    /// The consumer stands at `position`, the end of the partition.
    package mutating func reachedEnd(_ id: TopicPartition, position: Int64, now: Int64) {
        // While records are being dropped, the position says nothing about what was taken.
        guard let index = index(of: id), partitions[index].phase != .recovering, !mustRelease, !mustAssign else {
            return
        }
        // Holes (control records, compaction) are passed over: the position may lie beyond the last record's successor.
        partitions[index].next = max(partitions[index].next, position)
        partitions[index].isAtEnd = true
        partitions[index].endSeen = now
        endReplayIfReached(index)
    }

    /// Whether a partition is caught up with its log: at the end, by the broker's word of not long ago. A consumer that
    /// is cut off hears of no new end, and must not take that for quiet.
    package func isCaughtUp(_ partition: Partition, now: Int64) -> Bool {
        partition.isAtEnd && now - partition.endSeen <= settings.endSeenMillisecondsMax
    }

    /// Whether the broker should be asked again where the end is.
    package func isEndInDoubt(_ partition: Partition, now: Int64) -> Bool {
        partition.isAtEnd && now - partition.endSeen > settings.endSeenMillisecondsMax / 2
    }

    private mutating func endReplayIfReached(_ index: Int) {
        if partitions[index].phase == .replaying && partitions[index].next >= partitions[index].speakFrom {
            endReplay(index)
        }
    }

    private mutating func endReplay(_ index: Int) {
        partitions[index].phase = partitions[index].settles ? .settling : .running
        mustSettle = mustSettle || partitions[index].settles
    }

    /// True if a commit is due, so that a worker leaves a long batch in time.
    package func mustCommit(now: Int64) -> Bool { mustSettle || isCommitDue(now: now) }

    /// A poll has returned, and everything that it brought was reported.
    package mutating func polled() { mustPoll = false }

    // MARK: reports about outputs

    /// A heartbeat has been written.
    package mutating func heartbeatSent(now: Int64) {
        lastHeartbeat = now
        if state == .closing { state = .flushing }
    }

    /// All outputs since the last commit are acknowledged, or not.
    package mutating func flushed(_ failure: (disposition: Disposition, reason: String)?) {
        guard let failure else {
            if case .releasing = state { state = .releasing(.commit) } else { state = .committing }
            return
        }
        if case .releasing = state {
            // The next owner replays from the last commit; what was written is recognised by its numbers.
            state = .releasing(.letGo)
            return
        }
        fail(failure.disposition, failure.reason)
    }

    /// The offsets are committed, or not.
    package mutating func committed(_ failure: (disposition: Disposition, reason: String)?, now: Int64) {
        if let failure {
            if case .releasing = state {
                state = .releasing(.letGo)
                return
            }
            if failure.disposition == .retry && commitRetries < settings.commitRetriesMax {
                // While a group rebalances it takes no commits, and it says so only to those who poll. Nothing is
                // unsafe meanwhile: the outputs are acknowledged, and the next attempt commits what was read since.
                commitRetries += 1
                mustPoll = true
                state = .consuming
                return
            }
            fail(failure.disposition == .retry ? .restoreAndReplay : failure.disposition, failure.reason)
            return
        }
        mustSettle = false
        for index in partitions.indices
        where partitions[index].phase == .running || partitions[index].phase == .settling {
            // Offsets went out, so the way to the broker and back is open: a rebuild hence is the first of its row.
            if partitions[index].next > partitions[index].committed { rebuilds = 0 }
            partitions[index].committed = max(partitions[index].committed, partitions[index].next)
            partitions[index].settles = false
            partitions[index].phase = .running
        }
        commits &+= 1
        commitRetries = 0
        clearPending()
        if case .releasing = state {
            state = .releasing(.letGo)
        } else {
            state = isAnySnapshotDue(now: now) ? .snapshotting : .consuming
        }
    }

    private mutating func clearPending() {
        recordsPending = 0
        bytesPending = 0
        firstPending = nil
    }

    /// These tasks are frozen.
    package mutating func snapshotTaken(_ taken: [StartOffset], now: Int64) {
        lastSnapshot = now
        for index in partitions.indices where taken.contains(where: { $0.partition == partitions[index].id }) {
            partitions[index].lastSnapshot = now
            partitions[index].bytesSinceSnapshot = 0
            partitions[index].hasInputSinceSnapshot = false
        }
        state = .consuming
    }

    // MARK: faults and the end

    /// Something failed outside a flush or a commit (poll, assign, recover, produce), or inside a task.
    package mutating func failed(_ disposition: Disposition, _ reason: String) {
        if disposition == .retry || disposition == .deadLetter { return }
        fail(disposition, reason)
    }

    private mutating func fail(_ disposition: Disposition, _ reason: String) {
        switch disposition {
        case .retry, .deadLetter, .restoreAndReplay:
            rebuilds += 1
            rebuildsTotal &+= 1
            clearPending()
            commitRetries = 0
            mustPoll = false
            if rebuilds > settings.rebuildsMax {
                state = .stopping(.broken("gave up after \(settings.rebuildsMax) recoveries in a row: \(reason)"))
            } else {
                state = .rebuilding
            }
        case .stopFenced: state = .stopping(.fenced(reason))
        case .stopBroken: state = .stopping(.broken(reason))
        }
    }

    /// Tasks and producer are thrown away and the producer is new; every owned partition recovers.
    package mutating func rebuilt(now: Int64) {
        for index in partitions.indices {
            partitions[index] = Partition(id: partitions[index].id, phase: .recovering, lastSnapshot: now)
        }
        mustAssign = true
        mustSettle = false
        // Whatever broke, the group may have news: hear it before anything that could break the same way.
        mustPoll = true
        state = .consuming
    }

    /// Stop when what is pending is committed.
    package mutating func requestStop() { stopRequest = stopRequest ?? .requested }

    /// The worker has ended for good.
    package mutating func stopped() { state = .stopped }

    /// True while nothing is in the middle of a commit and nothing is pending: a boundary.
    package var isAtBoundary: Bool { state == .consuming && isClean }

    /// True once every owned partition speaks.
    package var isReady: Bool {
        !partitions.isEmpty && !mustAssign && partitions.allSatisfy { $0.phase == .running }
    }
}
