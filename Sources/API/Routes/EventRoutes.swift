import HTTPTypes
import Messages
import Synchronization
import TwinCore
import Views

/// Planned events.
enum EventRoutes {
    static func list(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (limit, cursor) = (try call.query.limit(), try call.query.nameCursor())
        let (from, to) = (try call.query.time("from"), try call.query.time("to"))
        var events = services.store.orders.withLock { $0.events }
        events = events.filter { event in
            (from.map { event.end >= $0 } ?? true) && (to.map { event.start < $0 } ?? true)
        }
        if let cursor, let last = events.firstIndex(where: { $0.id == cursor }) { events.removeFirst(last + 1) }
        let page = events.prefix(limit)
        return .page(page.map(json), next: events.count > limit ? page.last?.id : nil)
    }

    private static func json(_ event: PlannedEventRecord) -> [UInt8] {
        var writer = JSONWriter()
        event.write(into: &writer)
        return writer.bytes
    }

    static func one(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let id = try call.parameter("id")
        guard let event = services.store.orders.withLock({ $0.event(id) }) else {
            throw .notFound("planned event '\(id)'")
        }
        return Reply(.bytes(json(event)))
    }

    static func put(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let id = try call.parameter("id")
        let body = try call.object()
        for member in body.members where !["start", "end", "scope", "kind", "uplift"].contains(member.name) {
            throw .invalid("unknown member '\(member.name)'")
        }
        let value = JSONValue.object([JSONValue.Member("id", .string(id))] + body.members)
        return try await announce(value.bytes, services)
    }

    static func cancel(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let id = try call.parameter("id")
        guard var event = services.store.orders.withLock({ $0.event(id) }) else {
            throw .notFound("planned event '\(id)'")
        }
        event.isCancelled = true
        return try await announce(json(event), services)
    }

    /// Checks an event by the normalizer's own reader, and writes it.
    private static func announce(_ bytes: [UInt8], _ services: Services) async throws(Problem) -> Reply {
        let found = bytes.withUnsafeBytes { text -> Result<PlannedEventRecord, Problem> in
            var reader = EventJSON()
            reader.open(text)
            switch reader.next() {
            case .event: return .success(PlannedEventRecord(reader.event))
            case .fault(let fault):
                return .failure(Problem(.unprocessableContent, "invalidEvent", fault.reason))
            case .end: return .failure(Problem(.unprocessableContent, "invalidEvent", "there is no event"))
            }
        }
        let event = try found.get()
        try await services.write([
            OrderRecord(.environment, key: Array(event.id.utf8), value: bytes, contentType: "application/json")
        ])
        await services.comes { services.store.orders.withLock { $0.event(event.id) } == event }
        let verb = event.isCancelled ? "cancelled" : "announced"
        return Reply.json(.accepted) { event.write(into: &$0) }.with(detail: "event \(event.id) \(verb)")
    }
}
