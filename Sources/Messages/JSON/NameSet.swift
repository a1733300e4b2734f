import TwinCore

/// The names already seen in one object, by their 64-bit hash: open addressing in room allocated once, emptied by
/// raising a generation. Two names with one hash are taken for one; to make that happen a sender must search for the
/// pair, and then only loses a sample of its own.
struct NameSet: ~Copyable {
    private struct Slot: BitwiseCopyable {
        var hash: UInt64
        var generation: UInt64
    }

    private let slots: UnsafeMutableBufferPointer<Slot>
    private let capacity: Int
    private var count = 0
    private var generation: UInt64 = 1

    init(capacity: Int) {
        self.capacity = capacity
        var size = 16
        while size < 2 * capacity { size *= 2 }
        slots = .allocate(capacity: size)
        slots.initialize(repeating: Slot(hash: 0, generation: 0))
    }

    deinit { slots.deallocate() }

    mutating func removeAll() {
        generation += 1
        count = 0
    }

    /// True if the name is new; a full set takes every name for new.
    mutating func insert(_ name: UnsafeRawBufferPointer) -> Bool {
        guard count < capacity else { return true }
        let hash = fnv1a64(name)
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        // At most half full, so an empty slot ends every search.
        while slots[index].generation == generation {
            if slots[index].hash == hash { return false }
            index = (index + 1) & mask
        }
        slots[index] = Slot(hash: hash, generation: generation)
        count += 1
        return true
    }
}
