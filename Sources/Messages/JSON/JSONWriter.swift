import TwinCore

/// Appends JSON to a byte buffer that is reused: `removeAll` keeps its room. Commas are placed by the writer; that
/// keys and values alternate and containers are closed is the caller's job.
package struct JSONWriter: Sendable {
    /// What has been written.
    package private(set) var bytes: [UInt8] = []
    /// A value stands before the next position, so that a comma is due.
    private var isBehindValue = false

    /// An empty writer with room for `capacityBytes`.
    package init(capacityBytes: Int = 0) { bytes.reserveCapacity(capacityBytes) }

    /// Empties the buffer.
    package mutating func removeAll(keepingCapacity: Bool = true) {
        bytes.removeAll(keepingCapacity: keepingCapacity)
        isBehindValue = false
    }

    /// Ends a document of NDJSON with a line feed; the next value starts a new one.
    package mutating func endLine() {
        bytes.append(0x0a)
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
        if isBehindValue { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        isBehindValue = false
    }

    /// Writes a key that came from outside, escaped.
    package mutating func key(_ name: UnsafeRawBufferPointer) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        isBehindValue = false
    }

    /// Writes a key from a string, escaped.
    package mutating func key(_ name: String) {
        var name = name
        name.withUTF8 { key(UnsafeRawBufferPointer($0)) }
    }

    /// Writes a string value from raw bytes: escaped, and with U+FFFD for each byte that is not UTF-8.
    package mutating func string(_ text: UnsafeRawBufferPointer) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text)
        bytes.append(UInt8(ascii: "\""))
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
        PlainDecimal.append(value, to: &bytes)
        isBehindValue = true
    }

    /// Writes an integer.
    package mutating func int(_ value: Int) { int(Int64(value)) }

    /// Writes an unsigned integer.
    package mutating func unsigned(_ value: UInt64) {
        separate()
        PlainDecimal.append(magnitude: value, to: &bytes)
        isBehindValue = true
    }

    /// Writes a double with the fewest digits that read back as the same; null if it is not finite, as JSON has no
    /// word for that.
    package mutating func double(_ value: Double) {
        separate()
        if !PlainDecimal.appendJSON(value, to: &bytes) { bytes.append(contentsOf: "null".utf8) }
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
        bytes.append(UInt8(ascii: "\""))
        ISO8601.write(value, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
        isBehindValue = true
    }

    /// Writes a value that is JSON already.
    package mutating func raw(_ json: UnsafeRawBufferPointer) {
        separate()
        bytes.append(contentsOf: json)
        isBehindValue = true
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        isBehindValue = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        isBehindValue = true
    }

    private mutating func literal(_ text: StaticString) {
        separate()
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        isBehindValue = true
    }

    @inline(__always)
    private mutating func separate() {
        if isBehindValue { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func appendEscaped(_ text: UnsafeRawBufferPointer) {
        var clean = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte >= 0x20, byte < 0x80, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                index += 1
                continue
            }
            let length = byte < 0x80 ? 0 : UTF8Text.sequenceLength(text, at: index)
            if length > 0 {
                index += length
                continue
            }
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[clean..<index]))
            appendEscape(byte)
            index += 1
            clean = index
        }
        bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[clean..<text.count]))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
        case 0x0a: bytes.append(contentsOf: "\\n".utf8)
        case 0x0d: bytes.append(contentsOf: "\\r".utf8)
        case 0x09: bytes.append(contentsOf: "\\t".utf8)
        case 0x80...: bytes.append(contentsOf: "\u{fffd}".utf8)
        default:
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let digit = byte & 0x0f
            bytes.append(digit < 10 ? 0x30 + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
