import Messages
import TwinCore

/// A name of one task: a number from 1 on, in order of first appearance. 0 is "no name".
package typealias NameID = UInt32

/// The names that one task has seen: bytes to number and back. Numbers are given in order of first appearance in the
/// inbox, so they are the same in every replay. Nothing is ever forgotten; the table is bounded instead.
package final class NameTable {
    /// Names held, and how many it may hold.
    @exclusivity(unchecked) package private(set) var count = 0
    package let namesMax: Int
    /// The longest name that is taken.
    package static let nameBytesMax = FrameReader.nameBytesMax

    @exclusivity(unchecked) private var arena = ByteBuffer(capacity: 4_096)
    /// End of each name in the arena; the name's start is the end of the one before.
    @exclusivity(unchecked) private var ends: [Int] = [0]
    @exclusivity(unchecked) private var hashes: [UInt32] = [0]
    @exclusivity(unchecked) private var slots: [UInt32]

    package init(namesMax: Int) {
        self.namesMax = namesMax
        slots = Array(repeating: 0, count: 1_024)
    }

    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var digest = Digest(seed: UInt64(bytes.count))
        digest.combine(bytes)
        return UInt32(truncatingIfNeeded: digest.value ^ digest.value >> 32)
    }

    /// The number of a name, given out if it is new. Nil when the name is empty or too long, or the table is full.
    package func intern(_ bytes: UnsafeRawBufferPointer) -> NameID? {
        let hash = Self.hash(bytes)
        var slot = Int(hash) & (slots.count &- 1)
        while slots[slot] != 0 {
            if matches(slots[slot], bytes, hash) { return slots[slot] }
            slot = (slot &+ 1) & (slots.count &- 1)
        }
        guard bytes.count > 0, bytes.count <= Self.nameBytesMax, count < namesMax else { return nil }
        count += 1
        arena.append(bytes)
        ends.append(arena.count)
        hashes.append(hash)
        slots[slot] = NameID(count)
        if count * 2 > slots.count { rehash() }
        return NameID(count)
    }

    /// The number of a string; see `intern(_:)`.
    package func intern(_ text: String) -> NameID? {
        var text = text
        return text.withUTF8 { intern(UnsafeRawBufferPointer($0)) }
    }

    /// The number of a name, or nil if it has never been seen.
    package func find(_ bytes: UnsafeRawBufferPointer) -> NameID? {
        let hash = Self.hash(bytes)
        var slot = Int(hash) & (slots.count &- 1)
        while slots[slot] != 0 {
            if matches(slots[slot], bytes, hash) { return slots[slot] }
            slot = (slot &+ 1) & (slots.count &- 1)
        }
        return nil
    }

    /// The bytes of a name; empty for 0. Valid until the next `intern`.
    package func bytes(of name: NameID) -> UnsafeRawBufferPointer {
        guard name > 0, Int(name) <= count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let start = ends[Int(name) &- 1]
        return UnsafeRawBufferPointer(rebasing: arena.bytes[start..<ends[Int(name)]])
    }

    /// The name as text; for the edges, not for hot loops.
    package func text(of name: NameID) -> String { String(decoding: bytes(of: name), as: UTF8.self) }

    private func matches(_ name: NameID, _ bytes: UnsafeRawBufferPointer, _ hash: UInt32) -> Bool {
        guard hashes[Int(name)] == hash else { return false }
        let known = self.bytes(of: name)
        guard known.count == bytes.count else { return false }
        for index in 0..<known.count where known[index] != bytes[index] { return false }
        return true
    }

    private func rehash() {
        let size = slots.count * 2
        slots = Array(repeating: 0, count: size)
        for name in 1...count {
            var slot = Int(hashes[name]) & (size - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = NameID(name)
        }
    }

    /// The section of a snapshot that holds the names.
    package func freeze(tag: UInt32, into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(UInt64(count))
        for name in 1..<(count + 1) { coder.write(UInt64(ends[name])) }
        coder.write(bytes: arena.bytes)
        writer.add(tag: tag, bytes: coder.bytes)
    }

    /// Reads the names back into an empty table.
    package func restore(tag: UInt32, from reader: StateReader) throws(StateError) {
        precondition(count == 0, "names are restored into an empty table")
        var decoder = try reader.decoder(tag: tag)
        let declared = try decoder.readCount(max: namesMax)
        var bounds: [Int] = [0]
        for _ in 0..<declared {
            let end = try decoder.readCount(max: Int.max / 2)
            guard end > (bounds.last ?? 0) else { throw .invalid("names out of order") }
            bounds.append(end)
        }
        let bytes = try decoder.readBytes()
        guard bytes.count == bounds.last ?? 0 else { throw .invalid("names of wrong length") }
        for name in 0..<declared {
            guard intern(UnsafeRawBufferPointer(rebasing: bytes[bounds[name]..<bounds[name + 1]])) == NameID(name + 1)
            else { throw .invalid("a name stands twice") }
        }
    }
}
