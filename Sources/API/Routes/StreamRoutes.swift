import HTTPTypes
import Hummingbird
import Messages
import NIOCore
import TwinCore
import Views

/// Live events.
enum StreamRoutes {

    static func stream(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let only = try list(call.query.text("only"), max: StreamHub.names.count)
        for name in only where !StreamHub.names.contains(name) {
            throw .invalid("'only' knows \(StreamHub.names.joined(separator: ", "))")
        }
        let twins = try list(call.query.text("twin"), max: StreamHub.twinsMax)
        for twin in twins { _ = try Query.checkedName(twin, "'twin'") }
        guard call.method != .head else { return Reply(.none) }
        guard services.hub.count < StreamHub.clientsMax else {
            throw Problem(
                .serviceUnavailable, "tooManyClients", "there are \(StreamHub.clientsMax) listeners already",
                headers: [.retryAfter: "30"])
        }
        var greeting = JSONWriter()
        greeting.beginObject()
        greeting.member("time", services.eventTime)
        greeting.endObject()
        var hello = StreamHub.event("hello", greeting.bytes)
        hello.writeString("retry: 3000\n\n")
        let first = hello
        let hub = services.hub
        let disconnect = call.disconnect
        var reply = Reply(
            .stream(
                ResponseBody { writer in
                    // Begun only here, so that a client that never comes to read leaves nothing behind.
                    guard let subscription = hub.subscribe(only: only, twins: twins, disconnect) else {
                        return try await writer.finish(nil)
                    }
                    defer { hub.unsubscribe(subscription.id) }
                    try await writer.write(first)
                    for await event in subscription.events { try await writer.write(event) }
                    try await writer.finish(nil)
                }))
        reply.type = "text/event-stream"
        return reply
    }

    private static func list(_ text: String?, max: Int) throws(Problem) -> [String] {
        guard let text else { return [] }
        let parts = text.split(separator: ",").map(String.init)
        guard parts.count <= max else { throw .invalid("a list has more than \(max) parts") }
        return parts
    }
}
