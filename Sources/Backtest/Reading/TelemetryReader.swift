import Glibc
import Messages
import StageKit
import TwinCore

/// The series of a trace: one metric of one resource, numbered in order of first appearance. Bounded.
package final class SeriesTable {
    /// Names of resources and of metrics, in one table.
    package let names: NameTable
    @exclusivity(unchecked) private var index = PairIndex()
    /// Resource and metric of each series, as numbers of `names`.
    @exclusivity(unchecked) package private(set) var keys: [(resource: NameID, metric: NameID)] = []
    package let seriesMax: Int

    package init(namesMax: Int = 2_000_000, seriesMax: Int = 4_000_000) {
        names = NameTable(namesMax: namesMax)
        self.seriesMax = seriesMax
    }

    package var count: Int { keys.count }

    /// The number of a series, given out if it is new; nil when the table is full.
    package func number(resource: NameID, metric: NameID) -> Int? {
        if let found = index.find(resource, metric) { return found }
        guard keys.count < seriesMax else { return nil }
        index.insert(resource, metric, keys.count)
        keys.append((resource, metric))
        return keys.count - 1
    }

    /// The number of a series, without giving one out.
    package func find(resource: NameID, metric: NameID) -> Int? {
        resource == 0 || metric == 0 ? nil : index.find(resource, metric)
    }

    /// The number of a series by its names, without giving one out.
    package func find(resource: UnsafeRawBufferPointer, metric: UnsafeRawBufferPointer) -> Int? {
        guard let resource = names.find(resource), let metric = names.find(metric) else { return nil }
        return index.find(resource, metric)
    }

    /// `resource,metric` as text, for messages.
    package func text(of series: Int) -> String {
        guard keys.indices.contains(series) else { return "" }
        return "\(names.text(of: keys[series].resource)),\(names.text(of: keys[series].metric))"
    }
}

/// Rows that were passed over, by fault, with the first few as examples.
package struct BadRows: Sendable {
    /// How many rows, by raw value of their fault.
    package private(set) var counts = [UInt64](repeating: 0, count: RowFault.allCases.count)
    /// The first few, as `line 12: a value that is not a number`.
    package private(set) var examples: [String] = []
    package static let examplesMax = 10

    package init() {}

    package var total: UInt64 { counts.reduce(0, +) }

    mutating func note(_ fault: RowFault, line: Int) {
        counts[Int(fault.rawValue)] += 1
        if examples.count < Self.examplesMax { examples.append("line \(line): \(fault.text)") }
    }
}

/// A row of telemetry.
package struct TelemetryRow: BitwiseCopyable {
    package var time: EventTime
    package var value: Double
    package var series: Int32
}

/// Reads `timestamp,resource,metric,value` from a CSV file, plain or compressed: columns found by the names in the
/// header in any order, others passed over. Rows at fault are counted and passed over, up to a limit; rows without a
/// value (an empty field, `NaN`) are counted apart, as a missing sample is nothing wrong.
package struct TelemetryReader: ~Copyable {
    /// How many rows may be at fault: this many, or this share of all, whichever is more.
    package struct Limits: Sendable {
        package var badRowsMax: UInt64 = 1_000
        package var badShareMax = 0.01
        package init() {}
    }

    package let series: SeriesTable
    package private(set) var rows: UInt64 = 0
    package private(set) var rowsWithoutValue: UInt64 = 0
    package private(set) var bad = BadRows()

    private let file: InputFile
    private var csv: CSVReader
    private let limits: Limits
    private let columns: Columns
    private var cache = NameCache()

    private struct Columns {
        let timestamp: Int
        let resource: Int
        let metric: Int
        let value: Int
        let last: Int

        init(_ header: CSVHeader) throws(BacktestError) {
            timestamp = try header.require("timestamp")
            resource = try header.require("resource")
            metric = try header.require("metric")
            value = try header.require("value")
            last = max(timestamp, resource, metric, value)
        }
    }

    /// Opens the file and reads its header.
    package init(path: String, series: SeriesTable, limits: Limits = Limits()) throws(BacktestError) {
        let opened = try InputFile(path: path)
        var rows = CSVReader(file: opened)
        let columns = try Columns(CSVHeader(&rows, path: path))
        file = opened
        csv = rows
        self.columns = columns
        self.series = series
        self.limits = limits
    }

    /// The share of the file that has been read, 0…1.
    package var progress: Double {
        file.byteCount > 0 ? min(Double(file.bytesRead) / Double(file.byteCount), 1) : 1
    }

    /// The line of the row just read.
    package var line: Int { csv.line }

    /// Reads on to the next good row; nil at the end.
    package mutating func next() throws(BacktestError) -> TelemetryRow? {
        while true {
            switch try csv.next() {
            case .end: return nil
            case .fault(let fault): try note(fault)
            case .row:
                switch parse() {
                case .success(let row?):
                    rows &+= 1
                    return row
                case .success(nil): rowsWithoutValue &+= 1
                case .failure(let fault): try note(fault)
                }
            }
        }
    }

    private mutating func note(_ fault: RowFault) throws(BacktestError) {
        bad.note(fault, line: csv.line)
        let allowed = max(limits.badRowsMax, UInt64(Double(rows) * limits.badShareMax))
        guard bad.total > allowed else { return }
        throw BacktestError(
            .tooManyBadRows,
            "\(file.path): \(bad.total) of \(rows + bad.total) rows cannot be read, the first ones: "
                + bad.examples.prefix(3).joined(separator: "; "))
    }

    /// The row at hand; nil if it has no value.
    private mutating func parse() -> Result<TelemetryRow?, RowFault> {
        guard csv.fieldCount > columns.last else { return .failure(.fields) }
        let time: EventTime
        switch FieldNumber.readTime(csv.field(columns.timestamp)) {
        case .success(let read): time = read
        case .failure(let fault): return .failure(fault)
        }
        let value: Double
        switch FieldNumber.read(csv.field(columns.value)) {
        case .number(let read): value = read
        case .none: return .success(nil)
        case .malformed: return .failure(.value)
        }
        switch cache.series(csv.field(columns.resource), csv.field(columns.metric), in: series) {
        case .success(let number): return .success(TelemetryRow(time: time, value: value, series: number))
        case .failure(let fault): return .failure(fault)
        }
    }
}

