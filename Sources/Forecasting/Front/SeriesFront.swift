import TwinCore

/// The front of a series: finds its step, decides how much of a value is believed, and keeps what the members of the
/// ensemble read: a robust level, exponential means, a daily profile, scales.
///
/// A single spike moves the base by a few deviations only; values that stay there are followed within a few steps,
/// as each outlier in a row on the same side doubles what the next may move.
struct SeriesFront: BitwiseCopyable {
    var lastMilliseconds: Int64 = 0
    var profile = DailyProfile()
    private var week = Season()
    /// A cycle with a period found in the data.
    private(set) var cycle = Season()
    private var finder = StepFinder()
    /// Milliseconds of the series' step; 0 before it is known.
    private(set) var stepMilliseconds: UInt32 = 0
    private(set) var levels = Levels()
    /// The last value as far as it is believed; forecasts start here.
    private(set) var base: Float = 0
    /// The last value as measured.
    private(set) var value: Float = 0
    /// The highest and lowest base, drawing together slowly.
    private var high: Float = 0
    private var low: Float = 0
    /// Mean absolute one-step errors over a short and a long memory.
    private var fastScale: Float = 0
    private var slowScale: Float = 0
    /// What was forecast for the step to come.
    var expected: Float = 0
    /// The last two changes, units.
    private var change: Float = 0
    private var changeBefore: Float = 0
    /// Share of values that repeat the one before.
    private var repeated: Float = 0
    /// Values that were merged into the present step.
    private var merged: Float = 0
    private(set) var residual: Float = 0
    /// Number of the present step; gaps count.
    private(set) var step: UInt32 = 0
    private(set) var steps: UInt32 = 0
    /// Steps since the series' step was found.
    private(set) var age: UInt32 = 0
    /// Steps from the one before to the present one.
    private var elapsed: UInt32 = 1
    /// 1 once a value below zero was seen.
    private(set) var isNegative: UInt32 = 0
    /// Outliers in a row on one side; negative below.
    private var outliers: Int32 = 0

    /// So many outliers in a row on one side are a new level.
    private static let jumpSteps: UInt32 = 4
    /// A cycle that is believed less may be replaced.
    private static let cycleBeliefMin: Float = 0.3
    /// The level that a cycle lies around forgets over 1 / so many cycles.
    private static let cycleCentring: Float = 0.5
    private static let weekMilliseconds: Int64 = 604_800_000

    var isSound: Bool { profile.isSound && week.isSound && cycle.isSound && outliers > -100 && outliers < 100 }

    /// The unit of errors and features: the one-step error of late, larger at higher levels where the series is never
    /// negative (√ of the ratio, as counts do).
    @inline(__always)
    var unit: Float {
        // A quiet night does not make the morning's first steps outliers.
        let mean = (max(fastScale, slowScale / 64) * slowScale).squareRoot()
        return max(mean * levelFactor, (high - low) * 1e-3, base.magnitude * 1e-5, 1e-9)
    }

    /// A value as near as forecasts may lie: beyond what was seen by no more than `factor` times its range.
    @inline(__always)
    func bounded(_ value: Float, factor: Float) -> Float {
        let room = factor * (high - low) + unit
        return min(max(value, low - room), high + room)
    }

    @inline(__always)
    private var levelFactor: Float {
        guard isNegative == 0, levels.normal > 0 else { return 1 }
        let ratio = levels.means[0] / levels.normal
        return ratio >= 10 ? 3.1623 : ratio <= 0.1 ? 0.3162 : ratio.squareRoot()
    }
}

// MARK: Steps

extension SeriesFront {
    mutating func start(_ value: Float, at milliseconds: Int64) {
        lastMilliseconds = milliseconds
        steps = 1
        step = 1
        age = 1
        base = value
        self.value = value
        expected = value
        levels = Levels(value, usual: 0)
        high = value
        low = value
        // Until the first errors are seen: a tenth of the value.
        fastScale = value.magnitude * 0.1
        slowScale = fastScale
        merged = 1
        if value < 0 { isNegative = 1 }
    }

    /// How many steps lie between the last step and a sample; 0 if it belongs to the last one. Also finds the step.
    /// - Returns: with it, true if the step is another one from now on.
    mutating func elapsedSteps(
        to milliseconds: Int64, minimum: UInt32, clock: LocalTime
    ) -> (count: UInt32, isNew: Bool) {
        let gap = milliseconds &- lastMilliseconds
        guard gap > 0 else { return (0, false) }
        let isNew = finder.note(gap: gap, minimum: minimum)
        if isNew {
            stepMilliseconds = finder.milliseconds
            let local = clock.local(milliseconds)
            profile.reset(stepMilliseconds: stepMilliseconds, at: local, origin: base)
            week.reset(periodMilliseconds: Self.weekMilliseconds, stepMilliseconds: stepMilliseconds, at: local)
            cycle = Season()
            age = 1
        }
        return (finder.steps(in: gap), isNew)
    }

