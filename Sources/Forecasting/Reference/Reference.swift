import TwinCore

#if canImport(Glibc)
    import Glibc
#endif

/// The reference that drift is judged against: a small autoregression with a daily shape, fitted to the steps since the
/// last change and frozen. The live model soon calls a change normal; here it stays visible.
///
/// The next value is explained by an intercept, the two values before it and four harmonics of the day. Only the normal
/// equations are kept up step by step; they are solved again when the history has grown by a 32nd and the residuals
/// show no drift, so that a change is found long before it is learned. Errors beyond two deviations are believed the
/// less the larger they are, and values enter as far as they are believed (pseudo-values, P. Huber, "Robust
/// Statistics", 1981, section 7.8, with a redescending score); what is younger than 17 steps is not learned from yet,
/// as it may belong to a change that is just being found.
///
/// Where the level alone explains the series as well (`LevelReference`, compared by robust sizes of the errors),
/// residuals are distances from it: an autoregression leans towards levels of before.
///
/// A reported change moves the origin and leaves the rest of the fit as it is, so that the next change is seen at once.
/// The steps after it are its probation: if their mean error against the old level is less than two standard errors,
/// the alarm was false and the old level is taken up again; else old steps count for no more than a day's from then on.
///
/// Residuals are errors in robust standard deviations (a recursive M-estimate of scale). Where noise grows with the
/// level (counts, multiplicative noise) its power of the level is learned too, or each busy hour would look like a
/// change of the spread; where errors are large at the same time of every day, they are expected there
/// (`DailySurprise`). A young fit's errors count for less, by √(1 + 1/n). What the parts of a week differ by in every
/// week (`WeekShape`) is taken off first: all that is said above is said of what is left.
struct Reference: BitwiseCopyable {
    typealias Features = ReferenceFit.Features

    private var fit = ReferenceFit()
    /// As frozen.
    private var weights: Features = InlineArray(repeating: 0)
    private var growth = NoiseGrowth()
    private var surprise = DailySurprise()
    private var level = LevelReference()
    private var week = WeekShape()
    /// Robust sizes of the errors of both models, each over the same steps.
    private var fitSize: Float = 1
    private var levelSize: Float = 1
    /// 1 where the level alone explains the series as well.
    private var usesLevel: UInt32 = 0
    /// Steps that the level of after a change rests on; 0 once it is known well enough.
    private var trackedSteps: UInt32 = 0
    /// Steps until a change is confirmed or revoked, those so far, and the sum of their errors against the old level.
    private var probationLeft: UInt32 = 0
    private var probationSteps: Float = 0
    private var probationSum: Float = 0
    /// The level of before the change.
    private var oldOrigin: Float = 0
    /// 1 once the shape of the day is part of the fit.
    private var knowsDay: UInt32 = 0
    /// Steps that the scale rests on.
    private var scaleAge: UInt32 = 0
    /// Believed values that are not learned from yet, a ring whose next place is `waitingPlace`, and the last two
    /// that were learned from.
    private var waiting: [18 of Float] = InlineArray(repeating: 0)
    private var waitingCount: UInt32 = 0
    private var waitingPlace: UInt32 = 0
    private var learned: Float = 0
    private var learnedBefore: Float = 0
    /// What values are measured from and in; `unit` is 0 before it is known.
    private var origin: Float = 0
    private var unit: Float = 0
    /// The last two values as far as they were believed, in `unit`s from `origin`.
    private var last: Float = 0
    private var lastButOne: Float = 0
    /// Robust deviation of the errors, in `unit`s: as learned, and as frozen.
    private var scale: Float = 0
    private var noise: Float = 0
    /// How noise grows with the expected value, and the value at which it is `noise`; as frozen.
    private var power: Float = 0
    private var normal: Float = 0
    /// Running mean of the residuals.
    private var mean: Float = 0
    /// Steps that the fit rests on: now, when it was frozen, when it will be next; and steps in all.
    private var age: UInt32 = 0
    private var frozenAge: UInt32 = 0
    private var nextFreeze: UInt32 = Self.stepsMin
    private var total: UInt32 = 0
    private var stepMilliseconds: UInt32 = 0
    private var isFrozen: UInt32 = 0
    /// The fit was renewed since the last step.
    private var isRenewed: UInt32 = 0

