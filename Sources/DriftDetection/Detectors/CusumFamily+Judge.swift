#if canImport(Glibc)
    import Glibc
#endif

extension CusumFamily {
    /// The chart that is furthest beyond its threshold.
    struct Leader {
        var ratio: Float
        var length: Int32
        /// Mean of the whitened residuals over the run, signed.
        var shift: Float
    }

    @inline(__always)
    private static func lead(
        _ leader: inout Leader, _ chart: CusumChart, _ threshold: Float, _ slack: Float, _ sign: Float
    ) {
        let ratio = chart.value / threshold
        guard ratio > leader.ratio else { return }
        let length = max(chart.length, 1)
        leader = Leader(ratio: ratio, length: length, shift: sign * (chart.value / Float(length) + slack))
    }

    /// Decides whether this sample ends in an alarm, and of which kind.
    @inline(__always)
    mutating func judge(_ clipped: Float, _ isOutlier: Bool, _ tuning: Tuning) -> DriftVerdict {
        let mayAlarm =
            max(slowUp.value, slowDown.value) >= tuning.slow
            || max(middleUp.value, middleDown.value) >= tuning.middle
            || max(fastUp.value, fastDown.value) >= tuning.fast
            || max(spreadUp.value, spreadDown.value) >= tuning.spread
        if !mayAlarm && excursionAge == 0 && !isOutlier { return .none }
        return decide(clipped, isOutlier, tuning)
    }

    @inline(never)
    private mutating func decide(_ clipped: Float, _ isOutlier: Bool, _ tuning: Tuning) -> DriftVerdict {
        // Long-run variance above the sampling noise of its own estimate stretches the thresholds: measured over 32
        // samples, it is taken to grow as a power of the horizon, over some 8, 32 and 128 samples for the three charts.
        let restless = expf(restlessness)
        let memory = max(1, blockVariance - 0.1)
        let middle = tuning.middle * restless * memory
        let fast = tuning.fast * restless * memory.squareRoot()
        let slow = tuning.slow * restless * memory * memory.squareRoot()
        var leader = Leader(ratio: 0, length: 1, shift: 0)
        Self.lead(&leader, slowUp, slow, Self.slowSlack, 1)
        Self.lead(&leader, slowDown, slow, Self.slowSlack, -1)
        Self.lead(&leader, middleUp, middle, Self.middleSlack, 1)
        Self.lead(&leader, middleDown, middle, Self.middleSlack, -1)
        Self.lead(&leader, fastUp, fast, Self.fastSlack, 1)
        Self.lead(&leader, fastDown, fast, Self.fastSlack, -1)
        let spreadThreshold = tuning.spread * restless * max(1, spreadBlockVariance - 0.1)
        let spreadRatio = max(spreadUp.value, spreadDown.value) / spreadThreshold
        // Whatever is beyond its threshold may have run long enough.
        let levelLength = leader.ratio >= 1 ? leader.length : 0
        // A run far out on one side is about to be a jump, not a larger spread.
        let isRunning = jump.length >= 3 && jump.length <= Self.confirmSamples
        let spreadLength = spreadRatio >= 1 && !isRunning ? max(spreadUp.length, spreadDown.length) : 0
        if max(levelLength, spreadLength) >= Self.confirmSamples {
            return alarm(leader, isSpread: isSpread(leader, spreadRatio), spreadRatio)
        }
        let isBeyond = leader.ratio >= 1 || spreadRatio >= 1
        return watchExcursion(clipped, isBeyond || isOutlier, max(leader.ratio, spreadRatio), leader.shift, tuning)
    }

    /// An excursion is on: an outlier, or an alarm on a run too short to tell. It ends when two residuals in a row are
    /// ordinary again, or is forgotten when it lasts, as the charts then have their say.
    private mutating func watchExcursion(
        _ clipped: Float, _ begins: Bool, _ ratio: Float, _ shift: Float, _ tuning: Tuning
    ) -> DriftVerdict {
        if excursionAge == 0 {
            guard begins else { return .none }
            if excursionScore == 0 {
                excursionScore = ratio
                excursionSize = shift
            }
        }
        excursionAge &+= 1
        excursionReturned = abs(clipped) < 1 ? excursionReturned &+ 1 : 0
        if excursionReturned >= 2 {
            let verdict = DriftVerdict(
                change: .anomaly, samplesSince: excursionAge &- 1, score: max(excursionScore, 1),
                magnitude: excursionSize * scaleSquared.squareRoot())
            // A first large residual may be the herald of a larger spread: that evidence is kept in part.
            let spread = min(spreadUp.value, tuning.spread / 2)
            let length = spreadUp.length
            clearCharts()
            spreadUp = CusumChart(value: spread, length: spread > 0 ? length : 0)
            return verdict
        }
        if excursionAge > 2 * Self.confirmSamples { clearExcursion() }
        return .none
    }

