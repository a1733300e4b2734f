import Messages
import TwinCore

/// What the last decision about a resource says, as far as views need it by itself.
package struct DecisionFacts: Sendable {
    package var id: String
    package var time: EventTime
    package var mode: String?
    package var policy: String?
    package var metric: String?
    package var current: Int?
    package var desired: Int?
    package var reactive: Int?
    package var shortfall: Int?
    package var capacityPerUnit: Double?
    package var targetUtilisation: Double?
    package var quantile: Double?
    /// Demand at its quantile where it is highest in the window.
    package var value: Double?
    package var level: Double?
    /// The longer of the declared and the learned lead time.
    package var leadSeconds: Double?
    package var pricePerUnitHour: Double?
    package var reason: String?
    /// Waits for approval under this id.
    package var proposal: String?
    package var action: String?

    /// From the data of a decision.
    package init(id: String, time: EventTime, data: JSONValue) {
        self.id = id
        self.time = time
        mode = data["mode"]?.text
        policy = data["policy"]?["name"]?.text
        current = data["current"]?.integer
        desired = data["desired"]?.integer
        shortfall = data["shortfall"]?.integer
        reactive = data["candidates"]?["reactive"]?.integer
        reason = data["reason"]?.text
        proposal = data["proposal"]?.text
        action = data["action"]?.text
        let inputs = data["inputs"]
        metric = inputs?["metric"]?.text
        capacityPerUnit = inputs?["capacityPerReplica"]?.number
        targetUtilisation = inputs?["targetUtilisation"]?.number
        quantile = inputs?["quantile"]?.number
        value = inputs?["value"]?.number
        level = inputs?["level"]?.number
        let leads = [inputs?["leadSecondsDeclared"]?.number, inputs?["leadSecondsLearned"]?.number]
        leadSeconds = leads.compactMap { $0 }.max()
        if let price = data["pricePerHour"]?.number, let desired, desired > 0 {
            pricePerUnitHour = price / Double(desired)
        }
    }
}

extension DecisionFacts {
    /// The data of a decision that says the same.
    var data: [UInt8] {
        var writer = JSONWriter(capacityBytes: 512)
        writer.beginObject()
        writer.member("mode", mode)
        writer.key("policy")
        writer.beginObject()
        writer.member("name", policy)
        writer.endObject()
        writer.member("current", current)
        writer.member("desired", desired)
        writer.member("shortfall", shortfall)
        writer.key("candidates")
        writer.beginObject()
        writer.member("reactive", reactive)
        writer.endObject()
        writer.key("inputs")
        writer.beginObject()
        writer.member("metric", metric)
        writer.member("capacityPerReplica", capacityPerUnit)
        writer.member("targetUtilisation", targetUtilisation)
        writer.member("quantile", quantile)
        writer.member("value", value)
        writer.member("level", level)
        writer.member("leadSecondsLearned", leadSeconds)
        writer.endObject()
        writer.member("reason", reason)
        writer.member("proposal", proposal)
        writer.member("action", action)
        writer.endObject()
        return writer.bytes
    }
}

/// The highest use of the ready capacity that is expected within a horizon.
package struct Risk: Sendable, Equatable {
    /// Upper quantile of demand ÷ ready capacity; above 1 it does not fit.
    package var utilisation: Double
    /// When it is highest, seconds from the last sample.
    package var atSeconds: Double
    /// Units that would be missing then.
    package var shortfall: Int
}

