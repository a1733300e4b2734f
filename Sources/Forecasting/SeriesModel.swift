/// The model of a series in this version: a robust level, exponential means over three memories, a daily profile, and
/// per followed horizon a small regression on what these say, with quantiles calibrated on its own errors.
///
/// A single spike moves the base by a few deviations only; values that stay there are followed within a few steps,
/// as each outlier in a row on the same side doubles what the next may move. About 3.3 KiB, without a pointer.
package struct SeriesModel: Forecaster {
    static let anchorsMax = 6

    private var lastMilliseconds: Int64 = 0
    private var profile = DailyProfile()
    private var reference = Reference()
    private var anchors: [6 of HorizonAnchor] = InlineArray(repeating: HorizonAnchor())
    private var anchorSteps: [6 of UInt32] = InlineArray(repeating: 0)
    private var finder = StepFinder()
    /// Milliseconds of the series' step; 0 before it is known.
    package private(set) var stepMilliseconds: UInt32 = 0
    /// The exponential means of the base.
    private var means: [3 of Float] = InlineArray(repeating: 0)
    /// The last value as far as it is believed; forecasts start here.
    private var base: Float = 0
    /// The level without the time of day.
    private var normal: Float = 0
    /// Mean absolute one-step errors over a short and a long memory.
    private var fastScale: Float = 0
    private var slowScale: Float = 0
    /// What was forecast for the step to come.
    package private(set) var expected: Float = 0
    /// Values that were merged into the present step.
    private var merged: Float = 0
    package private(set) var residual: Float = 0
    package private(set) var referenceResidual: Float = 0
    /// Number of the present step; gaps count.
    private var step: UInt32 = 0
    package private(set) var steps: UInt32 = 0
    /// Steps since the start or the last retraining.
    private var age: UInt32 = 0
    private var goodSteps: UInt16 = 0
    /// Outliers in a row on one side; negative below.
    private var outliers: Int8 = 0
    private var anchorCount: UInt8 = 0
    /// `distrustedFlag` and `negativeFlag`.
    package private(set) var flags: UInt32 = 0

    /// So many outliers in a row on one side are a new level.
    private static let jumpSteps: UInt8 = 4
    private static let distrustedFlag: UInt32 = 1
    private static let negativeFlag: UInt32 = 2
    /// Steps that a retrained model needs at least, and how many good ones in a row, before it is trusted again.
    private static let probationSteps: UInt32 = 30
    private static let goodStepsNeeded: UInt16 = 12

    package init() {}

    @inlinable package var stepSeconds: Float { Float(stepMilliseconds) / 1_000 }
    @inlinable package var isDistrusted: Bool { flags & 1 != 0 }
    @inlinable package var isYoung: Bool { steps < 64 }
    package var isSound: Bool {
        anchorCount <= Self.anchorsMax && profile.isSound && reference.isSound && outliers > -100 && outliers < 100
    }
    /// The unit of errors and features: the one-step error of late, larger at higher levels where the series is never
    /// negative (√ of the ratio, as counts do).
    @inline(__always)
    private var unit: Float {
        // A quiet night does not make the morning's first steps outliers.
        let mean = (max(fastScale, slowScale / 64) * slowScale).squareRoot()
        return max(mean * levelFactor, base.magnitude * 1e-5, 1e-9)
    }

    @inline(__always)
    private var levelFactor: Float {
        guard flags & Self.negativeFlag == 0, normal > 0 else { return 1 }
        let ratio = means[0] / normal
        return ratio >= 10 ? 3.1623 : ratio <= 0.1 ? 0.3162 : ratio.squareRoot()
    }
}

// MARK: Folding

extension SeriesModel {
    package mutating func fold(_ value: Double, at milliseconds: Int64, plan: HorizonPlan) -> Bool {
        let value = Float(value)
        if steps == 0 {
            start(value, at: milliseconds)
            return true
        }
        let elapsed = elapsedSteps(to: milliseconds, plan: plan)
        guard elapsed > 0 else {
            merge(value)
            return false
        }
        lastMilliseconds = milliseconds
        advance(to: value, elapsed: elapsed, at: milliseconds)
        keepForecasts(at: milliseconds)
        return true
    }

    package mutating func pass(to milliseconds: Int64, plan: HorizonPlan) -> Bool {
        guard steps > 0 else { return false }
        let elapsed = elapsedSteps(to: milliseconds, plan: plan)
        guard elapsed > 0 else { return false }
        lastMilliseconds = milliseconds
        step &+= elapsed
        base = expected
        residual = 0
        referenceResidual = 0
        for index in 0..<Int(anchorCount) { anchors[index].forgetPending() }
        keepForecasts(at: milliseconds)
        return true
    }

