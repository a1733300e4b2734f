/// One linear regression per horizon, and a damped trend and a harmonic regression on the clock that take its place one
/// after the other, as far as they do better.
///
/// The regressions read how far the present lies from what is usual: the distances from three exponential means and a
/// median, the last two changes, the distance from the time of day's usual value and its usual change until then. All
/// learns from every step, looking back at what was read a horizon ago. Bands follow the errors of all together.
struct RidgeMember: Member {
    var ring = StepRing()
    var regressions: [6 of Regression] = InlineArray(repeating: Regression())
    private(set) var bands: [6 of Band] = InlineArray(repeating: Band())
    /// Discounted absolute errors of the weights, and of "as now".
    private var modelLoss: [6 of Float] = InlineArray(repeating: 0)
    private var baseLoss: [6 of Float] = InlineArray(repeating: 0)
    private var trend = DampedTrend()
    private var shares: [6 of StackShare] = InlineArray(repeating: StackShare())
    private var harmonic = HarmonicRegression()
    private var clockShares: [6 of StackShare] = InlineArray(repeating: StackShare())

    /// Forecasts that count as much as all older ones together, where they do not overlap.
    private static let memory: Float = 800
    private static let trendShrinkage: Float = 50
    private static let clockShrinkage: Float = 150

    var isSound: Bool {
        for anchor in 0..<Moment.anchorsMax {
            guard regressions[anchor].isSound, bands[anchor].isSound, shares[anchor].isSound,
                clockShares[anchor].isSound
            else { return false }
        }
        return ring.isSound && trend.isSound && harmonic.isSound
    }

    /// Mean absolute error of one step, units.
    @inline(__always)
    mutating func stepSpread() -> Float { bands[0].spread(guess: guess(1)) }

    /// What the series says of the resource's users, if it counts them.
    @inline(__always)
    func activity(stepMilliseconds: UInt32) -> UserActivity { harmonic.activity(stepMilliseconds: stepMilliseconds) }

    /// Doing no worse than "as now" over one step.
    var isGood: Bool { bands[0].judged > 0 && modelLoss[0] <= 1.02 * baseLoss[0] }

    /// The spread that a horizon is given before its first errors: that of a random walk.
    @inline(__always)
    mutating func guess(_ steps: UInt32) -> Float {
        let first = bands[0].judged >= 8 ? bands[0].spread : 1
        return steps <= 1 ? first : first * Float(steps).squareRoot()
    }

    /// The level has moved to another at a step: so does what the clock lets expect.
    mutating func move(to level: Float, at step: UInt32) {
        guard let place = ring.place(of: step) else { return }
        harmonic.move(leaving: ring.base(place) - ring.usual(place) - level)
    }

    mutating func scale(by factor: Float) {
        ring.scale(by: factor)
        trend.scale(by: factor)
        harmonic.scale(by: factor)
    }
}

// MARK: Learning

extension RidgeMember {
    mutating func observe(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>) {
        let count = m.pointee.anchorCount
        guard count > 0 else { return }
        let expected = harmonic.value(m.pointee.clock)
        ring.adopt(stepsMax: m.pointee.anchorSteps[count &- 1])
        for anchor in 0..<count {
            let steps = m.pointee.anchorSteps[anchor]
            guard m.pointee.step > steps, let place = ring.place(of: m.pointee.step &- steps) else { continue }
            let inverse = 1 / ring.unit(place)
            var features = ring.readings(place)
            let usual = m.pointee.usual - (1 - m.pointee.kept[anchor]) * m.pointee.cyclic
            features[Moment.Reading.later] = clamped((usual - ring.usual(place)) * inverse, 200)
            let change = clamped((m.pointee.value - ring.base(place)) * inverse, 500)
            let trend = ring.trend(place).change(over: steps, later: features[Moment.Reading.later])
            let clock = clockChange(anchor, m, to: (expected - ring.base(place)) * inverse, ring.clock(place), inverse)
            let words = Words(
                change: change, trend: trend, clock: clock, repeated: m.pointee.inputs[MomentInput.repeated])
            learn(
                anchor, features, words, steps: steps,
                shared.pointee.experience(of: m.pointee.kin, anchor))
        }
        trend.learn(m.pointee.base - m.pointee.usual, elapsed: m.pointee.elapsed)
        harmonic.learn(m)
        ring.keep(
            m.pointee.step, base: m.pointee.base, unit: m.pointee.unit, usual: m.pointee.usual,
            readings: m.pointee.readings, trend: outlook(m), clock: clockOutlook(m))
    }

    private mutating func learn(
        _ anchor: Int, _ features: Regression.Features, _ words: Words, steps: UInt32,
        _ experience: UnsafeMutablePointer<Experience>
    ) {
        let actual = words.change
        let miss = actual - regressions[anchor].predict(features)
        let plain = regressed(anchor, features, steps: steps)
        let trended = followed(anchor, plain, words.trend, trendShare(anchor), steps: steps)
        let share = clockShare(anchor, words.repeated)
        let error = actual - followed(anchor, trended, words.clock, share, steps: steps)
        // Errors of horizons that overlap say little that is new.
        let pace = min(4 / Float(steps), 1)
        bands[anchor].learn(error, guess: guess(steps), pace: pace)
        let judged = bands[anchor].judged
        let spread = bands[anchor].spread
        let gain = max(1 / Float(judged), pace / 200)
        modelLoss[anchor] += gain * (min(miss.magnitude, 20 * spread) - modelLoss[anchor])
        baseLoss[anchor] += gain * (min(actual.magnitude, 20 * spread) - baseLoss[anchor])
        shares[anchor].learn(distance: words.trend - plain, error: actual - plain, spread: spread, pace: pace)
        clockShares[anchor].learn(
            distance: words.clock - trended, error: actual - trended, spread: spread, pace: pace)
        let limit = 2.5 * spread
        let weight = miss.magnitude <= limit ? 1 : limit / miss.magnitude
        let ridge = (4 * spread * spread + 1) / pace
        regressions[anchor].fold(features, actual, weight: weight, fade: 1 - pace / Self.memory)
        experience.pointee.fold(features, actual, weight: weight, pace: pace, ridge: ridge)
        if judged < 32 || judged & (judged < 256 ? 3 : 7) == 0 {
            regressions[anchor].solve(ridge: ridge, towards: experience.pointee.regression.weights)
        }
    }
}