    /// A step passes whose value is not to be learned from.
    mutating func pass(_ count: UInt32, to milliseconds: Int64) {
        lastMilliseconds = milliseconds
        step &+= count
        elapsed = count
        base = expected
        residual = 0
    }

    /// A further value within the present step: the step's mean moves.
    /// - Parameter spread: mean absolute error of one step, units.
    mutating func merge(_ value: Float, spread: Float) {
        if value < 0 { isNegative = 1 }
        merged = min(merged + 1, 1_000)
        let limit = 3.5 * unit * max(spread, 0.1)
        let change = clamped(value - base, limit) / merged
        base += change
        expected += change
        levels.shift(by: change)
    }

    /// Begins a step: its number, and how far the value lies from what was expected. Nothing is learned from it yet.
    mutating func open(_ value: Float, elapsed count: UInt32, at milliseconds: Int64, spread: Float) {
        lastMilliseconds = milliseconds
        step &+= count
        elapsed = count
        steps = steps == .max ? .max : steps &+ 1
        age = age == .max ? .max : age &+ 1
        merged = 1
        if value < 0 { isNegative = 1 }
        repeated += max(1 / Float(min(age, 100)), 0.01) * ((value == self.value ? 1 : 0) - repeated)
        self.value = value
        residual = clamped((value - expected) / (1.2533 * deviation(spread)), Reference.residualMax)
    }

    private func deviation(_ spread: Float) -> Float {
        max(unit * spread, 1e-12) * (elapsed == 1 ? 1 : Float(min(elapsed, 64)).squareRoot())
    }

    /// Learns from the value that opened the step, at `local` by the clock.
    mutating func learn(spread: Float, local: Int64) {
        let width = elapsed == 1 ? 1 : Float(min(elapsed, 64)).squareRoot()
        let unit = self.unit
        let believed = expected + believe(value - expected, deviation(spread))
        changeBefore = change
        change = clamped((believed - base) / unit, 50)
        learnScale((believed - expected).magnitude / (width * levelFactor))
        base = believed
        if outliers.magnitude == Self.jumpSteps { jump(local) }
        learnLevels(local)
    }

    /// How much of an error is believed: a spike is cut, a run of outliers on one side is not.
    private mutating func believe(_ error: Float, _ deviation: Float) -> Float {
        let limit: Float = 3.5 * deviation
        guard error.magnitude > limit else {
            outliers = 0
            return error
        }
        let side: Int32 = error > 0 ? 1 : -1
        outliers = outliers &* side > 0 ? outliers &+ (outliers &* side < 60 ? side : 0) : side
        let run = Int(outliers.magnitude) - 1
        // The young have no deviation that outliers could be measured by.
        if age < 8 || outliers.magnitude >= Self.jumpSteps { return error }
        return clamped(error, limit * Float(1 << run))
    }

    /// The level has moved for good: means and level follow at once, instead of pulling back for as long as they
    /// remember.
    private mutating func jump(_ local: Int64) {
        let median = levels.median
        levels = Levels(base, usual: usual(at: lastMilliseconds, local: local))
        levels.median = median
    }

    /// What is usual at a moment by the day and the week of the local clock and the cycle found: the distance from the
    /// level.
    @inline(__always)
    private mutating func usual(at milliseconds: Int64, local: Int64) -> Float {
        profile.value(at: local) + week.value(at: local) + cycle.value(at: milliseconds)
    }

    /// Something is known of what is usual.
    var isUsualKnown: Bool { profile.isReady || cycle.belief > 0 }

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

    private mutating func learnLevels(_ local: Int64) {
        high = max(base, high + 0.0005 * (levels.means[2] - high))
        low = min(base, low + 0.0005 * (levels.means[2] - low))
        let daily = profile.value(at: local)
        let weekly = week.value(at: local)
        let cyclic = cycle.value(at: lastMilliseconds)
        levels.learn(base, usual: daily + weekly + cyclic, pace(Float(min(age, 100_000)), elapsed))
        let distance = base - levels.normal - daily
        let perCycle = Float(stepMilliseconds) / Float(max(cycle.periodMilliseconds, 1))
        cycle.fold(distance - weekly, at: lastMilliseconds, centring: Self.cycleCentring * perCycle)
        if profile.isReady { week.fold(distance - cyclic, at: local) }
        // The day learns as if there were no cycle: what it comes to know lasts longer than a few cycles.
        let origin = (profile.isReady ? levels.normal : profile.origin) + weekly
        if let shift = profile.fold(base - origin, at: local) { levels.normal = profile.origin + shift }
    }

