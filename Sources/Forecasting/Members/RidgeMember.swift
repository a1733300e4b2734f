/// One linear regression per horizon on how far the present lies from what is usual, with bands around it: distances
/// from three exponential means and a median, the last two changes, the distance from the time of day's usual value and
/// its usual change until then. It learns from every step, looking back at what it read a horizon ago.
struct RidgeMember: Member {
    var ring = StepRing()
    var regressions: [6 of Regression] = InlineArray(repeating: Regression())
    private(set) var bands: [6 of Band] = InlineArray(repeating: Band())
    /// Discounted absolute errors of the weights, and of "as now".
    private var modelLoss: [6 of Float] = InlineArray(repeating: 0)
    private var baseLoss: [6 of Float] = InlineArray(repeating: 0)

    /// Forecasts that count as much as all older ones together, where they do not overlap.
    private static let memory: Float = 800

    var isSound: Bool {
        for anchor in 0..<Moment.anchorsMax where !(regressions[anchor].isSound && bands[anchor].isSound) {
            return false
        }
        return ring.isSound
    }

    /// Mean absolute error of one step, units.
    @inline(__always)
    mutating func stepSpread() -> Float { bands[0].spread(guess: guess(1)) }

    /// Doing no worse than "as now" over one step.
    var isGood: Bool { bands[0].judged > 0 && modelLoss[0] <= 1.02 * baseLoss[0] }

    /// The spread that a horizon is given before its first errors: that of a random walk.
    @inline(__always)
    mutating func guess(_ steps: UInt32) -> Float {
        let first = bands[0].judged >= 8 ? bands[0].spread : 1
        return steps <= 1 ? first : first * Float(steps).squareRoot()
    }

    mutating func scale(by factor: Float) { ring.scale(by: factor) }
}

// MARK: Learning

extension RidgeMember {
    mutating func observe(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>) {
        let count = m.pointee.anchorCount
        guard count > 0 else { return }
        ring.adopt(stepsMax: m.pointee.anchorSteps[count &- 1])
        for anchor in 0..<count {
            let steps = m.pointee.anchorSteps[anchor]
            guard m.pointee.step > steps, let place = ring.place(of: m.pointee.step &- steps) else { continue }
            let inverse = 1 / ring.unit(place)
            var features = ring.readings(place)
            let usual = m.pointee.usual - (1 - m.pointee.kept[anchor]) * m.pointee.cyclic
            features[Moment.Reading.later] = clamped((usual - ring.usual(place)) * inverse, 200)
            let change = clamped((m.pointee.value - ring.base(place)) * inverse, 500)
            learn(anchor, features, change: change, steps: steps, shared.pointee.experience(of: m.pointee.kin, anchor))
        }
        ring.keep(
            m.pointee.step, base: m.pointee.base, unit: m.pointee.unit, usual: m.pointee.usual,
            readings: m.pointee.readings)
    }

    private mutating func learn(
        _ anchor: Int, _ features: Regression.Features, change actual: Float, steps: UInt32,
        _ experience: UnsafeMutablePointer<Experience>
    ) {
        let miss = actual - regressions[anchor].predict(features)
        let error = actual - change(anchor, features, steps: steps)
        // Errors of horizons that overlap say little that is new.
        let pace = min(4 / Float(steps), 1)
        bands[anchor].learn(error, guess: guess(steps), pace: pace)
        let judged = bands[anchor].judged
        let spread = bands[anchor].spread
        let gain = max(1 / Float(judged), pace / 200)
        modelLoss[anchor] += gain * (min(miss.magnitude, 20 * spread) - modelLoss[anchor])
        baseLoss[anchor] += gain * (min(actual.magnitude, 20 * spread) - baseLoss[anchor])
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
        let change = change(anchor, features, steps: steps)
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
    private mutating func change(_ anchor: Int, _ features: Regression.Features, steps: UInt32) -> Float {
        let belief = self.belief(anchor)
        if belief == 0 { return 0 }
        let limit = 12 * max(bands[anchor].spread, guess(steps))
        return clamped(belief * regressions[anchor].predict(features), limit)
    }
}
