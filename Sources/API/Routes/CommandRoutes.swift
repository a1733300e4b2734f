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
        let page = services.store.orders.withLock { orders in
            orders.commands.page(before: cursor, limit: limit) { resource == nil || $0.resource == resource }
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

    static func post(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let body = try call.object()
        for name in ["id", "owner", "ts"] where body[name] != nil {
            throw .invalid("'\(name)' is the server's to say")
        }
        let id = newID()
        var value = JSONValue.object([JSONValue.Member("id", .string(id))] + body.members)
            .setting("owner", .string(String(call.principal.name.prefix(200))))
        // The deciders live in event time; where it is not the wall clock's, an order must not come from its future.
        if let now = services.eventTime { value = value.setting("ts", JSONValue(now)) }
        if let error = OrderCheck.command(value.bytes) {
            throw Problem(.unprocessableContent, "invalidCommand", error.reason)
        }
        try await services.write([
            OrderRecord(.commands, key: Array(id.utf8), value: value.bytes, contentType: "application/json")
        ])
        let record = CommandRecord(id: id, value: value, written: EventTime(milliseconds: wallMilliseconds()))
        let subject = record.action ?? record.resource ?? record.policy ?? ""
        return Reply.json(.accepted) { record.write(into: &$0) }.with(detail: "\(record.verb) \(subject) as \(id)")
    }
}
