/// FNV-1a, 64 bits (Fowler, Noll, Vo). Decides the partition of a locality, so it never changes.
@inlinable package func fnv1a64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes {
        hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    }
    return hash
}

/// FNV-1a of a string's UTF-8 bytes.
@inlinable package func fnv1a64(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { fnv1a64(UnsafeRawBufferPointer($0)) }
}

/// The partition that owns a locality or a resource: FNV-1a 64 of its bytes mod the number of partitions.
@inlinable package func partition(of bytes: UnsafeRawBufferPointer, among count: Int32) -> Int32 {
    Int32(truncatingIfNeeded: fnv1a64(bytes) % UInt64(max(count, 1)))
}

/// A running 64-bit digest of bytes, fast over long runs (eight bytes a multiplication, after wyhash's mixing step).
/// Detects accidents, not attacks. The result does not depend on how the bytes were cut into calls only when every
/// call but the last brings a multiple of eight bytes.
package struct Digest: Sendable, BitwiseCopyable {
    @usableFromInline package internal(set) var value: UInt64

    @inlinable package init(seed: UInt64 = 0) { self.init(raw: 0x9e37_79b9_7f4a_7c15 ^ seed) }

    @inlinable init(raw: UInt64) { value = raw }

    @inlinable static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    /// Takes in one word.
    @inlinable package mutating func combine(_ word: UInt64) {
        value = Self.mix(value ^ word, 0xa076_1d64_78bd_642f) ^ 0xe703_7ed1_a0b4_28db
    }

    /// Takes in bytes, eight at a time.
    @inlinable package mutating func combine(_ bytes: UnsafeRawBufferPointer) {
        let words = bytes.count / 8
        var running = value
        for index in 0..<words {
            let word = bytes.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self)
            running = Self.mix(running ^ word, 0xa076_1d64_78bd_642f) ^ 0xe703_7ed1_a0b4_28db
        }
        value = running
        var tail: UInt64 = 0
        for index in (words * 8)..<bytes.count { tail = tail << 8 | UInt64(bytes[index]) }
        if bytes.count % 8 != 0 { combine(tail ^ UInt64(bytes.count % 8) << 56) }
    }
}

extension Digest {
    /// Adds a text with its length, so that neighbours cannot run into each other.
    package mutating func combine(text: String) {
        var text = text
        text.withUTF8 {
            combine(UInt64($0.count))
            combine(UnsafeRawBufferPointer($0))
        }
    }
}
