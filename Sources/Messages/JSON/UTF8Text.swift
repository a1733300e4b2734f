/// The few things the codecs need to know of UTF-8 (RFC 3629).
package enum UTF8Text {
    /// The length of the well-formed sequence at `index`, or zero if there is none.
    package static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let available = bytes.count - index
        guard available > 0 else { return 0 }
        let first = bytes[index]
        if first < 0x80 { return 1 }
        guard available > 1 else { return 0 }
        let second = bytes[index + 1]
        switch first {
        case 0xc2...0xdf:
            return second & 0xc0 == 0x80 ? 2 : 0
        case 0xe0...0xef:
            // No overlong forms (E0) and no surrogates (ED).
            let low: UInt8 = first == 0xe0 ? 0xa0 : 0x80
            let high: UInt8 = first == 0xed ? 0x9f : 0xbf
            guard second >= low, second <= high, available > 2, bytes[index + 2] & 0xc0 == 0x80 else { return 0 }
            return 3
        case 0xf0...0xf4:
            // No overlong forms (F0), nothing above U+10FFFF (F4).
            let low: UInt8 = first == 0xf0 ? 0x90 : 0x80
            let high: UInt8 = first == 0xf4 ? 0x8f : 0xbf
            guard second >= low, second <= high, available > 3, bytes[index + 2] & 0xc0 == 0x80,
                bytes[index + 3] & 0xc0 == 0x80
            else { return 0 }
            return 4
        default:
            return 0
        }
    }

    /// Whether bytes are UTF-8.
    package static func isWellFormed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            let length = sequenceLength(bytes, at: index)
            guard length > 0 else { return false }
            index += length
        }
        return true
    }

    /// Whether valid UTF-8 holds a control character: C0, DEL or C1.
    package static func holdsControls(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var previous: UInt8 = 0
        for byte in bytes {
            if byte < 0x20 || byte == 0x7f { return true }
            if previous == 0xc2, byte < 0xa0 { return true }
            previous = byte
        }
        return false
    }

    /// The bytes that a scalar takes.
    static func width(of scalar: UInt32) -> Int {
        scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x1_0000 ? 3 : 4
    }

    /// Writes a scalar (not a surrogate, at most U+10FFFF); the caller has checked the room. Returns its width.
    static func write(_ scalar: UInt32, to room: UnsafeMutableRawBufferPointer, at index: Int) -> Int {
        func continuation(_ shift: UInt32) -> UInt8 { UInt8(0x80 | (scalar >> shift) & 0x3f) }
        switch width(of: scalar) {
        case 1:
            room[index] = UInt8(scalar)
            return 1
        case 2:
            room[index] = UInt8(0xc0 | scalar >> 6)
            room[index + 1] = continuation(0)
            return 2
        case 3:
            room[index] = UInt8(0xe0 | scalar >> 12)
            room[index + 1] = continuation(6)
            room[index + 2] = continuation(0)
            return 3
        default:
            room[index] = UInt8(0xf0 | (scalar >> 18) & 0x07)
            room[index + 1] = continuation(12)
            room[index + 2] = continuation(6)
            room[index + 3] = continuation(0)
            return 4
        }
    }

    /// The longest prefix of at most `count` bytes that does not cut a character; the bytes are valid UTF-8.
    package static func prefix(_ bytes: UnsafeRawBufferPointer, bytesMax count: Int) -> UnsafeRawBufferPointer {
        guard bytes.count > count else { return bytes }
        var end = max(count, 0)
        while end > 0, bytes[end] & 0xc0 == 0x80 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[..<end])
    }
}