/// One resource as operators see it. Each part is a fold of one topic, so the order between topics does not matter.
package struct TwinView: Sendable {
    package let resource: String
    package internal(set) var locality: String?
    package internal(set) var className: String?
    package internal(set) var tags: [(name: String, value: String)] = []
    /// Event time of the newest summary; nil before the first.
    package internal(set) var summaryTime: EventTime?
    package internal(set) var summaryUnits: Double?
    package internal(set) var series: [SeriesView] = []
    package internal(set) var decision: DecisionFacts?
    /// Raised with every change; makes ETags.
    package internal(set) var version: UInt64 = 0
    /// Forgotten by its twin-updater.
    package internal(set) var isGone = false

    package init(resource: String) { self.resource = resource }

    /// The series that decisions are made from, else that of a demand, else the first.
    package var primary: SeriesView? {
        if let metric = decision?.metric, let found = series.first(where: { $0.metric == metric }) { return found }
        return series.first { $0.code.role == .demand || $0.code.role == .utilisation } ?? series.first
    }

    /// The series of a metric; the primary one without a name.
    package func series(_ metric: String?) -> SeriesView? {
        guard let metric else { return primary }
        return series.first { $0.metric == metric }
    }

    /// Units that are ready, by the newest of what is known.
    package var readyUnits: Double? {
        if let units = primary?.readyUnits, units.isFinite { return Double(units) }
        if let summaryUnits { return summaryUnits }
        return decision?.current.map { Double($0) }
    }

    /// Event time of the newest sample.
    package var time: EventTime? {
        let newest = series.map(\.time).max() ?? .distantPast
        return newest == .distantPast ? summaryTime : newest
    }

    /// What the ready units carry at full use, in the primary metric's unit; nil if unknown.
    package func capacity(units: Double?) -> Double? {
        guard let each = decision?.capacityPerUnit, let units, each > 0, units >= 0 else { return nil }
        return each * units
    }

    /// Index of the quantile that decisions are made from; 95 % where no policy says.
    private var quantileIndex: Int {
        guard let level = decision?.quantile else { return 3 }
        return QuantileLevels.all.firstIndex { $0 >= level - 1e-9 } ?? QuantileLevels.count - 1
    }

    /// The highest expected use within `seconds`; nil where capacity or outlook is not known.
    package func risk(withinSeconds seconds: Double) -> Risk? {
        guard let series = primary, series.horizonCount > 0, let units = readyUnits, units > 0 else { return nil }
        let isRatio = series.code.role == .utilisation
        guard isRatio || decision?.capacityPerUnit ?? 0 > 0 else { return nil }
        let each = isRatio ? 1 / units : decision?.capacityPerUnit ?? 1
        var worst: Risk?
        for h in 0..<series.horizonCount where h == 0 || Double(series.horizonSeconds(h)) <= seconds {
            let demand = Double(series.quantile(quantileIndex, h))
            guard demand.isFinite else { continue }
            let use = demand / (each * units)
            if let worst, worst.utilisation >= use { continue }
            let needed = min((demand / each).rounded(.up), 1e9)
            worst = Risk(
                utilisation: use, atSeconds: Double(series.horizonSeconds(h)),
                shortfall: max(Int(needed - units), 0))
        }
        return worst
    }

    /// Money per hour of the ready units, where a price is declared.
    package var pricePerHour: Double? {
        guard let price = decision?.pricePerUnitHour, let units = readyUnits else { return nil }
        return price * units
    }

    /// The value of a type of locality; `locality` is the one that partitions follow.
    package func locality(ofType type: String) -> String? {
        type == "locality" ? locality : tags.first { $0.name == type }?.value
    }
}

/// Which twins are wanted; every condition must hold.
package struct TwinFilter: Sendable {
    package var locality: String?
    package var localityType: String?
    package var localityValue: String?
    package var tags: [(name: String, value: String)] = []
    package var className: String?
    /// Part of the name.
    package var part: String?

    package init() {}

    /// Whether this twin is wanted.
    package func matches(_ twin: borrowing TwinView) -> Bool {
        if let locality, twin.locality != locality { return false }
        if let localityType {
            guard let value = twin.locality(ofType: localityType) else { return false }
            if let localityValue, value != localityValue { return false }
        }
        for tag in tags where !twin.tags.contains(where: { $0.name == tag.name && $0.value == tag.value }) {
            return false
        }
        if let className, twin.className != className { return false }
        if let part, !twin.resource.contains(part) { return false }
        return true
    }
}
