#if canImport(Glibc)
    import Glibc
#endif

/// One one-sided chart: the statistic and how long it has been away from zero.
struct CusumChart: BitwiseCopyable {
    var value: Float = 0
    /// Samples since the statistic was last zero; the estimated change point (E. S. Page, 1954).
    var length: Int32 = 0

    /// Adds `step` (already less its slack) and reflects at zero.
    @inline(__always)
    mutating func add(_ step: Float) {
        value += step
        if value > 0 {
            length &+= 1
        } else {
            value = 0
            length = 0
        }
    }
}

/// The default detector: a family of two-sided CUSUM charts on the mean of the residuals and a pair on their spread,
/// over residuals made robust and independent first.
///
/// 1. *Scale.* A recursive M-estimate makes the winsorised residual (±3) have variance 1, whatever the tails
///    (P. Huber, "Robust Statistics", 1981, ch. 5); once for the residual, once for what is left after step 2.
/// 2. *Independence.* Lag-one correlation is learned and taken out.
/// 3. *Ranks.* What is left is also asked for its rank in the series' own distribution, as a normal score
///    (`NormalScores`). The charts of the mean take the smaller of the two, so that a heavy or one-sided tail is no
///    shift; the spread takes the larger.
/// 4. *Charts.* Slack 0.25, 0.6 and 1 for shifts around 0.5, 1.2 and 2 σ (G. Lorden, 1971: each is optimal for the
///    shift of twice its slack); spread: charts on √|residual|, which is nearly normal for normal residuals.
/// 5. *Memory.* Correlation that is left at longer lags shows as the variance of block means over its value under
///    independence, and raises the thresholds in proportion (the exponent of the run length of a CUSUM is 2kh/σ²,
///    with σ² the long-run variance). It is measured over 32 samples; each chart gets it for its own horizon, of 8, 32
///    and 128 samples, as a power law gives it (J. Beran, "Statistics for long-memory processes", 1994).
/// 6. *Restlessness.* What no model of the noise foresees shows in the alarms themselves: each weak one raises all
///    thresholds of the series by a factor, which decays so that in the long run they come once per stated run length
///    (the argument of I. Gibbs and E. Candès, "Adaptive conformal inference under distribution shift", 2021, for the
///    logarithm of a threshold). A shift of `strongShift` σ and more is no weak alarm.
/// 7. *Brief or lasting.* A chart that alarms on a run of few samples waits until the run is `confirmSamples` long; if
///    the residuals return before, it was an anomaly. A single outlier is one if it is beyond the level that the tail
///    of this very series (Hill's estimate) passes once per stated run length.
/// 8. *Jumps.* Residuals in a row far out on one side are a new level whatever the series' restlessness (`JumpTest`).
///
/// What is learned is learned slowly: a change is found before it is taken for the new normal.
///
/// What it costs and how it does is in `DriftDetection.docc`; `twinscale bench drift` and
/// `swift test --filter DetectorTests` repeat it.
package struct CusumFamily: DriftDetector {
    /// Thresholds for all series of a task.
    package struct Tuning: Sendable, BitwiseCopyable {
        /// Of the charts with slack 0.25, 0.6, 1, and of the charts of spread.
        var slow: Float, middle: Float, fast: Float, spread: Float
        /// Logarithm of six times the run length: Hill's estimate errs on the side of light tails.
        var logRunLength: Float
        /// How fast restlessness is forgotten, per sample.
        var calming: Float
    }

    static let slowSlack: Float = 0.25
    static let middleSlack: Float = 0.6
    static let fastSlack: Float = 1
    static let spreadSlack: Float = 0.5
    /// Where residuals are winsorised, in σ.
    static let clip: Float = 3
    /// Samples before the charts run.
    static let warmSamples: Float = 48
    /// A run must last so many samples to be more than an anomaly.
    static let confirmSamples: Int32 = 6
    static let blockSamples: Int32 = 32
    /// Blocks that what was learned of memory counts for after a restart.
    static let blocksKept: Float = 8
    /// What a weak alarm adds to the logarithm of the thresholds, and their largest rise.
    static let restlessStep: Float = 0.3
    static let restlessMax: Float = 1.5
    static let strongShift: Float = 3

    // What is learned of the noise.
    /// Samples since the start or the last restart, and in all.
    var seen: Float = 0
    var experience: Float = 0
    var scaleSquared: Float = 1
    /// Of what is left when the correlation is taken out, in units of `scaleSquared`.
    var innovationSquared: Float = 1
    /// Lag-one product and square of the winsorised residuals; their ratio is the correlation.
    var product: Float = 0
    var square: Float = 1
    var previous: Float = 0
    var mean: Float = 0
    var spreadMean: Float = 0.822
    var spreadVariance: Float = 0.122
    var spreadCorrelation: Float = 0
    var spreadPrevious: Float = 0
    var blockSum: Float = 0
    var blockCount: Int32 = 0
    var blockVariance: Float = 1
    var blocks: Float = 0
    /// What is learned from later, the newest first; -1 for none.
    var waitingBlocks: [3 of Float] = InlineArray(repeating: -1)
    var waitingSpreadBlocks: [3 of Float] = InlineArray(repeating: 0)
    var spreadBlockSum: Float = 0
    var spreadBlockVariance: Float = 1
    var tailShare: Float = 0.0027
    var tailIndex: Float = 0.2
    /// Logarithm of what restlessness multiplies the thresholds by.
    var restlessness: Float = 0

    /// What residuals were like before a change.
    var scores = NormalScores()

    /// Square of the scale by the inner residuals alone, which no burst moves.
    var coreSquared: Float = 1
    var jump = JumpTest()

    // The charts.
    var slowUp = CusumChart(), slowDown = CusumChart()
    var middleUp = CusumChart(), middleDown = CusumChart()
    var fastUp = CusumChart(), fastDown = CusumChart()
    var spreadUp = CusumChart(), spreadDown = CusumChart()
    /// Σ i·x over the runs of the slow charts, for the slope within the run.
    var slowUpMoment: Float = 0, slowDownMoment: Float = 0
    /// Σ x and Σ x² over the run of `spreadUp`.
    var spreadSum: Float = 0, spreadSquares: Float = 0

    // An excursion that may be over soon.
    var excursionScore: Float = 0
    var excursionSize: Float = 0
    var excursionAge: Int32 = 0
    var excursionReturned: Int32 = 0

    package init() {}

    /// The multiple of the run length that one chart of eight gets so that all together keep it on normal residuals;
    /// found by simulation, checked by `DriftDetectionTests` ("stationary streams alarm no more often than stated").
    static let slowShare = 0.85
    static let levelShare = 2.8
    static let fastShare = 8.0
    static let spreadShare = 7.0

    package static func tuning(averageRunLength: Double) -> Tuning {
        let length = max(averageRunLength, 50)
        func threshold(_ slack: Float, _ share: Double) -> Float {
            Float(RunLength.threshold(slack: Double(slack), mean: share * length))
        }
        return Tuning(
            slow: threshold(slowSlack, slowShare), middle: threshold(middleSlack, levelShare),
            fast: threshold(fastSlack, fastShare), spread: threshold(spreadSlack, spreadShare),
            logRunLength: Float(log(6 * length)), calming: restlessStep / Float(1.15 * length))
    }

    package mutating func restart() {
        var fresh = self
        fresh.seen = min(seen, Self.warmSamples)
        // A refitted model may leave another correlation behind, near and far.
        fresh.experience = min(experience, 512)
        fresh.previous = 0
        fresh.mean = 0
        fresh.spreadPrevious = spreadMean
        fresh.blockSum = 0
        fresh.spreadBlockSum = 0
        fresh.blockCount = 0
        fresh.blocks = min(blocks, Self.blocksKept)
        fresh.forgetWaitingBlocks()
        fresh.scores.forgetWaiting()
        fresh.clearCharts()
        fresh.jump.restart()
        self = fresh
    }

    package mutating func excuse() { restlessness = max(restlessness - Self.restlessStep, 0) }

    package mutating func update(_ residual: Float, _ tuning: Tuning) -> DriftVerdict {
        seen += 1
        experience = min(experience + 1, 4_096)
        let gain = max(1 / (seen + 32), 1 / 2_048)
        let scaled = min(max(min(max(residual, -1e6), 1e6) / scaleSquared.squareRoot(), -1e3), 1e3)
        let size = abs(scaled)
        let clipped = min(max(scaled, -Self.clip), Self.clip)
        let white = whiten(scaled, clipped, gain)
        let score = scores.score(white.raw)
        // A shift is what both the residual's size and its rank grant, a larger spread what either shows.
        let level = abs(score) < abs(white.level) ? score : white.level
        let spread = whitenSpread(min(max(abs(white.raw), abs(score)), 9).squareRoot(), gain)
        scaleSquared = min(max(scaleSquared * (1 + gain * (clipped * clipped - 1)), 0.25), 1e12)
        let core = min(max(residual, -1e6), 1e6) / coreSquared.squareRoot()
        coreSquared = min(max(coreSquared * (1 + gain * (min(core * core, 2.25) / 0.778 - 1)), 0.25), 1e12)
        let isJump = jump.update(core, seen > Self.warmSamples, tuning.logRunLength)
        let isOutlier = seen > Self.warmSamples && judgeOutlier(size, scaled, tuning)
        learnTail(size, gain)
        guard seen > Self.warmSamples else { return .none }
        learnBlocks(level, spread)
        restlessness = max(restlessness - tuning.calming, 0)
        run(level, spread)
        if isJump { return alarmOfJump() }
        return judge(clipped, isOutlier, tuning)
    }

    /// Lag-one correlation, kept away from a unit root.
    @inline(__always)
    var correlation: Float { min(max(product / max(square, 0.01), -0.5), 0.95) }

    /// The residual with its lag-one correlation and its slow mean taken out, as it is and winsorised. Correlation is
    /// learned from winsorised residuals but taken out of the full ones, or each peak would lean the next residual its
    /// way.
    @inline(__always)
    private mutating func whiten(
        _ value: Float, _ clipped: Float, _ gain: Float
    ) -> (raw: Float, level: Float) {
        let before = min(max(previous, -Self.clip), Self.clip)
        let raw = (value - correlation * previous) / innovationSquared.squareRoot()
        let level = min(max(raw - mean, -Self.clip), Self.clip)
        let share = 1 / (experience + 4)
        product += share * (clipped * before - product)
        square += share * (clipped * clipped - square)
        previous = value
        innovationSquared = min(max(innovationSquared * (1 + gain * (level * level - 1)), 0.5), 100)
        // Shrunk towards zero by 512 samples: a forecaster that was just fitted is unbiased until shown otherwise.
        mean += (min(max(raw, -Self.clip), Self.clip) - mean) / (min(seen, 1_024) + 512)
        return (raw, level)
    }

    /// The same for the spread's statistic, with its own mean, variance and correlation.
    @inline(__always)
    private mutating func whitenSpread(_ value: Float, _ gain: Float) -> Float {
        let phi = min(max(spreadCorrelation / spreadVariance, 0), 0.9)
        let centred = value - spreadMean
        let before = spreadPrevious
        let raw = (centred - phi * before) / (spreadVariance * (1 - phi * phi)).squareRoot()
        spreadCorrelation += (centred * before - spreadCorrelation) / (experience + 16)
        spreadPrevious = centred
        spreadVariance = max(spreadVariance + gain * (centred * centred - spreadVariance), 0.01)
        spreadMean += centred / (min(seen, 1_024) + 128)
        return min(max(raw, -Self.clip), Self.clip)
    }

    @inline(__always)
    private mutating func learnTail(_ size: Float, _ gain: Float) {
        let isBeyond = size > Self.clip
        tailShare += gain * ((isBeyond ? 1 : 0) - tailShare)
        if isBeyond { tailIndex += (min(logf(size / Self.clip), 2) - tailIndex) / 32 }
    }

    /// Sums of 32 whitened residuals: their variance over 32 is 1 if nothing is left of correlation. A block is learned
    /// from when three have come after it: what is a change by then was found, and its blocks forgotten.
    @inline(__always)
    private mutating func learnBlocks(_ level: Float, _ spread: Float) {
        blockSum += level
        spreadBlockSum += spread
        blockCount &+= 1
        guard blockCount == Self.blockSamples else { return }
        let samples = Float(Self.blockSamples)
        learn(waitingBlocks[2], waitingSpreadBlocks[2])
        for index in 0..<2 {
            waitingBlocks[2 &- index] = waitingBlocks[1 &- index]
            waitingSpreadBlocks[2 &- index] = waitingSpreadBlocks[1 &- index]
        }
        waitingBlocks[0] = min(blockSum * blockSum / samples, 16)
        waitingSpreadBlocks[0] = min(spreadBlockSum * spreadBlockSum / samples, 16)
        spreadBlockSum = 0
        blockSum = 0
        blockCount = 0
    }

    /// - Parameter level: the square of a block's sum over its samples; negative for none.
    private mutating func learn(_ level: Float, _ spread: Float) {
        guard level >= 0 else { return }
        blocks = min(blocks + 1, 48)
        let gain = 1 / (blocks + 8)
        blockVariance += gain * (level - blockVariance)
        spreadBlockVariance += gain * (spread - spreadBlockVariance)
    }

    /// What a change may have moved is not learned from.
    private mutating func forgetWaitingBlocks() {
        for index in 0..<3 { waitingBlocks[index] = -1 }
    }

    /// Moves all charts by one sample.
    @inline(__always)
    private mutating func run(_ level: Float, _ spread: Float) {
        slowUpMoment += Float(slowUp.length) * level
        slowDownMoment -= Float(slowDown.length) * level
        slowUp.add(level - Self.slowSlack)
        slowDown.add(-level - Self.slowSlack)
        if slowUp.length == 0 { slowUpMoment = 0 }
        if slowDown.length == 0 { slowDownMoment = 0 }
        middleUp.add(level - Self.middleSlack)
        middleDown.add(-level - Self.middleSlack)
        fastUp.add(level - Self.fastSlack)
        fastDown.add(-level - Self.fastSlack)
        spreadUp.add(spread - Self.spreadSlack)
        spreadDown.add(-spread - Self.spreadSlack)
        spreadSum += level
        spreadSquares += level * level
        if spreadUp.length == 0 {
            spreadSum = 0
            spreadSquares = 0
        }
    }

    /// A single residual beyond what the tail of this series reaches once per run length opens an excursion.
    @inline(__always)
    private mutating func judgeOutlier(_ size: Float, _ scaled: Float, _ tuning: Tuning) -> Bool {
        guard size > 5 else { return false }
        let reach = max(tailIndex * (logf(max(tailShare, 1e-6)) + tuning.logRunLength), 0.51)
        let beyond = logf(size / Self.clip)
        guard beyond > reach else { return false }
        if excursionAge == 0 || size > abs(excursionSize) {
            excursionScore = min(beyond / reach, 100)
            excursionSize = scaled
        }
        return true
    }
}
