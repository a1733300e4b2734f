import Messages
import Synchronization
import TwinCore
import Views

/// Twins, now and in the past.
enum TwinRoutes {
    /// Entries of lists within a twin.
    private static let recentMax = 20

    static func fleet(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let horizon = try call.query.integer("horizonSeconds", 60...86_400) ?? Int(TwinJSON.horizonSecondsDefault)
        let type = try call.query.name("localityType") ?? "locality"
        let limit = try call.query.limit()
        return .json(capacityBytes: 16_384) { writer in
            FleetReport.write(
                services.store, horizonSeconds: Double(horizon), localityType: type, limit: limit, into: &writer)
        }
    }

    static func list(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        var filter = TwinFilter()
        filter.locality = try call.query.name("locality")
        filter.localityType = try call.query.name("localityType")
        filter.localityValue = try call.query.name("localityValue")
        filter.className = try call.query.name("class")
        filter.part = try call.query.name("q")
        let tags = call.query.texts("tag")
        guard tags.count <= 8 else { throw .invalid("'tag' stands more than 8 times") }
        for tag in tags {
            let pair = tag.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2, !pair[0].isEmpty else { throw .invalid("'tag' must be name:value") }
            filter.tags.append((pair[0], pair[1]))
        }
        return page(filter, try call.query.limit(), try call.query.nameCursor(), services)
    }

    static func locality(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        var filter = TwinFilter()
        filter.localityType = try call.parameter("type")
        filter.localityValue = try call.parameter("value")
        return page(filter, try call.query.limit(), try call.query.nameCursor(), services)
    }

    /// A page in the order of names, behind the cursor.
    private static func page(_ filter: TwinFilter, _ limit: Int, _ cursor: String?, _ services: Services) -> Reply {
        var items: [[UInt8]] = []
        var total = 0
        var last: String?
        var next: String?
        for name in services.store.names() {
            let isDue = items.count < limit && (cursor.map { name > $0 } ?? true)
            let line = services.store.withTwin(name) { twin -> [UInt8]? in
                guard filter.matches(twin) else { return nil }
                return isDue ? TwinJSON.line(twin) : []
            }
            guard let line, let line else { continue }
            total += 1
            if isDue {
                items.append(line)
                last = name
            } else if cursor.map({ name > $0 }) ?? true {
                next = last
            }
        }
        return .page(items, next: next) { $0.member("total", total) }
    }

    static func one(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let resource = try call.parameter("resource")
        if let moment = try call.query.time("at") { return try past(resource, moment, services) }
        var writer = JSONWriter(capacityBytes: 4_096)
        writer.beginObject()
        let decision = services.store.withTwin(resource) { twin -> String? in
            twin.writeLine(into: &writer, horizonSeconds: TwinJSON.horizonSecondsDefault)
            twin.writeModel(into: &writer)
            return twin.decision?.id
        }
        guard let decision else { throw .notFound("twin '\(resource)'") }
        writer.member(
            "decision", json: decision.flatMap { id in services.store.ledger.withLock { $0.decisions[id: id]?.text } })
        writeRecent(resource, services, into: &writer)
        writer.endObject()
        return Reply(.bytes(writer.bytes))
    }

    private static func past(_ resource: String, _ moment: EventTime, _ services: Services) throws(Problem) -> Reply {
        var writer = JSONWriter(capacityBytes: 4_096)
        writer.beginObject()
        let known: Void? = services.store.withTwin(resource) { $0.writeAsOf(moment, into: &writer) }
        guard known != nil else { throw .notFound("twin '\(resource)'") }
        let decision = services.store.ledger.withLock { ledger in
            ledger.decisions.page(before: nil, limit: 1) {
                $0.subject == resource && $0.kind == "decision" && $0.time <= moment
            }.records.first?.text
        }
        writer.member("decision", json: decision)
        writeRecent(resource, before: moment, services, into: &writer)
        writer.endObject()
        return Reply(.bytes(writer.bytes))
    }

