import TwinCore

/// A page of cells. Immutable once it is shared with a snapshot: the table copies it before the next write.
package final class Page: @unchecked Sendable {
    /// Safe to send: a page that more than one owner holds is never written to.
    let base: UnsafeMutableRawPointer
    /// Bytes of the page; all pages of a table have equally many.
    package let byteCount: Int

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

    deinit { base.deallocate() }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }
}

/// The state of a task: cells of one plain type in pages of about 64 KiB, addressed by slot, only ever appended.
///
/// Taking a snapshot is `freeze`: it hands out references to the pages, and the next write to each page copies it
/// first. So a snapshot never stops the loop for longer than one page's copy, and what it holds is one moment.
///
/// `Cell` must have no padding bytes that a write could leave undefined (order fields from large to small and fill the
/// tail); the bytes of the pages are the snapshot and the digest.
package struct PagedTable<Cell: BitwiseCopyable>: ~Copyable {
    /// Cells in use.
    package private(set) var count = 0
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

    /// Adds a cell and returns its slot, or nil when the table is full.
    package mutating func append(_ cell: Cell) -> Int? {
        guard count < cellsMax else { return nil }
        if count == pages.count * cellsPerPage { addPage(Page(byteCount: pageBytes)) }
        count += 1
        write(count - 1).pointee = cell
        return count - 1
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
        writer.add(tag: tag, bytes: coder.bytes, pages: pages)
    }

    /// Reads the pages back into an empty table.
    package mutating func restore(tag: UInt32, from reader: StateReader) throws(StateError) {
        precondition(count == 0, "cells are restored into an empty table")
        let section = try reader.section(tag: tag)
        guard section.count >= 16 else { throw .truncated }
        let declared = section.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        let stride = section.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        guard stride == UInt64(MemoryLayout<Cell>.stride) else { throw .invalid("cells of another size") }
        guard declared <= UInt64(cellsMax) else { throw .invalid("more cells than the limit allows") }
        let needed = (Int(declared) + cellsPerPage - 1) / cellsPerPage
        guard section.count == 16 + needed * pageBytes else { throw .truncated }
        for index in 0..<needed {
            let page = Page(byteCount: pageBytes)
            page.base.copyMemory(
                from: UnsafeRawPointer(section.baseAddress!) + 16 + index * pageBytes, byteCount: pageBytes)
            addPage(page)
        }
        count = Int(declared)
    }
}
