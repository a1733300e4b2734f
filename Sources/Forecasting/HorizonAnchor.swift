/// A forecast that waits for its moment: what it was made from, so that its error can teach.
struct PendingForecast: BitwiseCopyable {
    /// The value that the forecast started from, and the unit in which features and error are measured.
    var base: Float = 0
    var unit: Float = 0
    /// The step that it speaks of; 0 if the place is free.
    var target: UInt32 = 0
    /// Features and the change that was forecast, in 1/64 of the unit.
    var features: [5 of Int16] = InlineArray(repeating: 0)
    var change: Int16 = 0

    private static let resolution: Float = 64

    @inline(__always)
    static func packed(_ value: Float) -> Int16 {
        Int16(clampedInt32((value * resolution).rounded(), -32_767, 32_767))
    }

    @inline(__always)
    static func unpacked(_ value: Int16) -> Float { Float(value) / resolution }
}

/// All that is learned about one horizon: the weights that turn features into a change, whether they are better than
/// "as now", how large errors are and where their quantiles lie.
///
/// Quantile offsets follow the errors one by one (stochastic quantile descent): up by gain · level when an error
/// exceeds the offset, down by gain · (1 − level) otherwise. So over a long run the share of exceedances is the level
/// whatever the errors' distribution (Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021;
/// Angelopoulos, Candès, Tibshirani, "Conformal PID control for time series prediction", 2023).
///
/// What only reads is `mutating` too: so it works in place, where the compiler would copy the value before the call.
struct HorizonAnchor: BitwiseCopyable {
    private var regression = Regression()
    /// Mean absolute error in units of the forecasts' own scale.
    private(set) var spread: Float = 0
    /// Discounted absolute errors of the weights, and of "as now".
    private(set) var modelLoss: Float = 0
    private(set) var baseLoss: Float = 0
    /// Quantiles of the error in units of `spread`.
    private var offsets: [6 of Float] = ForecastLevels.initial
    /// Forecasts judged so far.
    private(set) var matured: UInt32 = 0
    private var nextIssue: UInt32 = 0
    private var place: UInt32 = 0
    private var pending: [4 of PendingForecast] = InlineArray(repeating: PendingForecast())

    static let places = 4

    /// How far the weights are believed: 1 while they do no worse than "as now", 0 from a tenth worse on.
    @inline(__always)
    private mutating func belief() -> Float {
        if matured < 12 || !(baseLoss > 0) { return 0 }
        let share = (1.1 - modelLoss / baseLoss) * 10
        return share > 1 ? 1 : share > 0 ? share : 0
    }

    /// The expected change, in the unit of the features.
    @inline(__always)
    mutating func change(_ features: Regression.Features, fallbackSpread: Float) -> Float {
        let belief = self.belief()
        if belief == 0 { return 0 }
        return clamped(belief * regression.predict(features), 12 * max(spread, fallbackSpread))
    }

    /// The spread to use: the learned one, mixed with a guess while few forecasts were judged.
    @inline(__always)
    mutating func spread(guess: Float) -> Float {
        if matured >= 64 { return spread }
        let count = Float(matured)
        return (count * spread + 4 * guess) / (count + 4)
    }

    /// The offset of a level, in units of the spread; wider while few errors were seen.
    @inline(__always)
    mutating func offset(_ level: Int) -> Float {
        matured >= 300 ? offsets[level] : offsets[level] * (1 + 3 / (1 + Float(matured)))
    }

    /// Whether a forecast is due to be kept at this step.
    @inline(__always)
    func isDue(_ step: UInt32) -> Bool { step >= nextIssue }

    /// Keeps a forecast made at `step` for `horizon` steps on.
    mutating func keep(
        _ features: Regression.Features, change: Float, base: Float, unit: Float, step: UInt32, horizon: UInt32
    ) {
        var forecast = PendingForecast()
        forecast.base = base
        forecast.unit = unit
        forecast.target = step &+ horizon
        for index in 0..<5 { forecast.features[index] = PendingForecast.packed(features[index]) }
        forecast.change = PendingForecast.packed(change)
        pending[Int(place & 3)] = forecast
        place = (place &+ 1) & 3
        nextIssue = step &+ max((horizon &+ 3) / 4, 1)
    }

    /// Judges the forecasts that speak of `step`; those of steps that were passed over are dropped.
    @inline(__always)
    mutating func mature(step: UInt32, value: Float, guess: Float) {
        for index in 0..<Self.places where pending[index].target != 0 && pending[index].target <= step {
            let forecast = pending[index]
            pending[index].target = 0
            if forecast.target == step && forecast.unit > 0 { learn(from: forecast, value: value, guess: guess) }
        }
    }

    private mutating func learn(from forecast: PendingForecast, value: Float, guess: Float) {
        let actual = clamped((value - forecast.base) / forecast.unit, 500)
        var features: Regression.Features = InlineArray(repeating: 0)
        for index in 0..<5 { features[index] = PendingForecast.unpacked(forecast.features[index]) }
        let miss = actual - regression.predict(features)
        let error = actual - PendingForecast.unpacked(forecast.change)
        if matured == 0 { spread = max(guess, 1e-3) }
        matured = matured == .max ? .max : matured &+ 1
        let count = Float(min(matured, 100_000))

        let lossGain = max(1 / count, 1 / 200)
        let lossLimit = 20 * spread
        modelLoss += lossGain * (min(miss.magnitude, lossLimit) - modelLoss)
        baseLoss += lossGain * (min(actual.magnitude, lossLimit) - baseLoss)

        learnOffsets(error / max(spread, 1e-6), count: count)
        spread += max(1 / (count + 4), 1 / 80) * (min(error.magnitude, 6 * spread) - spread)
        spread = max(spread, 1e-3)

        let limit = 2.5 * spread
        regression.fold(features, actual, weight: miss.magnitude <= limit ? 1 : limit / miss.magnitude)
        if matured < 32 || matured & (matured < 256 ? 3 : 7) == 0 { regression.solve(ridge: 4 * spread * spread + 1) }
    }

    /// Moves each offset towards its level. The gain falls from a quarter to a fortieth of the spread.
    @inline(__always)
    private mutating func learnOffsets(_ error: Float, count: Float) {
        let levels = ForecastLevels.all
        let gain = max(2 / (count + 8), 0.025)
        for level in 0..<ForecastLevels.count {
            let share = levels[level]
            offsets[level] += gain * (error > offsets[level] ? share : share - 1)
        }
    }

    /// A change was reported: what was learned counts for a quarter, what is pending for nothing.
    mutating func distrust() {
        regression.discount(0.25)
        matured = min(matured, 40)
        forgetPending()
    }

    /// Drops what is pending, as the step is another one.
    mutating func forgetPending() {
        for index in 0..<Self.places { pending[index].target = 0 }
        nextIssue = 0
    }

    /// Multiplies what is kept in the series' unit.
    mutating func scale(by factor: Float) {
        for index in 0..<Self.places {
            pending[index].base *= factor
            pending[index].unit *= factor
        }
    }
}
