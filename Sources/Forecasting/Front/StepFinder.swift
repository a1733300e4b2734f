/// Finds a series' own step: the median of its recent gaps, looked at anew now and then. Missing samples and jitter do
/// not move a median.
struct StepFinder: BitwiseCopyable {
    private var gaps: [16 of UInt32] = InlineArray(repeating: 0)
    /// Gaps seen so far.
    private var seen: UInt32 = 0
    /// The step in milliseconds, 0 before the first gap.
    private(set) var milliseconds: UInt32 = 0

    /// 1 if samples come closer together than a step may be, so that a step holds several.
    private var gathers: UInt32 = 0

    /// Steps beyond this are taken for this: 7 days.
    private static let stepMillisecondsMax: Int64 = 604_800_000

    /// Notes a gap and returns true if the step is another one now. A step moves only by more than an eighth, as
    /// everything learned hangs on it.
    mutating func note(gap: Int64, minimum: UInt32) -> Bool {
        gaps[Int(seen & 15)] = UInt32(min(max(gap, 1), Self.stepMillisecondsMax))
        seen &+= 1
        guard seen == 1 || seen == 3 || seen == 7 || seen & 15 == 0 else { return false }
        let found = median(of: Int(min(seen, 16)))
        let median = max(found, minimum, 1)
        gathers = found < minimum - minimum / 8 ? 1 : 0
        let change = median > milliseconds ? median - milliseconds : milliseconds - median
        guard change > milliseconds / 8 else { return false }
        milliseconds = median
        return true
    }

    /// Whole steps in a gap. Where a step holds one sample, its jitter is rounded away.
    @inline(__always)
    func steps(in gap: Int64) -> UInt32 {
        let step = Int64(max(milliseconds, 1))
        let slack = gathers == 0 ? step / 2 : step / 16
        return UInt32(min(max(gap &+ slack, 0) / step, 1_000_000))
    }

    private func median(of count: Int) -> UInt32 {
        var sorted = gaps
        for index in 1..<max(count, 1) {
            let value = sorted[index]
            var place = index
            while place > 0 && sorted[place - 1] > value {
                sorted[place] = sorted[place - 1]
                place -= 1
            }
            sorted[place] = value
        }
        return sorted[(count - 1) / 2]
    }
}
