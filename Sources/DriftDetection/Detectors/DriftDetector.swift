/// What a detector says about one residual.
package struct DriftVerdict: Equatable, Sendable, BitwiseCopyable {
    /// What has changed, as far as one series of residuals can tell.
    package enum Change: UInt8, Sendable, BitwiseCopyable {
        case none = 0
        /// The mean of the residuals moved and stays.
        case level = 1
        /// The mean keeps moving.
        case trend = 2
        /// The spread of the residuals grew or shrank.
        case variance = 3
        /// A brief excursion that is over.
        case anomaly = 4
    }

    package var change: Change
    /// How many samples ago the change began, the present one not counted.
    package var samplesSince: Int32
    /// The test statistic over its threshold; 1 or more in an alarm.
    package var score: Float
    /// Size of the change in standard deviations of the residuals; for `variance` the ratio of the deviations after
    /// and before.
    package var magnitude: Float
    /// Mean evidence per sample of the run, in standard deviations of the statistic; it says how soon a new fit may be
    /// believed.
    package var shift: Float

    package init(change: Change, samplesSince: Int32, score: Float, magnitude: Float, shift: Float = 0) {
        self.change = change
        self.samplesSince = samplesSince
        self.score = score
        self.magnitude = magnitude
        self.shift = shift
    }

    /// Steps that a new fit must rest on: until its level's standard error is a quarter of the shift, 5…288.
    package var settleSteps: Int {
        let shift = max(Double(shift), 0.01)
        return Int(min(max(16 / (shift * shift), 5), 288))
    }

    /// Nothing to report.
    package static var none: DriftVerdict { DriftVerdict(change: .none, samplesSince: 0, score: 0, magnitude: 0) }
}

/// A sequential detector over the standardised residuals of one series: plain state, one verb, constant memory.
///
/// A detector that has alarmed is restarted by its owner once the reference forecaster was refitted; until then it is
/// not asked. It never sees a residual that is not finite.
package protocol DriftDetector: BitwiseCopyable, Sendable {
    /// What all series share: thresholds and the like, computed once from the stated average run length.
    associatedtype Tuning: Sendable

    /// A detector that has seen nothing.
    init()

    /// Thresholds for an average run length of at least so many samples between false alarms of a drift.
    static func tuning(averageRunLength: Double) -> Tuning

    /// Takes the next residual, in standard deviations as the forecaster states them.
    mutating func update(_ residual: Float, _ tuning: Tuning) -> DriftVerdict

    /// Begins anew against a refitted reference; what was learned about the noise may be kept.
    mutating func restart()
    /// The alarm just raised was none: others know what it was. No evidence that the series is restless.
    mutating func excuse()
}

extension DriftDetector {
    package mutating func excuse() {}
}
