/// The Page–Hinkley test, two-sided (E. S. Page, "Continuous inspection schemes", Biometrika 1954; D. Hinkley, 1971):
/// the cumulative deviation of the residuals from their running mean, less a tolerance, against its own minimum.
///
/// The named alternative and the yardstick of the default: no robust scale and no correction for correlation, so its
/// run length holds for independent, light-tailed residuals only. It knows shifts of the mean and nothing else.
package struct PageHinkley: DriftDetector {
    /// Threshold of both sides.
    package struct Tuning: Sendable, BitwiseCopyable {
        var threshold: Float
    }

    /// Tolerated magnitude of change, σ.
    static let slack: Float = 0.25
    /// Samples before an alarm.
    static let warmSamples: Float = 30

    var seen: Float = 0
    var mean: Float = 0
    var up = CusumChart()
    var down = CusumChart()

    package init() {}

    /// Each side gets twice the run length; the running mean costs a little more (found by simulation).
    package static func tuning(averageRunLength: Double) -> Tuning {
        Tuning(
            threshold: Float(
                RunLength.threshold(slack: Double(slack), mean: 2.5 * max(averageRunLength, 50))))
    }

    package mutating func restart() { self = PageHinkley() }

    package mutating func update(_ residual: Float, _ tuning: Tuning) -> DriftVerdict {
        seen += 1
        let bounded = min(max(residual, -1e6), 1e6)
        let deviation = bounded - mean
        mean += deviation / (min(seen, 4_096) + 512)
        guard seen > Self.warmSamples else { return .none }
        up.add(deviation - Self.slack)
        down.add(-deviation - Self.slack)
        let isUp = up.value >= down.value
        let chart = isUp ? up : down
        guard chart.value >= tuning.threshold else { return .none }
        let size = chart.value / Float(max(chart.length, 1)) + Self.slack
        restart()
        return DriftVerdict(
            change: .level, samplesSince: chart.length &- 1, score: chart.value / tuning.threshold,
            magnitude: isUp ? size : -size, shift: size)
    }
}
