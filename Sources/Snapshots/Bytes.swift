import TwinCore

/// Memory of a fixed size, freed with its owner.
struct RawMemory: ~Copyable {
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        bytes = .allocate(byteCount: max(byteCount, 1), alignment: 64)
    }

    deinit { bytes.deallocate() }
}

/// Little-endian integers appended to an array.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    /// The digest of what has been written so far.
    var digest: UInt64 {
        bytes.withUnsafeBytes { digestOf($0) }
    }
}

/// Little-endian integers read from bytes that nobody vouches for.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func next<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self
    ) throws(SnapshotError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw SnapshotError(.corrupt, "the bytes end inside a field") }
        let value = bytes.loadUnaligned(fromByteOffset: position, as: Value.self)
        position += size
        return Value(littleEndian: value)
    }
}

/// The digest of a run of bytes.
func digestOf(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var digest = Digest()
    digest.combine(bytes)
    return digest.value
}
