import TwinCore

/// Appends JSON to a buffer that is reused: `removeAll` keeps its room. Commas are placed by the writer; that keys and
/// values alternate and containers are closed is the caller's job.
package struct JSONWriter: ~Copyable, Sendable {
    /// Where the text goes. What was appended before a document began stays in front of it.
    package var buffer: ByteBuffer
    /// A value stands before the next position, so that a comma is due.
    private var isBehindValue = false

    /// An empty writer with room for `capacityBytes`.
    package init(capacityBytes: Int = 0) { buffer = ByteBuffer(capacity: capacityBytes) }

    /// A copy of what has been written.
    package var bytes: [UInt8] { [UInt8](buffer.bytes) }

    /// How much has been written.
    package var byteCount: Int { buffer.count }

    /// Gives what has been written, without a copy.
    package borrowing func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(buffer.bytes)
    }

    /// Empties the buffer.
    package mutating func removeAll() {
        buffer.removeAll()
        isBehindValue = false
    }

    /// Begins a new document behind what stands in the buffer.
    package mutating func beginDocument() { isBehindValue = false }

    /// Ends a document of NDJSON with a line feed; the next value starts a new one.
    package mutating func endLine() {
        buffer.append(0x0a)
        isBehindValue = false
    }

    /// Opens an object.
    package mutating func beginObject() { begin(UInt8(ascii: "{")) }
    /// Closes an object.
    package mutating func endObject() { end(UInt8(ascii: "}")) }
    /// Opens an array.
    package mutating func beginArray() { begin(UInt8(ascii: "[")) }
    /// Closes an array.
    package mutating func endArray() { end(UInt8(ascii: "]")) }

    /// Writes the key of a member whose value follows. The key is a literal without quotes, backslashes or controls.
    package mutating func key(_ name: StaticString) {
        let length = name.utf8CodeUnitCount
        var target = buffer.room(for: length &+ 4)
        if isBehindValue { target.put(UInt8(ascii: ",")) }
        target.put(UInt8(ascii: "\""))
        target.put(UnsafeRawPointer(name.utf8Start), count: length)
        target.put(UInt8(ascii: "\""))
        target.put(UInt8(ascii: ":"))
        buffer.fill(to: target)
        isBehindValue = false
    }

    /// Writes a key that came from outside, escaped.
    package mutating func key(_ name: UnsafeRawBufferPointer) {
        string(name)
        buffer.append(UInt8(ascii: ":"))
        isBehindValue = false
    }

    /// Writes a key from a string, escaped.
    package mutating func key(_ name: String) {
        var name = name
        name.withUTF8 { key(UnsafeRawBufferPointer($0)) }
    }

    /// Writes a string value from raw bytes: escaped, and with U+FFFD for each byte that is not UTF-8.
    package mutating func string(_ text: UnsafeRawBufferPointer) {
        let plain = Self.plainPrefix(of: text)
        var target = buffer.room(for: plain &+ 3)
        if isBehindValue { target.put(UInt8(ascii: ",")) }
        target.put(UInt8(ascii: "\""))
        if let start = text.baseAddress { target.put(start, count: plain) }
        if plain < text.count {
            buffer.fill(to: target)
            appendEscaped(UnsafeRawBufferPointer(rebasing: text[plain...]))
            target = buffer.room(for: 1)
        }
        target.put(UInt8(ascii: "\""))
        buffer.fill(to: target)
        isBehindValue = true
    }

    /// Writes a string value.
    package mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }

    /// Writes a string value that stands in the source.
    package mutating func string(_ text: StaticString) {
        string(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes an integer.
    package mutating func int(_ value: Int64) {
        separate()
        PlainDecimal.append(value, to: &buffer)
        isBehindValue = true
    }

    /// Writes an integer.
    package mutating func int(_ value: Int) { int(Int64(value)) }

    /// Writes an unsigned integer.
    package mutating func unsigned(_ value: UInt64) {
        separate()
        PlainDecimal.append(magnitude: value, to: &buffer)
        isBehindValue = true
    }

    /// Writes a double with the fewest digits that read back as the same; null if it is not finite, as JSON has no
    /// word for that.
    package mutating func double(_ value: Double) {
        separate()
        if !PlainDecimal.appendJSON(value, to: &buffer) { append("null") }
        isBehindValue = true
    }

    /// Writes `true` or `false`.
    package mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }

    /// Writes `null`.
    package mutating func null() { literal("null") }

    /// Writes a moment as an RFC 3339 string, or null for one outside the years 0000 to 9999.
    package mutating func time(_ value: EventTime) {
        guard ISO8601.writable.contains(value) else { return null() }
        separate()
        buffer.append(UInt8(ascii: "\""))
        ISO8601.write(value, to: &buffer)
        buffer.append(UInt8(ascii: "\""))
        isBehindValue = true
    }

    /// Writes a value that is JSON already.
    package mutating func raw(_ json: UnsafeRawBufferPointer) {
        separate()
        buffer.append(json)
        isBehindValue = true
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        buffer.append(bracket)
        isBehindValue = false
    }

    private mutating func end(_ bracket: UInt8) {
        buffer.append(bracket)
        isBehindValue = true
    }

    private mutating func literal(_ text: StaticString) {
        separate()
        append(text)
        isBehindValue = true
    }

    private mutating func append(_ text: StaticString) {
        buffer.append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    private mutating func separate() {
        if isBehindValue { buffer.append(UInt8(ascii: ",")) }
    }

    /// How many bytes at the start are ASCII and need no escape; eight are looked at at a time.
    @inline(__always)
    private static func plainPrefix(of text: UnsafeRawBufferPointer) -> Int {
        var index = 0
        while index &+ 8 <= text.count {
            let found = stringStops(in: text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            if found != 0 { return index &+ found.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < text.count, isPlain(text[index]) { index &+= 1 }
        return index
    }

    @inline(__always)
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    @inline(never)
    private mutating func appendEscaped(_ text: UnsafeRawBufferPointer) {
        var clean = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            let length = Self.isPlain(byte) ? 1 : byte < 0x80 ? 0 : UTF8Text.sequenceLength(text, at: index)
            if length > 0 {
                index += length
                continue
            }
            buffer.append(UnsafeRawBufferPointer(rebasing: text[clean..<index]))
            appendEscape(byte)
            index += 1
            clean = index
        }
        buffer.append(UnsafeRawBufferPointer(rebasing: text[clean..<text.count]))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0a: append("\\n")
        case 0x0d: append("\\r")
        case 0x09: append("\\t")
        case 0x80...: append("\u{fffd}")
        default:
            append("\\u00")
            buffer.append(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let digit = byte & 0x0f
            buffer.append(digit < 10 ? 0x30 + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