    /// Largest residual, σ.
    static let residualMax: Float = 50
    private static let waitingMax = 18
    /// Steps for the unit, and for the first fit.
    private static let warmSteps: UInt32 = 12
    private static let stepsMin: UInt32 = 30
    /// Below so many steps fewer values wait.
    private static let youngSteps: UInt32 = 64
    private static let newSteps: UInt32 = 8
    private static let waitingYoung: UInt32 = 5
    /// Errors up to so many deviations are believed.
    private static let believedDeviations: Float = 2
    /// Sum of the weights of the two values before, with a daily shape and without: what follows a wandering level
    /// hides its change.
    private static let persistenceMax: Float = 0.9
    private static let persistenceMaxYoung: Float = 0.98
    /// A mean of late beyond this speaks of a change, and fitting anew would hide it.
    private static let quietMean: Float = 0.25
    /// The level is the reference if its errors are at most so many times those of the fit; and stays it.
    private static let levelTaken: Float = 1
    private static let levelKept: Float = 1.1
    /// Old steps count for no more than so many; after a change for a day's, within bounds.
    private static let memorySteps: Float = 8_192
    private static let keptMin: Float = 200
    private static let keptMax: Float = 4_000
    private static let keptScaleSteps: UInt32 = 48
    /// Steps after a change for which its level is followed.
    private static let trackedStepsMax: UInt32 = 128
    /// By how many bins of `DailySurprise` what recurs may come earlier or later.
    private static let jitterBins = 3
    /// Below so much of the level nothing is a change.
    private static let noiseFloor: Float = 0.003

    var isSound: Bool {
        waitingPlace < UInt32(Self.waitingMax) && waitingCount < UInt32(Self.waitingMax) && surprise.isSound
            && week.isSound
    }
    var isEmpty: Bool { isFrozen == 0 }

    /// The standardised residual of a value.
    /// - Parameters:
    ///   - steps: steps since the value before, 1 if none is missing.
    ///   - step: length of a step, milliseconds; another one begins anew.
    /// - Returns: NaN while nothing is frozen, and once after each renewal.
    mutating func fold(_ value: Float, at milliseconds: Int64, steps: UInt32, step: UInt32) -> Float {
        if step != stepMilliseconds { begin(value, step: step) }
        age = min(age &+ 1, 1 << 30)
        scaleAge = min(scaleAge &+ 1, 1 << 30)
        total = min(total &+ 1, 1 << 30)
        follow(week: value, at: milliseconds)
        guard unit > 0 else { return warm(value) }
        let usually = week.value(at: milliseconds)
        let measured = (value - usually - origin) / unit
        let width = steps > 1 ? skip(to: milliseconds, steps: steps) : 1
        let features = features(at: milliseconds, last, lastButOne)
        let expected = isFrozen != 0 ? predict(features) : last
        let spread = spread(at: expected + usually / unit)
        let error = measured - expected
        let usual = max(noise * spread * width, 1e-12)
        let surprising = surprise.width(at: milliseconds, step: stepMilliseconds)
        let deviation = usual * surprising * (1 + 1 / Float(age)).squareRoot()
        if width == 1 {
            growth.fold(value, expected: origin + usually + unit * expected, error: error / max(noise, 1e-12))
            learnScale(error / (spread * surprising))
        } else {
            dropWaiting()
        }
        let believed = expected + Self.believe(error, limit: Self.believedDeviations * deviation)
        learn(believed, at: milliseconds)
        let levelDeviation = level.deviation(floor: floor)
        let levelError = level.fold(measured, at: milliseconds, followsJumps: usesLevel == 0)
        if isFrozen != 0 {
            compare(error, levelError)
            let size = usesLevel != 0 ? levelError / levelDeviation : error / usual
            surprise.fold(size, at: milliseconds, step: stepMilliseconds, jitter: usesLevel != 0 ? 1 : Self.jitterBins)
        }
        if trackedSteps > 0 { track(error, usual) }
        let residual = usesLevel != 0 ? levelError / levelDeviation : error / deviation
        return judge(clamped(residual, Self.residualMax))
    }

    /// Learns what the week is like. When that is used for the first time, or no longer, the level stays where it is.
    @inline(__always)
    private mutating func follow(week value: Float, at milliseconds: Int64) {
        let before = week.value(at: milliseconds)
        guard week.fold(value, at: milliseconds), unit > 0 else { return }
        shiftOrigin(by: (before - week.value(at: milliseconds)) / unit)
    }

