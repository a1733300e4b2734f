import StageKit
import TwinCore

/// The forecasts that are asked for: `resource,metric,origin`, columns found by name, others passed over. Where a
/// column `file` exists, only rows of this trace count.
package struct OriginsFile {
    /// Origins that are kept: 16 bytes each.
    package static let originsMax = 50_000_000

    /// By series: the asked moments, ascending, without repeats.
    private var moments: [[Int64]] = []
    private var index = SeriesTable()
    /// Origins in all series.
    package private(set) var count = 0
    /// Rows that could not be read.
    package private(set) var bad = BadRows()
    /// Every asked moment once, ascending.
    package private(set) var allMoments: [Int64] = []

    /// - Parameter trace: path of the telemetry; its name without `.csv` or `.csv.gz` is what `file` is compared with.
    package init(path: String, trace: String) throws(BacktestError) {
        var csv = CSVReader(file: try InputFile(path: path))
        let header = try CSVHeader(&csv, path: path)
        let resource = try header.require("resource")
        let metric = try header.require("metric")
        let origin = try header.require("origin")
        let file = header.find("file")
        let wanted = Self.traceName(trace)
        var rows = 0
        reading: while true {
            switch try csv.next() {
            case .end: break reading
            case .fault(let fault): bad.note(fault, line: csv.line)
            case .row:
                if let file, Self.traceName(trimmed(csv.field(file))) != wanted { continue }
                rows += 1
                guard rows <= Self.originsMax else {
                    throw BacktestError(.limit, "\(path) has more than \(Self.originsMax) origins for \(wanted)")
                }
                take(csv.field(resource), csv.field(metric), csv.field(origin), line: csv.line)
            }
        }
        finish()
    }

    private mutating func take(
        _ resource: UnsafeRawBufferPointer, _ metric: UnsafeRawBufferPointer, _ origin: UnsafeRawBufferPointer,
        line: Int
    ) {
        guard case .success(let time) = FieldNumber.readTime(origin) else { return bad.note(.timestamp, line: line) }
        guard let resource = index.names.intern(resource), let metric = index.names.intern(metric),
            let number = index.number(resource: resource, metric: metric)
        else { return bad.note(.name, line: line) }
        while moments.count <= number { moments.append([]) }
        moments[number].append(time.milliseconds)
    }

    private mutating func finish() {
        for number in moments.indices {
            moments[number] = Self.unique(moments[number])
            count += moments[number].count
        }
        allMoments = Self.unique(moments.flatMap { $0 })
    }

    private static func unique(_ values: [Int64]) -> [Int64] {
        var result: [Int64] = []
        for value in values.sorted() where value != result.last { result.append(value) }
        return result
    }

    /// The name of a trace: the last part of a path, without `.gz` and `.csv`.
    package static func traceName(_ path: String) -> String {
        var name = path.split(separator: "/").last.map { String($0) } ?? path
        if name.hasSuffix(".gz") { name.removeLast(3) }
        if name.hasSuffix(".csv") { name.removeLast(4) }
        return name
    }

    /// The asked moments of a series, ascending.
    package func moments(resource: UnsafeRawBufferPointer, metric: UnsafeRawBufferPointer) -> [Int64] {
        guard let number = index.find(resource: resource, metric: metric), number < moments.count else { return [] }
        return moments[number]
    }
}
