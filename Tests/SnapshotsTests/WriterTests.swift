import Snapshots
import Synchronization
import Testing
import TwinCore

/// A store whose writing waits until it is let go.
private final class GatedStore: SnapshotStore {
    private let base: any SnapshotStore
    private let isOpen = Atomic<Bool>(false)
    let begun = Atomic<Int>(0)

    init(_ base: any SnapshotStore) { self.base = base }

    var options: SnapshotOptions { base.options }

    func release() { isOpen.store(true, ordering: .releasing) }

    func list(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) -> [SnapshotInfo] {
        try base.list(task, incarnation: incarnation)
    }

    func listAll() throws(SnapshotError) -> [SnapshotInfo] { try base.listAll() }

    func save(_ identity: SnapshotIdentity, _ content: SnapshotContent) throws(SnapshotError) -> SnapshotReceipt {
        begun.add(1, ordering: .releasing)
        while !isOpen.load(ordering: .acquiring), !content.isCancelled {}
        return try base.save(identity, content)
    }

    func open(_ info: SnapshotInfo) throws(SnapshotError) -> SnapshotReader { try base.open(info) }

    func prune(_ task: TaskID, incarnation: Int64, keeping generations: Int) throws(SnapshotError) {
        try base.prune(task, incarnation: incarnation, keeping: generations)
    }

    func removeAll(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) {
        try base.removeAll(task, incarnation: incarnation)
    }
}

@Suite(.timeLimit(.minutes(1))) struct WriterTests {
    private func describe(_ results: [SnapshotResult]) -> [String] {
        results.map { result in
            let outcome =
                switch result.outcome {
                case .saved: "saved"
                case .failed(let error): error.code.rawValue
                case .replaced: "replaced"
                }
            return "\(result.identity.offset) \(outcome)"
        }
    }

    @Test func `a newer state replaces the waiting one, other tasks wait their turn`() throws {
        let store = GatedStore(try StoreKind.directory.make())
        let writer = try SnapshotWriter(store)
        #expect(writer.submit(SnapshotJob(identity(1), content(sections(1)))))
        while store.begun.load(ordering: .acquiring) == 0 {}
        #expect(writer.isBusy)
        #expect(writer.submit(SnapshotJob(identity(2), content(sections(2)))))
        #expect(writer.submit(SnapshotJob(identity(9, of: otherTask), content(sections(9)))))
        #expect(writer.submit(SnapshotJob(identity(3), content(sections(3)))))
        store.release()
        #expect(writer.finish(withinSeconds: 50))
        #expect(describe(writer.drainResults()) == ["2 replaced", "1 saved", "3 saved", "9 saved"])
        #expect(writer.drainResults().isEmpty)
        #expect(!writer.submit(SnapshotJob(identity(4), content(sections(4)))))
        #expect(try store.list(task, incarnation: 1).map(\.offset) == [3, 1])
    }

    @Test func `when the time is over, what runs is cancelled and what waits is dropped`() throws {
        let store = GatedStore(try StoreKind.directory.make())
        let writer = try SnapshotWriter(store)
        #expect(writer.submit(SnapshotJob(identity(1), content(sections(1)))))
        while store.begun.load(ordering: .acquiring) == 0 {}
        #expect(writer.submit(SnapshotJob(identity(2), content(sections(2)))))
        #expect(!writer.finish(withinSeconds: 0.01))
        #expect(writer.finish(withinSeconds: 50))
        #expect(describe(writer.drainResults()) == ["2 cancelled", "1 cancelled"])
        #expect(try store.listAll().isEmpty)
    }

    @Test func `two writers of one task in one directory do not harm each other`() throws {
        let files = MemoryFileSystem()
        let writers = try (0..<2).map { _ in try SnapshotWriter(try directoryStore(files, leftoverAgeSecondsMin: 60)) }
        for offset in Int64(1)...30 {
            for (seed, writer) in writers.enumerated() {
                #expect(writer.submit(SnapshotJob(identity(offset), content(sections(offset), seed: UInt64(seed)))))
            }
            while writers.contains(where: { $0.isBusy }) {}
            let reader = try #require(try directoryStore(files).newestValid(task, incarnation: 1).reader)
            #expect(reader.header.identity.offset == offset)
            #expect(try everything(reader) == sections(offset))
        }
        for writer in writers {
            #expect(writer.finish(withinSeconds: 50))
            #expect(describe(writer.drainResults()) == (1...30).map { "\($0) saved" })
        }
    }

    @Test func `a failed writing is a result, and the next one works`() throws {
        let files = MemoryFileSystem(bytesFree: 100)
        let writer = try SnapshotWriter(try directoryStore(files))
        #expect(writer.submit(SnapshotJob(identity(1), content(sections(1)))))
        while writer.isBusy {}
        files.setFree(bytes: .max)
        #expect(writer.submit(SnapshotJob(identity(2), content(sections(2)))))
        #expect(writer.finish(withinSeconds: 50))
        #expect(describe(writer.drainResults()) == ["1 full", "2 saved"])
    }
}
