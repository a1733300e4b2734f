import Messages
import Synchronization
import TwinCore
import Views

/// The fleet on one page: who is at risk, heat by locality, cost.
struct FleetReport {
    /// A locality's heat.
    private struct Heat {
        var value: String?
        var resources = 0
        var atRisk = 0
        var utilisation: Double?
        /// Twins by use ahead: up to each of `heatSteps`, and above.
        var steps = [Int](repeating: 0, count: FleetReport.heatSteps.count + 1)
    }

    /// Where one colour of heat ends and the next begins.
    private static let heatSteps = [0.5, 0.75, 0.9, 1]

    /// Localities that are listed by themselves; the hottest come first.
    static let localitiesMax = 1_000

    /// Walks the fleet, shard by shard, and writes the report.
    static func write(
        _ store: ViewStore, horizonSeconds: Double, localityType: String, limit: Int, into writer: inout JSONWriter
    ) {
        var report = FleetReport(horizonSeconds: horizonSeconds, localityType: localityType)
        store.forEachTwin { report.add($0) }
        report.write(store, limit: limit, into: &writer)
    }

    private let horizonSeconds: Double
    private let localityType: String
    private var resources = 0
    private var atRisk = 0
    private var distrusted = 0
    private var stale = 0
    private var price: Double?
    private var saved: Double?
    private var ranked: [(resource: String, utilisation: Double)] = []
    private var heats: [Heat] = []
    private var heatByValue: [String?: Int] = [:]

    private init(horizonSeconds: Double, localityType: String) {
        self.horizonSeconds = horizonSeconds
        self.localityType = localityType
    }

    private mutating func add(_ twin: TwinView) {
        resources += 1
        let series = twin.primary
        if series?.code.isDistrusted ?? false { distrusted += 1 }
        if let quality = series?.code.quality, quality != .fresh { stale += 1 }
        if let cost = twin.pricePerHour { price = (price ?? 0) + cost }
        if let each = twin.decision?.pricePerUnitHour, let reactive = twin.decision?.reactive,
            let units = twin.readyUnits
        {
            saved = (saved ?? 0) + each * (Double(reactive) - units)
        }
        let value = twin.locality(ofType: localityType)
        let place: Int
        if let known = heatByValue[value] {
            place = known
        } else {
            place = heats.count
            heatByValue[value] = place
            heats.append(Heat(value: value))
        }
        heats[place].resources += 1
        guard let risk = twin.risk(withinSeconds: horizonSeconds) else { return }
        heats[place].utilisation = max(heats[place].utilisation ?? 0, risk.utilisation)
        heats[place].steps[Self.heatSteps.firstIndex { risk.utilisation <= $0 } ?? Self.heatSteps.count] += 1
        if risk.utilisation > 1 {
            atRisk += 1
            heats[place].atRisk += 1
        }
        ranked.append((twin.resource, risk.utilisation))
    }

    private mutating func write(_ store: ViewStore, limit: Int, into writer: inout JSONWriter) {
        let seen = store.seenNames()
        let (proposals, open) = store.ledger.withLock { ledger in
            (ledger.proposals.count { seen?.contains($0.resource) ?? true }, ledger.openActions(of: seen))
        }
        writer.beginObject()
        writer.member("time", store.reached())
        writer.member("horizonSeconds", Int(horizonSeconds))
        writer.member("resources", resources)
        writer.member("atRisk", atRisk)
        writer.member("distrusted", distrusted)
        writer.member("stale", stale)
        writer.member("proposals", proposals)
        writer.member("inFlight", open)
        writer.member("pricePerHour", price)
        writer.member("savedPerHour", saved)
        writer.key("ranked")
        writer.beginArray()
        ranked.sort { $0.utilisation != $1.utilisation ? $0.utilisation > $1.utilisation : $0.resource < $1.resource }
        for one in ranked.prefix(limit) {
            let line = store.withTwin(one.resource) { TwinJSON.line($0, horizonSeconds: horizonSeconds) }
            if let line { line.withUnsafeBytes { writer.raw($0) } }
        }
        writer.endArray()
        writer.key("localities")
        writer.beginArray()
        heats.sort { a, b in
            let (left, right) = (a.utilisation ?? -1, b.utilisation ?? -1)
            return left != right ? left > right : (a.value ?? "") < (b.value ?? "")
        }
        for heat in heats.prefix(Self.localitiesMax) {
            writer.beginObject()
            writer.member("type", localityType)
            writer.member("value", heat.value)
            writer.member("resources", heat.resources)
            writer.member("atRisk", heat.atRisk)
            writer.member("utilisation", heat.utilisation)
            writer.key("heat")
            writer.beginArray()
            for count in heat.steps { writer.int(count) }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }
}

/// Twins as JSON objects.
enum TwinJSON {
    static let horizonSecondsDefault = 1_800.0

    static func line(_ twin: TwinView, horizonSeconds: Double = horizonSecondsDefault) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 512)
        writer.beginObject()
        twin.writeLine(into: &writer, horizonSeconds: horizonSeconds)
        writer.endObject()
        return writer.bytes
    }
}
