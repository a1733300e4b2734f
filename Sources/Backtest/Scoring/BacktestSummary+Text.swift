import Messages
import TwinCore

extension BacktestSummary {
    /// The summary as text for a terminal: what was read, how good the forecasts were, what else was found.
    package func text(outputDirectory: String) -> String {
        var lines: [String] = []
        var read = Self.counted(telemetry.rows, "sample") + " of \(telemetry.series) series"
        read += " of " + Self.counted(UInt64(telemetry.resources), "resource")
        if let start = telemetry.start, let end = telemetry.end {
            read += ", \(Self.decimal((end - start) / 86_400, 2)) days"
        }
        lines.append(read)
        if telemetry.badRows > 0 {
            lines.append(
                Self.counted(telemetry.badRows, "row") + " could not be read: "
                    + telemetry.badRowExamples.prefix(3).joined(separator: "; "))
        }
        if telemetry.rowsWithoutValue > 0 {
            lines.append(Self.counted(telemetry.rowsWithoutValue, "row") + " had no value")
        }
        if telemetry.lateRows > 0 { lines.append(Self.counted(telemetry.lateRows, "row") + " came late" + farAhead()) }
        if let originsAsked {
            let asked = Self.counted(UInt64(originsAsked), "origin")
            lines.append("\(Self.grouped(UInt64(originsAnswered))) of \(asked) answered")
        }
        lines.append("")
        lines.append(contentsOf: accuracyTable())
        if !carried.isEmpty {
            let shares = carried.map { "\($0.member) \(Self.decimal($0.share * 100, 0)) %" }
            lines.append("weight in the ensemble: " + shares.joined(separator: ", "))
        }
        lines.append(
            "decisions: \(Self.grouped(decisionRows)), of which \(Self.grouped(decisionChanges)) "
                + (decisionChanges == 1 ? "changes" : "change") + " the replicas")
        let kinds = driftByKind.filter { $0.count > 0 }.map { "\($0.kind) \($0.count)" }.joined(separator: ", ")
        lines.append("drift: \(Self.grouped(driftRows))" + (kinds.isEmpty ? "" : " (\(kinds))"))
        lines.append(
            "took \(Self.decimal(readSeconds + runSeconds, 2)) s, \(Self.grouped(UInt64(rowsPerSecond))) samples a "
                + "second; results are in \(outputDirectory)")
        return lines.joined(separator: "\n") + "\n"
    }

    /// Rows that a table shows; the rest is in `summary.json`.
    private static let tableRowsMax = 48

    /// Why rows came late, where it is one row's time.
    private func farAhead() -> String {
        guard let row = telemetry.farAhead else { return "" }
        var time: [UInt8] = []
        ISO8601.write(row.time, to: &time)
        return ", \(Self.grouped(UInt64(row.late))) of them as line \(row.line) says "
            + String(decoding: time, as: UTF8.self) + ", far ahead of those after it"
    }

    private func accuracyTable() -> [String] {
        guard !accuracy.isEmpty else { return ["no forecast met its sample, so there is no accuracy to show", ""] }
        var rows = [["metric", "horizon", "series", "n", "MAE", "MAE/pers.", "WQL/pers.", "q50", "q90", "q95", "q99"]]
        let ordered = accuracy.sorted { ($0.metric, $0.horizonSeconds) < ($1.metric, $1.horizonSeconds) }
        for score in ordered.prefix(Self.tableRowsMax) {
            rows.append(
                [
                    score.metric, "\(score.horizonSeconds) s", "\(score.series)", "\(score.count)",
                    Self.significant(score.meanAbsoluteError), Self.ratio(score.absoluteErrorRatio),
                    Self.ratio(score.quantileLossRatio),
                ] + score.coverage[1...].map { Self.decimal($0, 3) })
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            row.indices.map { column in
                let room = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + room : room + row[column]
            }.joined(separator: "  ")
        }
        if accuracy.count > Self.tableRowsMax {
            lines.append("… and \(accuracy.count - Self.tableRowsMax) more rows in summary.json")
        }
        lines.append(
            "MAE/pers., WQL/pers. = mean absolute error, and weighted quantile loss (of the whole band), ÷ that of "
                + "persistence (the last value stays, with quantiles of its own errors); below 1 is better, * is worse")
        lines.append("q50 … q99 = share of values at or below that quantile; 0.5 … 0.99 is right")
        return lines + [""]
    }

    /// A ratio to persistence, marked where that was better.
    private static func ratio(_ value: Double) -> String { decimal(value, 3) + (value > 1 ? "*" : " ") }

    /// A number with its noun.
    private static func counted(_ count: UInt64, _ singular: String) -> String {
        grouped(count) + " " + noun(count, singular)
    }

    /// `1234567` as `1 234 567`.
    private static func grouped(_ value: UInt64) -> String {
        var text = ""
        for (index, digit) in String(value).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text = " " + text }
            text = String(digit) + text
        }
        return text
    }

    private static func decimal(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        var bytes: [UInt8] = []
        PlainDecimal.append((value * scale).rounded() / scale, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func significant(_ value: Double) -> String {
        var decimals = 0
        var rest = value.magnitude
        while rest < 1_000, decimals < 6, rest > 0 {
            rest *= 10
            decimals += 1
        }
        return decimal(value, decimals)
    }
}