    private mutating func start(_ value: Float, at milliseconds: Int64) {
        lastMilliseconds = milliseconds
        steps = 1
        step = 1
        age = 1
        base = value
        expected = value
        normal = value
        means = InlineArray(repeating: value)
        // Until the first errors are seen: a tenth of the value.
        fastScale = value.magnitude * 0.1
        slowScale = fastScale
        merged = 1
        if value < 0 { flags |= Self.negativeFlag }
    }

    /// How many steps lie between the last step and a sample; also finds the step.
    private mutating func elapsedSteps(to milliseconds: Int64, plan: HorizonPlan) -> UInt32 {
        let gap = milliseconds &- lastMilliseconds
        guard gap > 0 else { return 0 }
        if finder.note(gap: gap, minimum: UInt32(plan.minimumStepMilliseconds)) {
            stepMilliseconds = finder.milliseconds
            adoptStep(plan, at: milliseconds)
        }
        return finder.steps(in: gap)
    }

    /// The step is known, or another one: horizons are counted anew.
    private mutating func adoptStep(_ plan: HorizonPlan, at milliseconds: Int64) {
        let seconds = stepSeconds
        var count = 1
        anchorSteps[0] = 1
        for index in 0..<plan.anchorCount where count < Self.anchorsMax {
            let steps = UInt32(clampedInt32((plan.anchor(index) / seconds).rounded(), 1, 100_000))
            if steps > anchorSteps[count - 1] {
                anchorSteps[count] = steps
                count += 1
            }
        }
        anchorCount = UInt8(count)
        for index in 0..<Self.anchorsMax { anchors[index] = HorizonAnchor() }
        profile.reset(stepMilliseconds: stepMilliseconds, at: milliseconds, origin: base)
        age = 1
    }

    /// A further value within the present step: the step's mean moves.
    private mutating func merge(_ value: Float) {
        if value < 0 { flags |= Self.negativeFlag }
        merged = min(merged + 1, 1_000)
        let limit = 3.5 * unit * max(spread(of: 0), 0.1)
        let change = clamped(value - base, limit) / merged
        base += change
        expected += change
        means[0] += 0.5 * change
        means[1] += 0.1 * change
        means[2] += 0.02 * change
    }

    private mutating func advance(to value: Float, elapsed: UInt32, at milliseconds: Int64) {
        step &+= elapsed
        steps = steps == .max ? .max : steps &+ 1
        age = age == .max ? .max : age &+ 1
        merged = 1
        if value < 0 { flags |= Self.negativeFlag }
        let width = elapsed == 1 ? 1 : Float(min(elapsed, 64)).squareRoot()
        let deviation = max(unit * spread(of: 0), 1e-12) * width
        let error = value - expected
        residual = clamped(error / (1.2533 * deviation), Reference.residualMax)
        referenceResidual = reference.fold(value, at: milliseconds, steps: elapsed, step: stepMilliseconds)
        for index in 0..<Int(anchorCount) {
            anchors[index].mature(step: step, value: value, guess: guess(anchorSteps[index]))
        }
        let believed = expected + believe(error, deviation)
        learnScale((believed - expected).magnitude / (width * levelFactor))
        base = believed
        if outliers.magnitude == Self.jumpSteps { jump(at: milliseconds) }
        learnLevels(elapsed: elapsed, at: milliseconds)
        judge()
    }

    /// How much of an error is believed: a spike is cut, a run of outliers on one side is not.
    private mutating func believe(_ error: Float, _ deviation: Float) -> Float {
        let limit: Float = 3.5 * deviation
        guard error.magnitude > limit else {
            outliers = 0
            return error
        }
        let side: Int8 = error > 0 ? 1 : -1
        outliers = outliers &* side > 0 ? outliers &+ (outliers &* side < 60 ? side : 0) : side
        let run = Int(outliers.magnitude) - 1
        // The young have no deviation that outliers could be measured by.
        if age < 8 || outliers.magnitude >= Self.jumpSteps { return error }
        return clamped(error, limit * Float(1 << run))
    }

    /// The level has moved for good: means and level follow at once, instead of pulling back for as long as they
    /// remember.
    private mutating func jump(at milliseconds: Int64) {
        means = InlineArray(repeating: base)
        normal = base - profile.value(at: milliseconds)
    }

