import Foundation
import TestKit
import Testing

@testable import Backtest

/// The directory of recorded traces that `TWINSCALE_TRACES` names, if it does.
let traces: String? = getenv("TWINSCALE_TRACES").map { String(cString: $0) }

@Suite(
    "Recorded traces", .serialized,
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

    /// Every recorded trace of the directory, by name; files without a trace's columns are none.
    static let all: [String] =
        traces.map { directory in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return names.filter { $0.hasSuffix(".csv.gz") }.map { String($0.dropLast(7)) }.sorted()
        } ?? []

    @Test(
        "the same trace gives the same bytes, run twice, and restored from snapshots half way",
        arguments: all)
    func sameBits(name: String) throws {
        let rows = try suite.rows(of: name, in: try #require(traces), rowsMin: 1_200).prefix(1_200)
        guard !rows.isEmpty else { return }
        let values = rows.compactMap { Double($0.value) }
        let capacity = max((values.max() ?? 1) / 20, 1e-6)
        let policies = try suite.scratch.write(
            "\(name).yaml", "policies: [{name: all, mode: act, capacityPerReplica: \(capacity)}]")
        var text = "timestamp,resource,metric,value\n"
        for row in rows { text += "\(row.time),\(row.series),\(row.value)\n" }
        let file = try suite.scratch.write("\(name).csv", text)
        for (run, restart) in [("one", 0), ("two", 0), ("restored", rows.count / 2)] {
            try suite.run(file, to: "\(name)-\(run)", restartsAfterRows: UInt64(restart)) { $0.policies = policies }
        }
        for result in results {
            let one = try suite.scratch.read("\(name)-one/\(result)")
            for run in ["two", "restored"] {
                #expect(try suite.scratch.read("\(name)-\(run)/\(result)") == one, "\(name): \(result), \(run)")
            }
        }
    }

    @Test(
        "nothing that is stamped up to a cut depends on what comes after it: forecasts, decisions, drifts",
        arguments: [("cluster_google_ali_5m", 12_000), ("drift_kpi_5m", 12_000), ("web_msft_ingress_1m", 10_000)])
    func noLeak(name: String, rowsMin: Int) throws {
        guard access("\(try #require(traces))/\(name).csv.gz", R_OK) == 0 else { return }
        let rows = try suite.rows(of: name, in: try #require(traces), rowsMin: rowsMin)
        let times = rows.map(\.time).sorted()
        let cut = times[times.count * 6 / 10]
        var random = SeededRandom(seed: 17)
        let values = rows.compactMap { Double($0.value) }
        let range = (values.min() ?? 0)...(values.max() ?? 1)
        let capacity = max(range.upperBound / 20, 1e-6)
        let policies = try suite.scratch.write(
            "\(name).yaml", "policies: [{name: all, mode: act, capacityPerReplica: \(capacity)}]")
        for isTampered in [false, true] {
            var text = "timestamp,resource,metric,value\n"
            for row in rows {
                guard isTampered, row.time > cut else {
                    text += "\(row.time),\(row.series),\(row.value)\n"
                    continue
                }
                if Bool.random(using: &random) { continue }
                text += "\(row.time),\(row.series),\(Double.random(in: range, using: &random))\n"
            }
            let file = try suite.scratch.write("\(name)-\(isTampered).csv", text)
            try suite.run(file, to: "\(name)-\(isTampered)") { $0.policies = policies }
        }
        for result in results {
            func before(_ isTampered: Bool) throws -> [String] {
                try suite.lines("\(name)-\(isTampered)/\(result)").dropFirst().filter { line in
                    (line.split(separator: ",").first.flatMap { Int($0) } ?? .max) <= cut
                }
            }
            let honest = try before(false)
            #expect(honest.count > (result == "drift.csv" ? 0 : 1_000), "\(name): \(result) says nothing")
            #expect(try before(true) == honest, "\(name): \(result)")
        }
    }
}