    /// As much of an error as is believed: all up to the limit, beyond it the less the larger it is. So a single spike
    /// does not lean the next expectation its way, and after a large change the old level stays expected.
    @inline(__always)
    private static func believe(_ error: Float, limit: Float) -> Float {
        error.magnitude <= limit ? error : limit * (limit / error)
    }

    /// Which of the models errs less; it is settled when a fit is frozen.
    @inline(__always)
    private mutating func compare(_ error: Float, _ levelError: Float) {
        let gain: Float = 1 / Float(min(total, 128) &+ 8)
        fitSize = RobustScale.follow(fitSize, error, gain: gain)
        levelSize = RobustScale.follow(levelSize, levelError, gain: gain)
    }

    /// After a change the fit goes on from the new level, which is followed ever more slowly.
    private mutating func track(_ error: Float, _ usual: Float) {
        let moved = (origin - oldOrigin) / unit * (1 - persistence)
        trackedSteps &+= 1
        shiftOrigin(by: clamped(error, 2 * usual) / Float(trackedSteps) / (1 - persistence))
        if probationLeft > 0 {
            probationLeft &-= 1
            probationSteps += 1
            probationSum += clamped(error + moved, 3 * usual)
            if probationLeft == 0 { endProbation(usual) }
        } else if trackedSteps >= Self.trackedStepsMax {
            trackedSteps = 0
        }
    }

    /// The steps after an alarm tell whether there was a change: if they fit the old level, it is taken up again.
    private mutating func endProbation(_ usual: Float) {
        let mean = probationSum / probationSteps
        if mean.magnitude < 2 * usual / probationSteps.squareRoot() {
            isRenewed = 1
            trackedSteps = 0
            return shiftOrigin(by: (oldOrigin - origin) / unit)
        }
        fit.limit(to: keptSteps)
        age = min(age, UInt32(keptSteps))
        frozenAge = age
        nextFreeze = age &+ max(age / 32, 1)
    }

    private var persistence: Float { weights[1] + weights[2] }

    /// Measures from another level: what was learned holds for distances from it.
    private mutating func shiftOrigin(by change: Float) {
        let bounded = clamped(change, 1e6)
        guard (origin + bounded * unit).magnitude < 1e37 else { return }
        origin += bounded * unit
        last -= bounded
        lastButOne -= bounded
        learned -= bounded
        learnedBefore -= bounded
        for index in 0..<Self.waitingMax { waiting[index] -= bounded }
        level.shift(by: -bounded)
    }

    /// Nothing below is a change.
    private var floor: Float { max(Self.noiseFloor * (origin / unit).magnitude, 1e-4) }

    private mutating func begin(_ value: Float, step: UInt32) {
        self = Reference()
        stepMilliseconds = step
        week.start(step: step)
        origin = value
        last = value
    }

    /// The first steps only tell where the series is and how large its movements are.
    private mutating func warm(_ value: Float) -> Float {
        scale += ((value - last).magnitude - scale) / Float(age)
        origin += (value - origin) / Float(age)
        last = value
        guard age >= Self.warmSteps else { return .nan }
        unit = max(scale, origin.magnitude * 1e-4, 1e-9)
        last = (value - origin) / unit
        lastButOne = last
        dropWaiting()
        level.start(at: last, scale: 1)
        noise = 1
        scale = 1
        scaleAge = 0
        age = 0
        return .nan
    }

    /// Steps without a sample: what was expected stands for what was not seen.
    /// - Returns: how much wider the error is for it.
    private mutating func skip(to milliseconds: Int64, steps: UInt32) -> Float {
        var back = Int64(min(steps &- 1, 16))
        let kept = isFrozen != 0 ? weights[1] + weights[2] : 1
        var variance: Float = 1
        while back > 0 {
            let time = milliseconds &- back &* Int64(stepMilliseconds)
            let expected = isFrozen != 0 ? predict(features(at: time, last, lastButOne)) : last
            lastButOne = last
            last = expected
            variance = 1 + kept * kept * variance
            back &-= 1
        }
        return variance.squareRoot()
    }

    @inline(__always)
    private func predict(_ x: Features) -> Float {
        var sum: Float = 0
        for index in 0..<ReferenceFit.count { sum += weights[index] * x[index] }
        return sum
    }

