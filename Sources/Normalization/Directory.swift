import StageKit
import TwinCore

/// What a task knows of one resource: where it is and how it was described last. Fields from large to small, no
/// padding: the bytes are the snapshot.
struct DirectoryCell: BitwiseCopyable {
    /// The most bytes of tags, as JSON, that are kept to be restated; longer ones are only recognised.
    static let tagsBytesMax = 208
    /// Stands for tags that are too long to be kept.
    static let tagsForgotten = UInt32.max

    /// Digest of the tags as written last: equal bytes need no second look.
    var tagsRaw: UInt64
    /// Digest of the tags in canonical form.
    var tagsCanonical: UInt64
    /// Event time (milliseconds) as of which this is known; older records do not change it back.
    var since: Int64
    /// 0 marks a free cell.
    var resource: NameID
    /// 0 while it is not known.
    var locality: NameID
    /// 0 if not given.
    var resourceClass: NameID
    /// Of the locality; −1 while that is not known.
    var partition: Int32
    /// Bytes in use of `tags`, or `tagsForgotten`.
    var tagsCount: UInt32
    /// Event time (seconds) from which on it is due to be said again.
    var dueSeconds: UInt32
    var tags: [208 of UInt8]

    init(resource: NameID) {
        tagsRaw = 0
        tagsCanonical = 0
        since = .min
        self.resource = resource
        locality = 0
        resourceClass = 0
        partition = -1
        tagsCount = 0
        dueSeconds = 0
        tags = .init(repeating: 0)
    }

    /// The latest moment at which it is certain that something was heard of it; `.min` if there is none. What is said
    /// again when due was heard since it was said last.
    var heard: Int64 { max(since, dueSeconds == 0 ? .min : Int64(dueSeconds) * 1_000) }

    mutating func keep(tags bytes: [UInt8]) {
        tags = .init(repeating: 0)
        guard bytes.count <= Self.tagsBytesMax else {
            tagsCount = Self.tagsForgotten
            return
        }
        for index in bytes.indices { tags[index] = bytes[index] }
        tagsCount = UInt32(bytes.count)
    }

    /// The tags as a JSON object; nil if they are too long to be kept, empty if none were ever given.
    var keptTags: [UInt8]? {
        guard tagsCount != Self.tagsForgotten else { return nil }
        var bytes: [UInt8] = []
        for index in 0..<min(Int(tagsCount), Self.tagsBytesMax) { bytes.append(tags[index]) }
        return bytes
    }
}

/// Resource to locality, as this task has learned it.
struct Directory: ~Copyable {
    private var cells: PagedTable<DirectoryCell>
    /// By name number: slot + 1, or 0.
    private var slots: [UInt32] = []
    /// Resources that found no room.
    private(set) var refused: UInt64 = 0

    init(resourcesMax: Int) { cells = PagedTable(cellsMax: max(resourcesMax, 0)) }

    var count: Int { cells.liveCount }

    @inline(__always)
    func find(_ resource: NameID) -> Int? {
        guard Int(resource) < slots.count else { return nil }
        let slot = Int(slots[Int(resource)])
        return slot == 0 ? nil : slot &- 1
    }

    @inline(__always)
    func read(_ slot: Int) -> UnsafePointer<DirectoryCell> { cells.read(slot) }

    mutating func write(_ slot: Int) -> UnsafeMutablePointer<DirectoryCell> { cells.write(slot) }

    /// Adds a resource that is not there yet; false when the directory is full.
    mutating func add(_ cell: DirectoryCell) -> Bool {
        guard let slot = cells.append(cell) else {
            refused &+= 1
            return false
        }
        enter(cell.resource, slot)
        return true
    }

    private mutating func enter(_ resource: NameID, _ slot: Int) {
        if Int(resource) >= slots.count {
            let size = max(Int(resource) + 1, slots.count * 2, 1_024)
            slots.append(contentsOf: repeatElement(0, count: size - slots.count))
        }
        slots[Int(resource)] = UInt32(slot + 1)
    }

    /// Forgets the resources that nothing was heard of since a moment. What is known of no moment ages from `now` on.
    mutating func forget(before moment: Int64, now: Int64) {
        for slot in 0..<cells.count where cells.read(slot).pointee.resource != 0 {
            let cell = cells.read(slot).pointee
            let heard = cell.heard
            if heard == .min { cells.write(slot).pointee.since = now }
            guard heard != .min, heard < moment else { continue }
            slots[Int(cell.resource)] = 0
            cells.free(slot, leaving: DirectoryCell(resource: 0))
        }
    }

    func mark(_ names: inout NameMarks) {
        for slot in 0..<cells.count {
            names.mark(cells.read(slot).pointee.resource)
            names.mark(cells.read(slot).pointee.locality)
            names.mark(cells.read(slot).pointee.resourceClass)
        }
    }

    private static let tag = StateSection.directory.tag

    mutating func freeze(into writer: inout StateWriter) { cells.freeze(tag: Self.tag, into: &writer) }

    mutating func restore(from reader: StateReader, names: NameTable, partitions: Int32) throws(StateError) {
        try cells.restore(tag: Self.tag, from: reader) { $0.pointee.resource == 0 }
        for slot in 0..<cells.count where cells.read(slot).pointee.resource != 0 {
            let cell = cells.read(slot)
            let name = cell.pointee.resource
            guard name > 0, Int(name) <= names.count, Int(cell.pointee.locality) <= names.count,
                Int(cell.pointee.resourceClass) <= names.count,
                cell.pointee.locality == 0 ? cell.pointee.partition == -1 : cell.pointee.partition >= 0,
                cell.pointee.partition < partitions,
                cell.pointee.tagsCount == DirectoryCell.tagsForgotten
                    || Int(cell.pointee.tagsCount) <= DirectoryCell.tagsBytesMax
            else { throw .invalid("a resource of the directory is out of range") }
            guard find(name) == nil else { throw .invalid("a resource stands twice in the directory") }
            enter(name, slot)
        }
    }
}
