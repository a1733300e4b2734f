import HTTPTypes
import Messages
import Views

/// Why a request is refused, as problem details (RFC 9457).
package struct Problem: Error, Sendable {
    package let status: HTTPResponse.Status
    /// For programs.
    package let code: String
    package let detail: String
    package var headers = HTTPFields()

    init(_ status: HTTPResponse.Status, _ code: String, _ detail: String, headers: HTTPFields = [:]) {
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
    }

    static func notFound(_ what: String) -> Problem { Problem(.notFound, "notFound", "there is no \(what)") }

    static func invalid(_ detail: String) -> Problem { Problem(.badRequest, "invalid", detail) }

    var json: [UInt8] {
        var writer = JSONWriter(capacityBytes: 256)
        writer.beginObject()
        writer.member("type", "about:blank")
        writer.member("title", status.reasonPhrase)
        writer.member("status", Int(status.code))
        writer.member("code", code)
        writer.member("detail", detail)
        writer.endObject()
        return writer.bytes
    }
}
