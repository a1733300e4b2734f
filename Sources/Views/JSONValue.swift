import Messages
import TwinCore

/// A small JSON text as a tree: policies, commands, decisions. Bounded in depth and in number of values, as it may come
/// from anywhere. Members keep their order.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// One member of an object.
    package struct Member: Sendable, Equatable {
        package let name: String
        package let value: JSONValue

        package init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// Values in one text at most.
    package static let valuesMax = 20_000

    /// Reads a whole text; throws where it is not JSON, too deep or too large.
    package init(_ bytes: UnsafeRawBufferPointer) throws(JSONError) {
        var reader = JSONReader(bytes)
        var left = Self.valuesMax
        self = try Self.read(&reader, &left)
        try reader.expectEnd()
    }

    /// Reads a whole text.
    package init(_ bytes: [UInt8]) throws(JSONError) {
        let result = bytes.withUnsafeBytes { text -> Result<JSONValue, JSONError> in
            do throws(JSONError) { return .success(try JSONValue(text)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private static func read(_ reader: inout JSONReader, _ left: inout Int) throws(JSONError) -> JSONValue {
        guard left > 0 else { throw JSONError(.tooDeep, at: reader.position) }
        left -= 1
        switch reader.peekKind() {
        case .object:
            try reader.enterObject()
            var members: [Member] = []
            while let key = try reader.nextKey() {
                let name = try text(key, reader)
                members.append(Member(name, try read(&reader, &left)))
            }
            return .object(members)
        case .array:
            try reader.enterArray()
            var elements: [JSONValue] = []
            while try reader.nextElement() { elements.append(try read(&reader, &left)) }
            return .array(elements)
        case .string: return .string(try text(try reader.readString(), reader))
        case .number: return .number(try reader.readDouble())
        case .bool: return .bool(try reader.readBool())
        case .null, .none:
            try reader.readNull()
            return .null
        }
    }

    private static func text(_ string: JSONString, _ reader: JSONReader) throws(JSONError) -> String {
        if !string.hasEscapes { return String(decoding: reader.raw(string), as: UTF8.self) }
        var bytes: [UInt8] = []
        try reader.decode(string, appendingTo: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The value as JSON text.
    package func write(into writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .number(let value): writer.double(value)
        case .string(let value): writer.string(value)
        case .array(let values):
            writer.beginArray()
            for value in values { value.write(into: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for member in members {
                writer.key(member.name)
                member.value.write(into: &writer)
            }
            writer.endObject()
        }
    }

    /// The value as JSON text.
    package var bytes: [UInt8] {
        var writer = JSONWriter()
        write(into: &writer)
        return writer.bytes
    }
}

// MARK: - Looking in

extension JSONValue {
    /// The first member of this name; nil if there is none, or this is no object.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The members of an object, in order.
    package var members: [Member] { if case .object(let members) = self { members } else { [] } }

    /// The elements of an array.
    package var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }

    package var text: String? { if case .string(let text) = self { text } else { nil } }

    package var number: Double? { if case .number(let number) = self { number } else { nil } }

    package var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }

    /// A number that is whole and small enough to be exact.
    package var integer: Int? {
        guard let number, number == number.rounded(), number.magnitude <= 9_007_199_254_740_992 else { return nil }
        return Int(number)
    }

    /// A moment: RFC 3339, or seconds (milliseconds from 10^11 on) since the epoch.
    package var time: EventTime? {
        switch self {
        case .string(let text):
            var text = text
            return text.withUTF8 { ISO8601.parse(UnsafeRawBufferPointer($0)) }
        case .number(let number):
            guard number.magnitude < 1e15 else { return nil }
            return EventTime(milliseconds: Int64(number.magnitude < 1e11 ? number * 1_000 : number))
        default: return nil
        }
    }

    /// The same object with a member set, at its place or at the end.
    package func setting(_ name: String, _ value: JSONValue) -> JSONValue {
        var members = self.members
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index] = Member(name, value)
        } else {
            members.append(Member(name, value))
        }
        return .object(members)
    }
}

extension JSONWriter {
    /// A member whose value is a text or null.
    package mutating func member(_ name: StaticString, _ text: String?) {
        key(name)
        if let text { string(text) } else { null() }
    }

    /// A member whose value is a number; null if there is none or it is not finite.
    package mutating func member(_ name: StaticString, _ number: Double?) {
        key(name)
        if let number { double(number) } else { null() }
    }

    /// A member whose value is a single-precision number, without the digits that only its conversion would make up.
    package mutating func member(_ name: StaticString, _ number: Float) {
        key(name)
        single(number)
    }

    /// A member whose value is a whole number or null.
    package mutating func member(_ name: StaticString, _ number: Int?) {
        key(name)
        if let number { int(number) } else { null() }
    }

    /// A member whose value is true or false.
    package mutating func member(_ name: StaticString, _ flag: Bool) {
        key(name)
        bool(flag)
    }

    /// A member whose value is a moment or null.
    package mutating func member(_ name: StaticString, _ moment: EventTime?) {
        key(name)
        if let moment { time(moment) } else { null() }
    }

    /// A member whose value is JSON already.
    package mutating func member(_ name: StaticString, json: [UInt8]?) {
        key(name)
        if let json, !json.isEmpty { json.withUnsafeBytes { raw($0) } } else { null() }
    }

    /// Seven digits of a single-precision number; null if it is not finite.
    package mutating func single(_ value: Float) {
        let wide = Double(value)
        guard wide.isFinite, wide != 0, wide.magnitude < 1e15, wide.magnitude >= 1e-9 else { return double(wide) }
        var scale = 1.0
        var size = wide.magnitude
        while size < 1e6 {
            size *= 10
            scale *= 10
        }
        double((wide * scale).rounded() / scale)
    }
}
