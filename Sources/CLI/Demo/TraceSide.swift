import Foundation
import Messages
import Simulation
import TwinCore

/// Replicas of a trace's resources under one rule: what they would have carried of what came.
struct TraceSide {
    private(set) var sets: [ReplicaSet]
    private(set) var shortSeconds = 0.0
    private(set) var replicaSeconds = 0.0
    private(set) var orders = 0
    private(set) var shortNow: [Bool]
    private let capacities: [Double]

    /// Nobody recorded how long a replica takes.
    static let provisioningSeconds: Int64 = 300

    init(_ resources: [TraceData.Resource], ready: [Int]) {
        sets = ready.map { ReplicaSet(ready: $0, provisioningSeconds: Self.provisioningSeconds) }
        capacities = resources.map(\.capacityPerReplica)
        shortNow = Array(repeating: false, count: ready.count)
    }

    /// Starts counting anew.
    mutating func beginCount() {
        shortSeconds = 0
        replicaSeconds = 0
        orders = 0
    }

    mutating func order(_ resource: Int, _ count: Int, at time: Int64) {
        let count = max(count, 1)
        guard count != sets[resource].ordered else { return }
        orders += 1
        sets[resource].order(count, at: time)
    }

    /// The time up to `time` was lived with this demand; nil where nothing was measured, which is no shortage.
    mutating func advance(to time: Int64, seconds: Int64, demand: [Double?]) {
        for index in sets.indices {
            sets[index].advance(to: time)
            let capacity = Double(sets[index].ready) * capacities[index] * ShopSide.sloUtilisation
            shortNow[index] = demand[index].map { $0 > capacity } ?? false
            if shortNow[index] { shortSeconds += Double(seconds) }
            replicaSeconds += Double(sets[index].ordered) * Double(seconds)
        }
    }
}

/// What both rules came to on a trace.
struct TraceResult {
    let twinned: TraceSide
    let reactive: TraceSide
    let resources: Int
    let minutes: Double

    private var rows: [(name: String, side: TraceSide)] { [("twinscale", twinned), ("reactive", reactive)] }

    var table: [String] {
        var cells = [["", "short minutes", "replica-hours", "actions"]]
        for row in rows {
            cells.append([
                row.name, String(format: "%.1f", row.side.shortSeconds / 60),
                String(format: "%.1f", row.side.replicaSeconds / 3_600), "\(row.side.orders)",
            ])
        }
        return [
            "\(DemoVoice.short(minutes)) recorded minutes of \(counted(resources, "resource")); a replica "
                + "carries a quarter of the median and takes \(TraceSide.provisioningSeconds / 60) min to start; "
                + "twinscale aims at \(DemoPolicy.aim), the reactive rule at "
                + "\(Int(ShopFleet.targetUtilisation * 100)) % now", "",
        ] + DemoVoice.columns(cells) + [
            "",
            DemoVoice.verdict(
                short: (twinned.shortSeconds, reactive.shortSeconds),
                cost: (twinned.replicaSeconds, reactive.replicaSeconds), actions: (twinned.orders, reactive.orders)),
            "",
            "short minute: a resource asked for more than \(Int(ShopSide.sloUtilisation * 100)) % of what its ready "
                + "replicas would carry, for a minute",
        ]
    }

    var json: String {
        var writer = JSONWriter(capacityBytes: 512)
        writer.beginObject()
        writer.key("minutes")
        writer.double(minutes)
        writer.key("resources")
        writer.int(resources)
        writer.key("rules")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.key("rule")
            writer.string(row.name)
            writer.key("shortMinutes")
            writer.double(row.side.shortSeconds / 60)
            writer.key("replicaHours")
            writer.double((row.side.replicaSeconds / 3.6).rounded() / 1_000)
            writer.key("actions")
            writer.int(row.side.orders)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
