import Glibc
import Testing

@testable import Backtest

/// The directory of recorded traces that `TWINSCALE_TRACES` names, if it does.
private let traces: String? = getenv("TWINSCALE_TRACES").map { String(cString: $0) }

@Suite(
    "Recorded traces",
    .enabled(if: traces != nil, "no recorded traces; set TWINSCALE_TRACES to a directory of *.csv.gz"))
struct RecordedTraceTests {
    private let suite: BacktestTests

    init() throws { suite = try BacktestTests() }

    @Test(
        "a forecast for every sample, no worse than persistence over the day, covering what it says",
        arguments: ["web_msft_ingress_1m", "cluster_google_ali_5m", "graph_petshop_high_traffic_5m"])
    func trace(name: String) throws {
        let file = "\(try #require(traces))/\(name).csv.gz"
        guard access(file, R_OK) == 0 else { return }
        let summary = try suite.run(file, to: name)
        #expect(summary.telemetry.badRows == 0)
        #expect(summary.telemetry.rows > 1_000)
        let share = Double(summary.forecastsIssued) / Double(summary.telemetry.rows)
        #expect(share > 0.995, "\(summary.forecastsIssued) forecasts for \(summary.telemetry.rows) samples")
        let scores = summary.accuracy.filter { $0.count > 5_000 }
        #expect(!scores.isEmpty)
        for score in scores {
            #expect(score.quantileLossRatio < 1.15, "\(score.metric) at \(score.horizonSeconds) s")
            #expect(score.coverage[2] > 0.85 && score.coverage[4] > 0.95, "\(score.metric): \(score.coverage)")
        }
    }
}
