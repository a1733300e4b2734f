import TwinCore

/// The ensemble of a series: the front reads each step, the members say what may come, the mixture weighs them.
package struct SeriesModel: Forecaster {
    static let anchorsMax = Moment.anchorsMax

    // What is wider than four bytes comes first, so that no padding lies between.
    private var front = SeriesFront()
    private var reference = Reference()
    private var ridge = RidgeMember()
    private var habit = HabitMember()
    private var network = NetworkState()
    private var mixtures: [6 of HorizonMixture] = InlineArray(repeating: HorizonMixture())
    /// By anchor: quantiles of the change from the base, in the series' unit of measure.
    private var curves: [36 of Float] = InlineArray(repeating: 0)
    private var anchorSteps: [6 of UInt32] = InlineArray(repeating: 0)
    package private(set) var status = SeriesStatus()
    private var goodSteps: UInt32 = 0
    private var anchorCount: UInt32 = 0
    /// The class whose experience it begins with.
    private var kin: UInt32 = 0
    /// The step of the last change that was reported, and until when a challenger is tried; 0 if none is.
    private var changedStep: UInt32 = 0
    private var trialEnd: UInt32 = 0

    /// Steps that a retrained model needs at least, and how many good ones in a row, before it is trusted again.
    private static let probationSteps: UInt32 = 30
    private static let goodStepsNeeded: UInt32 = 12
    /// A challenger is tried every so many steps, and so many in all.
    private static let trialEvery: UInt32 = 2
    private static let trialSteps: UInt32 = 48
    /// Usual errors by which it must lead to win, or be behind to lose: the proof is its own to bring.
    private static let leadToWin: Float = 2.5
    private static let leadToLose: Float = -1

    package init() {}

    /// - Parameter kin: what series of its class have in common; any number. Which classes share a place among
    ///   `SharedModels` depends on it, so it must come from the inbox alone, as the number of a metric's name does.
    package init(kin: UInt32) { self.kin = kin }

    package var isSound: Bool {
        anchorCount <= UInt32(Self.anchorsMax) && front.isSound && reference.isSound && ridge.isSound && habit.isSound
            && network.isSound && areMixturesSound
    }
}

extension SeriesModel {
    private var areMixturesSound: Bool {
        for anchor in 0..<Self.anchorsMax where !mixtures[anchor].isSound { return false }
        return true
    }
}

// MARK: Folding

extension SeriesModel {
    package mutating func fold(
        _ value: Double, at milliseconds: Int64, plan: HorizonPlan, shared: UnsafeMutablePointer<SharedModels>,
        neighbours: SIMD4<Float> = SIMD4(repeating: 0), activity: UserActivity = UserActivity()
    ) -> Bool {
        let value = Float(value)
        if front.steps == 0 {
            front.start(value, at: milliseconds)
            report()
            return true
        }
        let elapsed = elapsedSteps(to: milliseconds, plan: plan, clock: shared.pointee.clock)
        guard elapsed > 0 else {
            front.merge(value, spread: ridge.stepSpread())
            status.expected = front.expected
            return false
        }
        let spread = ridge.stepSpread()
        let local = shared.pointee.clock.local(milliseconds)
        front.open(value, elapsed: elapsed, at: milliseconds, spread: spread)
        status.referenceResidual = reference.fold(
            value, at: local, steps: elapsed, step: front.stepMilliseconds)
        for anchor in 0..<Int(anchorCount) {
            mixtures[anchor].mature(
                step: front.step, value: value, prior: shared.pointee.prior(of: kin, anchor),
                carried: shared.pointee.carried)
        }
        front.learn(spread: spread, local: local)
        judge()
        foresee(shared, local: local, observes: true, neighbours: neighbours, activity: activity)
        if trialEnd != 0, tryChallenger() { foresee(shared, local: local, observes: false) }
        return true
    }

    package mutating func pass(
        to milliseconds: Int64, plan: HorizonPlan, shared: UnsafeMutablePointer<SharedModels>
    ) -> Bool {
        guard front.steps > 0 else { return false }
        let elapsed = elapsedSteps(to: milliseconds, plan: plan, clock: shared.pointee.clock)
        guard elapsed > 0 else { return false }
        front.pass(elapsed, to: milliseconds)
        status.referenceResidual = 0
        for anchor in 0..<Int(anchorCount) { mixtures[anchor].forgetPending() }
        foresee(shared, local: shared.pointee.clock.local(milliseconds), observes: false)
        return true
    }

    package mutating func turnBack(to milliseconds: Int64) {
        front.lastMilliseconds = min(front.lastMilliseconds, milliseconds)
    }

    private mutating func elapsedSteps(to milliseconds: Int64, plan: HorizonPlan, clock: LocalTime) -> UInt32 {
        let minimum = UInt32(plan.minimumStepMilliseconds)
        let elapsed = front.elapsedSteps(to: milliseconds, minimum: minimum, clock: clock)
        if elapsed.isNew { adoptStep(plan) }
        return elapsed.count
    }

    /// What this series says of the users of its resource, if it counts them.
    package var activity: UserActivity { ridge.activity(stepMilliseconds: front.stepMilliseconds) }

