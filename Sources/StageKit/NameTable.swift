import Messages
import TwinCore

/// A name of one task: a number from 1 on, in order of first appearance. 0 is "no name".
package typealias NameID = UInt32

/// Which names of a task are in use, while it is found out.
package struct NameMarks: ~Copyable {
    private var words: [UInt64]

    init(names: Int) { words = Array(repeating: 0, count: names / 64 + 1) }

    /// A name that is in use; 0 is none.
    package mutating func mark(_ name: NameID) {
        guard Int(name) >> 6 < words.count else { return }
        words[Int(name) >> 6] |= 1 << UInt64(name & 63)
    }

    /// The names and values of a resource's tags, of which it has `count`.
    package mutating func mark<let tagsMax: Int>(
        tags count: Int, _ keys: [tagsMax of NameID], _ values: [tagsMax of NameID]
    ) {
        for tag in 0..<min(count, tagsMax) {
            mark(keys[tag])
            mark(values[tag])
        }
    }

    /// Keeps every name, for a stage that cannot tell.
    package mutating func markAll() { words = Array(repeating: .max, count: words.count) }

    func contains(_ name: Int) -> Bool { words[name >> 6] & 1 << UInt64(name & 63) != 0 }
}

/// The names that one task has seen: bytes to number and back. Numbers are given in order of first appearance in the
/// inbox, and those of forgotten names again, so they are the same in every replay. The table is bounded; names that
/// nothing refers to any more are forgotten when they have become many.
package final class NameTable {
    /// The largest number given out so far, and how many names it may hold.
    @exclusivity(unchecked) package private(set) var count = 0
    package let namesMax: Int
    /// The longest name that is taken.
    package static let nameBytesMax = FrameReader.nameBytesMax

    @exclusivity(unchecked) private var arena = ByteBuffer(capacity: 4_096)
    /// By number: where a name stands in the arena. A number without a name has none of its bytes.
    @exclusivity(unchecked) private var places: [Place] = [Place()]
    @exclusivity(unchecked) private var slots: [UInt32]
    /// Numbers of forgotten names; the last one is the next to be given out.
    @exclusivity(unchecked) private var free: [NameID] = []
    /// Names held beyond which it is worth looking for those that nobody needs.
    @exclusivity(unchecked) private var manyCount: Int

    private struct Place: BitwiseCopyable {
        var start: UInt32 = 0
        var count: UInt32 = 0
        var hash: UInt32 = 0
    }

    private static let manyMin = 4_096
    /// All names together; a name that would not fit is refused.
    private static let bytesMax = Int(UInt32.max) - nameBytesMax

    package init(namesMax: Int) {
        self.namesMax = namesMax
        slots = Array(repeating: 0, count: 1_024)
        manyCount = Self.manyMin
    }

    /// Names held.
    package var liveCount: Int { count - free.count }

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
        guard bytes.count > 0, bytes.count <= Self.nameBytesMax, liveCount < namesMax, arena.count <= Self.bytesMax
        else { return nil }
        let place = Place(start: UInt32(arena.count), count: UInt32(bytes.count), hash: hash)
        arena.append(bytes)
        let name: NameID
        if let forgotten = free.popLast() {
            name = forgotten
            places[Int(name)] = place
        } else {
            count += 1
            name = NameID(count)
            places.append(place)
        }
        slots[slot] = name
        if liveCount * 2 > slots.count { index(slots.count * 2) }
        return name
    }

    /// The number of a string; see `intern(_:)`.
    package func intern(_ text: String) -> NameID? {
        var text = text
        return text.withUTF8 { intern(UnsafeRawBufferPointer($0)) }
    }

    /// The number of a name, or nil if it has never been seen, or was forgotten.
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
        let place = places[Int(name)]
        let start = Int(place.start)
        return UnsafeRawBufferPointer(rebasing: arena.bytes[start..<(start &+ Int(place.count))])
    }

    /// The name as text; for the edges, not for hot loops.
    package func text(of name: NameID) -> String { String(decoding: bytes(of: name), as: UTF8.self) }

    private func matches(_ name: NameID, _ bytes: UnsafeRawBufferPointer, _ hash: UInt32) -> Bool {
        guard places[Int(name)].hash == hash else { return false }
        let known = self.bytes(of: name)
        guard known.count == bytes.count else { return false }
        for index in 0..<known.count where known[index] != bytes[index] { return false }
        return true
    }

    private func index(_ size: Int) {
        slots = Array(repeating: 0, count: size)
        for name in 0..<(count + 1) where places[name].count > 0 {
            var slot = Int(places[name].hash) & (size - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = NameID(name)
        }
    }
}

