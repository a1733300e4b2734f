import Messages
import Simulation
import TwinCore
import Views

/// How one way of deciding would have fared: capacity over time against what was needed.
struct PreviewScore: Sendable {
    /// What a policy says about one resource, as far as a simulation of its actuator needs it.
    struct Terms: Sendable {
        var capacityPerUnit: Double
        var targetUtilisation: Double
        var minimum: Int
        var maximum: Int
        var delaySeconds: Double
        var pricePerUnitHour: Double?

        /// Nil where the policy does not say what a unit carries.
        init?(_ policy: JSONValue) {
            guard let capacity = policy["capacityPerReplica"]?.number, capacity > 0 else { return nil }
            capacityPerUnit = capacity
            targetUtilisation = policy["targetUtilisation"]?.number ?? 0.7
            minimum = policy["replicas"]?["min"]?.integer ?? 1
            maximum = policy["replicas"]?["max"]?.integer ?? 1_000_000
            delaySeconds = policy["provisioningDelaySeconds"]?.number ?? 0
            pricePerUnitHour = policy["pricePerUnitHour"]?.number
        }

        /// Units that carry this demand with `share` of their capacity.
        func units(for demand: Double, share: Double) -> Double {
            max((demand / (capacityPerUnit * share)).rounded(.up), 0)
        }
    }

    /// A gap between two samples longer than this says nothing about the time between.
    static let gapSecondsMax = 900.0

    let name: String
    private(set) var seconds = 0.0
    private(set) var shortSeconds = 0.0
    private(set) var shortUnitSeconds = 0.0
    private(set) var unitSeconds = 0.0
    private(set) var excessUnitSeconds = 0.0
    private(set) var cost: Double?
    private(set) var actions = 0
    private(set) var reversals = 0

    init(name: String) { self.name = name }

    /// Follows one resource through time; `wanted` says, sample by sample, how many units are ordered then, given how
    /// many are ordered now. Returns the units that were ready at each sample.
    mutating func follow(
        _ demand: [(time: Int64, level: Double)], _ terms: Terms, wanted: (Int, Int) -> Int?
    ) -> [Double] {
        guard let first = demand.first else { return [] }
        let start = Int(min(terms.units(for: first.level, share: terms.targetUtilisation), 1e6))
        var ordered = min(max(start, terms.minimum), max(terms.maximum, terms.minimum))
        var ready = Double(ordered)
        var pending: [(at: Int64, units: Double)] = []
        var direction = 0
        var history: [Double] = []
        for index in demand.indices {
            let (time, level) = demand[index]
            while let next = pending.first, next.at <= time {
                ready = next.units
                pending.removeFirst()
            }
            if let units = wanted(index, ordered), units != ordered {
                let now = units > ordered ? 1 : -1
                actions += 1
                if direction != 0, now != direction { reversals += 1 }
                direction = now
                ordered = units
                let at = time + Int64(terms.delaySeconds * 1_000)
                // A later order takes the place of one that has not come true.
                pending.removeAll { $0.at >= at }
                if at <= time { ready = Double(units) } else { pending.append((at, Double(units))) }
            }
            history.append(ready)
            guard index + 1 < demand.count else { break }
            let span = min(Double(demand[index + 1].time - time) / 1_000, Self.gapSecondsMax)
            account(span, ready: ready, level: level, terms)
        }
        return history
    }

    private mutating func account(_ span: Double, ready: Double, level: Double, _ terms: Terms) {
        seconds += span
        unitSeconds += ready * span
        let needed = terms.units(for: level, share: 1)
        if needed > ready {
            shortSeconds += span
            shortUnitSeconds += (needed - ready) * span
        }
        excessUnitSeconds += max(ready - terms.units(for: level, share: terms.targetUtilisation), 0) * span
        if let price = terms.pricePerUnitHour { cost = (cost ?? 0) + price * ready * span / 3_600 }
    }

    func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("name", name)
        writer.member("shortageShare", seconds > 0 ? shortSeconds / seconds : 0)
        writer.member("shortageUnitHours", shortUnitSeconds / 3_600)
        writer.member("unitHours", unitSeconds / 3_600)
        writer.member("excessUnitHours", excessUnitSeconds / 3_600)
        writer.member("cost", cost)
        writer.member("actions", actions)
        writer.member("reversals", reversals)
        writer.endObject()
    }
}
