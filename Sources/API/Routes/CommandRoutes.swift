import Crypto
import HTTPTypes
import Messages
import Runtime
import Scaling
import Synchronization
import TwinCore
import Views

/// Commands: approve, reject, pause, override.
enum CommandRoutes {
    static func list(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (limit, cursor) = (try call.query.limit(), try call.query.numberCursor())
        let resource = try call.query.name("resource")
        let seen = services.store.seenNames()
        let page = services.store.orders.withLock { orders in
            orders.commands.page(before: cursor, limit: limit) { command in
                (resource == nil || command.resource == resource) && seen?.contains(command.resource ?? "") ?? true
            }
        }
        let items = page.records.map { command in
            var writer = JSONWriter()
            command.write(into: &writer)
            return writer.bytes
        }
        return .page(items, next: page.next.map(String.init))
    }

    /// A name that nobody else has: 128 random bits.
    static func newID() -> String {
        SymmetricKey(size: .bits128).withUnsafeBytes { bytes in
            "api-" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
    }

    /// Whether everything that an order is about is in sight: a resource, or the one that a proposal is for.
    private static func mayOrder(_ body: JSONValue, _ services: Services) -> Bool {
        guard let seen = services.store.seenNames() else { return true }
        if let proposal = body["action"]?.text {
            let resource = services.store.ledger.withLock { ledger in
                ledger.proposals.first { $0.proposal == proposal }?.resource
            }
            guard let resource, seen.contains(resource) else { return false }
            return body["resource"] == nil && body["policy"] == nil
        }
        return body["policy"] == nil && body["resource"]?.text.map { seen.contains($0) } ?? false
    }

    /// Refuses an order about what nobody knows, as no decider would answer it. Views that are being
    /// built, or that had to leave something out, cannot say.
    private static func checkSubject(_ body: JSONValue, _ services: Services) async throws(Problem) {
        let store = services.store
        guard services.monitor.status.isReady, store.counts().refused == 0 else { return }
        if let proposal = body["action"]?.text {
            if store.ledger.withLock({ $0.isSettled(proposal) }) {
                throw Problem(.conflict, "settled", "proposal '\(proposal)' was answered already")
            }
            let waits = { store.ledger.withLock { $0.proposals.contains { $0.proposal == proposal } } }
            guard await services.comes(waits) else {
                throw .notFound("proposal '\(proposal)' that waits for an answer")
            }
        } else if let resource = body["resource"]?.text {
            guard await services.comes({ store.withTwin(resource) { _ in true } ?? false }) else {
                throw .notFound("twin '\(resource)'")
            }
        }
    }

    static func post(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let body = try call.object()
        for name in ["id", "owner", "ts"] where body[name] != nil {
            throw .invalid("'\(name)' is the server's to say")
        }
        guard mayOrder(body, services) else {
            throw Problem(.forbidden, "forbidden", "who belongs to a tenant orders about its own resources only")
        }
        let id = newID()
        var value = JSONValue.object([JSONValue.Member("id", .string(id))] + body.members)
            .setting("owner", .string(String(call.principal.name.prefix(200))))
        // An order is given now: the newest sample's clock may be wrong, and it would stay in the order for good.
        value = value.setting("ts", JSONValue(EventTime(milliseconds: wallMilliseconds())))
        if let error = OrderCheck.command(value.bytes) {
            throw Problem(.unprocessableContent, "invalidCommand", error.reason)
        }
        try await checkSubject(body, services)
        try await services.write([
            OrderRecord(.commands, key: Array(id.utf8), value: value.bytes, contentType: "application/json")
        ])
        await services.comes { services.store.orders.withLock { $0.commands[id: id] != nil } }
        let record = CommandRecord(id: id, value: value, written: EventTime(milliseconds: wallMilliseconds()))
        let subject = record.action ?? record.resource ?? record.policy ?? ""
        return Reply.json(.accepted) { record.write(into: &$0) }.with(detail: "\(record.verb) \(subject) as \(id)")
    }
}
