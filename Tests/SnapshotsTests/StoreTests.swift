import Snapshots
import Synchronization
import Testing
import TwinCore

/// Both stores, by the same rules.
enum StoreKind: CaseIterable {
    case directory, log

    func make(options: SnapshotOptions = smallFrames) throws -> any SnapshotStore {
        switch self {
        case .directory: try directoryStore(MemoryFileSystem(), options: options)
        case .log: try LogSnapshotStore(MemorySnapshotLog(partitionCount: 3), options: options)
        }
    }
}

@Suite struct StoreTests {
    @Test(arguments: StoreKind.allCases)
    func `what is saved comes back, whatever the chunks and the threads`(kind: StoreKind) throws {
        for (threads, bytes) in [(1, 0), (1, 1), (2, 4_096), (3, 4_097), (4, 100_000), (2, 12_288)] {
            var options = smallFrames
            options.threads = threads
            let store = try kind.make(options: options)
            let wanted = sections(Int64(bytes), bytes: bytes)
            let receipt = try store.save(identity(5), content(wanted, seed: UInt64(threads)))
            #expect(receipt.housekeeping == nil)
            let reader = try #require(try store.newestValid(task, incarnation: 1).reader)
            #expect(reader.header.identity == identity(5))
            #expect(reader.header.contentDigest == receipt.contentDigest)
            #expect(reader.info.bytes == receipt.info.bytes)
            #expect(try everything(reader) == wanted)
            try reader.verifyContent()
        }
    }

    @Test func `a section comes back in one piece`() throws {
        let store = try StoreKind.directory.make()
        let wanted = sections(1, bytes: 100_000)
        _ = try store.save(identity(1), content(wanted))
        let reader = try #require(try store.newestValid(task, incarnation: 1).reader)
        let section = try #require(wanted[1])

        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: section.count, alignment: 64)
        defer { whole.deallocate() }
        try reader.restore(1, into: whole)
        #expect(whole.elementsEqual(section))
        #expect { try reader.bytes(1, bytesMax: 10) } throws: { ($0 as? SnapshotError)?.code == .limit }
        #expect { try reader.bytes(77) } throws: { ($0 as? SnapshotError)?.code == .missing }
        #expect { try reader.restore(2, into: whole) } throws: { ($0 as? SnapshotError)?.code == .invalid }
    }

    @Test(arguments: StoreKind.allCases)
    func `the newest at or below an offset is found, incarnations and tasks apart`(kind: StoreKind) throws {
        let store = try kind.make()
        for offset in [Int64(100), 20, 3_000] { _ = try store.save(identity(offset), content(sections(offset))) }
        _ = try store.save(identity(50, incarnation: 2), content(sections(51)))
        _ = try store.save(identity(9, of: otherTask), content(sections(9)))

        let listed = try store.list(task, incarnation: 1)
        #expect(listed.map(\.offset) == [3_000, 100, 20])
        #expect(listed.map(\.generation) == [0, 1, 2])
        #expect(listed.allSatisfy { $0.createdMilliseconds > 0 && $0.bytes > 0 })
        #expect(try store.list(task, incarnation: nil).map(\.incarnation) == [2, 1, 1, 1])
        #expect(try store.listAll().map(\.offset) == [9, 50, 3_000, 100, 20])

        func newest(_ limit: Int64?, _ incarnation: Int64 = 1) throws -> Int64? {
            try store.newestValid(task, incarnation: incarnation, atOrBelow: limit).reader?.header.identity.offset
        }
        #expect(try newest(nil) == 3_000)
        #expect(try newest(2_999) == 100)
        #expect(try newest(100) == 100)
        #expect(try newest(19) == nil)
        #expect(try newest(nil, 2) == 50)
        #expect(try newest(nil, 3) == nil)

        try store.removeAll(task, incarnation: 1)
        #expect(try store.listAll().map(\.offset) == [9, 50])
        _ = try store.save(identity(4_000), content(sections(4_000)))
        try store.removeAll(task, incarnation: nil)
        #expect(try store.listAll().map(\.offset) == [9])
    }

    @Test(arguments: StoreKind.allCases)
    func `old generations go, and pruning keeps the newest`(kind: StoreKind) throws {
        let store = try kind.make()
        for offset in Int64(1)...12 { _ = try store.save(identity(offset), content(sections(offset))) }
        #expect(Array(try store.list(task, incarnation: 1).map(\.offset).prefix(3)) == [12, 11, 10])
        #expect(try store.list(task, incarnation: 1).count <= 4)
        try store.prune(task, incarnation: 1, keeping: 2)
        #expect(try store.list(task, incarnation: 1).map(\.offset) == [12, 11])
        #expect { try store.prune(task, incarnation: 1, keeping: 0) } throws: {
            ($0 as? SnapshotError)?.code == .invalid
        }
        #expect(try everything(#require(try store.newestValid(task, incarnation: 1).reader)) == sections(12))
    }

    @Test(arguments: StoreKind.allCases)
    func `writing the same offset again is harmless`(kind: StoreKind) throws {
        let store = try kind.make()
        let first = try store.save(identity(1), content(sections(1), seed: 1))
        let second = try store.save(identity(1), content(sections(1), seed: 2))
        #expect(first.contentDigest == second.contentDigest)
        #expect(try everything(#require(try store.newestValid(task, incarnation: 1).reader)) == sections(1))
    }

    @Test func `content is written once, and wrong content is refused`() throws {
        let store = try StoreKind.directory.make()
        let once = content(sections(1))
        _ = try store.save(identity(1), once)
        #expect { try store.save(identity(2), once) } throws: { ($0 as? SnapshotError)?.code == .invalid }
        let twice = SnapshotContent([SnapshotSection(tag: 1, chunks: []), SnapshotSection(tag: 1, chunks: [])])
        #expect { try store.save(identity(2), twice) } throws: { ($0 as? SnapshotError)?.code == .invalid }
        #expect { try store.save(identity(-1), content(sections(1))) } throws: {
            ($0 as? SnapshotError)?.code == .invalid
        }
        let lying = SnapshotContent([SnapshotSection(tag: 1, chunks: [LyingChunk()])])
        #expect { try store.save(identity(2), lying) } throws: { ($0 as? SnapshotError)?.code == .invalid }
        #expect(try store.list(task, incarnation: 1).map(\.offset) == [1])
    }

    @Test func `names from outside are checked`() {
        for namespace in ["", ".", "..", "a/b", "../x", "a b", "ä", String(repeating: "x", count: 201)] {
            #expect { try directoryStore(MemoryFileSystem(), namespace: namespace) } throws: {
                ($0 as? SnapshotError)?.code == .invalid
            }
        }
    }

    @Test func `inspection names sizes, and what is wrong`() throws {
        let files = MemoryFileSystem()
        let store = try directoryStore(files)
        _ = try store.save(identity(1), content(sections(1)))
        let info = try #require(try store.listAll().first)
        let good = store.inspect(info, verifyingContent: true)
        #expect(good.problem == nil)
        #expect(good.sections.map(\.tag) == [1, 2, 9])
        #expect(good.sections.map(\.contentBytes) == sections(1).sorted { $0.key < $1.key }.map(\.value.count))
        #expect(good.ratio > 1.2 && good.verifySeconds > 0)
        for path in files.paths { files.alter(path) { $0[$0.count - 1] ^= 1 } }
        #expect(store.inspect(info, verifyingContent: false).problem?.code == .corrupt)
    }

    @Test func `each page is let go when it has been written`() throws {
        let counter = PageCounter()
        let files = WatchingFileSystem(MemoryFileSystem(), counter)
        let snapshot = countedContent(counter)
        #expect(counter.living.load(ordering: .relaxed) == 64)
        _ = try directoryStore(files).save(identity(1), snapshot)
        #expect(counter.living.load(ordering: .relaxed) == 0)
        #expect(files.livingAtRename == 0)
        // Each of the two threads may have let go one frame of one page more than it has written.
        #expect(files.livingAtWrites.enumerated().allSatisfy { $1 <= 64 - $0 })
        #expect(files.livingAtWrites.count >= 64)
    }

    private func countedContent(_ counter: PageCounter) -> SnapshotContent {
        let pages = (0..<64).map { CountedPage(counter, filledWith: UInt8($0)) }
        return SnapshotContent([SnapshotSection(tag: 1, chunks: pages)])
    }
}