/// The last names seen: most files are grouped by resource or by metric, and a comparison is cheaper than a look-up.
private struct NameCache {
    private var resource: NameID = 0
    private var metric: NameID = 0
    private var number: Int32 = -1

    @inline(__always)
    mutating func series(
        _ resourceBytes: UnsafeRawBufferPointer, _ metricBytes: UnsafeRawBufferPointer, in table: SeriesTable
    ) -> Result<Int32, RowFault> {
        let sameResource = resource != 0 && Self.equal(resourceBytes, table.names.bytes(of: resource))
        let sameMetric = metric != 0 && Self.equal(metricBytes, table.names.bytes(of: metric))
        if sameResource, sameMetric, number >= 0 { return .success(number) }
        if !sameResource {
            guard let found = intern(resourceBytes, in: table) else { return .failure(fault(resourceBytes)) }
            resource = found
        }
        if !sameMetric {
            guard let found = intern(metricBytes, in: table) else { return .failure(fault(metricBytes)) }
            metric = found
        }
        number = -1
        guard let found = table.number(resource: resource, metric: metric) else { return .failure(.limit) }
        number = Int32(truncatingIfNeeded: found)
        return .success(number)
    }

    private mutating func intern(_ bytes: UnsafeRawBufferPointer, in table: SeriesTable) -> NameID? {
        guard let name = table.names.intern(bytes) else {
            number = -1
            return nil
        }
        return name
    }

    private func fault(_ bytes: UnsafeRawBufferPointer) -> RowFault {
        bytes.isEmpty || bytes.count > NameTable.nameBytesMax ? .name : .limit
    }

    @inline(__always)
    private static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count, let first = a.baseAddress, let second = b.baseAddress else { return false }
        return memcmp(first, second, a.count) == 0
    }
}

/// The header of a CSV file: where each column stands.
package struct CSVHeader {
    private let names: [String]
    private let path: String

    /// Reads the first row.
    package init(_ csv: inout CSVReader, path: String) throws(BacktestError) {
        self.path = path
        guard try csv.next() == .row else {
            throw BacktestError(.format, "\(path) has no header", hint: "the first line names the columns")
        }
        var names: [String] = []
        for index in 0..<csv.fieldCount { names.append(trimmed(csv.field(index))) }
        self.names = names
    }

    /// The position of a column, or nil if there is none of this name. Upper and lower case count as the same.
    package func find(_ name: String) -> Int? {
        names.firstIndex(of: name) ?? names.firstIndex { $0.lowercased() == name }
    }

    /// The position of a column that must be there.
    package func require(_ name: String) throws(BacktestError) -> Int {
        if let found = find(name) { return found }
        let shown = names.prefix(12).joined(separator: ",")
        throw BacktestError(.format, "\(path), line 1: no column \"\(name)\" among \"\(shown)\"")
    }
}

/// A field as text, without blanks around it.
package func trimmed(_ field: UnsafeRawBufferPointer) -> String {
    var first = 0
    var last = field.count
    while first < last, field[first] == 0x20 || field[first] == 0x09 { first += 1 }
    while first < last, field[last - 1] == 0x20 || field[last - 1] == 0x09 { last -= 1 }
    return String(decoding: UnsafeRawBufferPointer(rebasing: field[first..<last]), as: UTF8.self)
}
