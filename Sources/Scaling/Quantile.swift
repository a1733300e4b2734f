import Messages

/// How to read a quantile of any level out of the six that travel with a forecast: linear in the standard normal
/// deviate between two neighbours, extended along the last pair beyond 99.9 %.
///
/// Beyond 99 % it lies in a tail that was fitted to n rare values, 0 to some hundreds. What is added to the 99 %
/// quantile there grows by 1 / √(n + 1), the standard error of a mean of n exponential values, as far as that is more
/// than a hundred of them leave: little evidence asks for more room.
///
/// Golden example: level 0.975 lies between 0.95 and 0.99 with weight (1.960 − 1.645) / (2.326 − 1.645) = 0.462.
package struct QuantilePick: BitwiseCopyable, Sendable, Equatable {
    /// Standard normal deviate of the level.
    let deviate: Float
    /// Weight of the upper neighbour; above 1 beyond the last level.
    package let weight: Float
    /// Index of the lower neighbour in `QuantileLevels.all`.
    package let lower: Int32
    private let spare: Int32 = 0

    /// The levels that may be asked for.
    package static let levels = 0.5...0.9999
    /// How far shortage may move a level: beyond what may be asked for, along the tail.
    private static let deviatesRange: ClosedRange<Float> = 0...5

    /// A level outside `levels` is moved to the nearer end.
    package init(level asked: Double) {
        let level = asked.isFinite ? min(max(asked, Self.levels.lowerBound), Self.levels.upperBound) : 0.95
        self.init(deviate: Float(NormalDistribution.deviate(at: level)))
    }

    private init(deviate asked: Float) {
        deviate = min(max(asked, Self.deviatesRange.lowerBound), Self.deviatesRange.upperBound)
        var index = 0
        while index < QuantileLevels.count - 2, Self.deviates[index + 1] <= deviate + 1e-6 { index += 1 }
        weight = (deviate - Self.deviates[index]) / (Self.deviates[index + 1] - Self.deviates[index])
        lower = Int32(index)
    }

    /// The level, 0…1, to five digits.
    package var level: Double { (NormalDistribution.cumulative(Double(deviate)) * 100_000).rounded() / 100_000 }

    /// The quantile so many standard normal deviates higher.
    func shifted(by margin: Float) -> QuantilePick { margin == 0 ? self : QuantilePick(deviate: deviate + margin) }

    /// The higher of two.
    func raised(to other: QuantilePick) -> QuantilePick { other.deviate > deviate ? other : self }

    /// Standard normal deviates of `QuantileLevels.all`.
    private static let deviates: [6 of Float] = [
        -1.281_551_6, 0, 1.281_551_6, 1.644_853_6, 2.326_347_9, 3.090_232_3,
    ]

    /// It lies beyond 99 %, in the fitted tail.
    var isInTail: Bool { Int(lower) == QuantileLevels.count - 2 && weight > 0 }

    /// The quantile at this level from the numbers of an outlook, at one of its horizons.
    @inline(__always)
    func value(in numbers: FloatSlice, horizon: Int) -> Float {
        let first = ForecastNumbers.block(horizon) &+ 2 &+ Int(lower)
        let added = weight * (numbers[first &+ 1] - numbers[first])
        guard isInTail else { return numbers[first] + added }
        return numbers[first] + added * Self.caution(numbers[ForecastNumbers.tailCount(horizon)])
    }

    /// What a tail is stretched by that rests on so many rare values.
    private static func caution(_ count: Float) -> Float {
        let known = count >= 0 ? min(count, Self.tailCountEnough) : 0
        return 1 + 1 / (known + 1).squareRoot() - 1 / (Self.tailCountEnough + 1).squareRoot()
    }

    /// Rare values that make a tail as good as known.
    static let tailCountEnough: Float = 100
}

/// The standard normal distribution with nothing but the four operations, so that every machine finds the same.
enum NormalDistribution {
    /// Cumulative probability by Marsaglia's series (Journal of Statistical Software 11(4), 2004):
    /// Φ(x) = ½ + φ(x) · (x + x³/3 + x⁵/15 + …). Good to 1e-12 for |x| ≤ 6.
    static func cumulative(_ x: Double) -> Double {
        var sum = x
        var term = x
        var divisor = 3.0
        while sum + term * x * x / divisor != sum {
            term *= x * x / divisor
            sum += term
            divisor += 2
        }
        return 0.5 + sum * density(x)
    }

    private static func density(_ x: Double) -> Double {
        // e^(−x²/2) as the 1024th power of a Taylor step; |step| ≤ 0.018 leaves an error below 1e-13.
        let step = -x * x / 2 / 1_024
        var power = 1 + step * (1 + step / 2 * (1 + step / 3 * (1 + step / 4 * (1 + step / 5))))
        for _ in 0..<10 { power *= power }
        return power * 0.3989422804014327
    }

    /// The deviate below which a share `probability` lies, by bisection between −6 and 6.
    static func deviate(at probability: Double) -> Double {
        var low = -6.0
        var high = 6.0
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if cumulative(middle) < probability { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