private struct LyingChunk: SnapshotChunk {
    var byteCount: Int { 100 }
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { [UInt8](repeating: 0, count: 50).withUnsafeBytes(body) }
}

final class PageCounter: Sendable {
    let living = Atomic<Int>(0)
}

final class CountedPage: SnapshotChunk {
    private let counter: PageCounter
    private let bytes: [UInt8]

    init(_ counter: PageCounter, filledWith byte: UInt8) {
        self.counter = counter
        bytes = Array(repeating: byte, count: 4_096)
        counter.living.add(1, ordering: .relaxed)
    }

    deinit { counter.living.subtract(1, ordering: .relaxed) }

    var byteCount: Int { bytes.count }
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { bytes.withUnsafeBytes(body) }
}

/// Notes how many pages live at each write and at the end.
private final class WatchingFileSystem: FileSystem {
    private let base: MemoryFileSystem
    private let counter: PageCounter
    private let atWrites = Mutex<[Int]>([])
    private let atRename = Mutex(Int.max)

    init(_ base: MemoryFileSystem, _ counter: PageCounter) {
        self.base = base
        self.counter = counter
    }

    var livingAtRename: Int { atRename.withLock { $0 } }
    var livingAtWrites: [Int] { atWrites.withLock { $0 } }

    fileprivate func noteWrite() { atWrites.withLock { $0.append(counter.living.load(ordering: .relaxed)) } }

    func makeDirectory(_ path: String) throws(FileError) { try base.makeDirectory(path) }
    func create(_ path: String) throws(FileError) -> any WritableFile {
        WatchingFile(self, try base.create(path))
    }
    func open(_ path: String) throws(FileError) -> any ReadableFile { try base.open(path) }
    func rename(_ path: String, to target: String) throws(FileError) {
        atRename.withLock { $0 = counter.living.load(ordering: .relaxed) }
        try base.rename(path, to: target)
    }
    func remove(_ path: String) throws(FileError) { try base.remove(path) }
    func removeDirectory(_ path: String) throws(FileError) { try base.removeDirectory(path) }
    func syncDirectory(_ path: String) throws(FileError) { try base.syncDirectory(path) }
    func list(_ path: String, entriesMax: Int) throws(FileError) -> [String] {
        try base.list(path, entriesMax: entriesMax)
    }
    func status(_ path: String) throws(FileError) -> FileStatus { try base.status(path) }
}

private final class WatchingFile: WritableFile {
    private let system: WatchingFileSystem
    private let base: any WritableFile

    init(_ system: WatchingFileSystem, _ base: any WritableFile) {
        self.system = system
        self.base = base
    }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) -> Int {
        system.noteWrite()
        return try base.write(bytes, at: position)
    }
    func sync() throws(FileError) { try base.sync() }
    func close() throws(FileError) { try base.close() }
}
