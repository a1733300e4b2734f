/// Where a string stands in the text, between its quotes, and what is known of it.
package struct JSONString: Hashable, Sendable, BitwiseCopyable {
    /// The first byte behind the opening quote.
    package var start: Int
    /// The closing quote.
    package var end: Int
    /// The bytes are not the string itself: it must be decoded.
    package var hasEscapes: Bool
    /// The string may hold more than printable ASCII (outside ASCII, DEL, or anything escaped).
    package var mayHoldControls: Bool

    /// The number of bytes as written, escapes included.
    @inline(__always) package var rawCount: Int { end &- start }
}

/// Eight bytes at a time: `word` with the high bit set in each byte that ends the fast scan of a string. The lowest
/// set bit is exact (borrows and carries only run upwards from a byte that is itself a hit).
@inline(__always)
func stringStops(in word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quote = word ^ (ones &* 0x22)
    let backslash = word ^ (ones &* 0x5c)
    let found =
        ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((word &- (ones &* 0x20)) & ~word)
        | word | (word &+ ones)  // outside ASCII, and DEL
    return found & (ones &* 0x80)
}

extension JSONReader {
    /// Reads a string without decoding it; its escapes and its UTF-8 are checked.
    @inline(__always)
    package mutating func readString() throws(JSONError) -> JSONString {
        if peek() != UInt8(ascii: "\"") {
            skipWhitespace()
            guard peek() == UInt8(ascii: "\"") else { throw unexpected() }
        }
        guard !isBehindValue else { throw unexpected() }
        let start = position &+ 1
        var index = start
        // Every load below lies within the text, as `index + 8 <= end`.
        while index &+ 8 <= end {
            let found = stringStops(in: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            if found == 0 {
                index &+= 8
                continue
            }
            index &+= found.trailingZeroBitCount &>> 3
            break
        }
        if index < end, bytes[index] == UInt8(ascii: "\"") {
            position = index &+ 1
            isBehindValue = true
            return JSONString(start: start, end: index, hasEscapes: false, mayHoldControls: false)
        }
        return try finishString(start: start, from: index)
    }

    /// The careful part of `readString`: byte by byte from the first byte that is not plain.
    @inline(never)
    private mutating func finishString(start: Int, from first: Int) throws(JSONError) -> JSONString {
        var index = first
        var hasEscapes = false
        var mayHoldControls = false
        while index < end {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                position = index + 1
                isBehindValue = true
                return JSONString(start: start, end: index, hasEscapes: hasEscapes, mayHoldControls: mayHoldControls)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                mayHoldControls = true
                index += try escapeLength(at: index)
            case 0..<0x20:
                throw JSONError(.controlCharacter, at: index)
            case 0x20..<0x7f:
                index += 1
            case 0x7f:
                mayHoldControls = true
                index += 1
            default:
                mayHoldControls = true
                let length = UTF8Text.sequenceLength(bytes, at: index)
                guard length > 0 else { throw JSONError(.invalidUTF8, at: index) }
                index += length
            }
        }
        throw JSONError(.unexpectedEnd, at: end)
    }

    /// The bytes that the escape at `index` takes: 2, or 6 for `\uXXXX`. Halves of surrogate pairs pass here, as the
    /// grammar allows them; decoding refuses them.
    private func escapeLength(at index: Int) throws(JSONError) -> Int {
        guard index + 1 < end else { throw JSONError(.unexpectedEnd, at: end) }
        switch bytes[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return 2
        case UInt8(ascii: "u"):
            guard index + 6 <= end else { throw JSONError(.unexpectedEnd, at: end) }
            guard hexadecimal(at: index + 2) != nil else { throw JSONError(.invalidEscape, at: index) }
            return 6
        default:
            throw JSONError(.invalidEscape, at: index)
        }
    }

    /// Four hexadecimal digits; the caller has checked that they lie within the text.
    private func hexadecimal(at index: Int) -> UInt32? {
        var value: UInt32 = 0
        for offset in 0..<4 {
            let byte = bytes[index + offset]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    /// The string's bytes as they stand in the text.
    @inline(__always)
    package func raw(_ string: JSONString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[string.start..<string.end])
    }

    /// Decodes a string into `room` and returns the number of bytes written, valid UTF-8.
    ///
    /// Throws `textTooLong` if the room does not suffice and `loneSurrogate` for half a pair, as `JSONDecoder` does.
    package func decode(
        _ string: JSONString, into room: UnsafeMutableRawBufferPointer
    ) throws(JSONError) -> Int {
        var index = string.start
        var count = 0
        while index < string.end {
            var byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                let escape = try decodeEscape(at: index, end: string.end)
                index += escape.length
                if escape.scalar < 0x80 {
                    byte = UInt8(escape.scalar)
                } else {
                    guard count + UTF8Text.width(of: escape.scalar) <= room.count else {
                        throw JSONError(.textTooLong, at: string.start)
                    }
                    count += UTF8Text.write(escape.scalar, to: room, at: count)
                    continue
                }
            } else {
                index += 1
            }
            guard count < room.count else { throw JSONError(.textTooLong, at: string.start) }
            room[count] = byte
            count += 1
        }
        return count
    }

