import StageKit
import Synchronization
import TwinCore

/// Where one task stands.
package struct TaskStatus: Sendable, Equatable {
    /// Where a task stands.
    package enum Phase: String, Sendable { case recovering, replaying, running }

    package var task: TaskID
    package var phase: Phase
    /// Offset of the next record.
    package var nextOffset: Int64
    package var committedOffset: Int64
    /// Records below are folded silently; where replay ends.
    package var speakFrom: Int64
    package var isCaughtUp: Bool
    /// Offsets to the end of the log as the last fetch reported it; nil before the first.
    package var lag: Int64?
    /// Event time that the task has reached, milliseconds since the epoch; nil before it knows.
    package var watermarkMilliseconds: Int64?
    package var entries: UInt64
    package var frames: UInt64
    package var records: UInt64
    package var deadLetters: UInt64
    /// The last durable snapshot; nil before the first of this process.
    package var snapshotOffset: Int64?
    package var snapshotWallMilliseconds: Int64?
    package var snapshotSeconds: Double?
    package var counters: [StageCounter]
    /// Those whose frames it reads; none where it reads raw records.
    package var senders: [SenderStatus] = []
}

/// Where one sender of a task stands, as the task sees it.
package struct SenderStatus: Sendable, Equatable {
    package var task: TaskID
    /// The last sequence that was taken.
    package var last: Sequence
    /// Frames that came ahead of the chain since a gap opened; 0 when none is open.
    package var gapFrames: UInt64
    /// Its watermark counts for the task's own.
    package var isAwaited: Bool
    /// It has nothing to say about time and holds nobody back.
    package var isIdle: Bool
    /// Nil before it has said anything about time.
    package var watermarkMilliseconds: Int64?
    /// The highest that was heard of; lower ones are refused. 0 before the first frame.
    package var incarnation: UInt64 = 0
    /// Frames refused as those of a lower incarnation, and which the newest of them was of.
    package var refusedFrames: UInt64 = 0
    package var refusedIncarnation: UInt64 = 0

    /// All that are known, then those that are waited for and have never been heard of.
    static func all(_ senders: Senders) -> [SenderStatus] {
        let known = senders.all.map { sender in
            SenderStatus(
                task: sender.task, last: sender.last, gapFrames: sender.gapFrames,
                isAwaited: senders.expected.contains(sender.task), isIdle: sender.isIdle,
                watermarkMilliseconds: sender.speaksOfTime && sender.watermark != .distantPast
                    ? sender.watermark.milliseconds : nil,
                incarnation: sender.incarnation, refusedFrames: sender.refusedFrames,
                refusedIncarnation: sender.refusedIncarnation)
        }
        let silent = senders.expected.filter { task in !known.contains { $0.task == task } }
        return known
            + silent.map {
                SenderStatus(
                    task: $0, last: .none, gapFrames: 0, isAwaited: true, isIdle: false, watermarkMilliseconds: nil)
            }
    }
}

/// Something an operator should look at. What each means stands in the README.
package struct Alarm: Sendable, Equatable {
    /// What to look at.
    package enum Kind: String, Sendable, CaseIterable {
        /// Frames of a sender are ahead of its chain and wait for a resend that has not come yet.
        case gapOpen
        /// A sender of the topology says nothing new about time while others do, and holds the watermark back.
        case silentSender
        /// A sender was replaced by a higher incarnation, and goes on all the same: what it says is refused.
        case fencedSender
        /// The log has more and nothing arrives, though the broker is there.
        case fetchPaused
        /// The last snapshot of a task could not be made durable.
        case snapshotFailing
        /// A declared limit was met within the last minute; what lies beyond it is dropped and counted.
        case limitReached
        /// No broker can be reached.
        case brokerUnreachable
        /// The worker had to recover within the last minute.
        case rebuilding
    }

    package var kind: Kind
    package var detail: String

    package init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }
}

/// What a worker says about itself once a second.
package struct WorkerStatus: Sendable {
    package var stage: StageName
    package var namespace: String
    package var groupID: String
    package var incarnation: UInt64
    package var startedWallMilliseconds: Int64
    package var publishedWallMilliseconds: Int64 = 0
    package var publishedMilliseconds: Int64 = 0
    package var hasJoined = false
    package var isReady = false
    /// Why it is not ready, in a few words.
    package var reason = "starting"
    /// Set once the worker has stopped.
    package var stopped: String?
    package var recordsFolded: UInt64 = 0
    package var recordsDropped: UInt64 = 0
    package var commits: UInt64 = 0
    package var rebuilds: UInt64 = 0
    package var world = WorldStatistics()
    package var tasks: [TaskStatus] = []
    package var alarms: [Alarm] = []
}

/// The status, shared between the worker's thread, which writes it, and whoever shows it.
package final class StatusBoard: Sendable {
    /// A worker that has said nothing for so long hangs in a call, or its broker is away.
    package static let silenceMillisecondsMax: Int64 = 15_000

    private let status: Mutex<WorkerStatus>

    package init(stage: StageName, _ configuration: RuntimeConfiguration) {
        status = Mutex(
            WorkerStatus(
                stage: stage, namespace: configuration.naming.namespace, groupID: configuration.groupID,
                incarnation: configuration.incarnation, startedWallMilliseconds: wallMilliseconds()))
    }

    package var current: WorkerStatus { status.withLock { $0 } }

    func publish(_ change: (inout WorkerStatus) -> Void) { status.withLock { change(&$0) } }

    func stopped(_ reason: String) {
        status.withLock { status in
            status.isReady = false
            status.stopped = reason
            status.reason = reason
        }
    }

    /// Nil if the worker is ready, or why it is not.
    package var unreadiness: String? {
        let status = current
        if let stopped = status.stopped { return stopped }
        if status.publishedMilliseconds > 0 {
            let silence = monotonicMilliseconds() - status.publishedMilliseconds
            if silence > Self.silenceMillisecondsMax { return "the worker has said nothing for \(silence / 1_000) s" }
        }
        return status.isReady ? nil : status.reason
    }
}