    /// An intercept, the two values before, sine and cosine of four harmonics of the day.
    private func features(at milliseconds: Int64, _ last: Float, _ lastButOne: Float) -> Features {
        let day = milliseconds.flooredDivision(by: 86_400_000).remainder
        let angle = Float(day) * (2 * Float.pi / 86_400_000)
        let s = sinf(angle)
        let c = cosf(angle)
        let s2 = 2 * s * c
        let c2 = c * c - s * s
        return [
            1, last, lastButOne, s, c, s2, c2, s2 * c + c2 * s, c2 * c - s2 * s, 2 * s2 * c2, c2 * c2 - s2 * s2,
        ]
    }

    /// How much larger noise is at an expected value than at `normal`.
    @inline(__always)
    private func spread(at expected: Float) -> Float {
        guard power > 0 else { return 1 }
        let ratio = min(max((origin + unit * expected) / max(normal, 1e-30), 0.01), 100)
        return exp2f(power * log2f(ratio))
    }

    @inline(__always)
    private mutating func learnScale(_ error: Float) {
        scale = RobustScale.follow(scale, error, gain: 1 / Float(min(scaleAge &+ 8, 1_024)))
    }

    /// Takes a value into the ring, and those that have waited long enough into the fit.
    private mutating func learn(_ believed: Float, at milliseconds: Int64) {
        waiting[Int(waitingPlace)] = believed
        waitingPlace = waitingPlace &+ 1 == UInt32(Self.waitingMax) ? 0 : waitingPlace &+ 1
        waitingCount &+= 1
        while waitingCount > waitingAllowed {
            waitingCount &-= 1
            let back = Int(waitingCount)
            let place = (Int(waitingPlace) &+ 2 &* Self.waitingMax &- 1 &- back) % Self.waitingMax
            let time = milliseconds &- Int64(back) &* Int64(stepMilliseconds)
            fit.fold(features(at: time, learned, learnedBefore), waiting[place])
            learnedBefore = learned
            learned = waiting[place]
        }
        lastButOne = last
        last = believed
    }

    /// How many values may wait: the fewer the less there is to learn from.
    private var waitingAllowed: UInt32 {
        if age < Self.newSteps { return 0 }
        return age < Self.youngSteps ? Self.waitingYoung : UInt32(Self.waitingMax) &- 1
    }

    /// After a gap the next value has other predecessors.
    private mutating func dropWaiting() {
        waitingCount = 0
        learned = last
        learnedBefore = lastButOne
    }

    /// Freezes anew when it is time; the residual, if there was anything to judge by.
    private mutating func judge(_ residual: Float) -> Float {
        guard isFrozen != 0 else {
            noise = scale
            if age >= nextFreeze { freeze() }
            return .nan
        }
        mean += (clamped(residual, 3) - mean) / 64
        if age >= nextFreeze {
            // What no detector calls a drift in as long a time as the fit rests on is not one.
            let isStale = age > 512 && age / 2 > frozenAge
            if mean.magnitude < Self.quietMean || isStale { freeze() } else { nextFreeze = age &+ 24 }
        }
        guard isRenewed == 0 else {
            isRenewed = 0
            return .nan
        }
        return residual
    }

    private mutating func freeze() {
        let stepsPerDay = 86_400_000 / Float(max(stepMilliseconds, 1))
        let hasDay = stepsPerDay >= 12 && Float(total) > stepsPerDay
        let persistence = hasDay ? Self.persistenceMax : Self.persistenceMaxYoung
        guard let solved = fit.solve(hasDay: hasDay, persistenceMax: persistence) else {
            nextFreeze = age &+ Self.stepsMin
            return
        }
        weights = solved
        power = growth.power
        normal = growth.normal
        noise = max(scale, floor)
        choose()
        // With the shape of the day it is another reference.
        if hasDay, knowsDay == 0, isFrozen != 0 { isRenewed = 1 }
        knowsDay = hasDay || (stepsPerDay < 12 && total > 64) ? 1 : 0
        isFrozen = 1
        frozenAge = age
        mean = 0
        fit.limit(to: Self.memorySteps)
        nextFreeze = age &+ max(age / 32, 1)
    }

    /// The level alone, or the fit.
    private mutating func choose() {
        let isLevel = !level.jumpsDaily && levelSize <= (usesLevel != 0 ? Self.levelKept : Self.levelTaken) * fitSize
        guard isLevel != (usesLevel != 0) else { return }
        usesLevel = isLevel ? 1 : 0
        isRenewed = 1
    }

