#if canImport(Glibc)
    import Glibc
#endif

/// Learns by which power of the expected value noise grows: the slope of log |error| over log expected. Half is usual
/// for counts, one for multiplicative noise, zero where noise does not care.
struct NoiseGrowth: BitwiseCopyable {
    private var count: Float = 0
    private var sumX: Float = 0
    private var sumY: Float = 0
    private var sumXX: Float = 0
    private var sumXY: Float = 0
    /// What expected values are measured in; 0 before the first.
    private var origin: Float = 0
    private var isNegative: UInt32 = 0

    private static let memorySteps: Float = 8_192
    private static let powerMax: Float = 1.2
    /// Deviation of log₂ of a normal variable's magnitude.
    private static let logDeviation: Float = 1.6

    /// - Parameter error: in usual deviations.
    mutating func fold(_ value: Float, expected: Float, error: Float) {
        guard isNegative == 0 else { return }
        if value < 0 {
            isNegative = 1
            return
        }
        if origin == 0 {
            guard expected > 0 else { return }
            origin = expected
        }
        let x = log2f(min(max(expected / origin, 0.01), 100))
        let y = log2f(min(max(error.magnitude, 0.02), 20))
        count += 1
        sumX += x
        sumY += y
        sumXX += x * x
        sumXY += x * y
        if count > Self.memorySteps { halve() }
    }

    private mutating func halve() {
        count *= 0.5
        sumX *= 0.5
        sumY *= 0.5
        sumXX *= 0.5
        sumXY *= 0.5
    }

    /// The power, 0…1.2; 0 unless the slope is beyond four standard errors.
    var power: Float {
        guard isNegative == 0, count >= 200 else { return 0 }
        let spread = sumXX - sumX * sumX / count
        guard spread > 0.02 * count else { return 0 }
        let slope = (sumXY - sumX * sumY / count) / (spread + 2)
        return slope * spread.squareRoot() > 4 * Self.logDeviation ? min(slope, Self.powerMax) : 0
    }

    /// The expected value at which noise is as usual.
    var normal: Float { count > 0 ? origin * exp2f(sumX / count) : 1 }

    mutating func scale(by factor: Float) { origin *= factor }
}
