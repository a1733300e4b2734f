import TestKit
import Testing
import TwinCore

@testable import Backtest

@Suite("Telemetry files")
struct TelemetryTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func rows(_ source: TelemetrySource) throws -> [String] {
        var rows: [String] = []
        while let (row, arrival) = try source.next() {
            let series = source.series.text(of: Int(row.series))
            rows.append("\(arrival.milliseconds) \(row.time.milliseconds) \(series) \(row.value)")
        }
        return rows
    }

    @Test("columns are found by name, in any order, and others are passed over")
    func columnsByName() throws {
        let path = try scratch.write(
            "a.csv",
            "note,Value,metric,resource,timestamp\nx,1.5,cpu,a,1700000000\n,-2e3,cpu,\"b,c\",2023-11-14T22:13:21Z\n"
                + "y,3,cpu,a,1700000002.25\n")
        #expect(
            try rows(TelemetrySource(path: path)) == [
                "1700000000000 1700000000000 a,cpu 1.5", "1700000001000 1700000001000 b,c,cpu -2000.0",
                "1700000002250 1700000002250 a,cpu 3.0",
            ])
    }

    @Test("a missing column is named with its line")
    func missingColumn() throws {
        let path = try scratch.write("a.csv", "time,resource,metric,value\n1,a,b,2\n")
        #expect(
            throws: BacktestError(
                .format, "\(path), line 1: no column \"timestamp\" among \"time,resource,metric,value\"")
        ) { _ = try TelemetrySource(path: path) }
    }

    @Test("rows at fault are counted with their lines, rows without a value apart, the rest is read")
    func badRows() throws {
        let path = try scratch.write(
            "a.csv",
            "timestamp,resource,metric,value\n1,a,m,1\nx,a,m,2\n3,a,m,\n4,a,m,NaN\n5,,m,2\n6,a,m,one\n7,a\n"
                + "1700000000000,a,m,1\n8,a,m,0x10\n9,a,m,9\n")
        let source = try TelemetrySource(path: path)
        #expect(source.rowCount == 2)
        #expect(source.rowsWithoutValue == 2)
        #expect(source.bad.total == 6)
        #expect(source.bad.examples.first == "line 3: a timestamp that is neither epoch seconds nor ISO 8601")
        #expect(source.bad.examples[4].hasPrefix("line 9: a timestamp that looks like milliseconds"))
    }

    @Test("too many bad rows end the run with examples")
    func tooManyBadRows() throws {
        var text = "timestamp,resource,metric,value\n"
        for row in 0..<2_000 { text += "\(row),a,m,\(row % 2 == 0 ? "1" : "?")\n" }
        let path = try scratch.write("a.csv", text)
        var limits = TelemetrySource.Limits()
        limits.reader.badRowsMax = 10
        #expect(throws: BacktestError.self) { _ = try TelemetrySource(path: path, limits: limits) }
    }

    @Test("numbers read as the nearest double", arguments: 0..<20)
    func numbers(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<500 {
            let value: Double
            switch Int.random(in: 0..<4, using: &random) {
            case 0: value = Double(bitPattern: UInt64.random(in: 0...UInt64.max, using: &random))
            case 1: value = Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 1_000
            case 2: value = Double.random(in: 0..<1, using: &random)
            default: value = Double(Int.random(in: 0...1 << 60, using: &random))
            }
            guard value.isFinite else { continue }
            let text = Array(value.description.utf8)
            let read = text.withUnsafeBytes { FieldNumber.read($0) }
            #expect(read == .number(value), "seed \(seed): \(value)")
        }
    }

    @Test("a file grouped by series is merged by time, ties in the order of the file", arguments: 0..<20)
    func merges(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var lines: [(time: Int, text: String)] = []
        for series in 0..<Int.random(in: 1...8, using: &random) {
            var time = Int.random(in: 0...50, using: &random)
            for _ in 0..<Int.random(in: 1...60, using: &random) {
                time += Int.random(in: 0...5, using: &random)
                lines.append((time, "\(time),r\(series),m,\(lines.count)"))
            }
        }
        let path = try scratch.write(
            "a.csv", "timestamp,resource,metric,value\n" + lines.map(\.text).joined(separator: "\n"))
        let expected = lines.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
            .map { Double($0.offset) }
        let source = try TelemetrySource(path: path)
        var values: [Double] = []
        while let (row, _) = try source.next() { values.append(row.value) }
        #expect(values == expected, "seed \(seed)")
    }

    @Test("a row older than its own series arrives late, at the time of the row before it")
    func lateRows() throws {
        let path = try scratch.write(
            "a.csv", "timestamp,resource,metric,value\n10,a,m,1\n20,a,m,2\n15,a,m,3\n5,b,m,4\n25,a,m,5\n")
        let source = try TelemetrySource(path: path)
        #expect(source.lateRows == 1)
        #expect(
            try rows(source) == [
                "5000 5000 b,m 4.0", "10000 10000 a,m 1.0", "20000 20000 a,m 2.0", "20000 15000 a,m 3.0",
                "25000 25000 a,m 5.0",
            ])
    }

    @Test("the row whose time made others late is named by its line")
    func farAhead() throws {
        let path = try scratch.write(
            "f.csv",
            "timestamp,resource,metric,value\n10,a,m,1\n1000020,a,m,2\n20,a,m,3\n30,a,m,4\n5,b,m,4\n4,b,m,5\n")
        let source = try TelemetrySource(path: path)
        #expect(source.lateRows == 3)
        #expect(source.farAhead == FarAheadRow(line: 3, time: EventTime(seconds: 1_000_020), late: 2))
        var summary = BacktestSummary()
        summary.telemetry.lateRows = source.lateRows
        summary.telemetry.farAhead = source.farAhead
        #expect(
            summary.text(outputDirectory: "out").contains(
                "3 rows came late, 2 of them as line 3 says 1970-01-12T13:47:00Z, far ahead of those after it"))
    }

    @Test("a long sorted file is streamed, a long unsorted one merged, and beyond the limit the error says what to do")
    func longFiles() throws {
        var sorted = "timestamp,resource,metric,value\n"
        for row in 0..<1_000 { sorted += "\(row * 10 - row % 3),a,m,\(row)\n" }
        let path = try scratch.write("a.csv", sorted)
        var limits = TelemetrySource.Limits()
        limits.rowsInMemoryMax = 100
        let streamed = try TelemetrySource(path: path, limits: limits)
        #expect(streamed.isStreamed)
        let whole = try TelemetrySource(path: path)
        #expect(!whole.isStreamed)
        #expect(try rows(streamed) == rows(whole))

        let grouped =
            "timestamp,resource,metric,value\n"
            + (0..<400).map { "\(($0 % 200) * 60),r\($0 / 200),m,\($0)\n" }.joined()
        let second = try scratch.write("b.csv", grouped)
        let merged = try TelemetrySource(path: second, limits: limits)
        #expect(merged.isMerged && !merged.isStreamed)
        #expect(try rows(merged).count == 400)
        limits.rowsUnsortedMax = 300
        #expect(throws: BacktestError.self) { _ = try TelemetrySource(path: second, limits: limits) }
    }
}