    private mutating func learnScale(_ error: Float) {
        let count = Float(min(age, 100_000)) - 1
        let fastGain = max(1 / count, 1 / 24)
        let slowGain = max(1 / count, 1 / 512)
        // A few absurd values move the scale by little; where nothing ever moved, any movement is news.
        let floor = max(base.magnitude * 1e-5, 1e-9)
        let isYoung = age < 16
        let fastLimit = isYoung || fastScale <= floor ? error : min(error, 8 * fastScale)
        let slowLimit = isYoung || slowScale <= floor ? error : min(error, 8 * max(slowScale, fastScale))
        fastScale += fastGain * (fastLimit - fastScale)
        slowScale += slowGain * (slowLimit - slowScale)
    }

    private mutating func learnLevels(elapsed: UInt32, at milliseconds: Int64) {
        let count = Float(min(age, 100_000))
        means[0] += gain(0.5, count, elapsed) * (base - means[0])
        means[1] += gain(0.1, count, elapsed) * (base - means[1])
        means[2] += gain(0.02, count, elapsed) * (base - means[2])

        let usual = profile.value(at: milliseconds)

        let perDay = 2 / max(86_400_000 / Float(max(stepMilliseconds, 1)), 8)
        normal += gain(perDay, count, elapsed) * (base - usual - normal)
        let origin = profile.isReady ? normal : profile.origin
        if let shift = profile.fold(base - origin, at: milliseconds) { normal = profile.origin + shift }
    }

    /// A mean's gain over several steps, and larger while young.
    @inline(__always)
    private func gain(_ gain: Float, _ count: Float, _ elapsed: UInt32) -> Float {
        let young = max(gain, 1 / count)
        if elapsed == 1 { return young }
        let steps = Float(min(elapsed, 1_000))
        return young * steps / (1 + young * (steps - 1))
    }
}

// MARK: Forecasting

extension SeriesModel {
    /// The spread that a horizon is given before its first errors: that of a random walk.
    @inline(__always)
    private mutating func guess(_ horizon: UInt32) -> Float {
        let first = anchors[0].matured >= 8 ? anchors[0].spread : 1
        return horizon <= 1 ? first : first * Float(horizon).squareRoot()
    }

    @inline(__always)
    private mutating func spread(of anchor: Int) -> Float { anchors[anchor].spread(guess: guess(anchorSteps[anchor])) }

    /// What the regression sees: distances from the three means, the usual change to the target's time of day, and the
    /// distance of what is usual then from now; in units.
    @inline(__always)
    private mutating func features(now usual: Float, target: Int64, unit: Float) -> Regression.Features {
        let later = profile.value(at: target)
        let seasonal = profile.isReady ? normal + later - base : 0
        let inverse = 1 / unit
        return [
            clamped((base - means[0]) * inverse, 200), clamped((base - means[1]) * inverse, 200),
            clamped((base - means[2]) * inverse, 200), clamped((later - usual) * inverse, 200),
            clamped(seasonal * inverse, 200),
        ]
    }

    /// Keeps the forecasts that are due, and the one for the next step.
    private mutating func keepForecasts(at milliseconds: Int64) {
        let unit = self.unit
        let usual = profile.value(at: milliseconds)
        expected = base
        for index in 0..<Int(anchorCount) where anchors[index].isDue(step) {
            let horizon = anchorSteps[index]
            let target = milliseconds &+ Int64(horizon) &* Int64(stepMilliseconds)
            let features = features(now: usual, target: target, unit: unit)
            let change = anchors[index].change(features, fallbackSpread: guess(horizon))
            anchors[index].keep(features, change: change, base: base, unit: unit, step: step, horizon: horizon)
            if index == 0 { expected = base + change * unit }
        }
    }

    package mutating func forecast(horizonSeconds: Float, into out: UnsafeMutablePointer<Float>) {
        let unit = self.unit
        guard anchorCount > 0 else { return writeUnknown(unit, out) }
        let steps = max(horizonSeconds / max(stepSeconds, 1e-3), 1)
        var upper = 0
        while upper < Int(anchorCount) && Float(anchorSteps[upper]) < steps - 0.5 { upper &+= 1 }
        if upper == Int(anchorCount) {
            // Beyond the last anchor errors grow as a random walk's.
            let last = upper &- 1
            let growth = (steps / Float(anchorSteps[last])).squareRoot()
            write(last, last, 0, growth, horizonSeconds, unit, out)
        } else if upper == 0 || Float(anchorSteps[upper]) <= steps + 0.5 {
            write(upper, upper, 0, 1, horizonSeconds, unit, out)
        } else {
            let low = Float(anchorSteps[upper &- 1]).squareRoot()
            let share = (steps.squareRoot() - low) / (Float(anchorSteps[upper]).squareRoot() - low)
            write(upper &- 1, upper, share, 1, horizonSeconds, unit, out)
        }
    }

