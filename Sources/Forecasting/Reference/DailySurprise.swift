import TwinCore

/// How large errors regularly are at each time of day: a job that starts every night at three is no news.
///
/// Per bin of the day (5 minutes, or a step where that is longer) the largest error of its last visit, and the size
/// that two visits in a row confirmed, as square roots in sixteenths. What happens once does not count.
struct DailySurprise: BitwiseCopyable {
    private static let binsMax = 288
    /// Errors up to so many deviations surprise nobody.
    private static let usualSize: Float = 3
    /// What recurs may hide no more than so much.
    private static let widthMax: Float = 3
    private static let fall: Float = 0.5
    private static let resolution: Float = 16

    private var last: [288 of UInt8] = InlineArray(repeating: 0)
    private var confirmed: [288 of UInt8] = InlineArray(repeating: 0)
    /// The bin that is open, and the largest error in it.
    private var bin: UInt32 = 0
    private var largest: Float = 0

    var isSound: Bool { bin < UInt32(Self.binsMax) }

    /// How much wider an error may be at a moment, 1 where nothing is unusual.
    func width(at milliseconds: Int64, step: UInt32) -> Float {
        let size = Self.size(confirmed[Self.place(milliseconds, step).bin])
        return min(max(size / Self.usualSize, 1), Self.widthMax)
    }

    /// - Parameter jitter: by how many bins what recurs may come earlier or later.
    mutating func fold(_ error: Float, at milliseconds: Int64, step: UInt32, jitter: Int) {
        let (now, count) = Self.place(milliseconds, step)
        if now != Int(bin) {
            close(count, min(jitter, count / 4))
            bin = UInt32(now)
            largest = 0
        }
        largest = max(largest, min(error.magnitude, 250))
    }

    private mutating func close(_ count: Int, _ jitter: Int) {
        let index = min(Int(bin), count - 1)
        var before: UInt8 = 0
        for offset in -jitter...jitter { before = max(before, last[Self.wrapped(index + offset, count)]) }
        let both = min(largest, Self.size(before))
        let old = Self.size(confirmed[index])
        confirmed[index] = Self.code(both > old ? both : old + Self.fall * (both - old))
        last[index] = Self.code(largest)
        guard both > Self.usualSize, jitter > 1 else { return }
        // What comes somewhat earlier or later on another day is expected there, too.
        let code = Self.code(both)
        for offset in -jitter...jitter {
            let place = Self.wrapped(index + offset, count)
            confirmed[place] = max(confirmed[place], code)
        }
    }

    private static func wrapped(_ index: Int, _ count: Int) -> Int {
        index < 0 ? index + count : index >= count ? index - count : index
    }

    @inline(__always)
    private static func place(_ milliseconds: Int64, _ step: UInt32) -> (bin: Int, count: Int) {
        let day = milliseconds.flooredDivision(by: 86_400_000).remainder
        let length = max(Int64(step), 300_000)
        let count = min(max(Int(86_400_000 / length), 1), binsMax)
        return (min(Int(day / length), count - 1), count)
    }

    private static func size(_ code: UInt8) -> Float {
        let root = Float(code) / resolution
        return root * root
    }

    private static func code(_ size: Float) -> UInt8 { UInt8(min(size.squareRoot() * resolution + 0.5, 255)) }
}