    private func stepsIn(seconds: Float) -> Float { seconds * 1_000 / Float(max(front.stepMilliseconds, 1)) }

    /// The step is known, or another one: horizons are counted anew.
    private mutating func adoptStep(_ plan: HorizonPlan) {
        var count = 1
        anchorSteps[0] = 1
        for index in 0..<plan.anchorCount where count < Self.anchorsMax {
            let steps = UInt32(clampedInt32(stepsIn(seconds: plan.anchor(index)).rounded(), 1, 100_000))
            if steps > anchorSteps[count - 1] {
                anchorSteps[count] = steps
                count += 1
            }
        }
        anchorCount = UInt32(count)
        ridge = RidgeMember()
        habit = HabitMember()
        network = NetworkState()
        mixtures = InlineArray(repeating: HorizonMixture())
    }

    /// Lets the members read the step, and combines what they say.
    /// - Parameters:
    ///   - local: what the clock showed at the step.
    ///   - observes: the step is new and was measured; otherwise they only speak.
    private mutating func foresee(
        _ shared: UnsafeMutablePointer<SharedModels>, local: Int64, observes: Bool,
        neighbours: SIMD4<Float> = SIMD4(repeating: 0), activity: UserActivity = UserActivity()
    ) {
        var m = Moment()
        m.activity = activity
        for index in 0..<4 { m.neighbours[index] = clamped(neighbours[index], 50) }
        m.anchorCount = Int(anchorCount)
        m.anchorSteps = anchorSteps
        m.kin = kin
        front.read(into: &m, local: local, clock: shared.pointee.clock)
        withUnsafePointer(to: m) { m in
            if observes {
                ridge.observe(m, shared)
                network.observe(m, shared)
                habit.observe(m, shared)
            }
            combine(m, shared)
        }
        report()
    }

    /// Quantiles close to a value that comes again and again are that value: a distribution may have point masses.
    @inline(__always)
    private mutating func snap(_ issued: UnsafeMutablePointer<Float>, unit: Float) {
        // Where nothing ever moves, what is left of a spread is rounding.
        let rounding = 5e-5 * front.base.magnitude
        let near = max(0.02 * (issued[4] - issued[0]) * unit, rounding)
        let inverse = 1 / unit
        for level in 0..<HorizonMixture.levels {
            let value = front.base + issued[level] * unit
            // Below the upper quantiles what is moved loses more than a point mass brings.
            let atom = habit.snapped(value, within: level > 1 ? near : rounding)
            if atom != value { issued[level] = (atom - front.base) * inverse }
        }
    }

    private mutating func report() {
        status.residual = front.residual
        status.expected = front.expected
        status.stepMilliseconds = front.stepMilliseconds
        status.steps = front.steps
    }

    private mutating func combine(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>) {
        let said = shared.pointee.said
        let issued = said + HorizonMixture.numbers
        for anchor in 0..<Int(anchorCount) {
            var awake: UInt32 = 0
            // What a member that sleeps would have said is no other series' word.
            for index in 0..<HorizonMixture.numbers { said[index] = 0 }
            if ridge.forecast(anchor, m, shared, into: said) { awake |= 1 }
            if network.forecast(anchor, m, shared, into: said + HorizonMixture.levels) { awake |= 2 }
            if habit.forecast(anchor, m, shared, into: said + 2 &* HorizonMixture.levels) { awake |= 4 }
            let prior = shared.pointee.prior(of: kin, anchor)
            mixtures[anchor].combine(said, awake: awake, prior: prior)
            snap(issued, unit: m.pointee.unit)
            mixtures[anchor].extend(issued, prior: prior)
            if mixtures[anchor].isDue(m.pointee.step) {
                mixtures[anchor].keep(said, awake: awake, m, horizon: anchorSteps[anchor])
            }
            for level in 0..<6 { curves[6 &* anchor &+ level] = issued[level] * m.pointee.unit }
        }
        front.expected = anchorCount > 0 ? front.bounded(front.base + curves[1], factor: 0.5) : front.base
    }
}

// MARK: Forecasting

extension SeriesModel {
    package mutating func forecast(horizonSeconds: Float, into out: UnsafeMutablePointer<Float>) {
        out[1 &+ ForecastLevels.count] = 0
        guard anchorCount > 0 else { return writeUnknown(out) }
        let steps = max(stepsIn(seconds: horizonSeconds), 1)
        var upper = 0
        while upper < Int(anchorCount) && Float(anchorSteps[upper]) < steps - 0.5 { upper &+= 1 }
        if upper == Int(anchorCount) {
            // Beyond the last anchor errors grow as a random walk's.
            let last = upper &- 1
            write(last, last, 0, (steps / Float(anchorSteps[last])).squareRoot(), out)
        } else if upper == 0 || Float(anchorSteps[upper]) <= steps + 0.5 {
            write(upper, upper, 0, 1, out)
        } else {
            let low = Float(anchorSteps[upper &- 1]).squareRoot()
            let share = (steps.squareRoot() - low) / (Float(anchorSteps[upper]).squareRoot() - low)
            write(upper &- 1, upper, share, 1, out)
        }
    }

