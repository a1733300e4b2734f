import Glibc

/// A value guarded by a lock, with waiting for a condition on it. Every change wakes the waiters.
final class Monitor<State>: @unchecked Sendable {
    // Heap cells, because a pthread object must not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    init(_ state: State) {
        self.state = state
        mutex.initialize(to: pthread_mutex_t())
        changed.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        let ready =
            pthread_mutex_init(mutex, nil) == 0 && pthread_condattr_init(&attributes) == 0
            && pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0
            && pthread_cond_init(changed, &attributes) == 0
        precondition(ready, "a lock could not be made")
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` under the lock.
    func withLock<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `ready` holds, then runs `body` under the same lock; nil if the deadline came first.
    func withLock<Result>(
        when ready: (State) -> Bool, untilNanoseconds deadline: UInt64? = nil, _ body: (inout State) -> Result
    ) -> Result? {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        while !ready(state) {
            guard let deadline else {
                pthread_cond_wait(changed, mutex)
                continue
            }
            var moment = timespec(
                tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
            if pthread_cond_timedwait(changed, mutex, &moment) != 0, !ready(state) { return nil }
        }
        return body(&state)
    }
}

/// The monotonic clock, in nanoseconds.
func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a thread. Nil if the system has none to give.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    let box = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }, box.toOpaque())
    guard code == 0 else {
        box.release()
        return nil
    }
    return thread
}

/// Gives the calling thread, and those that it starts from now on, a third of the share of the others where the
/// processors are busy: on Linux a thread has a priority of its own.
func yieldToOthers() { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5) }

/// Lets a thread end on its own.
func detachThread(_ thread: pthread_t) { pthread_detach(thread) }

/// Runs `body` on so many threads, the calling one included, and returns when all have ended. Where the system gives
/// fewer threads it runs on fewer, so `body` must take its work from a shared queue.
func runInParallel(threads: Int, _ body: @escaping @Sendable () -> Void) {
    var others: [pthread_t] = []
    for _ in 1..<max(threads, 1) {
        if let thread = startThread(body) { others.append(thread) }
    }
    body()
    for thread in others { pthread_join(thread, nil) }
}
