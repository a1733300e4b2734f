import Messages

/// The points ahead in time on which influence is kept: a relative change at each, zero now, linear between, constant
/// beyond the last.
struct Grid: Sendable {
    static let pointsMax = 8

    let count: Int
    let seconds: [8 of Float]

    /// Keeps the ascending positive values, at most `pointsMax`.
    init(_ horizonsSeconds: [Int32]) {
        var kept: [8 of Float] = .init(repeating: 0)
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
    func value(_ values: UnsafePointer<Float>, at: Float) -> Float {
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
    func relativeChange(
        _ numbers: FloatSlice, horizons: Int, level: Double, limit: Float, into out: UnsafeMutablePointer<Float>
    ) {
        for index in 0..<count { out[index] = 0 }
        var top: Float = 0
        for horizon in 0..<horizons {
            let mean = numbers[ForecastNumbers.block(horizon) &+ 1]
            guard mean.isFinite else { return }
            top = max(top, mean)
        }
        let base = max(Float(level), top / 10)
        guard level >= 0, base > 0, base.isFinite else { return }
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
    }
}