// MARK: Forecasting

extension RidgeMember {
    mutating func forecast(
        _ anchor: Int, _ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>,
        into out: UnsafeMutablePointer<Float>
    ) -> Bool {
        let steps = m.pointee.anchorSteps[anchor]
        var features = m.pointee.readings
        features[Moment.Reading.later] = m.pointee.later[anchor]
        let plain = regressed(anchor, features, steps: steps)
        let trend = outlook(m).change(over: steps, later: m.pointee.later[anchor])
        let trended = followed(anchor, plain, trend, trendShare(anchor), steps: steps)
        let inverse = 1 / m.pointee.unit
        let expected = harmonic.value(m.pointee.clockThen[anchor])
        let clock = clockChange(anchor, m, to: (expected - m.pointee.base) * inverse, clockOutlook(m), inverse)
        let share = clockShare(anchor, m.pointee.inputs[MomentInput.repeated])
        let change = followed(anchor, trended, clock, share, steps: steps)
        bands[anchor].write(around: change, guess: guess(steps), into: out)
        return true
    }

    /// How far the weights are believed: 1 while they do no worse than "as now", 0 from a tenth worse on.
    @inline(__always)
    private mutating func belief(_ anchor: Int) -> Float {
        if bands[anchor].judged < 12 || !(baseLoss[anchor] > 0) { return 0 }
        let share = (1.1 - modelLoss[anchor] / baseLoss[anchor]) * 10
        return share > 1 ? 1 : share > 0 ? share : 0
    }

    @inline(__always)
    private mutating func regressed(_ anchor: Int, _ features: Regression.Features, steps: UInt32) -> Float {
        let belief = self.belief(anchor)
        if belief == 0 { return 0 }
        let limit = 12 * max(bands[anchor].spread, guess(steps))
        return clamped(belief * regressions[anchor].predict(features), limit)
    }

    @inline(__always)
    private func trendShare(_ anchor: Int) -> Float { shares[anchor].value(shrinkage: Self.trendShrinkage) }

    /// A series that stands still most of the time has no waves.
    /// - Parameter repeated: the share of values that repeat the one before.
    @inline(__always)
    private func clockShare(_ anchor: Int, _ repeated: Float) -> Float {
        (1 - repeated) * clockShares[anchor].value(shrinkage: Self.clockShrinkage)
    }

    /// One word, moved towards another by the share that has paid.
    @inline(__always)
    private mutating func followed(
        _ anchor: Int, _ first: Float, _ second: Float, _ share: Float, steps: UInt32
    ) -> Float {
        let limit = 12 * max(bands[anchor].spread, guess(steps))
        return first + share * clamped(second - first, limit)
    }

    /// The trend as it stands, from the base and in units.
    @inline(__always)
    private func outlook(_ m: UnsafePointer<Moment>) -> TrendOutlook {
        let inverse = 1 / m.pointee.unit
        let distance = trend.level - (m.pointee.base - m.pointee.usual)
        return TrendOutlook(distance: clamped(distance * inverse, 1e9), slope: clamped(trend.slope * inverse, 1e9))
    }

    /// How the regression on the clock stands: what it leaves over, in units, and what users have just done.
    @inline(__always)
    private mutating func clockOutlook(_ m: UnsafePointer<Moment>) -> ClockOutlook {
        let users = m.pointee.activity.distance
        let left = m.pointee.base - harmonic.value(m.pointee.clock) - harmonic.effect(of: users)
        return ClockOutlook(left: clamped(left / m.pointee.unit, 200), users: users)
    }

    /// The change that the regression on the clock expects.
    /// - Parameters:
    ///   - distance: from the base to what the clock lets expect at the horizon, units.
    ///   - outlook: as it stood then.
    @inline(__always)
    private mutating func clockChange(
        _ anchor: Int, _ m: UnsafePointer<Moment>, to distance: Float, _ outlook: ClockOutlook, _ inverse: Float
    ) -> Float {
        let steps = m.pointee.anchorSteps[anchor]
        var change = distance + Wave.power(harmonic.kept, steps) * outlook.left
        if outlook.users != 0 {
            let left = m.pointee.activity.left(after: Int64(steps) &* Int64(m.pointee.stepMilliseconds))
            change += harmonic.effect(of: outlook.users) * left * inverse
        }
        return clamped(change, 500)
    }
}

/// What came at a horizon, and what was said of it.
private struct Words {
    var change: Float
    var trend: Float
    var clock: Float
    /// The share of values that repeat the one before.
    var repeated: Float
}

/// A trend as it stood at a step: how far its level lay from the base without what is usual, and its slope, units.
struct TrendOutlook {
    var distance: Float
    var slope: Float

    /// The change that it expects, with what is usual changing by `later`.
    @inline(__always)
    func change(over steps: UInt32, later: Float) -> Float {
        clamped(distance + slope * DampedTrend.reach(steps) + later, 500)
    }
}

/// How the regression on the clock stood at a step: what it left over, units, and what users had just done.
struct ClockOutlook {
    var left: Float
    var users: Float
}
