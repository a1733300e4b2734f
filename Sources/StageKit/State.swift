import Messages
import TwinCore

/// Why a snapshot's content cannot be taken over.
package enum StateError: Error, Equatable {
    case truncated
    case missing(tag: UInt32)
    case invalid(String)
}

/// Four ASCII letters as the tag of a snapshot's section.
package func sectionTag(_ text: StaticString) -> UInt32 {
    text.withUTF8Buffer { $0.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
}

/// One section of a frozen state: some bytes, then pages.
package struct FrozenSection: Sendable {
    package let tag: UInt32
    package let bytes: [UInt8]
    package let pages: [Page]
}

/// Collects the sections of a frozen state. Nothing large is copied.
package struct StateWriter {
    package private(set) var sections: [FrozenSection] = []

    package init() {}

    /// Adds a section; a tag stands once.
    package mutating func add(tag: UInt32, bytes: [UInt8], pages: [Page] = []) {
        precondition(!sections.contains { $0.tag == tag }, "a section's tag stands once")
        sections.append(FrozenSection(tag: tag, bytes: bytes, pages: pages))
    }

    /// Digest over everything, in order.
    package var digest: UInt64 {
        var digest = Digest()
        for section in sections {
            digest.combine(UInt64(section.tag))
            section.bytes.withUnsafeBytes { digest.combine($0) }
            for page in section.pages { digest.combine(page.bytes) }
        }
        return digest.value
    }

    /// The sections as plain memory, as `StateReader` wants them; for tests and small states.
    package var flattened: [(tag: UInt32, bytes: [UInt8])] {
        sections.map { section in
            var bytes = section.bytes
            for page in section.pages { bytes.append(contentsOf: page.bytes) }
            return (section.tag, bytes)
        }
    }
}

/// The sections of a restored snapshot, borrowed for the time of restoring.
package struct StateReader {
    private let sections: [(tag: UInt32, bytes: UnsafeRawBufferPointer)]

    package init(sections: [(tag: UInt32, bytes: UnsafeRawBufferPointer)]) { self.sections = sections }

    /// All bytes of a section.
    package func section(tag: UInt32) throws(StateError) -> UnsafeRawBufferPointer {
        for section in sections where section.tag == tag { return section.bytes }
        throw .missing(tag: tag)
    }

    /// A decoder over all bytes of a section.
    package func decoder(tag: UInt32) throws(StateError) -> StateDecoder { StateDecoder(try section(tag: tag)) }
}

/// Writes the small parts of a state: fixed-width little-endian words and counted bytes.
package struct StateCoder {
    package private(set) var bytes: [UInt8] = []

    /// An empty coder, with room for so many bytes.
    package init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    package mutating func write(_ value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func write(_ value: Int64) { write(UInt64(bitPattern: value)) }

    package mutating func write(_ value: Double) { write(value.bitPattern) }

    package mutating func write(bytes source: UnsafeRawBufferPointer) {
        write(UInt64(source.count))
        append(source)
    }

    /// Bytes whose number the reader knows.
    package mutating func append(_ source: UnsafeRawBufferPointer) { bytes.append(contentsOf: source) }
}

/// Reads what `StateCoder` wrote; every step is checked.
package struct StateDecoder {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next eight bytes, little endian.
    package mutating func readWord() throws(StateError) -> UInt64 {
        guard bytes.count - position >= 8 else { throw .truncated }
        defer { position += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    /// The next eight bytes as a signed integer.
    package mutating func readInt64() throws(StateError) -> Int64 { Int64(bitPattern: try readWord()) }

    /// The next eight bytes as the bits of a number; any bits are one, NaN included.
    package mutating func readDouble() throws(StateError) -> Double { Double(bitPattern: try readWord()) }

    /// A count that is at most `max`.
    package mutating func readCount(max: Int) throws(StateError) -> Int {
        let value = try readWord()
        guard value <= UInt64(max) else { throw .invalid("count beyond its limit") }
        return Int(value)
    }

    /// Counted bytes, borrowed from the section.
    package mutating func readBytes() throws(StateError) -> UnsafeRawBufferPointer {
        try read(count: try readCount(max: bytes.count))
    }

    /// So many bytes, borrowed from the section.
    package mutating func read(count length: Int) throws(StateError) -> UnsafeRawBufferPointer {
        guard bytes.count - position >= length else { throw .truncated }
        defer { position += length }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + length)])
    }

    package var isAtEnd: Bool { position == bytes.count }
}
