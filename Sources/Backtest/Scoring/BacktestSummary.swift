import Glibc
import StageKit
import TwinCore
import Twins

/// What came of a backtest: for `summary.json` and for the terminal.
package struct BacktestSummary: Sendable {
    /// The telemetry that was read.
    package struct Telemetry: Sendable {
        package var file = ""
        package var rows: UInt64 = 0
        package var rowsWithoutValue: UInt64 = 0
        package var badRows: UInt64 = 0
        package var badRowsByFault: [(fault: String, count: UInt64)] = []
        package var badRowExamples: [String] = []
        package var lateRows: UInt64 = 0
        /// The row that made most of them late, where it lies far ahead.
        package var farAhead: FarAheadRow?
        package var resources = 0
        package var series = 0
        /// Epoch seconds; nil if there is no row.
        package var start: Double?
        package var end: Double?
        package var isMerged = false
        package var isStreamed = false
        package init() {}
    }

    /// How good the forecasts of one metric and horizon were, over all scored series.
    package struct Score: Sendable {
        package var metric = ""
        package var horizonSeconds = 0
        package var series = 0
        package var count = 0
        package var meanAbsoluteError = 0.0
        /// Geometric means over series of the ratio to persistence.
        package var absoluteErrorRatio = 0.0
        package var quantileLossRatio = 0.0
        /// Mean over series.
        package var quantileLoss = 0.0
        /// Share of values at or below each quantile, at `Accuracy.levels`; and strictly below.
        package var coverage: [Double] = []
        package var coverageBelow: [Double] = []
    }

    package var telemetry = Telemetry()
    package var forecastRows: UInt64 = 0
    package var forecastsIssued: UInt64 = 0
    /// Origins asked for and answered; nil without `--origins`.
    package var originsAsked: Int?
    package var originsAnswered = 0
    package var decisionRows: UInt64 = 0
    package var decisionChanges: UInt64 = 0
    /// Policies that are for none of the resources.
    package var policiesUnmatched: [String] = []
    package var driftRows: UInt64 = 0
    package var driftByKind: [(kind: String, count: UInt64)] = []
    package var accuracy: [Score] = []
    /// Counters of the stages that ran, by stage.
    package var stages: [(stage: String, counters: [(name: String, value: UInt64)])] = []
    /// Wall-clock seconds; the only numbers that differ between two runs over the same files.
    package var readSeconds = 0.0
    package var runSeconds = 0.0

    package init() {}

    /// Who in the ensemble carried which share of the forecasts, the largest first.
    package var carried: [(member: String, share: Double)] {
        let weights = stages.flatMap(\.counters).compactMap { counter -> (member: String, weight: Double)? in
            guard counter.name.hasPrefix(TwinCounters.carriedPrefix) else { return nil }
            return (counter.name.dropFirst(TwinCounters.carriedPrefix.count).lowercased(), Double(counter.value))
        }
        let total = weights.reduce(0) { $0 + $1.weight }
        guard total > 0 else { return [] }
        return weights.map { ($0.member, $0.weight / total) }.sorted { $0.share > $1.share }
    }

    /// What whoever asked for it will not have wanted, a line each.
    package var warnings: [String] {
        var lines = policiesUnmatched.map { "policy '\($0)' matches no resource of this telemetry" }
        if telemetry.rows == 0 { lines.append("there is no sample in \(telemetry.file)") }
        return lines
    }

    package var rowsPerSecond: Double {
        runSeconds > 0 ? Double(telemetry.rows) / (readSeconds + runSeconds) : 0
    }
}

extension BacktestSummary {
    /// Adds up the sums of all series by metric and horizon, in the order of the metrics' first appearance.
    static func scores(_ accuracy: Accuracy, series table: SeriesTable, horizons: [Int]) -> [Score] {
        var order: [UInt32] = []
        var groups: [UInt32: [Int]] = [:]
        for series in 0..<min(accuracy.seriesCount, table.count) {
            let metric = table.keys[series].metric
            if groups[metric] == nil { order.append(metric) }
            groups[metric, default: []].append(series)
        }
        var scores: [Score] = []
        for metric in order {
            for (index, horizon) in horizons.enumerated() {
                let sums = (groups[metric] ?? []).map { accuracy.sums($0)[index] }.filter { $0.count > 0 }
                guard !sums.isEmpty else { continue }
                var score = Self.score(sums)
                score.metric = table.names.text(of: metric)
                score.horizonSeconds = horizon
                scores.append(score)
            }
        }
        return scores
    }

    private static func score(_ all: [Accuracy.Sums]) -> Score {
        var score = Score()
        score.series = all.count
        score.count = all.reduce(0) { $0 + $1.count }
        score.meanAbsoluteError = all.reduce(0) { $0 + $1.absoluteError } / Double(score.count)
        score.absoluteErrorRatio = geometricMean(all.map { $0.absoluteError / $0.absoluteErrorNaive })
        score.quantileLossRatio = geometricMean(all.map { $0.pinball / $0.pinballNaive })
        let losses = all.filter { $0.absoluteValue > 0 }.map { 2 * $0.pinball / 5 / $0.absoluteValue }
        score.quantileLoss = losses.isEmpty ? .nan : losses.reduce(0, +) / Double(losses.count)
        for level in 0..<5 {
            score.coverage.append(Double(all.reduce(0) { $0 + $1.atOrBelow[level] }) / Double(score.count))
            score.coverageBelow.append(Double(all.reduce(0) { $0 + $1.below[level] }) / Double(score.count))
        }
        return score
    }

    /// Of the ratios that are finite, bounded to a thousandth … a thousand, so that one flat series does not decide.
    private static func geometricMean(_ ratios: [Double]) -> Double {
        let logs = ratios.filter { $0.isFinite }.map { log(min(max($0, 1e-3), 1e3)) }
        return logs.isEmpty ? .nan : exp(logs.reduce(0, +) / Double(logs.count))
    }
}
