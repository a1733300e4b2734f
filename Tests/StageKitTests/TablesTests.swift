import StageKit
import Testing
import TwinCore

@Suite("Tables of a task's state")
struct TablesTests {
    struct Cell: BitwiseCopyable, Equatable {
        var a: UInt64
        var b: UInt64
    }

    func restored(_ writer: StateWriter, tag: UInt32, _ body: (StateReader) throws -> Void) rethrows {
        let flat = writer.flattened
        let memory = flat.map { section -> UnsafeMutableRawBufferPointer in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(section.bytes.count, 1), alignment: 16)
            copy.copyBytes(from: section.bytes)
            return UnsafeMutableRawBufferPointer(rebasing: copy[0..<section.bytes.count])
        }
        defer { for buffer in memory { buffer.deallocate() } }
        try body(StateReader(sections: zip(flat, memory).map { ($0.tag, UnsafeRawBufferPointer($1)) }))
    }

    @Test("What a snapshot holds does not change when the table goes on")
    func copyOnWrite() throws {
        var table = PagedTable<Cell>(cellsMax: 100_000)
        for index in 0..<20_000 { _ = table.append(Cell(a: UInt64(index), b: 1)) }
        var frozen = StateWriter()
        table.freeze(tag: 1, into: &frozen)
        let before = frozen.digest
        for index in stride(from: 0, to: 20_000, by: 7) { table.write(index).pointee.b = 2 }
        _ = table.append(Cell(a: 9, b: 9))
        #expect(frozen.digest == before)
        #expect(table.pagesCopied > 0)
        try restored(frozen, tag: 1) { reader in
            var again = PagedTable<Cell>(cellsMax: 100_000)
            try again.restore(tag: 1, from: reader)
            #expect(again.count == 20_000)
            for index in 0..<20_000 { #expect(again.read(index).pointee == Cell(a: UInt64(index), b: 1)) }
            var second = StateWriter()
            again.freeze(tag: 1, into: &second)
            #expect(second.digest == before, "freeze, restore, freeze is the identity")
        }
    }

    @Test("A page is copied at most once after a freeze, and not at all when the snapshot is gone")
    func copies() {
        var table = PagedTable<Cell>(cellsMax: 10_000)
        for index in 0..<100 { _ = table.append(Cell(a: UInt64(index), b: 0)) }
        do {
            var frozen = StateWriter()
            table.freeze(tag: 1, into: &frozen)
            for index in 0..<100 { table.write(index).pointee.b = 1 }
            #expect(table.pagesCopied == 1)
            _ = frozen.digest
        }
        do {
            var frozen = StateWriter()
            table.freeze(tag: 1, into: &frozen)
            frozen = StateWriter()
            table.write(3).pointee.b = 4
            #expect(table.pagesCopied == 1)
        }
    }

    @Test("A table takes no more than its limit, and refuses a snapshot of another shape")
    func limits() throws {
        var table = PagedTable<Cell>(cellsMax: 2)
        #expect(table.append(Cell(a: 1, b: 1)) == 0)
        #expect(table.append(Cell(a: 1, b: 1)) == 1)
        #expect(table.append(Cell(a: 1, b: 1)) == nil)
        var frozen = StateWriter()
        table.freeze(tag: 1, into: &frozen)
        restored(frozen, tag: 1) { reader in
            var other = PagedTable<UInt64>(cellsMax: 10)
            #expect(throws: StateError.self) { try other.restore(tag: 1, from: reader) }
            var small = PagedTable<Cell>(cellsMax: 1)
            #expect(throws: StateError.self) { try small.restore(tag: 1, from: reader) }
        }
    }

    @Test("A slot that is free is given out again, after a snapshot as well, and a wrong list of them is refused")
    func reuse() throws {
        var table = PagedTable<Cell>(cellsMax: 4)
        for index in 0..<4 { #expect(table.append(Cell(a: UInt64(index + 1), b: 0)) == index) }
        table.free(1, leaving: Cell(a: 0, b: 0))
        table.free(2, leaving: Cell(a: 0, b: 0))
        #expect(table.liveCount == 2 && table.count == 4)
        var frozen = StateWriter()
        table.freeze(tag: 1, into: &frozen)
        try restored(frozen, tag: 1) { reader in
            var again = PagedTable<Cell>(cellsMax: 4)
            try again.restore(tag: 1, from: reader) { $0.pointee.a == 0 }
            for _ in 0..<3 {
                let cell = Cell(a: 9, b: 9)
                #expect(again.append(cell) == table.append(cell))
            }
            #expect(again.append(Cell(a: 9, b: 9)) == nil)
            var other = PagedTable<Cell>(cellsMax: 4)
            #expect(throws: StateError.self) { try other.restore(tag: 1, from: reader) { _ in false } }
            other = PagedTable<Cell>(cellsMax: 4)
            #expect(throws: StateError.self) { try other.restore(tag: 1, from: reader) { $0.pointee.a <= 1 } }
        }
    }

    @Test("Names that nobody marks are forgotten, and their numbers given out again in the same order everywhere")
    func forgetting() throws {
        let names = NameTable(namesMax: 40)
        for index in 0..<40 { _ = names.intern("name-\(index)") }
        #expect(names.intern("more") == nil && names.isCrowded)
        names.keep { marks in for name in 1...40 where name % 4 == 0 { marks.mark(NameID(name)) } }
        #expect(names.liveCount == 10 && names.count == 40)
        #expect(Array("name-2".utf8).withUnsafeBytes { names.find($0) } == nil)
        var frozen = StateWriter()
        names.freeze(tag: 2, into: &frozen)
        try restored(frozen, tag: 2) { reader in
            let again = NameTable(namesMax: 40)
            try again.restore(tag: 2, from: reader)
            for index in 0..<30 { #expect(again.intern("new-\(index)") == names.intern("new-\(index)")) }
            #expect(names.intern("new-0") == 1 && names.intern("new-29") == 39)
            for name in 1...40 { #expect(again.text(of: NameID(name)) == names.text(of: NameID(name))) }
            #expect(names.text(of: 4) == "name-3" && names.intern("name-39") == 40)
            #expect(again.intern("one too many") == nil)
        }
        names.keep { $0.markAll() }
        #expect(names.liveCount == 40)
    }

    @Test("Of a resource's tags those that it has are kept, and never more than there is room for")
    func tags() {
        for (count, kept) in [(0, []), (2, [1, 2, 5, 6]), (9, [1, 2, 3, 5, 6, 7])] as [(Int, [NameID])] {
            let names = NameTable(namesMax: 10)
            for index in 0..<10 { _ = names.intern("name-\(index)") }
            names.keep { $0.mark(tags: count, [1, 2, 3], [5, 6, 7]) }
            #expect(names.liveCount == kept.count)
            #expect(kept.allSatisfy { names.text(of: $0) == "name-\($0 - 1)" })
        }
    }

    @Test("Names keep their numbers through a snapshot")
    func names() throws {
        let names = NameTable(namesMax: 5_000)
        for index in 0..<4_000 { #expect(names.intern("name-\(index)") == NameID(index + 1)) }
        #expect(names.intern("name-17") == 18)
        #expect(names.intern("") == nil)
        #expect(names.intern(String(repeating: "x", count: 2_000)) == nil)
        var frozen = StateWriter()
        names.freeze(tag: 2, into: &frozen)
        try restored(frozen, tag: 2) { reader in
            let again = NameTable(namesMax: 5_000)
            try again.restore(tag: 2, from: reader)
            #expect(again.text(of: 1_234) == "name-1233")
            #expect(again.intern("name-3999") == 4_000)
            var second = StateWriter()
            again.freeze(tag: 2, into: &second)
            #expect(second.digest == frozen.digest)
        }
        #expect(names.intern("one more") == 4_001)
        let full = NameTable(namesMax: 1)
        _ = full.intern("a")
        #expect(full.intern("b") == nil)
    }

    @Test("The pair index agrees with a dictionary")
    func pairs() {
        var state: UInt64 = 42
        var index = PairIndex()
        var reference: [UInt64: Int] = [:]
        for round in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let a = UInt32(state >> 40 & 0xfff)
            let b = UInt32(state >> 20 & 0xfff) + 1
            let key = UInt64(a) << 32 | UInt64(b)
            #expect(index.find(a, b) == reference[key])
            if reference[key] == nil {
                reference[key] = round
                index.insert(a, b, round)
            }
        }
    }

    @Test("Pairs can be removed from the index, whatever stands around them")
    func pairsRemoved() {
        var state: UInt64 = 43
        var index = PairIndex()
        var reference: [UInt64: Int] = [:]
        for round in 0..<60_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let (a, b) = (UInt32(state >> 40 & 0x1f), UInt32(state >> 20 & 0x1f) + 1)
            let key = UInt64(a) << 32 | UInt64(b)
            if reference[key] != nil || round % 3 == 0 {
                reference[key] = nil
                index.remove(a, b)
            } else {
                reference[key] = round
                index.insert(a, b, round)
            }
            let (c, d) = (UInt32(state >> 30 & 0x1f), UInt32(state >> 50 & 0x1f) + 1)
            #expect(index.find(c, d) == reference[UInt64(c) << 32 | UInt64(d)])
        }
        #expect(index.count == reference.count)
        for (key, value) in reference {
            #expect(index.find(UInt32(key >> 32), UInt32(truncatingIfNeeded: key)) == value)
        }
    }
}
