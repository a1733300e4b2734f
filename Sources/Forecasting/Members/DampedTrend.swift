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
        return phi * (1 - Wave.power(phi, steps)) / (1 - phi)
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