    /// Decodes a string and appends its bytes.
    package func decode(_ string: JSONString, appendingTo output: inout [UInt8]) throws(JSONError) {
        guard string.hasEscapes else {
            output.append(contentsOf: raw(string))
            return
        }
        // Escapes only ever shrink: `\n` two bytes to one, `\uXXXX` six to at most three.
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: string.rawCount))
        let result = output.withUnsafeMutableBytes { all -> Result<Int, JSONError> in
            do throws(JSONError) {
                return .success(try decode(string, into: UnsafeMutableRawBufferPointer(rebasing: all[start...])))
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let count): output.removeLast(string.rawCount - count)
        case .failure(let error):
            output.removeLast(string.rawCount)
            throw error
        }
    }

    fileprivate func decodeEscape(at index: Int, end: Int) throws(JSONError) -> (scalar: UInt32, length: Int) {
        guard index + 1 < end else { throw JSONError(.invalidEscape, at: index) }
        switch bytes[index + 1] {
        case UInt8(ascii: "b"): return (0x08, 2)
        case UInt8(ascii: "f"): return (0x0c, 2)
        case UInt8(ascii: "n"): return (0x0a, 2)
        case UInt8(ascii: "r"): return (0x0d, 2)
        case UInt8(ascii: "t"): return (0x09, 2)
        case UInt8(ascii: "u"): break
        default: return (UInt32(bytes[index + 1]), 2)
        }
        guard index + 6 <= end, let unit = hexadecimal(at: index + 2) else {
            throw JSONError(.invalidEscape, at: index)
        }
        guard unit >= 0xd800, unit < 0xe000 else { return (unit, 6) }
        guard unit < 0xdc00, index + 12 <= end, bytes[index + 6] == UInt8(ascii: "\\"),
            bytes[index + 7] == UInt8(ascii: "u"), let low = hexadecimal(at: index + 8), low >= 0xdc00, low < 0xe000
        else { throw JSONError(.loneSurrogate, at: index) }
        return (0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12)
    }

    /// Compares a string, decoded, with an ASCII name.
    package func matches(_ string: JSONString, _ name: StaticString) -> Bool {
        let length = name.utf8CodeUnitCount
        if !string.hasEscapes {
            guard string.rawCount == length else { return false }
            for index in 0..<length where bytes[string.start + index] != name.utf8Start[index] { return false }
            return true
        }
        guard string.rawCount >= length, string.rawCount <= length * 6 else { return false }
        return withUnsafeTemporaryAllocation(byteCount: string.rawCount, alignment: 1) { room in
            guard let count = try? decode(string, into: room), count == length else { return false }
            for index in 0..<length where room[index] != name.utf8Start[index] { return false }
            return true
        }
    }
}

extension JSONReader {
    /// Decodes as many whole characters of a string as the room holds, but checks all of it.
    func decodePrefix(_ string: JSONString, into room: UnsafeMutableRawBufferPointer) throws(JSONError) -> Int {
        var index = string.start
        var count = 0
        var isFull = false
        while index < string.end {
            var scalarBytes: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
            let width: Int
            if bytes[index] == UInt8(ascii: "\\") {
                let escape = try decodeEscape(at: index, end: string.end)
                width = withUnsafeMutableBytes(of: &scalarBytes) { UTF8Text.write(escape.scalar, to: $0, at: 0) }
                index += escape.length
            } else {
                width = max(UTF8Text.sequenceLength(bytes, at: index), 1)
                withUnsafeMutableBytes(of: &scalarBytes) { target in
                    for offset in 0..<width { target[offset] = bytes[index + offset] }
                }
                index += width
            }
            if count + width > room.count { isFull = true }
            if isFull { continue }
            withUnsafeBytes(of: &scalarBytes) { source in
                for offset in 0..<width { room[count + offset] = source[offset] }
            }
            count += width
        }
        return count
    }
}
