import HTTPTypes
import Hummingbird
import Messages
import Views

/// What a route answers.
struct Reply: Sendable {
    /// The content.
    enum Content: Sendable {
        case none
        case bytes([UInt8])
        /// Bytes and the same compressed, made once.
        case file(StaticFile)
        case stream(ResponseBody)
    }

    var status = HTTPResponse.Status.ok
    var content: Content
    var type = "application/json"
    /// Without quotes; made from the content where it is nil.
    var tag: String?
    var headers = HTTPFields()
    /// For the audit log.
    var detail: String?

    init(_ content: Content) { self.content = content }

    /// One JSON value.
    static func json(
        _ status: HTTPResponse.Status = .ok, capacityBytes: Int = 1_024, _ write: (inout JSONWriter) -> Void
    ) -> Reply {
        var writer = JSONWriter(capacityBytes: capacityBytes)
        write(&writer)
        var reply = Reply(.bytes(writer.bytes))
        reply.status = status
        return reply
    }

    /// `{items, next}`, each item being JSON already.
    static func page(
        _ items: [[UInt8]], next: String?, more: (inout JSONWriter) -> Void = { _ in }
    ) -> Reply {
        json(capacityBytes: items.reduce(128) { $0 + $1.count + 1 }) { writer in
            writer.beginObject()
            writer.key("items")
            writer.beginArray()
            for item in items { item.withUnsafeBytes { writer.raw($0) } }
            writer.endArray()
            writer.member("next", next)
            more(&writer)
            writer.endObject()
        }
    }

    func with(tag: String) -> Reply {
        var reply = self
        reply.tag = tag
        return reply
    }

    func with(detail: String) -> Reply {
        var reply = self
        reply.detail = detail
        return reply
    }
}