    /// Before the first gap nothing is known but the value.
    private mutating func writeUnknown(_ out: UnsafeMutablePointer<Float>) {
        let offsets = ForecastLevels.initial
        for level in 0..<ForecastLevels.count { out[1 &+ level] = front.base + 4 * front.unit * offsets[level] }
        tidy(out)
    }

    /// A forecast between two anchors, `share` of the way; distances from the median grow by `growth`.
    private mutating func write(
        _ low: Int, _ high: Int, _ share: Float, _ growth: Float, _ out: UnsafeMutablePointer<Float>
    ) {
        for level in 0..<ForecastLevels.count {
            let first = curves[6 &* low &+ level]
            out[1 &+ level] = first + share * (curves[6 &* high &+ level] - first)
        }
        out[1 &+ ForecastLevels.count] = min(mixtures[low].tail.count, mixtures[high].tail.count)
        let median = out[2]
        for level in 0..<ForecastLevels.count {
            let value = front.base + median + growth * (out[1 &+ level] - median)
            out[1 &+ level] = front.bounded(value, factor: 3)
        }
        tidy(out)
    }

    /// Quantiles ascend, and nothing is negative that never was. The mean is Swanson's, 0.3 · P10 + 0.4 · P50 + 0.3 ·
    /// P90 (Hurst, Brown, Swanson, "Swanson's 30-40-30 rule", 2000).
    @inline(__always)
    private mutating func tidy(_ out: UnsafeMutablePointer<Float>) {
        var last: Float = front.isNegative == 0 ? 0 : -.greatestFiniteMagnitude
        for index in 1...ForecastLevels.count {
            last = out[index] > last ? out[index] : last
            out[index] = last
        }
        out[0] = out[2] + 0.3 * ((out[1] - out[2]) + (out[3] - out[2]))
    }
}

// MARK: Trust

extension SeriesModel {
    /// Gives trust back when it was earned: by forecasts no worse than "as now", and a reference to be judged by.
    private mutating func judge() {
        guard status.isDistrusted else { return }
        goodSteps = ridge.isGood ? min(goodSteps &+ 1, 1_000) : 0
        guard front.step &- changedStep >= Self.probationSteps, goodSteps >= Self.goodStepsNeeded, !reference.isEmpty
        else { return }
        status.isDistrusted = false
    }

    package mutating func distrust() {
        status.isDistrusted = true
        goodSteps = 0
    }

    package mutating func retrain(
        since history: UnsafeBufferPointer<Float>, settleSteps: UInt32, shared: UnsafeMutablePointer<SharedModels>
    ) {
        guard front.steps > 0 else { return }
        distrust()
        let local = shared.pointee.clock.local(front.lastMilliseconds)
        reference.refit(history, last: local, settleSteps: settleSteps)
        changedStep = front.step &- min(front.step, UInt32(max(history.count, 1) &- 1))
        trialEnd = front.step &+ Self.trialSteps
        _ = tryChallenger()
        foresee(shared, local: local, observes: false)
    }

    /// Levels that know only the steps since the change forecast beside those in use, and take their place as soon as
    /// they lead (A. Wald, "Sequential Analysis", 1947: evidence is added up until it is enough for one side).
    /// - Returns: true if they took it.
    private mutating func tryChallenger() -> Bool {
        let isFirst = front.step &+ Self.trialSteps == trialEnd
        guard front.step <= trialEnd else {
            trialEnd = 0
            return false
        }
        guard isFirst || (front.step &- changedStep) % Self.trialEvery == 0 else { return false }
        let trial = ridge.challenger(
            front, since: changedStep, isUsualKnown: front.isUsualKnown, anchorCount: Int(anchorCount),
            anchorSteps: anchorSteps)
        guard let trial else { return false }
        if trial.lead <= Self.leadToLose { trialEnd = 0 }
        guard trial.lead >= Self.leadToWin else { return false }
        front.adopt(trial.levels)
        ridge.move(to: trial.levels.normal, at: front.step)
        trialEnd = 0
        return true
    }

    /// A cycle of this period was found in the series' history.
    package mutating func adoptCycle(periodMilliseconds: Int64) {
        guard front.stepMilliseconds > 0, periodMilliseconds > 2 * Int64(front.stepMilliseconds) else { return }
        front.adoptCycle(periodMilliseconds: periodMilliseconds)
    }

    /// Looks for a cycle in the series' steps of late, oldest first.
    package mutating func seekCycle(in history: UnsafeBufferPointer<Float>) {
        let steps = PeriodFinder.period(of: history)
        if steps > 0 { adoptCycle(periodMilliseconds: Int64(steps) &* Int64(front.stepMilliseconds)) }
    }

    package mutating func scale(by factor: Float) {
        guard factor > 0, factor < 1e20 else { return }
        front.scale(by: factor)
        reference.scale(by: factor)
        ridge.scale(by: factor)
        habit.scale(by: factor)
        network.scale(by: factor)
        for index in 0..<Self.anchorsMax { mixtures[index].scale(by: factor) }
        for index in 0..<36 { curves[index] *= factor }
        report()
    }
}
