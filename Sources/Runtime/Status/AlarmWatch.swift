import StageKit
import TwinCore

/// What the whole worker has met, beside what its tasks say.
struct WorkerFacts {
    /// What keeps it from every broker; nil while one answers.
    var connectionProblem: String?
    var rebuilds: UInt64 = 0
    var lastFailure: String?
    /// Of the last snapshot of each task, if it failed.
    var snapshotFailures: [TaskID: String] = [:]
    /// Monotonic milliseconds when the last record came.
    var lastRecordMilliseconds: Int64 = 0
}

/// Decides which alarms are raised. It is told what there is to see about once a second, and remembers when what last
/// moved; it has no clock of its own.
struct AlarmWatch {
    private static let fetchPauseMilliseconds: Int64 = 900
    /// What is an event and no state keeps its alarm raised for so long.
    private static let recentMilliseconds: Int64 = 60_000

    /// A number, and when it last changed.
    private struct Mark<Value: Equatable> {
        var value: Value
        var movedMilliseconds: Int64

        mutating func note(_ new: Value, now: Int64) {
            if new != value { self = Mark(value: new, movedMilliseconds: now) }
        }
    }

    private struct SenderKey: Hashable {
        var task: TaskID
        var sender: TaskID
    }

    private let silentSenderMilliseconds: Int64
    private var rebuilds = Mark<UInt64>(value: 0, movedMilliseconds: .min / 2)
    /// Of each task: what its limits have kept out, together.
    private var kept: [TaskID: Mark<UInt64>] = [:]
    private var watermarks: [SenderKey: Mark<Int64?>] = [:]
    private var refused: [SenderKey: Mark<UInt64>] = [:]

    /// - Parameter silentSenderMilliseconds: how long a sender may say nothing new about time while others do.
    init(silentSenderMilliseconds: Int64) { self.silentSenderMilliseconds = silentSenderMilliseconds }

    /// The alarms as of now.
    mutating func alarms(_ tasks: [TaskStatus], _ facts: WorkerFacts, now: Int64) -> [Alarm] {
        var alarms: [Alarm] = []
        if let problem = facts.connectionProblem { alarms.append(Alarm(.brokerUnreachable, problem)) }
        rebuilds.note(facts.rebuilds, now: now)
        if now - rebuilds.movedMilliseconds < Self.recentMilliseconds {
            alarms.append(Alarm(.rebuilding, facts.lastFailure ?? ""))
        }
        for (task, reason) in facts.snapshotFailures.sorted(by: { $0.key.packed < $1.key.packed }) {
            alarms.append(Alarm(.snapshotFailing, "\(task): \(reason)"))
        }
        let isHungry = tasks.contains { $0.phase == .running && !$0.isCaughtUp && ($0.lag ?? 0) > 0 }
        let silence = now - facts.lastRecordMilliseconds
        if isHungry, facts.connectionProblem == nil, silence > Self.fetchPauseMilliseconds {
            alarms.append(Alarm(.fetchPaused, "nothing has arrived for \(silence) ms although the log has more"))
        }
        for task in tasks {
            alarms += gaps(task)
            alarms += fences(task, now: now)
            if let alarm = silentSender(task, now: now) { alarms.append(alarm) }
            if let alarm = limits(task, now: now) { alarms.append(alarm) }
        }
        forget(allBut: tasks)
        return alarms
    }

    private func gaps(_ task: TaskStatus) -> [Alarm] {
        task.senders.filter { $0.gapFrames > 0 }.map { sender in
            Alarm(
                .gapOpen,
                "\(task.task): entries of \(sender.task) after \(sender.last) are awaited; "
                    + "\(counted(sender.gapFrames, "frame")) came ahead of them")
        }
    }

    /// Senders of which a frame was refused within the last minute, as their incarnation has been replaced. Frames that
    /// a replay passes, or that are first seen in a sum, may be old.
    private mutating func fences(_ task: TaskStatus, now: Int64) -> [Alarm] {
        var alarms: [Alarm] = []
        for sender in task.senders where sender.refusedFrames > 0 {
            let key = SenderKey(task: task.task, sender: sender.task)
            var mark = refused[key] ?? Mark(value: sender.refusedFrames, movedMilliseconds: .min / 2)
            if task.phase == .running, sender.refusedFrames > mark.value { mark.movedMilliseconds = now }
            mark.value = sender.refusedFrames
            refused[key] = mark
            guard now - mark.movedMilliseconds < Self.recentMilliseconds else { continue }
            alarms.append(
                Alarm(
                    .fencedSender,
                    "\(task.task): what \(sender.task) says with incarnation \(sender.refusedIncarnation) is refused, "
                        + "as incarnation \(sender.incarnation) has taken over; stop the older one, or start it with "
                        + "incarnation \(sender.incarnation)"))
        }
        return alarms
    }

    /// A sender that everybody waits for and whose time stands still while that of another moves.
    private mutating func silentSender(_ task: TaskStatus, now: Int64) -> Alarm? {
        let isLive = task.phase == .running
        var slowest: (sender: SenderStatus, silence: Int64)?
        var movedLast = Int64.min
        for sender in task.senders where sender.isAwaited {
            let key = SenderKey(task: task.task, sender: sender.task)
            var mark = watermarks[key] ?? Mark(value: sender.watermarkMilliseconds, movedMilliseconds: now)
            // Silence is counted from when the task could have heard something.
            if !isLive || sender.isIdle { mark.movedMilliseconds = now }
            mark.note(sender.watermarkMilliseconds, now: now)
            watermarks[key] = mark
            if !sender.isIdle { movedLast = max(movedLast, mark.movedMilliseconds) }
            let silence = now - mark.movedMilliseconds
            if silence > slowest?.silence ?? -1 { slowest = (sender, silence) }
        }
        guard let slowest, slowest.silence > silentSenderMilliseconds, now - movedLast < silentSenderMilliseconds else {
            return nil
        }
        let others = task.senders.filter { $0.isAwaited && !$0.isIdle }.compactMap(\.watermarkMilliseconds)
        let holdsBack = slowest.sender.watermarkMilliseconds.map { $0 <= others.min() ?? $0 } ?? true
        return Alarm(
            .silentSender,
            "\(task.task): \(slowest.sender.task) has said nothing new about time for "
                + "\(slowest.silence / 1_000) s" + (holdsBack ? " and holds the watermark back" : ""))
    }

    private mutating func limits(_ task: TaskStatus, now: Int64) -> Alarm? {
        let met = task.counters.filter { $0.isLimit && $0.value > 0 }
        let total = met.reduce(0) { $0 &+ $1.value }
        var mark = kept[task.task] ?? Mark(value: 0, movedMilliseconds: .min / 2)
        mark.note(total, now: now)
        kept[task.task] = mark
        guard total > 0, now - mark.movedMilliseconds < Self.recentMilliseconds else { return nil }
        let words = met.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
        return Alarm(.limitReached, "\(task.task): \(words)")
    }

    private mutating func forget(allBut tasks: [TaskStatus]) {
        let ours = Set(tasks.map(\.task))
        kept = kept.filter { ours.contains($0.key) }
        watermarks = watermarks.filter { ours.contains($0.key.task) }
        refused = refused.filter { ours.contains($0.key.task) }
    }
}
