/// Finds the period of a cycle in a stretch of values: the shortest lag at which their changes are alike beyond chance.
///
/// Changes instead of values, as a wandering level is alike at every lag; ranks instead of changes, so that no spike
/// decides and pulses count as well as waves (Spearman's correlation). The changes of noise are alike by chance within
/// √((1 + 2 · ¼) / n) (Bartlett's formula for a moving average of order one, G. Box, G. Jenkins, "Time Series
/// Analysis", 1970); what is found must exceed that by a factor at which no lag of pure noise does in a thousand looks.
package enum PeriodFinder {
    /// Values that are looked at.
    package static let valuesMax = 120
    private static let valuesMin = 36
    private static let lagMin = 3
    /// So many cycles must lie in the stretch.
    private static let cyclesMin = 3
    /// Standard deviations: one-sided 1/1000 over forty lags.
    private static let significance: Float = 4.1
    /// A shorter lag is taken if it is nearly as good as the best one.
    private static let nearlyBest: Float = 0.85

    /// The period in steps; 0 if there is none.
    /// - Parameter values: equally spaced, oldest first; up to `valuesMax`.
    package static func period(of values: UnsafeBufferPointer<Float>) -> Int {
        let count = min(values.count, valuesMax) - 1
        guard count >= valuesMin else { return 0 }
        var ranks: [120 of Float] = InlineArray(repeating: 0)
        guard let variance = rank(values, count, into: &ranks) else { return 0 }
        let lagMax = count / cyclesMin
        var likeness: [64 of Float] = InlineArray(repeating: 0)
        var best: Float = 0
        for lag in lagMin...lagMax {
            var sum: Float = 0
            for index in lag..<count { sum += ranks[index] * ranks[index - lag] }
            let compared = Float(count - lag)
            likeness[lag] = sum / compared / variance
            let isBeyondChance = likeness[lag] > significance * (1.5 / compared).squareRoot()
            if isBeyondChance { best = max(best, likeness[lag]) }
        }
        guard best > 0 else { return 0 }
        for lag in lagMin...lagMax where likeness[lag] >= nearlyBest * best {
            let isPeak = likeness[lag] >= likeness[lag - 1] && (lag == lagMax || likeness[lag] >= likeness[lag + 1])
            if isPeak { return lag }
        }
        return 0
    }

    /// Ranks of the changes about their middle, equal ones sharing theirs.
    /// - Returns: their variance; nil if all are equal.
    private static func rank(
        _ values: UnsafeBufferPointer<Float>, _ count: Int, into ranks: inout [120 of Float]
    ) -> Float? {
        var square: Float = 0
        for index in 0..<count {
            let change = values[index + 1] - values[index]
            var rank: Float = 0
            for other in 0..<count {
                let against = values[other + 1] - values[other]
                rank += against < change ? 1 : against > change ? -1 : 0
            }
            ranks[index] = rank
            square += rank * rank
        }
        return square > 0 ? square / Float(count) : nil
    }
}
