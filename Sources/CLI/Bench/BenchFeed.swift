import Foundation
import Messages
import Simulation
import TwinCore

/// Native JSON records for benchmarks, in one piece of memory: about 210 bytes each, one sample a record. Series take
/// turns, as scrapes do: which is the least kind order to caches.
struct BenchFeed {
    static let metrics: [(name: StaticString, unit: StaticString, base: Double)] = [
        ("cpu", "ratio", 0.5), ("mem", "ratio", 0.6), ("rps", "req/s", 900), ("p99_ms", "ms", 45),
    ]

    private(set) var bytes: [UInt8] = []
    private var ends: [Int] = [0]
    /// The raw partition of each record: that of its resource.
    private(set) var partitions: [Int32] = []
    let seriesCount: Int
    let resources: Int

    var count: Int { partitions.count }

    /// - Parameters:
    ///   - records: how many.
    ///   - stepSeconds: between two samples of a series.
    init(records: Int, resources: Int, partitions count: Int32, stepSeconds: Int64 = 15) {
        self.resources = resources
        seriesCount = resources * Self.metrics.count
        bytes.reserveCapacity(records * 230)
        partitions.reserveCapacity(records)
        var random = SeededGenerator(seed: 7)
        var writer = JSONWriter(capacityBytes: 512)
        for index in 0..<records {
            let series = index % seriesCount
            let resource = series / Self.metrics.count
            let metric = Self.metrics[series % Self.metrics.count]
            let round = index / seriesCount
            let wave = sin(Double(round) / 40 + Double(resource))
            let value = metric.base * (1 + 0.2 * wave + 0.05 * (random.unit() - 0.5))
            writer.removeAll()
            Self.write(index, resource, metric.name, value, metric.unit, Int64(round) * stepSeconds, into: &writer)
            bytes.append(contentsOf: writer.bytes)
            ends.append(bytes.count)
            partitions.append(Int32(truncatingIfNeeded: fnv1a64("svc-\(resource)") % UInt64(count)))
        }
    }

    private static func write(
        _ index: Int, _ resource: Int, _ metric: StaticString, _ value: Double, _ unit: StaticString, _ seconds: Int64,
        into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("resource")
        writer.string("svc-\(resource)")
        writer.key("locality")
        writer.string("eu-\(resource % 3 + 1)a/cluster-\(resource % 40)")
        writer.key("metric")
        writer.string(metric)
        writer.key("value")
        writer.double((value * 1e6).rounded() / 1e6)
        writer.key("unit")
        writer.string(unit)
        writer.key("ts")
        writer.time(EventTime(seconds: 1_795_525_200 + seconds))
        writer.key("seq")
        writer.int(index)
        writer.key("source")
        writer.string("agent-\(resource % 500)")
        writer.key("labels")
        writer.beginObject()
        writer.key("tier")
        writer.string(resource % 2 == 1 ? "backend" : "frontend")
        writer.key("version")
        writer.string("1.\(resource % 20).\(resource % 7)")
        writer.endObject()
        writer.endObject()
    }

    /// Gives each record of a range.
    func forEach(in range: Range<Int>, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeBytes { all in
            for index in range { try body(index, UnsafeRawBufferPointer(rebasing: all[ends[index]..<ends[index + 1]])) }
        }
    }

    /// A policy for all, so that the decider has something to decide.
    static func policy(metric: String) -> [UInt8] {
        let text = """
            {"name":"all","version":1,"mode":"recommend","metric":"\(metric)","capacityPerReplica":100,\
            "targetUtilisation":0.7,\
            "replicas":{"min":1,"max":100,"initial":10},"decisionIntervalSeconds":15,"provisioningDelaySeconds":60}
            """
        return Array(text.utf8)
    }
}
