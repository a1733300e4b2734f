/// A hash from a pair of 32-bit numbers to a slot; open addressing. Not part of a snapshot: it is rebuilt from the
/// cells, which know their keys.
package struct PairIndex: ~Copyable {
    package private(set) var count = 0
    @usableFromInline var keys: [UInt64]
    @usableFromInline var values: [UInt32]

    package init() {
        keys = Array(repeating: 0, count: 1_024)
        values = Array(repeating: 0, count: 1_024)
    }

    @inlinable @inline(__always)
    static func hash(_ key: UInt64) -> Int {
        let product = key &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: (product ^ product &>> 29) &>> 1)
    }

    @inlinable @inline(__always)
    static func key(_ a: UInt32, _ b: UInt32) -> UInt64 {
        let key = UInt64(a) << 32 | UInt64(b)
        precondition(key != 0, "the pair (0, 0) is no key")
        return key
    }

    /// The slot of a pair, or nil.
    @inlinable @inline(__always)
    package func find(_ a: UInt32, _ b: UInt32) -> Int? {
        let key = Self.key(a, b)
        let mask = keys.count &- 1
        var slot = Self.hash(key) & mask
        while keys[slot] != 0 {
            if keys[slot] == key { return Int(values[slot]) }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    /// Sets the slot of a pair that is not there yet.
    package mutating func insert(_ a: UInt32, _ b: UInt32, _ value: Int) {
        if count * 2 >= keys.count { grow() }
        place(Self.key(a, b), UInt32(value))
        count += 1
    }

    /// Removes a pair; nothing happens if it is not there.
    package mutating func remove(_ a: UInt32, _ b: UInt32) {
        let key = Self.key(a, b)
        let mask = keys.count &- 1
        var hole = Self.hash(key) & mask
        while keys[hole] != key {
            if keys[hole] == 0 { return }
            hole = (hole &+ 1) & mask
        }
        count -= 1
        // Whatever stands behind the hole and was pushed beyond it moves back, so that no search ends too early
        // (Knuth, The Art of Computer Programming 3, 6.4, algorithm R).
        var slot = hole
        while true {
            slot = (slot &+ 1) & mask
            if keys[slot] == 0 { break }
            let home = Self.hash(keys[slot]) & mask
            if (slot &- home) & mask >= (slot &- hole) & mask {
                keys[hole] = keys[slot]
                values[hole] = values[slot]
                hole = slot
            }
        }
        keys[hole] = 0
    }

    private mutating func place(_ key: UInt64, _ value: UInt32) {
        let mask = keys.count &- 1
        var slot = Self.hash(key) & mask
        while keys[slot] != 0 { slot = (slot &+ 1) & mask }
        keys[slot] = key
        values[slot] = value
    }

    private mutating func grow() {
        let oldKeys = keys
        let oldValues = values
        keys = Array(repeating: 0, count: oldKeys.count * 2)
        values = Array(repeating: 0, count: oldKeys.count * 2)
        for index in oldKeys.indices where oldKeys[index] != 0 { place(oldKeys[index], oldValues[index]) }
    }
}
