import TwinCore

/// Counts the memory that snapshots alone still hold: pages that a table has replaced by copies of its own.
package protocol PageLedger: AnyObject, Sendable {
    /// A table has copied a page of so many bytes; the snapshot keeps the old one.
    func add(bytes: Int)
    /// The snapshot has let go of one; called on any thread.
    func remove(bytes: Int)
}

/// A page of cells. Immutable once it is shared with a snapshot: the table copies it before the next write.
package final class Page: @unchecked Sendable {
    /// Safe to send: a page that more than one owner holds is never written to.
    let base: UnsafeMutableRawPointer
    /// Bytes of the page; all pages of a table have equally many.
    package let byteCount: Int
    /// Where it is counted once only a snapshot holds it. Set and used by the table's thread, up to the release of its
    /// reference; read at the end of the page's life.
    private var ledger: (any PageLedger)?
    private var isReplaced = false

    init(byteCount: Int) {
        self.byteCount = byteCount
        base = .allocate(byteCount: byteCount, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }

    init(copying other: Page) {
        byteCount = other.byteCount
        base = .allocate(byteCount: byteCount, alignment: 64)
        base.copyMemory(from: other.base, byteCount: byteCount)
    }

    deinit {
        base.deallocate()
        if isReplaced { ledger?.remove(bytes: byteCount) }
    }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

    /// From now on, if the table replaces it, it is counted there.
    package func count(in ledger: any PageLedger) { self.ledger = ledger }

    fileprivate func replaced() {
        guard let ledger, !isReplaced else { return }
        isReplaced = true
        ledger.add(bytes: byteCount)
    }
}

/// The state of a task: cells of one plain type in pages of about 64 KiB, addressed by slot. The slot of a cell that is
/// freed is given out again before the table grows.
///
/// Taking a snapshot is `freeze`: it hands out references to the pages, and the next write to each page copies it
/// first. So a snapshot never stops the loop for longer than one page's copy, and what it holds is one moment.
///
/// `Cell` must have no padding bytes that a write could leave undefined (order fields from large to small and fill the
/// tail); the bytes of the pages are the snapshot and the digest.
package struct PagedTable<Cell: BitwiseCopyable>: ~Copyable {
    /// Slots that were ever given out, those that are free again included.
    package private(set) var count = 0
    /// Slots that are free again; the last one is the next to be given out.
    private var freeSlots: [UInt32] = []
    /// Pages copied because a snapshot still held them.
    package private(set) var pagesCopied = 0
    package let cellsMax: Int

    @usableFromInline var pages: [Page] = []
    @usableFromInline var bases: [UnsafeMutableRawPointer] = []
    /// The freeze after which each page was last made our own.
    @usableFromInline var epochs: [UInt32] = []
    @usableFromInline var epoch: UInt32 = 0
    @usableFromInline let cellsPerPage: Int
    @usableFromInline let shift: Int

    /// A table for at most so many cells.
    package init(cellsMax: Int) {
        self.cellsMax = cellsMax
        var perPage = 1
        var shift = 0
        while perPage * 2 * MemoryLayout<Cell>.stride <= 65_536 {
            perPage *= 2
            shift += 1
        }
        cellsPerPage = perPage
        self.shift = shift
    }

    private var pageBytes: Int { cellsPerPage * MemoryLayout<Cell>.stride }

    /// Cells in use.
    package var liveCount: Int { count - freeSlots.count }

    /// Adds a cell and returns its slot, or nil when the table is full.
    package mutating func append(_ cell: Cell) -> Int? {
        if let slot = freeSlots.popLast() {
            write(Int(slot)).pointee = cell
            return Int(slot)
        }
        guard count < cellsMax else { return nil }
        if count == pages.count * cellsPerPage { addPage(Page(byteCount: pageBytes)) }
        count += 1
        write(count - 1).pointee = cell
        return count - 1
    }

    /// Frees a slot. What is left in it must tell whoever goes over all slots that it is free.
    package mutating func free(_ slot: Int, leaving empty: Cell) {
        write(slot).pointee = empty
        freeSlots.append(UInt32(slot))
    }

    private mutating func addPage(_ page: Page) {
        pages.append(page)
        bases.append(page.base)
        epochs.append(epoch)
    }

    /// A cell to look at. The pointer is good until the next mutation of the table.
    @inlinable @inline(__always)
    package func read(_ slot: Int) -> UnsafePointer<Cell> {
        precondition(slot >= 0 && slot < count, "slot beyond the table")
        let page = bases[slot &>> shift]
        let cell = page + (slot & (cellsPerPage &- 1)) &* MemoryLayout<Cell>.stride
        return UnsafePointer(cell.assumingMemoryBound(to: Cell.self))
    }

    /// A cell to change; copies its page first if a snapshot holds it. The pointer is good until the next mutation of
    /// the table.
    @inlinable @inline(__always)
    package mutating func write(_ slot: Int) -> UnsafeMutablePointer<Cell> {
        precondition(slot >= 0 && slot < count, "slot beyond the table")
        let index = slot &>> shift
        if epochs[index] != epoch { own(index) }
        let cell = bases[index] + (slot & (cellsPerPage &- 1)) &* MemoryLayout<Cell>.stride
        return cell.assumingMemoryBound(to: Cell.self)
    }

    @usableFromInline @inline(never)
    mutating func own(_ index: Int) {
        epochs[index] = epoch
        if !isKnownUniquelyReferenced(&pages[index]) {
            pages[index].replaced()
            pages[index] = Page(copying: pages[index])
            bases[index] = pages[index].base
            pagesCopied += 1
        }
    }

    /// Bytes of memory in pages.
    package var byteCount: Int { pages.count * pageBytes }

    /// Hands all pages to a snapshot. Takes time by page, not by cell.
    package mutating func freeze(tag: UInt32, into writer: inout StateWriter) {
        epoch &+= 1
        var coder = StateCoder()
        coder.write(UInt64(count))
        coder.write(UInt64(MemoryLayout<Cell>.stride))
        coder.write(UInt64(freeSlots.count))
        for slot in freeSlots { coder.write(UInt64(slot)) }
        writer.add(tag: tag, bytes: coder.bytes, pages: pages)
    }

    /// Reads the pages back into an empty table.
    /// - Parameter isEmpty: whether a cell is one that `free` has left behind.
    package mutating func restore(
        tag: UInt32, from reader: StateReader, isEmpty: (UnsafePointer<Cell>) -> Bool = { _ in false }
    ) throws(StateError) {
        precondition(count == 0, "cells are restored into an empty table")
        let section = try reader.section(tag: tag)
        var decoder = StateDecoder(section)
        let declared = try decoder.readCount(max: cellsMax)
        guard try decoder.readWord() == UInt64(MemoryLayout<Cell>.stride) else {
            throw .invalid("cells of another size")
        }
        for _ in 0..<(try decoder.readCount(max: declared)) {
            freeSlots.append(UInt32(truncatingIfNeeded: try decoder.readCount(max: declared - 1)))
        }
        let start = 24 + 8 * freeSlots.count
        let needed = (declared + cellsPerPage - 1) / cellsPerPage
        guard section.count == start + needed * pageBytes else { throw .truncated }
        for index in 0..<needed {
            let page = Page(byteCount: pageBytes)
            page.base.copyMemory(
                from: UnsafeRawPointer(section.baseAddress!) + start + index * pageBytes, byteCount: pageBytes)
            addPage(page)
        }
        count = declared
        try checkFree(isEmpty)
    }

    /// Exactly the cells that are empty are free, each once.
    private func checkFree(_ isEmpty: (UnsafePointer<Cell>) -> Bool) throws(StateError) {
        var isFree = [Bool](repeating: false, count: count)
        for slot in freeSlots {
            guard !isFree[Int(slot)] else { throw .invalid("a cell is free twice") }
            isFree[Int(slot)] = true
        }
        for slot in 0..<count where isEmpty(read(slot)) != isFree[slot] {
            throw .invalid("a cell is neither free nor in use")
        }
    }
}
