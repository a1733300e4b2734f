/// Exponential smoothing with a damped trend of a series without what is usual at the time (E. Gardner, E. McKenzie,
/// "Forecasting trends in time series", 1985); the day, the week and the cycle found are its seasons.
///
/// One step on, level + φ · slope is said; of the error e the level takes α and the slope α · β. Over h steps the slope
/// carries by φ + φ² + … + φʰ.
struct DampedTrend: BitwiseCopyable {
    private static let alpha: Float = 0.1
    private static let beta: Float = 0.02
    private static let phi: Float = 0.99

    private(set) var level: Float = 0
    private(set) var slope: Float = 0
    private var seen: UInt32 = 0

    var isSound: Bool { level.magnitude <= 1e26 && slope.magnitude <= 1e26 }

    /// φ + φ² + … + φʰ.
    @inline(__always)
    static func reach(_ steps: UInt32) -> Float {
        if steps == 1 { return phi }
        var power: Float = 1
        var square = phi
        var rest = steps
        while rest > 0 {
            if rest & 1 != 0 { power *= square }
            square *= square
            rest >>= 1
        }
        return phi * (1 - power) / (1 - phi)
    }

    /// Takes in a value, `elapsed` steps after the one before.
    @inline(__always)
    mutating func learn(_ value: Float, elapsed: UInt32) {
        if seen == 0 { level = value }
        seen = min(seen &+ 1, 1_000)
        let said = level + slope * Self.reach(elapsed)
        let error = value - said
        let gain = max(Self.alpha, 1 / Float(seen))
        level = clamped(said + gain * error, 1e25)
        slope = clamped(Self.phi * slope + gain * Self.beta * error, 1e25)
    }

    mutating func scale(by factor: Float) {
        level = clamped(level * factor, 1e25)
        slope = clamped(slope * factor, 1e25)
    }
}

/// How far the damped trend is followed instead of the regression at one horizon: the share of the way from one to the
/// other that came nearest to what came (least squares with forgetting, shrunk towards 0; D. Wolpert, "Stacked
/// generalization", 1992).
struct TrendShare: BitwiseCopyable {
    private static let memory: Float = 400
    private static let shrinkage: Float = 50
    /// Distances and errors beyond so many mean errors count as that large.
    private static let distanceMax: Float = 5
    private static let errorMax: Float = 4

    private var products: Float = 0
    private var squares: Float = 0

    var isSound: Bool { products.magnitude < 1e9 && squares >= 0 }

    /// Between 0 and 1.
    @inline(__always)
    var value: Float {
        let share = products / (squares + Self.shrinkage)
        return share > 1 ? 1 : share > 0 ? share : 0
    }

    /// - Parameters:
    ///   - distance: of the trend's word from the regression's.
    ///   - error: of the regression.
    ///   - spread: mean absolute error.
    ///   - pace: below 1 where errors overlap.
    @inline(__always)
    mutating func learn(distance: Float, error: Float, spread: Float, pace: Float) {
        let distance = clamped(distance, Self.distanceMax * spread)
        let error = clamped(error, Self.errorMax * spread)
        let weight = pace / max(spread * spread, 1e-6)
        let fade = 1 - pace / Self.memory
        products = fade * products + weight * distance * error
        squares = fade * squares + weight * distance * distance
    }
}
