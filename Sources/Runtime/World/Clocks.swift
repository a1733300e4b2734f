import Glibc
import TwinCore

/// Milliseconds of the machine's monotonic clock.
package func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

/// Milliseconds since the epoch by the wall clock.
package func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

/// Sleeps, in slices, until the time is over or `isEnough` says so.
package func sleepMilliseconds(_ milliseconds: Int64, unless isEnough: () -> Bool = { false }) {
    let end = monotonicMilliseconds() + milliseconds
    while !isEnough() {
        let left = end - monotonicMilliseconds()
        if left <= 0 { return }
        usleep(UInt32(min(left, 50)) * 1_000)
    }
}
