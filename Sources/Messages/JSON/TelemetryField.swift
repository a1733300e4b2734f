/// The fields of the native telemetry sample.
enum TelemetryField: UInt8, BitwiseCopyable, CaseIterable {
    case unknown
    case resource, metric, value, ts, timestamp, time, unit, kind, role, locality, resourceClass, source, sequence
    case tags, labels, metrics

    /// The field's bit in the set of fields already seen.
    @inline(__always) var bit: UInt32 { 1 << UInt32(rawValue) }

    /// The field of a key without escapes. The first eight bytes of the key, as a little-endian word, decide together
    /// with the length; a test spells every word.
    @inline(__always)
    static func named(_ key: JSONString, in reader: JSONReader) -> TelemetryField {
        let length = key.rawCount
        guard length <= 9 else { return .unknown }
        let word = reader.word(at: key.start, count: length)
        if length == 9 {
            let isTimestamp = word == 0x6d61_7473_656d_6974 && reader.bytes[key.start &+ 8] == UInt8(ascii: "p")
            return isTimestamp ? .timestamp : .unknown
        }
        return switch (word, length) {
        case (0x6563_7275_6f73_6572, 8): .resource
        case (0x0000_6369_7274_656d, 6): .metric
        case (0x0000_0065_756c_6176, 5): .value
        case (0x0000_0000_0000_7374, 2): .ts
        case (0x0000_0000_656d_6974, 4): .time
        case (0x0000_0000_7469_6e75, 4): .unit
        case (0x0000_0000_646e_696b, 4): .kind
        case (0x0000_0000_656c_6f72, 4): .role
        case (0x7974_696c_6163_6f6c, 8): .locality
        case (0x0000_0073_7361_6c63, 5): .resourceClass
        case (0x0000_6563_7275_6f73, 6): .source
        case (0x0000_0000_0071_6573, 3): .sequence
        case (0x0000_0000_7367_6174, 4): .tags
        case (0x0000_736c_6562_616c, 6): .labels
        case (0x0073_6369_7274_656d, 7): .metrics
        default: .unknown
        }
    }

    /// The field of a key that was decoded because it has escapes.
    static func named(_ key: UnsafeRawBufferPointer) -> TelemetryField {
        let text = JSONString(start: 0, end: key.count, hasEscapes: false, mayHoldControls: false)
        return named(text, in: JSONReader(key))
    }
}

extension JSONReader {
    /// The first `count` bytes (at most eight) at `index` as a little-endian word, zeros above; they lie in the text.
    @inline(__always)
    func word(at index: Int, count: Int) -> UInt64 {
        if index &+ 8 <= end {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            return count >= 8 ? word : word & ((1 &<< UInt64(truncatingIfNeeded: count &* 8)) &- 1)
        }
        var word: UInt64 = 0
        for offset in 0..<min(count, 8) { word |= UInt64(bytes[index &+ offset]) &<< UInt64(offset &* 8) }
        return word
    }
}
