import TwinCore

/// The rows of a trace in the order of arrival, whatever the order of the file.
///
/// A file that fits into `Limits.rowsInMemoryMax` is read once and merged in memory. A longer one is first checked: if
/// it is in the order of time, it is read a second time and streamed with bounded memory; if it is not (grouped by
/// resource, say), it is read into memory up to `rowsUnsortedMax`, 20 bytes a row.
package final class TelemetrySource {
    /// Bounds of memory.
    package struct Limits: Sendable {
        /// Rows up to which a file is simply kept in memory: 80 MB.
        package var rowsInMemoryMax = 4_000_000
        /// Rows that a file out of order may have: 4 GB.
        package var rowsUnsortedMax = 200_000_000
        /// How much older than the newest row before it a row of a streamed file may be; it is then late data.
        package var streamedLatenessSecondsMax: Int64 = 3_600
        package var reader = TelemetryReader.Limits()
        package init() {}
    }

    /// What is known about the file once it has been read or checked.
    package private(set) var rowCount: UInt64 = 0
    package private(set) var rowsWithoutValue: UInt64 = 0
    package private(set) var bad = BadRows()
    /// Rows older than one of their own series (in a streamed file: than any) before them.
    package private(set) var lateRows: UInt64 = 0
    /// The row that made most of them late, where it lies far ahead.
    package private(set) var farAhead: FarAheadRow?
    /// True if rows had to be put in order.
    package private(set) var isMerged = false
    /// True if the file is read twice instead of kept in memory.
    package private(set) var isStreamed = false
    package let series: SeriesTable

    private let path: String
    private let limits: Limits
    @exclusivity(unchecked) private var table: TelemetryTable?
    @exclusivity(unchecked) private var order: MergeOrder?
    @exclusivity(unchecked) private var position = 0
    @exclusivity(unchecked) private var reader: TelemetryReader?
    @exclusivity(unchecked) private var newest = Int64.min

    /// Reads or checks the file. `progress` is told the share read, 0…1, now and then.
    package init(
        path: String, series: SeriesTable = SeriesTable(), limits: Limits = Limits(),
        progress: (Double) -> Void = { _ in }
    ) throws(BacktestError) {
        self.path = path
        self.limits = limits
        self.series = series
        if try load(limits.rowsInMemoryMax, progress) { return }
        if try check(progress) {
            isStreamed = true
            reader = try TelemetryReader(path: path, series: series, limits: limits.reader)
            return
        }
        guard try load(limits.rowsUnsortedMax, progress) else {
            throw BacktestError(
                .limit, "\(path) is not in the order of time and has more than \(limits.rowsUnsortedMax) rows",
                hint: "sort it by timestamp, then its length does not matter")
        }
    }

    private func take(_ reader: borrowing TelemetryReader) {
        rowCount = reader.rows
        rowsWithoutValue = reader.rowsWithoutValue
        bad = reader.bad
    }

    /// Reads the file into memory; false, and nothing kept, if it has more than `rowsMax` rows.
    private func load(_ rowsMax: Int, _ progress: (Double) -> Void) throws(BacktestError) -> Bool {
        var reader = try TelemetryReader(path: path, series: series, limits: limits.reader)
        let table = TelemetryTable()
        while let row = try reader.next() {
            if table.count >= rowsMax { return false }
            table.append(row, line: reader.line)
            if table.count & 0xffff == 0 { progress(reader.progress) }
        }
        take(reader)
        lateRows = UInt64(table.lateCount)
        farAhead = table.farAhead
        isMerged = !table.isSorted
        if isMerged { order = MergeOrder(table) }
        self.table = table
        return true
    }

    /// Reads the file without keeping it; true if no row is much older than the newest before it.
    private func check(_ progress: (Double) -> Void) throws(BacktestError) -> Bool {
        var reader = try TelemetryReader(path: path, series: series, limits: limits.reader)
        var newest = Int64.min
        lateRows = 0
        while let row = try reader.next() {
            let time = row.time.milliseconds
            if time < newest {
                if newest - time > limits.streamedLatenessSecondsMax * 1_000 { return false }
                lateRows += 1
            } else {
                newest = time
            }
            if reader.rows & 0xffff == 0 { progress(reader.progress) }
        }
        take(reader)
        return true
    }

    /// The next row and its moment of arrival; nil at the end.
    package func next() throws(BacktestError) -> (row: TelemetryRow, arrival: EventTime)? {
        if isStreamed {
            guard let row = try reader?.next() else { return nil }
            newest = max(newest, row.time.milliseconds)
            return (row, EventTime(milliseconds: newest))
        }
        return nextFromMemory()
    }

    private func nextFromMemory() -> (row: TelemetryRow, arrival: EventTime)? {
        guard let table else { return nil }
        let index: Int
        if isMerged {
            guard let next = order?.next(table) else { return nil }
            index = next
        } else {
            index = position
            position += 1
        }
        guard index < table.count else { return nil }
        return (table.row(index), EventTime(milliseconds: table.arrival(index)))
    }
}
