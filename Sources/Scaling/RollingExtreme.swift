/// The largest (or smallest) of the values of a sliding window of time, exact while the window holds at most sixteen
/// descending (ascending) steps; with more, the newest steps are merged and the extreme is held longer.
///
/// A monotonic queue: values that a newer one outdoes can never be the extreme again and are dropped.
struct RollingExtreme: BitwiseCopyable {
    static let capacity = 16

    private var times: [16 of Int64] = .init(repeating: 0)
    private var values: [16 of Int32] = .init(repeating: 0)
    private var count: Int32 = 0
    /// 1 keeps the largest, −1 the smallest.
    private let sign: Int32

    static var largest: RollingExtreme { RollingExtreme(sign: 1) }
    static var smallest: RollingExtreme { RollingExtreme(sign: -1) }

    private init(sign: Int32) { self.sign = sign }

    /// True if the counters read from a snapshot can be worked with.
    var isSound: Bool { count >= 0 && count <= 16 && (sign == 1 || sign == -1) }

    var isEmpty: Bool { count == 0 }

    /// The extreme of the window with `value` in it. A window that nothing was added to for its own length and
    /// `interval` more begins anew, with `first`. A window of no length holds the value alone.
    mutating func extreme(
        with value: Int32, after first: Int32, at time: Int64, windowMilliseconds window: Int64, interval: Int64
    ) -> Int32 {
        guard window > 0 else { return value }
        if count == 0 || times[Int(count) &- 1] < time &- window &- interval {
            removeAll()
            _ = add(first, at: time, windowMilliseconds: window)
        }
        return add(value, at: time, windowMilliseconds: window)
    }

    mutating func removeAll() {
        times = .init(repeating: 0)
        values = .init(repeating: 0)
        count = 0
    }

    /// Adds a value, forgets those older than the window, and returns the extreme of what is left.
    mutating func add(_ value: Int32, at time: Int64, windowMilliseconds window: Int64) -> Int32 {
        var expired = 0
        while expired < Int(count), times[expired] < time &- window { expired += 1 }
        if expired > 0 { drop(first: expired) }
        while count > 0, (value &- values[Int(count) &- 1]) &* sign >= 0 {
            count &-= 1
            times[Int(count)] = 0
            values[Int(count)] = 0
        }
        if count == 16 {
            times[15] = time
        } else {
            times[Int(count)] = time
            values[Int(count)] = value
            count &+= 1
        }
        return values[0]
    }

    private mutating func drop(first expired: Int) {
        for index in 0..<16 {
            let from = index + expired
            times[index] = from < Int(count) ? times[from] : 0
            values[index] = from < Int(count) ? values[from] : 0
        }
        count -= Int32(expired)
    }
}
