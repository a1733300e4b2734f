/// The newest event times of a series, ascending: what proves that a sample has not been seen before. Kept as the low
/// 32 bits of the milliseconds; two of them are compared by their distance, which is right within ±24 days.
struct TimeRing: BitwiseCopyable {
    static let timesMax = 32

    private var times: [32 of UInt32] = InlineArray(repeating: 0)
    /// Place of the newest.
    private var head: UInt32 = 0
    private(set) var count: UInt32 = 0

    enum Verdict { case new, seen, unknown }

    var isSound: Bool { count <= UInt32(Self.timesMax) && head < UInt32(Self.timesMax) }

    /// Appends a time later than all others.
    @inline(__always)
    mutating func append(_ milliseconds: Int64, after last: Int64) {
        // Beyond the range of comparison nothing that is kept can be asked for any more.
        if milliseconds &- last > 1_000_000_000 { count = 0 }
        head = (head &+ 1) & 31
        times[Int(head)] = UInt32(truncatingIfNeeded: milliseconds)
        if count < 32 { count &+= 1 }
    }

    /// Judges a time not later than the newest and takes it in if it is new.
    mutating func insert(_ milliseconds: Int64) -> Verdict {
        let time = UInt32(truncatingIfNeeded: milliseconds)
        // From the newest back to the first that is not later.
        var back: UInt32 = 0
        while back < count {
            let distance = Int32(bitPattern: times[Int((head &- back) & 31)] &- time)
            if distance == 0 { return .seen }
            if distance < 0 { break }
            back &+= 1
        }
        if back == count {
            // Older than all that are kept: new only if nothing was ever dropped.
            guard count < 32 else { return .unknown }
        }
        // The later ones move up by one place; of a full ring the oldest goes.
        head = (head &+ 1) & 31
        var moved: UInt32 = 0
        while moved < back {
            times[Int((head &- moved) & 31)] = times[Int((head &- moved &- 1) & 31)]
            moved &+= 1
        }
        times[Int((head &- back) & 31)] = time
        if count < 32 { count &+= 1 }
        return .new
    }
}
