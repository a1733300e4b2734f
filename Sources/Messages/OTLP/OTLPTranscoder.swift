/// Writes a record in OTLP's JSON as the same record in Protobuf, so that there is one reader for both. Fields that are
/// not read are passed over, as the specification demands.
struct OTLPTranscoder: ~Copyable {
    /// Room for one text with escapes; longer ones are cut, and too long for a name anyway.
    private let room = TextScratch()
    private var reader = JSONReader(UnsafeRawBufferPointer(start: nil, count: 0))
    /// Where each element of `resourceMetrics` stands in the record.
    private(set) var elements: [Range<Int>] = []

    init() {}

    /// Appends the record's wire form to `wire`.
    mutating func transcode(_ record: UnsafeRawBufferPointer, into wire: inout ByteBuffer) throws(JSONError) {
        elements.removeAll(keepingCapacity: true)
        let hasMark = record.count >= 3 && record[0] == 0xef && record[1] == 0xbb && record[2] == 0xbf
        reader = JSONReader(record, from: hasMark ? 3 : 0)
        try message(.request, into: &wire)
        try reader.expectEnd()
    }

    private mutating func message(_ message: OTLPMessage, into wire: inout ByteBuffer) throws(JSONError) {
        try reader.enterObject()
        while let key = try reader.nextKey() {
            guard let field = message.fields.first(where: { reader.matches(key, $0.name) }) else {
                try reader.skipValue()
                continue
            }
            switch reader.peekKind() {
            case .null: try reader.readNull()
            case .array:
                try reader.enterArray()
                while try reader.nextElement() { try value(field, of: message, into: &wire) }
            default: try value(field, of: message, into: &wire)
            }
        }
    }

    private mutating func value(
        _ field: OTLPMessage.Field, of message: OTLPMessage, into wire: inout ByteBuffer
    ) throws(JSONError) {
        switch field.kind {
        case .message(let inner):
            reader.skipWhitespace()
            let start = reader.position
            wire.appendVarint(UInt64(field.number << 3 | 2))
            let place = wire.beginBlock()
            try self.message(inner, into: &wire)
            wire.endBlock(at: place)
            if message == .request { elements.append(start..<reader.position) }
        case .text:
            let string = try reader.readString()
            var text = reader.raw(string)
            if string.hasEscapes {
                let count = try reader.decodePrefix(string, into: room.text)
                text = UnsafeRawBufferPointer(rebasing: room.text[..<count])
            }
            wire.appendVarint(UInt64(field.number << 3 | 2))
            wire.appendVarint(UInt64(text.count))
            wire.append(text)
        case .fixed64:
            wire.appendVarint(UInt64(field.number << 3 | 1))
            wire.appendFixed(UInt64(bitPattern: try integer()))
        case .double:
            wire.appendVarint(UInt64(field.number << 3 | 1))
            wire.appendFixed(try number())
        case .varint:
            wire.appendVarint(UInt64(field.number << 3))
            if reader.peekKind() == .bool {
                wire.appendVarint(try reader.readBool() ? 1 : 0)
            } else {
                wire.appendVarint(UInt64(bitPattern: try integer()))
            }
        }
    }

    /// A 64-bit integer, as a number or as text. Above `Int64.max` (counts of nobody) it is not understood.
    private mutating func integer() throws(JSONError) -> Int64 {
        guard reader.peekKind() == .string else { return try reader.readInt64() }
        let string = try reader.readString()
        var inner = JSONReader(reader.raw(string))
        let value = try inner.readInt64()
        try inner.expectEnd()
        return value
    }

    /// A number; `NaN` and the infinities stand as text, as in all Protobuf JSON.
    private mutating func number() throws(JSONError) -> Double {
        guard reader.peekKind() == .string else { return try reader.readDouble() }
        let string = try reader.readString()
        for (word, value) in [("NaN" as StaticString, Double.nan), ("Infinity", .infinity), ("-Infinity", -.infinity)]
        where reader.matches(string, word) { return value }
        var inner = JSONReader(reader.raw(string))
        let value = try inner.readDouble()
        try inner.expectEnd()
        return value
    }
}

extension ByteBuffer {
    /// Bytes of a length that is filled in later: enough for any record.
    private static let lengthBytes = 5

    /// Leaves room for the length of what follows; returns where what follows begins.
    mutating func beginBlock() -> Int {
        for _ in 0..<Self.lengthBytes { append(0) }
        return count
    }

    /// Fills in the length of what was written since `beginBlock`, as a varint of fixed width.
    mutating func endBlock(at start: Int) {
        var length = count - start
        for index in 0..<Self.lengthBytes {
            let isLast = index == Self.lengthBytes - 1
            overwrite(UInt8(length & 0x7f) | (isLast ? 0 : 0x80), at: start - Self.lengthBytes + index)
            length >>= 7
        }
    }
}
