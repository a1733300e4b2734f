/// Quantiles around a point forecast: how large its errors are, and where their quantiles lie.
///
/// Offsets follow the errors one by one (stochastic quantile descent): up by gain · level when an error exceeds the
/// offset, down by gain · (1 − level) otherwise. So over a long run the share of exceedances is the level whatever the
/// errors' distribution (Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021; Angelopoulos,
/// Candès, Tibshirani, "Conformal PID control for time series prediction", 2023).
struct Band: BitwiseCopyable {
    /// Mean absolute error, in units.
    private(set) var spread: Float = 0
    /// Quantiles of the error in spreads.
    private var offsets: [5 of Float] = InlineArray { ForecastLevels.initial[$0] }
    /// Forecasts judged so far.
    private(set) var judged: UInt32 = 0

    /// The spread to use: the learned one, mixed with a guess while few forecasts were judged.
    @inline(__always)
    mutating func spread(guess: Float) -> Float {
        if judged >= 64 { return spread }
        let count = Float(judged)
        return (count * spread + 4 * guess) / (count + 4)
    }

    /// Writes the quantiles, ascending; wider while few errors were seen.
    @inline(__always)
    mutating func write(around point: Float, guess: Float, into out: UnsafeMutablePointer<Float>) {
        let spread = self.spread(guess: guess)
        let caution = judged >= 300 ? 1 : 1 + 3 / (1 + Float(judged))
        var last = -Float.greatestFiniteMagnitude
        for level in 0..<ForecastLevels.spoken {
            last = max(last, point + spread * caution * offsets[level])
            out[level] = last
        }
    }

    /// Takes in an error. `pace` below 1 slows learning where errors overlap and say little that is new.
    @inline(__always)
    mutating func learn(_ error: Float, guess: Float, pace: Float) {
        if judged == 0 { spread = max(guess, 1e-3) }
        judged = min(judged &+ 1, 1_000_000)
        let count = Float(judged)
        let levels = ForecastLevels.all
        let scaled = error / max(spread, 1e-6)
        let gain = max(2 / (count + 8), 0.025 * pace)
        for level in 0..<ForecastLevels.spoken {
            offsets[level] += gain * (scaled > offsets[level] ? levels[level] : levels[level] - 1)
        }
        spread += max(1 / (count + 4), pace / 80) * (min(error.magnitude, 6 * spread) - spread)
        spread = max(spread, 1e-3)
    }

    var isSound: Bool { spread >= 0 && spread < 1e30 }
}
