import Foundation
import Messages
import Simulation
import TwinCore

/// A fleet that exists only in its telemetry: each series has a daily pattern of its own, a slower weekly one, and
/// noise that remembers (AR(1)). Same seed, same values.
struct FleetGenerator {
    /// What a metric looks like.
    private struct Kind {
        let name: StaticString
        let unit: StaticString
        let base: Double
        /// Share of the base that the day moves it by.
        let swing: Double
        let noise: Double
    }

    private static let kinds: [Kind] = [
        Kind(name: "requests_per_second", unit: "req/s", base: 900, swing: 0.45, noise: 0.05),
        Kind(name: "cpu_cores", unit: "cores", base: 3.5, swing: 0.4, noise: 0.06),
        Kind(name: "latency_p99", unit: "ms", base: 45, swing: 0.15, noise: 0.12),
        Kind(name: "memory_bytes", unit: "MiB", base: 1_400, swing: 0.05, noise: 0.01),
        Kind(name: "errors", unit: "1/s", base: 0.4, swing: 0.3, noise: 0.5),
        Kind(name: "queue_length", unit: "1", base: 12, swing: 0.5, noise: 0.3),
        Kind(name: "disk_used_bytes", unit: "MiB", base: 80_000, swing: 0.01, noise: 0.002),
        Kind(name: "network_bytes", unit: "KiB/s", base: 5_000, swing: 0.4, noise: 0.08),
    ]
    /// Different metrics at most.
    static var metricsMax: Int { kinds.count }

    private struct Series {
        var scale: Double
        var phase: Double
        var noise = 0.0
    }

    let resources: Int
    let metrics: Int
    let localities: Int
    private var random: SeededGenerator
    private var series: [Series] = []
    private let names: [String]
    private let localityNames: [String]

    init(resources: Int, metrics: Int, localities: Int, seed: UInt64) {
        self.resources = resources
        self.metrics = metrics
        self.localities = localities
        random = SeededGenerator(seed: seed)
        names = (0..<resources).map { "svc-\($0)" }
        localityNames = (0..<localities).map { "cluster-\($0)" }
        series.reserveCapacity(resources * metrics)
        for _ in 0..<(resources * metrics) {
            series.append(Series(scale: exp(0.6 * random.normal()), phase: random.unit() * 0.2))
        }
    }

    /// The value of a series at a time; asked for in the order of time.
    mutating func value(resource: Int, metric: Int, at milliseconds: Int64) -> Double {
        let kind = Self.kinds[metric]
        let index = resource * metrics + metric
        series[index].noise = 0.8 * series[index].noise + 0.6 * random.normal()
        let day = Double(milliseconds) / 86_400_000
        let daily = 1 - cos(2 * .pi * (day - 0.15 - series[index].phase))
        let weekly = 1 + 0.1 * sin(2 * .pi * day / 7)
        let shape = 1 + kind.swing * (daily - 1)
        return max(0, kind.base * series[index].scale * shape * weekly * (1 + kind.noise * series[index].noise))
    }

    /// The partition that a resource's records go to: a series stays in one.
    func partition(resource: Int, among count: Int) -> Int32 {
        Int32(truncatingIfNeeded: fnv1a64(names[resource]) % UInt64(max(count, 1)))
    }

    /// Writes one sample as native JSON.
    mutating func write(resource: Int, metric: Int, at milliseconds: Int64, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("resource")
        writer.string(names[resource])
        writer.key("locality")
        writer.string(localityNames[resource % localities])
        writer.key("metric")
        writer.string(Self.kinds[metric].name)
        writer.key("value")
        writer.double((value(resource: resource, metric: metric, at: milliseconds) * 1e4).rounded() / 1e4)
        writer.key("unit")
        writer.string(Self.kinds[metric].unit)
        writer.key("ts")
        writer.int(milliseconds)
        writer.key("class")
        writer.string("service")
        writer.key("source")
        writer.string("loadgen")
        writer.endObject()
    }
}