// MARK: - Forgetting

extension NameTable {
    /// True when there are so many names that it is worth asking which are still in use.
    package var isCrowded: Bool { liveCount >= min(manyCount, namesMax - namesMax / 4) }

    /// Forgets the names that `body` does not mark. Their numbers are given out again, so nobody may hold one.
    package func keep(_ body: (inout NameMarks) -> Void) {
        var marks = NameMarks(names: count)
        body(&marks)
        var kept = ByteBuffer(capacity: max(arena.count / 2, 4_096))
        free.removeAll(keepingCapacity: true)
        // Lower numbers are given out first.
        for name in stride(from: count, to: 0, by: -1) {
            if marks.contains(name), places[name].count > 0 {
                let bytes = bytes(of: NameID(name))
                places[name].start = UInt32(kept.count)
                kept.append(bytes)
            } else {
                places[name] = Place()
                free.append(NameID(name))
            }
        }
        arena = kept
        index(slots.count)
        manyCount = max(2 * liveCount, Self.manyMin)
    }
}

// MARK: - Snapshots

extension NameTable {
    /// The section of a snapshot that holds the names.
    package func freeze(tag: UInt32, into writer: inout StateWriter) {
        var coder = StateCoder(capacity: 24 + 8 * (count + free.count) + arena.count)
        coder.write(UInt64(count))
        coder.write(UInt64(manyCount))
        coder.write(UInt64(free.count))
        for name in free { coder.write(UInt64(name)) }
        for name in 0..<count { coder.write(UInt64(places[name + 1].count)) }
        for name in 0..<count { coder.append(bytes(of: NameID(name + 1))) }
        writer.add(tag: tag, bytes: coder.bytes)
    }

    /// Reads the names back into an empty table.
    package func restore(tag: UInt32, from reader: StateReader) throws(StateError) {
        precondition(count == 0, "names are restored into an empty table")
        var decoder = try reader.decoder(tag: tag)
        let declared = try decoder.readCount(max: namesMax)
        let many = try decoder.readCount(max: Int.max / 2)
        let freed = try decoder.readCount(max: declared)
        var forgotten: [NameID] = []
        for _ in 0..<freed { forgotten.append(NameID(try decoder.readCount(max: declared))) }
        var sizes: [Int] = []
        for _ in 0..<declared { sizes.append(try decoder.readCount(max: Self.nameBytesMax)) }
        for size in sizes {
            let bytes = try decoder.read(count: size)
            if size == 0 {
                count += 1
                places.append(Place())
            } else {
                guard find(bytes) == nil, intern(bytes) == NameID(count) else { throw .invalid("a name stands twice") }
            }
        }
        guard decoder.isAtEnd else { throw .invalid("bytes behind the names") }
        try checkFree(forgotten)
        free = forgotten
        manyCount = many
    }

    /// Every number without a name is free, and once.
    private func checkFree(_ forgotten: [NameID]) throws(StateError) {
        var marks = NameMarks(names: count)
        for name in forgotten {
            guard name > 0, places[Int(name)].count == 0, !marks.contains(Int(name)) else {
                throw .invalid("a name is free and is not")
            }
            marks.mark(name)
        }
        for name in 0..<count where places[name + 1].count == 0 && !marks.contains(name + 1) {
            throw .invalid("a number without a name")
        }
    }
}