    private mutating func alarm(_ leader: Leader, isSpread: Bool, _ spreadRatio: Float) -> DriftVerdict {
        let scale = scaleSquared.squareRoot()
        var verdict = DriftVerdict.none
        verdict.score = max(spreadRatio, leader.ratio, 1)
        if isSpread {
            let grew = spreadUp.value >= spreadDown.value
            let chart = grew ? spreadUp : spreadDown
            let length = max(chart.length, 1)
            verdict.shift = chart.value / Float(length) + Self.spreadSlack
            let change = verdict.shift * spreadVariance.squareRoot()
            let ratio = max(spreadMean + (grew ? change : -change), 0.05) / max(spreadMean, 0.05)
            verdict.change = .variance
            verdict.samplesSince = length &- 1
            verdict.magnitude = ratio * ratio
        } else {
            // A lasting shift d of the residuals moves the whitened ones by d (1 − φ) / σ of the innovations.
            let unwhiten = innovationSquared.squareRoot() / (1 - correlation)
            verdict.change = isRamp(leader) ? .trend : .level
            verdict.samplesSince = leader.length &- 1
            verdict.shift = leader.shift.magnitude
            verdict.magnitude = leader.shift * unwhiten * scale
        }
        let weakness = min(max(2 * (Self.strongShift - verdict.shift), 0), 1)
        restlessness = min(restlessness + Self.restlessStep * weakness, Self.restlessMax)
        clearCharts()
        return verdict
    }

    /// A run of residuals far out on one side.
    mutating func alarmOfJump() -> DriftVerdict {
        var verdict = DriftVerdict.none
        let length = max(jump.length, 1)
        verdict.change = .level
        verdict.samplesSince = length &- 1
        verdict.shift = min(jump.mean.magnitude, 10)
        verdict.magnitude = jump.mean * coreSquared.squareRoot()
        verdict.score = 1
        jump.restart()
        clearCharts()
        return verdict
    }

    /// The spread changed rather than the mean: the spread's chart leads or is close, and the residuals of its run do
    /// not lean to one side.
    private func isSpread(_ leader: Leader, _ spreadRatio: Float) -> Bool {
        if spreadDown.value > spreadUp.value { return spreadRatio > leader.ratio }
        guard spreadRatio > 0.5 * leader.ratio, spreadSquares > 0 else { return false }
        let lean = abs(spreadSum) / spreadSquares.squareRoot()
        return lean < (spreadRatio > leader.ratio ? 2.5 : 1.75)
    }

    /// The residuals climb within the run: slope over its standard error above 1.9, on a run long enough to tell.
    private func isRamp(_ leader: Leader) -> Bool {
        let chart = leader.shift > 0 ? slowUp : slowDown
        let moment = leader.shift > 0 ? slowUpMoment : slowDownMoment
        guard chart.length >= 24, leader.length >= 12 else { return false }
        let n = Float(chart.length)
        let sum = chart.value + n * Self.slowSlack
        let weight = n * (n * n - 1) / 12
        return (moment - (n - 1) / 2 * sum) / weight.squareRoot() > 1.9
    }

    private mutating func clearExcursion() {
        excursionScore = 0
        excursionSize = 0
        excursionAge = 0
        excursionReturned = 0
    }

    mutating func clearCharts() {
        slowUp = CusumChart()
        slowDown = CusumChart()
        middleUp = CusumChart()
        middleDown = CusumChart()
        fastUp = CusumChart()
        fastDown = CusumChart()
        spreadUp = CusumChart()
        spreadDown = CusumChart()
        slowUpMoment = 0
        slowDownMoment = 0
        spreadSum = 0
        spreadSquares = 0
        clearExcursion()
    }
}
