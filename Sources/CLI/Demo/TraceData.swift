import Backtest
import Foundation
import Simulation
import StageKit
import TwinCore

/// A recorded trace, as the demo plays it: the last days, in order, with a replica's capacity made up from the data.
struct TraceData {
    /// One metric of one resource at one moment.
    struct Sample {
        let time: Int64
        let series: Int32
        let value: Double
    }

    /// A resource and the metric that is to drive its replicas.
    struct Resource {
        let name: String
        /// Position in `series`.
        let leading: Int
        let capacityPerReplica: Double
        let place: Int
        var locality: String { "trace-\(place)" }
    }

    struct Series {
        let resource: Int
        let metric: String
    }

    let series: [Series]
    let resources: [Resource]
    let samples: [Sample]
    /// Calls between known resources, by position.
    let calls: [(source: Int, target: Int, weight: Double)]
    /// Seconds between samples of a series.
    let stepSeconds: Int64

    /// A demo is for a terminal and an embedded broker, not for a data centre.
    private static let seriesMax = 2_000
    private static let samplesMax = 4_000_000
    /// Replicas that carry the median at full use.
    private static let replicasAtMedian = 4.0

    init(path: String, edges: String?, days: Double, voice: DemoVoice) throws {
        voice.line("reading \(path)")
        let source = try TelemetrySource(path: path)
        var rows: [Sample] = []
        while let (row, _) = try source.next() {
            if StopSignal.isRaised { throw DemoError("stopped") }
            rows.append(Sample(time: row.time.milliseconds / 1_000, series: row.series, value: row.value))
            // What lies before the last days is let go of now and then.
            if rows.count >= 2 * Self.samplesMax { Self.trim(&rows, days: days) }
        }
        Self.trim(&rows, days: days)
        guard let first = rows.first, let end = rows.last, end.time > first.time else {
            throw DemoError("'\(path)' has no samples to play")
        }
        let names = source.series
        guard names.count <= Self.seriesMax else {
            throw DemoError(
                "'\(path)' has \(names.count) series, the demo plays at most \(Self.seriesMax); "
                    + "for more there is: twinscale backtest")
        }
        var values = [[Double]](repeating: [], count: names.count)
        var last = [Int64?](repeating: nil, count: names.count)
        var gaps: [Int64: Int] = [:]
        for row in rows {
            let index = Int(row.series)
            values[index].append(row.value)
            if let before = last[index], row.time > before { gaps[row.time - before, default: 0] += 1 }
            last[index] = row.time
        }
        samples = rows
        // The most frequent distance; of equally frequent ones the shortest.
        stepSeconds = gaps.min { ($1.value, $0.key) < ($0.value, $1.key) }?.key ?? 60
        (series, resources) = try Self.resources(names, values)
        calls = try Self.calls(edges, resources)
    }

    private static func trim(_ rows: inout [Sample], days: Double) {
        guard let last = rows.last else { return }
        let from = last.time - Int64(days * 86_400)
        rows.removeAll { $0.time < from }
        if rows.count > samplesMax { rows.removeFirst(rows.count - samplesMax) }
    }

    private static func resources(
        _ names: SeriesTable, _ values: [[Double]]
    ) throws -> ([Series], [Resource]) {
        var order: [UInt32] = []
        var positions: [UInt32: Int] = [:]
        var series: [Series] = []
        for key in names.keys {
            if positions[key.resource] == nil {
                positions[key.resource] = order.count
                order.append(key.resource)
            }
            series.append(Series(resource: positions[key.resource] ?? 0, metric: names.names.text(of: key.metric)))
        }
        let partitions = Int(DemoPipeline.partitions)
        let resources = order.enumerated().compactMap { index, name -> Resource? in
            let own = series.indices.filter { series[$0].resource == index && !values[$0].isEmpty }
            guard let leading = own.min(by: { rank(series[$0].metric) < rank(series[$1].metric) }) else { return nil }
            let sorted = values[leading].map { max($0, 0) }.sorted()
            let median = sorted[sorted.count / 2]
            let typical = median > 0 ? median : (sorted.last ?? 0) / 4
            return Resource(
                name: names.names.text(of: name), leading: leading,
                capacityPerReplica: typical > 0 ? typical / replicasAtMedian : 1, place: index % partitions)
        }
        guard resources.count == order.count else { throw DemoError("a resource of the trace has no samples") }
        return (series, resources)
    }

    /// How near a metric's name is to what one would scale by; less is nearer.
    private static func rank(_ metric: String) -> Int {
        let name = metric.lowercased()
        let words = ["requests", "rps", "qps", "ops", "calls", "arrivals", "throughput", "traffic", "cpu"]
        return words.firstIndex { name.contains($0) } ?? words.count
    }

    private static func calls(_ path: String?, _ resources: [Resource]) throws -> [(Int, Int, Double)] {
        guard let path else { return [] }
        return try GraphFiles.edges(path: path).compactMap { edge in
            guard let source = resources.firstIndex(where: { $0.name == edge.source }),
                let target = resources.firstIndex(where: { $0.name == edge.target }), source != target
            else { return nil }
            return (source, target, max(edge.weight, 0))
        }
    }
}
