import Messages

/// The points ahead in time on which influence is kept: a relative change at each, zero now, linear between, constant
/// beyond the last.
struct Grid: Sendable {
    static let pointsMax = 8

    let count: Int
    /// Points beyond `count` are zero, as are the changes at them.
    let seconds: SIMD8<Float>

    /// Keeps the ascending positive values, at most `pointsMax`.
    init(_ horizonsSeconds: [Int32]) {
        var kept = SIMD8<Float>()
        var count = 0
        for horizon in horizonsSeconds where horizon > 0 && count < Self.pointsMax {
            if count > 0 && Float(horizon) <= kept[count - 1] { continue }
            kept[count] = Float(horizon)
            count += 1
        }
        self.count = count
        seconds = kept
    }

    /// The change at `at` seconds ahead.
    @inline(__always)
    func value(_ values: SIMD8<Float>, at: Float) -> Float {
        var before: Float = 0
        var valueBefore: Float = 0
        for index in 0..<count {
            let here = seconds[index]
            if at <= here {
                if at == here { return values[index] }
                return valueBefore + (values[index] - valueBefore) * max(at - before, 0) / (here - before)
            }
            before = here
            valueBefore = values[index]
        }
        return valueBefore
    }

    /// What a forecast expects as change relative to its present level: mean(h) / level − 1, on the grid. The level
    /// counts as at least a tenth of the largest mean, so that waking from near zero is large but not boundless.
    /// All zero where the level says nothing.
    /// - Parameter step: between two samples, seconds.
    /// - Returns: with it, what the changes are relative to.
    func relativeChange(
        _ numbers: UnsafePointer<Float>, horizons: Int, level: Double, step: Float, limit: Float
    ) -> (changes: SIMD8<Float>, base: Float) {
        var out = SIMD8<Float>()
        var top: Float = 0
        for horizon in 0..<horizons {
            let mean = numbers[ForecastNumbers.block(horizon) &+ 1]
            guard mean.isFinite else { return (out, 0) }
            top = max(top, mean)
        }
        let base = max(Self.settled(Float(level), numbers, horizons: horizons, step: step), top / 10)
        guard level >= 0, base > 0, base.isFinite else { return (out, 0) }
        var before: Float = 0
        var changeBefore: Float = 0
        var index = 0
        for horizon in 0..<horizons {
            let block = ForecastNumbers.block(horizon)
            let at = numbers[block]
            let change = min(max(numbers[block &+ 1] / base - 1, -1), limit)
            guard at > before else { continue }
            while index < count, seconds[index] <= at {
                out[index] = changeBefore + (change - changeBefore) * (seconds[index] - before) / (at - before)
                index &+= 1
            }
            before = at
            changeBefore = change
        }
        while index < count {
            out[index] = changeBefore
            index &+= 1
        }
        return (out, base)
    }

    /// The level without its noise: a level that is usual beside what is expected of the next step, within twice the
    /// outer deciles, is what is expected of it. That noise goes by is no change that neighbours would feel.
    @inline(__always)
    private static func settled(
        _ level: Float, _ numbers: UnsafePointer<Float>, horizons: Int, step: Float
    ) -> Float {
        let block = ForecastNumbers.block(0)
        guard horizons > 0, numbers[block] <= 1.5 * step else { return level }
        let (mean, low) = (numbers[block &+ 1], numbers[block &+ 2])
        let (median, high) = (numbers[block &+ 3], numbers[block &+ 4])
        let isUsual = level >= median - 2 * (median - low) && level <= median + 2 * (high - median)
        return isUsual && mean >= 0 ? mean : level
    }
}

/// The larger at each point. Spelled as a selection: the library's `pointwiseMax` is a loop over lanes.
@inline(__always)
func larger(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> { a.replacing(with: b, where: b .> a) }

/// Whether some point is further from zero than `limit`.
@inline(__always)
func exceeds(_ a: SIMD8<Float>, _ limit: Float) -> Bool {
    let square = a * a
    let halves = square.lowHalf + square.highHalf
    // Usually the sum of squares already says no.
    if halves[0] + halves[1] + halves[2] + halves[3] <= limit * limit { return false }
    for index in 0..<8 where square[index] > limit * limit { return true }
    return false
}
