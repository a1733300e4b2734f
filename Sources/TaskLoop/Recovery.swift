import TwinCore

/// What is known about a task's past when it starts.
package struct RecoveryFacts: Sendable, Equatable {
    /// Committed by the group of this incarnation; nil if it never committed.
    package var committed: Int64?
    /// Committed by the newest lower incarnation that ever committed.
    package var committedBefore: Int64?
    /// First offset the log still has.
    package var logStart: Int64
    /// Offset after the last; nil if the broker cannot say.
    package var logEnd: Int64?
    package var incarnation: UInt64
    package var fingerprint: UInt64
    /// The operator's word that a state may be built from what the log still has.
    package var rebuildFromStart: Bool

    package init(
        committed: Int64?, committedBefore: Int64? = nil, logStart: Int64, logEnd: Int64?, incarnation: UInt64 = 1,
        fingerprint: UInt64 = 0, rebuildFromStart: Bool = false
    ) {
        self.committed = committed
        self.committedBefore = committedBefore
        self.logStart = logStart
        self.logEnd = logEnd
        self.incarnation = incarnation
        self.fingerprint = fingerprint
        self.rebuildFromStart = rebuildFromStart
    }
}

/// The newest valid snapshot of this incarnation, as far as recovery is concerned.
package struct SnapshotFacts: Sendable, Equatable {
    package var offset: Int64
    package var fingerprint: UInt64

    package init(offset: Int64, fingerprint: UInt64) {
        self.offset = offset
        self.fingerprint = fingerprint
    }
}

/// Where a task starts, and from where on it speaks.
package enum RecoveryPlan: Sendable, Equatable {
    /// Load the snapshot if told so, consume from `from`, stay silent below `speakFrom`; `settles`: commit that offset
    /// before the first word.
    case start(usesSnapshot: Bool, from: Int64, speakFrom: Int64, settles: Bool = false)
    /// Do not start; the text says why and what the operator can do.
    case refuse(String)

    /// Decides by the rules of starting. A snapshot is durable only after the commit it belongs to, so one beyond the
    /// committed offset proves that the commit happened and its reply (or the broker's copy of it) was lost.
    package static func decide(_ facts: RecoveryFacts, snapshot: SnapshotFacts?, task: TaskID) -> RecoveryPlan {
        if facts.rebuildFromStart && facts.incarnation < 2 {
            return .refuse(
                "\(task): --rebuild-from-start needs a new incarnation, so that receivers can tell the rebuilt task "
                    + "from the old one; raise it with --incarnation 2")
        }
        if let snapshot {
            if snapshot.fingerprint != facts.fingerprint {
                return .refuse(
                    "\(task): the snapshot at offset \(snapshot.offset) was written by other logic or configuration; "
                        + "raise --incarnation to take over with the new one, or start the old version again")
            }
            if let end = facts.logEnd, snapshot.offset > end {
                return .refuse(
                    "\(task): the snapshot at offset \(snapshot.offset) lies beyond the log's end \(end); the topic "
                        + "was truncated or recreated: raise the topic's epoch and the incarnation, or restore the "
                        + "topic")
            }
            if snapshot.offset < facts.logStart {
                return .refuse(
                    "\(task): the snapshot at offset \(snapshot.offset) lies below the log's start \(facts.logStart); "
                        + "retention has passed it: restore an older broker copy, or accept the loss with "
                        + "--rebuild-from-start and a raised --incarnation")
            }
        }
        let reached = max(facts.committed ?? -1, snapshot?.offset ?? -1)
        if let end = facts.logEnd, let committed = facts.committed, committed > end {
            return .refuse(
                "\(task): the committed offset \(committed) lies beyond the log's end \(end); the topic was "
                    + "truncated or recreated: raise the topic's epoch and the incarnation, or restore the topic")
        }
        if let snapshot { return .start(usesSnapshot: true, from: snapshot.offset, speakFrom: reached) }
        if facts.logStart > 0 && !facts.rebuildFromStart {
            return .refuse(
                "\(task): the log starts at offset \(facts.logStart) and there is no snapshot to build on; give the "
                    + "snapshot store that has one, or build a new state from what the log still has with "
                    + "--rebuild-from-start and a raised --incarnation")
        }
        let speakFrom = max(reached, facts.committedBefore ?? -1, facts.logStart)
        // Whom it takes over from may go on committing until it is heard. Where it begins must not move with that: what
        // lies between would be said by nobody, as the one is refused there and the other silent.
        let settles = facts.incarnation > 1 && speakFrom > facts.committed ?? -1
        return .start(usesSnapshot: false, from: facts.logStart, speakFrom: speakFrom, settles: settles)
    }
}
