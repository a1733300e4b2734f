import HTTPTypes
import Messages
import TwinCore
import Views

/// A request as a route sees it: matched, authorised, its body read within the route's limit.
struct Call: Sendable {
    var method: HTTPRequest.Method
    /// Parts of the path that the route names.
    var parameters: [(name: String, value: String)]
    var query: Query
    var headers: HTTPFields
    var body: [UInt8]
    var principal: Principal
    /// Ends the client's connection, whatever it still waits for.
    var disconnect: @Sendable () -> Void

    /// A part of the path: a name of 1 to 256 bytes without control characters.
    func parameter(_ name: String) throws(Problem) -> String {
        guard let value = parameters.first(where: { $0.name == name })?.value else {
            throw Problem(.internalServerError, "internal", "the route has no '\(name)'")
        }
        return try Query.checkedName(value, "'\(name)' in the path")
    }

    /// The body as JSON.
    func json() throws(Problem) -> JSONValue {
        do throws(JSONError) { return try JSONValue(body) } catch {
            throw Problem(.badRequest, "malformed", "the body is not JSON: \(error)")
        }
    }

    /// The body as a JSON object.
    func object() throws(Problem) -> JSONValue {
        let value = try json()
        guard case .object = value else { throw .invalid("the body must be an object") }
        return value
    }
}

/// The query of a request, checked as it is asked for.
struct Query: Sendable {
    static let itemsMax = 64
    static let bytesMax = 8_192
    static let nameBytesMax = 256

    private let items: [(name: String, value: String)]

    /// Throws for what is no form encoding, or too long.
    init(_ text: String?) throws(Problem) {
        guard let text, !text.isEmpty else {
            items = []
            return
        }
        guard text.utf8.count <= Self.bytesMax else { throw .invalid("the query is too long") }
        var items: [(name: String, value: String)] = []
        for part in text.split(separator: "&") {
            guard items.count < Self.itemsMax else { throw .invalid("the query has too many parts") }
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(pair[0], isForm: true),
                let value = Percent.decode(pair.count > 1 ? pair[1] : "", isForm: true)
            else { throw .invalid("the query is not percent-encoded UTF-8") }
            items.append((name, value))
        }
        self.items = items
    }

    /// Parameters that may stand more than once.
    private static let repeatable = ["tag"]

    /// Throws for a parameter that is not among `names`, or stands twice: a slip must not be taken for an answer.
    func check(names: [String]) throws(Problem) {
        for (index, item) in items.enumerated() {
            // Whatever stands there may be anything; it is shown as text, cut short.
            let shown = String(item.name.prefix(64))
            guard names.contains(item.name) else {
                let known = names.isEmpty ? "none" : names.joined(separator: ", ")
                throw .invalid("the query knows no '\(shown)'; it takes \(known)")
            }
            guard Self.repeatable.contains(item.name) || !items[..<index].contains(where: { $0.name == item.name })
            else { throw .invalid("'\(shown)' stands twice in the query") }
        }
    }

    /// A name of 1 to 256 bytes without control characters.
    static func checkedName(_ value: String, _ place: String) throws(Problem) -> String {
        guard (1...nameBytesMax).contains(value.utf8.count) else {
            throw .invalid("\(place) must have 1 to \(nameBytesMax) bytes")
        }
        var value = value
        guard !value.withUTF8({ UTF8Text.holdsControls(UnsafeRawBufferPointer($0)) }) else {
            throw .invalid("\(place) holds control characters")
        }
        return value
    }

    /// The text as it came; an empty one counts as none.
    func text(_ name: String) -> String? {
        items.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    func texts(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    func name(_ name: String) throws(Problem) -> String? {
        guard let value = text(name) else { return nil }
        return try Self.checkedName(value, "'\(name)'")
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw .invalid("'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func number(_ name: String, _ range: ClosedRange<Double>) throws(Problem) -> Double? {
        guard let text = text(name) else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw .invalid("'\(name)' must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func flag(_ name: String) throws(Problem) -> Bool? {
        switch text(name) {
        case nil: return nil
        case "true": return true
        case "false": return false
        default: throw .invalid("'\(name)' must be true or false")
        }
    }

    func time(_ name: String) throws(Problem) -> EventTime? {
        guard var text = text(name) else { return nil }
        guard text.utf8.count <= ISO8601.bytesMax,
            let time = text.withUTF8({ ISO8601.parse(UnsafeRawBufferPointer($0)) })
        else { throw .invalid("'\(name)' must be a time such as 2026-11-24T12:00:00Z") }
        return time
    }

    func word(_ name: String, _ words: [String]) throws(Problem) -> String? {
        guard let text = text(name) else { return nil }
        guard words.contains(text) else { throw .invalid("'\(name)' must be one of \(words.joined(separator: ", "))") }
        return text
    }

    /// Entries of a page.
    func limit() throws(Problem) -> Int { try integer("limit", 1...1_000) ?? 100 }

    /// A cursor that is a number of ours.
    func numberCursor() throws(Problem) -> Int? {
        guard let text = text("cursor") else { return nil }
        guard let number = Int(text), number >= 0 else { throw .invalid("'cursor' is none of ours") }
        return number
    }

    /// A cursor that is a name.
    func nameCursor() throws(Problem) -> String? {
        guard let text = text("cursor") else { return nil }
        return try Self.checkedName(text, "'cursor'")
    }
}

/// Percent-encoding (RFC 3986), strict.
enum Percent {
    /// Nil unless all escapes are whole and the result is UTF-8.
    static func decode(_ text: Substring, isForm: Bool = false) -> String? {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || (isForm && $0 == UInt8(ascii: "+")) }) else {
            return String(text)
        }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(isForm && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