    /// A change was reported: the level is that of the steps since, until they prove the old one right.
    /// - Parameters:
    ///   - history: the steps since the change, oldest first, the last of them the last one folded.
    ///   - settleSteps: steps after which it is settled whether there was a change; before a day is known, those that
    ///     the fit must rest on before it is frozen.
    mutating func refit(_ history: UnsafeBufferPointer<Float>, last milliseconds: Int64, settleSteps: UInt32) {
        guard unit > 0 else { return }
        isRenewed = 1
        guard isFrozen != 0, knowsDay != 0 else { return beginAnew(history, last: milliseconds, settleSteps) }
        let isRepeated = probationLeft > 0
        if !isRepeated { oldOrigin = origin }
        scaleAge = min(scaleAge, Self.keptScaleSteps)
        trackedSteps = 1
        probationLeft = max(settleSteps, 5)
        probationSteps = 0
        probationSum = 0
        guard history.count > 0 else { return }
        level.restart(at: median(history, last: milliseconds), steps: history.count)
        follow(history, last: milliseconds)
        dropWaiting()
    }

    /// Before the shape of a day is known its hours look like changes of the level: what was learned counts for little.
    private mutating func beginAnew(_ history: UnsafeBufferPointer<Float>, last milliseconds: Int64, _ settle: UInt32) {
        fit.forgetLevel(keeping: keptSteps)
        nextFreeze = isFrozen != 0 ? settle : max(settle, Self.stepsMin)
        isFrozen = 0
        age = 0
        scaleAge = 0
        frozenAge = 0
        trackedSteps = 0
        probationLeft = 0
        waitingCount = 0
        guard history.count > 0 else { return }
        level.restart(at: median(history, last: milliseconds), steps: history.count)
        last = measured(history, 0, last: milliseconds)
        lastButOne = last
        for index in 1..<max(history.count, 1) {
            let time = milliseconds &- Int64(history.count &- 1 &- index) &* Int64(stepMilliseconds)
            let value = measured(history, index, last: milliseconds)
            let believed = last + clamped(value - last, 6 * max(noise, 1e-4))
            fit.fold(features(at: time, last, lastButOne), believed)
            lastButOne = last
            last = value
            age &+= 1
        }
        dropWaiting()
        if age >= nextFreeze { freeze() }
    }

    /// About a day's worth of shape and persistence, at least what a fit needs.
    private var keptSteps: Float {
        min(max(86_400_000 / Float(max(stepMilliseconds, 1)), Self.keptMin), Self.keptMax)
    }

    /// The level of the steps since a change, by the errors that the fit makes on them.
    private mutating func follow(_ history: UnsafeBufferPointer<Float>, last milliseconds: Int64) {
        last = measured(history, 0, last: milliseconds)
        lastButOne = last
        var sum: Float = 0
        for index in 1..<max(history.count, 1) {
            let time = milliseconds &- Int64(history.count &- 1 &- index) &* Int64(stepMilliseconds)
            let value = measured(history, index, last: milliseconds)
            // The step after a change comes from another level.
            if index > 1 || history.count == 2 {
                trackedSteps &+= 1
                sum += clamped(value - predict(features(at: time, last, lastButOne)), 10 * max(noise, 1e-4))
            }
            lastButOne = last
            last = value
        }
        shiftOrigin(by: sum / Float(trackedSteps) / (1 - persistence))
    }

    /// A value of the history in `unit`s from `origin`, without what is usual at that time of the week.
    private func measured(_ history: UnsafeBufferPointer<Float>, _ index: Int, last milliseconds: Int64) -> Float {
        let time = milliseconds &- Int64(history.count &- 1 &- index) &* Int64(stepMilliseconds)
        return (clamped(history[index], 1e30) - week.value(at: time) - origin) / unit
    }

    /// The middle of the last 15 steps.
    private func median(_ history: UnsafeBufferPointer<Float>, last milliseconds: Int64) -> Float {
        var sorted: [15 of Float] = InlineArray(repeating: 0)
        let count = min(history.count, 15)
        for index in 0..<count {
            let value = measured(history, history.count &- count &+ index, last: milliseconds)
            var place = index
            while place > 0 && sorted[place &- 1] > value {
                sorted[place] = sorted[place &- 1]
                place &-= 1
            }
            sorted[place] = value
        }
        return (sorted[(count &- 1) / 2] + sorted[count / 2]) / 2
    }

    mutating func scale(by factor: Float) {
        origin *= factor
        oldOrigin *= factor
        unit *= factor
        normal *= factor
        growth.scale(by: factor)
        week.scale(by: factor)
        guard unit == 0 else { return }
        last *= factor
        scale *= factor
    }
}
