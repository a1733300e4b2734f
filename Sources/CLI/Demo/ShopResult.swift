import Foundation
import Messages
import Simulation

/// What both rules came to, in one table.
struct ShopResult {
    let fleet: ShopFleet
    /// Simulated minutes that were lived through.
    let minutes: Int
    let seed: UInt64

    private struct Row {
        let name: String
        let side: ShopSide
        let warnings: [Double?]
    }

    private var rows: [Row] {
        [("twinscale", fleet.twinned), ("reactive", fleet.reactive)].map {
            Row(name: $0.0, side: $0.1, warnings: fleet.warningPerHop(of: $0.1))
        }
    }

    /// The table, line by line.
    var table: [String] {
        let hops = Shop.chain.map { Shop.services[$0].name }
        var lines = [
            "\(minutes) simulated minutes, seed \(seed): \(Shop.services.count) services, same demand, same limits; "
                + "twinscale aims at \(DemoPolicy.aim), "
                + "the reactive rule at \(Int(ShopFleet.targetUtilisation * 100)) % now",
            "",
        ]
        var cells = [["", "short minutes", "replica-hours", "cost", "actions"] + hops.map { "warning " + $0 }]
        for row in rows {
            cells.append(
                [
                    row.name, String(format: "%.1f", row.side.shortMinutes),
                    String(format: "%.1f", row.side.replicaHours),
                    String(format: "%.2f", row.side.cost), "\(row.side.orders)",
                ] + row.warnings.map { $0.map { String(format: "%+.1f min", $0) } ?? "–" })
        }
        lines += DemoVoice.columns(cells)
        let (ours, theirs) = (fleet.twinned, fleet.reactive)
        lines += [
            "",
            DemoVoice.verdict(
                short: (ours.shortMinutes, theirs.shortMinutes), cost: (ours.cost, theirs.cost),
                actions: (ours.orders, theirs.orders)),
            "",
        ]
        lines += [
            "short minute: a service asked for more than \(Int(ShopSide.sloUtilisation * 100)) % of what its ready "
                + "replicas carry, for a minute",
            "warning: minutes between enough being ordered and a rise (surge or campaign) reaching the service, mean; "
                + "negative: ordered after it came; –: what was there was enough",
        ]
        return lines
    }

    /// The same as data.
    var json: String {
        var writer = JSONWriter(capacityBytes: 1_024)
        writer.beginObject()
        writer.key("minutes")
        writer.int(minutes)
        writer.key("seed")
        writer.unsigned(seed)
        writer.key("rules")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.key("rule")
            writer.string(row.name)
            writer.key("shortMinutes")
            writer.double(row.side.shortMinutes)
            writer.key("replicaHours")
            writer.double((row.side.replicaHours * 1_000).rounded() / 1_000)
            writer.key("cost")
            writer.double((row.side.cost * 1_000).rounded() / 1_000)
            writer.key("actions")
            writer.int(row.side.orders)
            writer.key("warningMinutes")
            writer.beginObject()
            for (service, minutes) in zip(Shop.chain, row.warnings) {
                writer.key(Shop.services[service].name)
                if let minutes { writer.double(minutes) } else { writer.null() }
            }
            writer.endObject()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
