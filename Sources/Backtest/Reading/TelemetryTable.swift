import TwinCore

/// A row whose time is so far ahead of the rows after it that they come late because of it.
package struct FarAheadRow: Sendable, Equatable {
    package var line = 0
    package var time = EventTime.distantPast
    /// How many rows came late because of it.
    package var late = 0

    /// Less is ordinary lateness.
    static let farMilliseconds: Int64 = 3_600_000
}

/// Rows of telemetry in memory, in the order of the file: 20 bytes a row, in blocks, so that growing moves nothing.
///
/// Each row has a moment of *arrival*: its own time, or the latest time of its series so far where the row is older
/// (a sample that came late). Arrival is what rows are fed in the order of; ties keep the order of the file.
final class TelemetryTable {
    private static let blockRows = 1 << 18

    /// Columns of so many rows.
    private struct Block {
        let arrivals: UnsafeMutablePointer<Int64>
        let values: UnsafeMutablePointer<Double>
        /// The series; with the sign bit where the row came late.
        let series: UnsafeMutablePointer<Int32>
    }

    @exclusivity(unchecked) private(set) var count = 0
    @exclusivity(unchecked) private var blocks: [Block] = []
    /// The true time of each row that came late, in the order of the file.
    @exclusivity(unchecked) private var late: [(row: Int, time: Int64)] = []
    /// The latest time of each series so far.
    @exclusivity(unchecked) private var latest: [Int64] = []
    /// The row that `latest` of each series is of, and how many rows came far behind it.
    @exclusivity(unchecked) private var leaders: [FarAheadRow] = []
    /// The row that made most rows of its series late by more than an hour; nil if none did.
    @exclusivity(unchecked) private(set) var farAhead: FarAheadRow?
    /// Starts of the runs of rows in which arrival never falls.
    @exclusivity(unchecked) private(set) var runs: [Int] = []
    @exclusivity(unchecked) private var lastArrival = Int64.min

    private static let lateBit = Int32.min

    init() {}

    deinit {
        for block in blocks {
            block.arrivals.deallocate()
            block.values.deallocate()
            block.series.deallocate()
        }
    }

    /// Rows that are older than one of their own series before them.
    var lateCount: Int { late.count }

    /// True while the file's order is the order of arrival.
    var isSorted: Bool { runs.count <= 1 }

    /// - Parameter line: where it stands in the file.
    func append(_ row: TelemetryRow, line: Int = 0) {
        let number = Int(row.series)
        while latest.count <= number {
            latest.append(.min)
            leaders.append(FarAheadRow())
        }
        let time = row.time.milliseconds
        let arrival = max(time, latest[number])
        if time > latest[number] { leaders[number] = FarAheadRow(line: line, time: row.time) }
        if arrival - time > FarAheadRow.farMilliseconds {
            leaders[number].late += 1
            if leaders[number].late > farAhead?.late ?? 0 { farAhead = leaders[number] }
        }
        latest[number] = arrival
        if arrival < lastArrival || count == 0 { runs.append(count) }
        lastArrival = arrival
        if count >> 18 == blocks.count {
            blocks.append(
                Block(
                    arrivals: .allocate(capacity: Self.blockRows), values: .allocate(capacity: Self.blockRows),
                    series: .allocate(capacity: Self.blockRows)))
        }
        let block = blocks[count >> 18]
        let slot = count & (Self.blockRows - 1)
        (block.arrivals + slot).initialize(to: arrival)
        (block.values + slot).initialize(to: row.value)
        (block.series + slot).initialize(to: arrival == time ? row.series : row.series | Self.lateBit)
        if arrival != time { late.append((count, time)) }
        count += 1
    }

    /// The moment of arrival of a row, in milliseconds.
    @inline(__always)
    func arrival(_ row: Int) -> Int64 { blocks[row >> 18].arrivals[row & (Self.blockRows &- 1)] }

    /// A row as it was read.
    func row(_ index: Int) -> TelemetryRow {
        let block = blocks[index >> 18]
        let slot = index & (Self.blockRows &- 1)
        let series = block.series[slot]
        let time = series < 0 ? lateTime(index) : block.arrivals[slot]
        return TelemetryRow(
            time: EventTime(milliseconds: time), value: block.values[slot], series: series & ~Self.lateBit)
    }

    private func lateTime(_ row: Int) -> Int64 {
        var low = 0
        var high = late.count
        while low < high {
            let middle = (low + high) / 2
            if late[middle].row < row { low = middle + 1 } else { high = middle }
        }
        return low < late.count && late[low].row == row ? late[low].time : arrival(row)
    }
}

/// The order in which the rows of a table are fed: by arrival, then by their place in the file. Merges the runs that
/// the file consists of (one per series, where it is grouped by series) with a heap of one entry per run.
struct MergeOrder {
    private var heads: [(arrival: Int64, row: Int, end: Int)] = []

    init(_ table: TelemetryTable) {
        let runs = table.runs
        heads.reserveCapacity(runs.count)
        for index in runs.indices {
            let end = index + 1 < runs.count ? runs[index + 1] : table.count
            heads.append((table.arrival(runs[index]), runs[index], end))
        }
        var index = heads.count / 2
        while index > 0 {
            index -= 1
            sink(index)
        }
    }

    /// The next row, or nil at the end.
    mutating func next(_ table: TelemetryTable) -> Int? {
        guard !heads.isEmpty else { return nil }
        let row = heads[0].row
        if row + 1 < heads[0].end {
            heads[0].row = row + 1
            heads[0].arrival = table.arrival(row + 1)
        } else {
            heads[0] = heads[heads.count - 1]
            heads.removeLast()
        }
        if heads.count > 1 { sink(0) }
        return row
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        let moved = heads[start]
        while true {
            var child = parent &* 2 &+ 1
            if child >= heads.count { break }
            if child &+ 1 < heads.count, isBefore(heads[child &+ 1], heads[child]) { child &+= 1 }
            if !isBefore(heads[child], moved) { break }
            heads[parent] = heads[child]
            parent = child
        }
        heads[parent] = moved
    }

    @inline(__always)
    private func isBefore(
        _ a: (arrival: Int64, row: Int, end: Int), _ b: (arrival: Int64, row: Int, end: Int)
    ) -> Bool {
        a.arrival != b.arrival ? a.arrival < b.arrival : a.row < b.row
    }
}
