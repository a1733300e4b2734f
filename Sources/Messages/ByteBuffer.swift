/// An append-only run of bytes in memory of its own, reused from frame to frame. Grows by doubling, outside the steady
/// state; `removeAll` keeps the memory. Safe to send: the memory has this one owner.
package struct ByteBuffer: ~Copyable, @unchecked Sendable {
    @usableFromInline var base: UnsafeMutableRawPointer
    @usableFromInline package private(set) var capacity: Int
    /// Bytes written so far.
    @usableFromInline package private(set) var count: Int

    package init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        base = .allocate(byteCount: self.capacity, alignment: 16)
        count = 0
    }

    deinit { base.deallocate() }

    /// The bytes written so far; valid until the next mutation.
    @inlinable package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    package mutating func removeAll() { count = 0 }

    @inline(never)
    private mutating func grow(toHold bytes: Int) {
        var next = capacity
        while next < bytes { next *= 2 }
        let moved = UnsafeMutableRawPointer.allocate(byteCount: next, alignment: 16)
        moved.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = moved
        capacity = next
    }

    private mutating func reserve(_ bytes: Int) {
        if count &+ bytes > capacity { grow(toHold: count + bytes) }
    }

    package mutating func append(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Replaces a byte that has been written.
    mutating func overwrite(_ byte: UInt8, at index: Int) {
        precondition(index >= 0 && index < count)
        base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
    }

    package mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        reserve(source.count)
        (base + count).copyMemory(from: start, byteCount: source.count)
        count &+= source.count
    }

    /// Room for so many bytes behind the last one, to be written by hand and taken over by `fill`.
    @inline(__always)
    mutating func room(for bytes: Int) -> RawCursor {
        reserve(bytes)
        return RawCursor(position: base + count)
    }

    /// Takes over what was written into room of this buffer, up to the cursor.
    @inline(__always)
    mutating func fill(to cursor: RawCursor) {
        count = UnsafeRawPointer(cursor.position) - UnsafeRawPointer(base)
        precondition(count <= capacity, "more was written than was asked for")
    }

    /// Drops everything behind the first `kept` bytes.
    package mutating func cut(to kept: Int) {
        precondition(kept >= 0 && kept <= count, "beyond what has been written")
        count = kept
    }

    /// A base-128 varint, as Protobuf writes it.
    package mutating func appendVarint(_ value: UInt64) {
        reserve(10)
        var rest = value
        var cursor = base + count
        while rest >= 0x80 {
            cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            cursor += 1
            rest &>>= 7
        }
        cursor.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        count = UnsafeRawPointer(cursor) - UnsafeRawPointer(base) + 1
    }

    /// A signed varint in zigzag form (Protobuf `sint64`).
    package mutating func appendZigzag(_ value: Int64) {
        appendVarint(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
    }

    /// A fixed-width little-endian value (Protobuf `fixed64`, `double`, `float`).
    package mutating func appendFixed<T: BitwiseCopyable>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        base.storeBytes(of: value, toByteOffset: count, as: T.self)
        count &+= MemoryLayout<T>.size
    }
}

/// Where the next byte goes in room that was reserved beforehand. It checks nothing: who writes has counted.
struct RawCursor: BitwiseCopyable {
    var position: UnsafeMutableRawPointer

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        position.storeBytes(of: byte, as: UInt8.self)
        position += 1
    }

    /// Copies short texts in two overlapping words, without a call.
    @inline(__always)
    mutating func put(_ source: UnsafeRawPointer, count: Int) {
        if count >= 8, count <= 16 {
            copyEnds(source, count, as: UInt64.self)
        } else if count >= 4, count < 8 {
            copyEnds(source, count, as: UInt32.self)
        } else if count >= 2, count < 4 {
            copyEnds(source, count, as: UInt16.self)
        } else {
            position.copyMemory(from: source, byteCount: count)
        }
        position += count
    }

    @inline(__always)
    private func copyEnds<Word: FixedWidthInteger & BitwiseCopyable>(
        _ source: UnsafeRawPointer, _ count: Int, as word: Word.Type
    ) {
        let last = count &- MemoryLayout<Word>.size
        let ends = (
            source.loadUnaligned(as: Word.self), source.loadUnaligned(fromByteOffset: last, as: Word.self)
        )
        position.storeBytes(of: ends.0, as: Word.self)
        position.storeBytes(of: ends.1, toByteOffset: last, as: Word.self)
    }
}

/// Why bytes are not what they claim to be.
package enum WireError: Error, Equatable {
    case truncated
    case varintTooLong
    case wrongWireType(field: Int)
    case invalid(String)
}

/// A bounds-checked cursor over Protobuf bytes from outside.
package struct WireCursor {
    package let bytes: UnsafeRawBufferPointer
    package private(set) var position: Int

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        position = 0
    }

    package var isAtEnd: Bool { position >= bytes.count }

    /// A Protobuf varint; throws for one that is cut or longer than 64 bits.
    package mutating func varint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position &+= 1
            if shift == 63 && byte > 1 { throw .varintTooLong }
            value |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
            if shift > 63 { throw .varintTooLong }
        }
        throw .truncated
    }

    /// A Protobuf sint64: a varint with the sign in its lowest bit.
    package mutating func zigzag() throws(WireError) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw &>> 1) ^ -Int64(bitPattern: raw & 1)
    }

    /// A value of fixed width, little endian.
    package mutating func fixed<T: BitwiseCopyable>(_ type: T.Type) throws(WireError) -> T {
        guard bytes.count &- position >= MemoryLayout<T>.size else { throw .truncated }
        defer { position &+= MemoryLayout<T>.size }
        return bytes.loadUnaligned(fromByteOffset: position, as: T.self)
    }

    /// The bytes of a length-delimited field.
    package mutating func block() throws(WireError) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(bytes.count &- position) else { throw .truncated }
        let start = position
        position &+= Int(length)
        return UnsafeRawBufferPointer(rebasing: bytes[start..<position])
    }

    /// The next field's number and wire type, or nil at the end.
    package mutating func tag() throws(WireError) -> (field: Int, type: Int)? {
        if isAtEnd { return nil }
        let tag = try varint()
        guard tag >> 3 <= 0x1fff_ffff, tag >> 3 > 0 else { throw .invalid("field number out of range") }
        return (Int(tag >> 3), Int(tag & 7))
    }

    /// Skips a field of unknown number, as Protobuf demands of readers older than the writer.
    package mutating func skip(type: Int) throws(WireError) {
        switch type {
        case 0: _ = try varint()
        case 1: _ = try fixed(UInt64.self)
        case 2: _ = try block()
        case 5: _ = try fixed(UInt32.self)
        default: throw .invalid("unknown wire type")
        }
    }
}