    /// Writes the last actions, drift and commands, and the neighbours.
    private static func writeRecent(
        _ resource: String, before moment: EventTime = .distantFuture, _ services: Services,
        into writer: inout JSONWriter
    ) {
        let recent = services.store.recent(resource, before: moment, limit: recentMax)
        writer.key("actions")
        writer.beginArray()
        for action in recent.actions { action.write(into: &writer) }
        writer.endArray()
        writer.key("drift")
        writer.beginArray()
        for entry in recent.drift { entry.text.withUnsafeBytes { writer.raw($0) } }
        writer.endArray()
        let orders = services.store.orders.withLock { $0.recentCommands(on: resource, limit: recentMax) }
        writer.key("orders")
        writer.beginArray()
        for order in orders { order.write(into: &writer) }
        writer.endArray()
        writer.key("neighbours")
        GraphRoutes.writeNeighbours(of: resource, services, into: &writer)
    }

    static func history(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (from, to) = (try call.query.time("from"), try call.query.time("to"))
        return try series(call, services) { twin, series, writer in
            writer.key("points")
            series.writePoints(from: from, to: to, capacityPerUnit: twin.decision?.capacityPerUnit, into: &writer)
        }
    }

    static func forecast(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        try series(call, services) { twin, series, writer in
            writer.member("issued", series.time)
            writer.member("level", series.level)
            writer.member("quality", series.code.quality.text)
            writer.member("distrusted", series.code.isDistrusted)
            writer.member("young", series.code.isYoung)
            writer.member("readyUnits", series.readyUnits)
            writer.member("capacity", twin.capacity(units: twin.readyUnits))
            writer.key("horizons")
            series.writeHorizons(into: &writer)
        }
    }

    static func accuracy(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let horizon = try call.query.number("horizonSeconds", 1...31_536_000)
        return try series(call, services) { _, series, writer in
            series.writeAccuracy(horizonSeconds: horizon, into: &writer)
        }
    }

    /// An object about one series, begun with resource and metric.
    private static func series(
        _ call: Call, _ services: Services, _ body: (TwinView, SeriesView, inout JSONWriter) -> Void
    ) throws(Problem) -> Reply {
        let resource = try call.parameter("resource")
        let metric = try call.query.name("metric")
        let bytes = services.store.withTwin(resource) { twin -> [UInt8]? in
            guard let series = twin.series(metric) else { return nil }
            var writer = JSONWriter(capacityBytes: 8_192)
            writer.beginObject()
            writer.member("resource", twin.resource)
            writer.member("metric", series.metric)
            body(twin, series, &writer)
            writer.endObject()
            return writer.bytes
        }
        guard let bytes else { throw .notFound("twin '\(resource)'") }
        guard let bytes else { throw .notFound("metric of '\(resource)' that this could be about") }
        return Reply(.bytes(bytes))
    }

    static func localities(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let only = try call.query.name("localityType")
        var counts: [String: [String: Int]] = [:]
        services.store.forEachTwin { twin in
            if let locality = twin.locality { counts["locality", default: [:]][locality, default: 0] += 1 }
            for tag in twin.tags { counts[tag.name, default: [:]][tag.value, default: 0] += 1 }
        }
        return .json { writer in
            writer.beginObject()
            writer.key("types")
            writer.beginArray()
            for (type, values) in counts.sorted(by: { $0.key < $1.key }) where only == nil || only == type {
                writer.beginObject()
                writer.member("type", type)
                writer.key("values")
                writer.beginArray()
                for (value, resources) in values.sorted(by: { $0.key < $1.key }) {
                    writer.beginObject()
                    writer.member("value", value)
                    writer.member("resources", resources)
                    writer.endObject()
                }
                writer.endArray()
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        }
    }
}

extension Reply {
    /// The fleet as the stream tells it.
    static func fleet(_ services: Services, limit: Int) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 16_384)
        FleetReport.write(
            services.store, horizonSeconds: TwinJSON.horizonSecondsDefault, localityType: "locality", limit: limit,
            into: &writer)
        return writer.bytes
    }
}