    /// Before the first gap nothing is known but the value.
    private mutating func writeUnknown(_ unit: Float, _ out: UnsafeMutablePointer<Float>) {
        out[0] = base
        let offsets = ForecastLevels.initial
        for level in 0..<ForecastLevels.count { out[1 &+ level] = base + 4 * unit * offsets[level] }
        tidy(out)
    }

    /// A forecast between two anchors, `share` of the way.
    private mutating func write(
        _ low: Int, _ high: Int, _ share: Float, _ growth: Float, _ seconds: Float, _ unit: Float,
        _ out: UnsafeMutablePointer<Float>
    ) {
        let usual = profile.value(at: lastMilliseconds)
        let ahead = Int64(clampedInt32(seconds, 0, 100_000_000)) &* 1_000
        let features = features(now: usual, target: lastMilliseconds &+ ahead, unit: unit)
        var change = anchors[low].change(features, fallbackSpread: guess(anchorSteps[low]))
        var width = spread(of: low)
        if share > 0 {
            change += share * (anchors[high].change(features, fallbackSpread: guess(anchorSteps[high])) - change)
            width += share * (spread(of: high) - width)
        }
        width *= growth * unit
        let mean = base + change * unit
        out[0] = mean
        for level in 0..<ForecastLevels.count {
            var offset = anchors[low].offset(level)
            if share > 0 { offset += share * (anchors[high].offset(level) - offset) }
            out[1 &+ level] = mean + width * offset
        }
        tidy(out)
    }

    /// Quantiles ascend, and nothing is negative that never was.
    @inline(__always)
    private mutating func tidy(_ out: UnsafeMutablePointer<Float>) {
        let floor: Float = flags & Self.negativeFlag == 0 ? 0 : -.greatestFiniteMagnitude
        out[0] = max(out[0], floor)
        var last = floor
        for index in 1...ForecastLevels.count {
            last = out[index] > last ? out[index] : last
            out[index] = last
        }
    }
}

// MARK: Trust

extension SeriesModel {
    /// Gives trust back when it was earned: by forecasts no worse than "as now", and a reference to be judged by.
    private mutating func judge() {
        guard isDistrusted else { return }
        let isGood = anchors[0].matured > 0 && anchors[0].modelLoss <= 1.02 * anchors[0].baseLoss
        goodSteps = isGood ? min(goodSteps &+ 1, 1_000) : 0
        guard age >= Self.probationSteps, goodSteps >= Self.goodStepsNeeded, !reference.isEmpty else { return }
        flags &= ~Self.distrustedFlag
    }

    package mutating func retrain(since history: UnsafeBufferPointer<Float>, settleSteps: UInt32, plan: HorizonPlan) {
        guard steps > 0 else { return }
        reference.refit(history, last: lastMilliseconds, settleSteps: settleSteps)
        flags |= Self.distrustedFlag
        goodSteps = 0
        outliers = 0
        age = 1
        profile.distrust(at: lastMilliseconds)
        for index in 0..<Int(anchorCount) { anchors[index].distrust() }
        if history.count > 0 { refit(history) }
        keepForecasts(at: lastMilliseconds)
    }

    /// Means, level and scale from the steps since the change alone.
    private mutating func refit(_ history: UnsafeBufferPointer<Float>) {
        let count = history.count
        let stepMilliseconds = Int64(stepMilliseconds)
        var previous = history[0]
        means = InlineArray(repeating: previous)
        var total: Float = 0
        var changes: Float = 0
        for index in 0..<count {
            let value = history[index]
            guard value.magnitude < 1e20 else { continue }
            let time = lastMilliseconds &- Int64(count &- 1 &- index) &* stepMilliseconds
            let seen = Float(index + 1)
            means[0] += max(0.5, 1 / seen) * (value - means[0])
            means[1] += max(0.1, 1 / seen) * (value - means[1])
            means[2] += max(0.02, 1 / seen) * (value - means[2])
            total += value - profile.value(at: time)
            changes += (value - previous).magnitude
            previous = value
        }
        base = previous
        normal = total / Float(count)
        if count > 4 {
            fastScale = max(changes / Float(count - 1) / levelFactor, 1e-12)
            slowScale = fastScale
        }
        age = UInt32(min(count, 1_000))
    }

    package mutating func scale(by factor: Float) {
        guard factor > 0, factor < 1e20 else { return }
        profile.scale(by: factor)
        reference.scale(by: factor)
        for index in 0..<Self.anchorsMax { anchors[index].scale(by: factor) }
        for index in 0..<3 { means[index] *= factor }
        base *= factor
        normal *= factor
        fastScale *= factor
        slowScale *= factor
        expected *= factor
    }
}
