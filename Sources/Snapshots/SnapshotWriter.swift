import TwinCore

/// A frozen state handed to the writer.
package struct SnapshotJob: Sendable {
    /// What it is a state of.
    package var identity: SnapshotIdentity
    /// The state.
    package var content: SnapshotContent

    /// A job for `SnapshotWriter.submit`.
    package init(_ identity: SnapshotIdentity, _ content: SnapshotContent) {
        self.identity = identity
        self.content = content
    }
}

/// What became of a job.
package struct SnapshotResult: Sendable {
    /// How it ended.
    package enum Outcome: Sendable {
        case saved(SnapshotReceipt)
        case failed(SnapshotError)
        /// A newer state of the same task came before this one was begun.
        case replaced
    }

    /// What the job was a state of.
    package var identity: SnapshotIdentity
    /// How it ended.
    package var outcome: Outcome
    /// From the start of writing to its end; 0 if it was never begun.
    package var seconds: Double
}

/// Writes snapshots on a thread of its own, one after the other, so that task loops never wait for a disk.
///
/// At most one state per task waits: a newer one replaces it. Results are kept until they are drained, so nothing
/// calls into a worker's thread.
package final class SnapshotWriter: Sendable {
    /// Tasks that may wait at once.
    package static let pendingMax = 4_096
    /// Results that are kept; when nobody drains them the oldest go first.
    package static let resultsMax = 16_384

    private struct State {
        var pending: [SnapshotJob] = []
        var running: SnapshotJob?
        var results: [SnapshotResult] = []
        var isStopping = false
        var hasEnded = false

        mutating func report(_ result: SnapshotResult) {
            if results.count >= SnapshotWriter.resultsMax { results.removeFirst() }
            results.append(result)
        }
    }

    private let state = Monitor(State())

    /// Starts the thread. Throws `failed` if the system has none to give.
    package init(_ store: any SnapshotStore) throws(SnapshotError) {
        let state = state
        guard let thread = startThread({ Self.run(store, state) }) else {
            throw SnapshotError(.failed, "no thread for writing snapshots")
        }
        detachThread(thread)
    }

    deinit { stop() }

    /// Hands a state over. False if it was refused, because the writer is stopping or too many tasks wait; the
    /// state is then dropped and the next snapshot takes its place.
    package func submit(_ job: SnapshotJob) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            if let index = state.pending.firstIndex(where: { $0.identity.task == job.identity.task }) {
                state.report(SnapshotResult(identity: state.pending[index].identity, outcome: .replaced, seconds: 0))
                state.pending[index] = job
                return true
            }
            guard state.pending.count < Self.pendingMax else { return false }
            state.pending.append(job)
            return true
        }
    }

    /// The results since the last call, oldest first.
    package func drainResults() -> [SnapshotResult] {
        state.withLock { state in
            defer { state.results = [] }
            return state.results
        }
    }

    /// True while something waits or is being written.
    package var isBusy: Bool { state.withLock { $0.running != nil || !$0.pending.isEmpty } }

    /// Takes nothing more and waits until all is written. False if the time ran out: what waited is then dropped,
    /// what was being written is cancelled, both without harm to older snapshots.
    package func finish(withinSeconds seconds: Double) -> Bool {
        let bounded = min(max(seconds.isNaN ? 0 : seconds, 0), 86_400)
        let deadline = monotonicNanoseconds() + UInt64(bounded * 1e9)
        state.withLock { $0.isStopping = true }
        if state.withLock(when: { $0.hasEnded }, untilNanoseconds: deadline, { _ in true }) == true { return true }
        stop()
        return false
    }

    private func stop() {
        state.withLock { state in
            state.isStopping = true
            for job in state.pending {
                let error = SnapshotError(.cancelled, "the writer was stopped before this snapshot's turn")
                state.report(SnapshotResult(identity: job.identity, outcome: .failed(error), seconds: 0))
            }
            state.pending = []
            state.running?.content.cancel()
        }
    }

    /// The thread.
    private static func run(_ store: any SnapshotStore, _ state: Monitor<State>) {
        yieldToOthers()
        while true {
            let next = state.withLock(when: { !$0.pending.isEmpty || $0.isStopping }) { state -> SnapshotJob? in
                guard !state.pending.isEmpty else {
                    state.hasEnded = true
                    return nil
                }
                state.running = state.pending.removeFirst()
                return state.running
            }
            guard let next, let job = next else { return }
            let start = monotonicNanoseconds()
            let outcome: SnapshotResult.Outcome
            do throws(SnapshotError) {
                outcome = .saved(try store.save(job.identity, job.content))
            } catch { outcome = .failed(error) }
            let seconds = Double(monotonicNanoseconds() &- start) / 1e9
            state.withLock { state in
                state.running = nil
                state.report(SnapshotResult(identity: job.identity, outcome: outcome, seconds: seconds))
            }
        }
    }
}
