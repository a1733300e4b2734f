import CRdKafka
import Glibc

/// A moment of the machine's monotonic clock until which a blocking call may last. Several calls share one deadline,
/// so that their sum is bounded.
package struct Deadline: Sendable, BitwiseCopyable {
    private let nanoseconds: Int64

    /// `milliseconds` from now; negative counts as zero.
    package init(milliseconds: Int) {
        let wait = Int64(clamping: max(milliseconds, 0)).multipliedReportingOverflow(by: 1_000_000)
        let sum = Self.now().addingReportingOverflow(wait.overflow ? .max : wait.partialValue)
        nanoseconds = sum.overflow ? .max : sum.partialValue
    }

    /// Milliseconds left, rounded up, never negative, in the type of librdkafka's time-outs.
    package var remainingMilliseconds: Int32 {
        let left = nanoseconds - Self.now()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    package var hasPassed: Bool { Self.now() >= nanoseconds }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