    /// - Parameters:
    ///   - count: steps that the levels rest on.
    ///   - elapsed: steps since the one before.
    @inline(__always)
    func pace(_ count: Float, _ elapsed: UInt32) -> Levels.Pace {
        let perDay = 3 / max(86_400_000 / Float(max(stepMilliseconds, 1)), 8)
        return Levels.Pace(count: count, elapsed: elapsed, daily: perDay, medianStep: 0.05 * slowScale)
    }
}

// MARK: Reading

extension SeriesFront {
    /// What the members read of the present step, which was at `local` by the clock; anchors are the caller's.
    mutating func read(into m: inout Moment, local: Int64, clock: LocalTime) {
        let unit = self.unit
        let inverse = 1 / unit
        let usual = self.usual(at: lastMilliseconds, local: local)
        m.milliseconds = lastMilliseconds
        m.step = step
        m.clock = ClockReadings.read(local)
        m.elapsed = elapsed
        m.stepMilliseconds = stepMilliseconds
        m.value = value
        m.base = base
        m.unit = unit
        m.change = change
        m.usual = usual
        m.cyclic = cycle.value(at: lastMilliseconds)
        let isUsualKnown = self.isUsualKnown
        levels.read(base, usual: usual, isUsualKnown: isUsualKnown, inverse: inverse, into: &m.readings)
        m.readings[Moment.Reading.changes] = change
        m.readings[Moment.Reading.changes + 1] = changeBefore
        for index in 0..<5 { m.inputs[index] = m.readings[index] }
        m.inputs[MomentInput.liveliness] = NetworkCode.log2(max(fastScale, 1e-20) / max(slowScale, 1e-20))
        m.inputs[MomentInput.fromUsual] = m.readings[Moment.Reading.fromUsual]
        let turns = Float(local.flooredDivision(by: 86_400_000).remainder) / 86_400_000
        m.inputs[MomentInput.timeOfDay] = Wave.sine(turns: turns)
        m.inputs[MomentInput.timeOfDay + 1] = Wave.cosine(turns: turns)
        m.inputs[MomentInput.timeOfDay + 2] = Wave.sine(turns: 2 * turns)
        m.inputs[MomentInput.timeOfDay + 3] = Wave.cosine(turns: 2 * turns)
        m.inputs[MomentInput.relativeLevel] =
            isNegative == 0 && levels.normal > 0 ? min(base / max(levels.means[2], 1e-20), 10) - 1 : 0
        m.inputs[MomentInput.repeated] = repeated
        m.inputs[MomentInput.fromMedian] = m.readings[Moment.Reading.fromMedian]
        m.inputs[MomentInput.gap] = NetworkCode.log2(Float(max(elapsed, 1)))
        for anchor in 0..<m.anchorCount {
            let ahead = Int64(m.anchorSteps[anchor]) &* Int64(stepMilliseconds)
            let target = lastMilliseconds &+ ahead
            m.kept[anchor] = cycle.kept(after: ahead)
            let then = clock.local(target)
            m.clockThen[anchor] = ClockReadings.read(then)
            let later =
                profile.value(at: then) + week.value(at: then) + m.kept[anchor] * cycle.value(at: target)
            m.later[anchor] = clamped((later - usual) * inverse, 200)
            m.seasonal[anchor] = isUsualKnown ? clamped((levels.normal + later - base) * inverse, 200) : 0
        }
        m.inputs[MomentInput.seasonalChange] = m.anchorCount > 1 ? m.seasonal[1] : 0
    }

    /// Goes on with levels that know only the steps since a change. What is usual in a day or a week stays, and so does
    /// the way from the level to the slow median. What the change itself was off by is no noise: errors are as large as
    /// before it, or as of late where that is less.
    mutating func adopt(_ levels: Levels) {
        let median = self.levels.median + (levels.normal - self.levels.normal)
        self.levels = levels
        self.levels.median = median
        let usual = slowScale
        slowScale = min(usual, max(fastScale, usual / 64))
        fastScale = min(fastScale, usual)
    }

    /// A cycle of this period was found in the data. It takes the place of one that is not believed.
    mutating func adoptCycle(periodMilliseconds period: Int64) {
        let isKnown = (cycle.periodMilliseconds &- period).magnitude <= UInt64(stepMilliseconds) / 2
        guard !isKnown, cycle.belief < Self.cycleBeliefMin else { return }
        cycle.reset(periodMilliseconds: period, stepMilliseconds: stepMilliseconds, at: lastMilliseconds)
    }

    mutating func scale(by factor: Float) {
        profile.scale(by: factor)
        week.scale(by: factor)
        cycle.scale(by: factor)
        levels.scale(by: factor)
        base *= factor
        value *= factor
        high *= factor
        low *= factor
        fastScale *= factor
        slowScale *= factor
        expected *= factor
    }
}
