import Snapshots
import TestKit
import Testing
import TwinCore

/// Whatever happens to a store, it yields the newest valid snapshot and never a wrong content.
@Suite struct DamageTests {
    /// The choice must be whole, and not older than `floor`.
    private func check(_ store: any SnapshotStore, atLeast floor: Int64, _ what: String) throws {
        let choice = try store.newestValid(task, incarnation: 1)
        let reader = try #require(choice.reader, "\(what): nothing valid, \(choice.skipped)")
        let offset = reader.header.identity.offset
        #expect(offset >= floor, "\(what)")
        #expect(try everything(reader) == sections(offset, bytes: 9_000), "\(what)")
    }

    @Test(arguments: Fault.allCases)
    func `a fault at any call leaves the older snapshots as they were`(fault: Fault) throws {
        for call in 0..<10_000 {
            let files = MemoryFileSystem()
            for offset in Int64(1)...4 {
                _ = try directoryStore(files).save(identity(offset), content(sections(offset, bytes: 9_000)))
            }
            let faulty = FaultyFileSystem(files, fault, at: call)
            var saved = false
            do {
                let receipt = try directoryStore(faulty).save(identity(5), content(sections(5, bytes: 9_000)))
                saved = true
                if faulty.calls > call { #expect(receipt.housekeeping != nil || fault == .short, "call \(call)") }
            } catch let error as SnapshotError {
                #expect(error.code == .failed && !error.reason.isEmpty)
            }
            for seed in UInt64(0)..<4 {
                try check(directoryStore(files), atLeast: saved ? 5 : 4, "\(fault) at \(call), cut \(seed)")
                // The power goes too: what was promised must have been durable.
                var generator = SeededRandom(seed: seed &* 1_000 &+ UInt64(call))
                files.powerCut { generator.below($0) }
            }
            try check(directoryStore(files), atLeast: saved ? 5 : 4, "\(fault) at \(call)")
            // The next writer tidies up.
            _ = try directoryStore(files).save(identity(6), content(sections(6, bytes: 9_000)))
            try check(directoryStore(files), atLeast: 6, "\(fault) at \(call), after the next")
            #expect(!files.paths.contains { $0.hasSuffix(".temporary") }, "\(fault) at \(call)")
            if faulty.calls <= call {
                print("\(fault): \(call) calls")
                #expect(call > 10)
                return
            }
        }
        Issue.record("the fault never lay beyond the last call")
    }

    @Test func `a fault at any call while reading never yields a wrong content`() throws {
        let files = MemoryFileSystem()
        for offset in Int64(1)...3 {
            _ = try directoryStore(files).save(identity(offset), content(sections(offset, bytes: 9_000)))
        }
        for call in 0..<10_000 {
            let faulty = FaultyFileSystem(files, .error, at: call)
            do {
                let choice = try directoryStore(faulty).newestValid(task, incarnation: 1)
                let reader = try #require(choice.reader)
                let offset = reader.header.identity.offset
                #expect(offset >= 2)
                #expect((offset == 3) == choice.skipped.isEmpty)
                #expect(try everything(reader) == sections(offset, bytes: 9_000))
            } catch let error as SnapshotError {
                #expect(error.code == .failed)
            }
            if faulty.calls <= call { return }
        }
        Issue.record("the fault never lay beyond the last call")
    }

    @Test(arguments: [UInt64](1...6))
    func `flipped bits, cuts and additions anywhere are found`(seed: UInt64) throws {
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        let clean = MemoryFileSystem()
        for offset in Int64(1)...3 {
            _ = try directoryStore(clean).save(identity(offset), content(sections(offset, bytes: 9_000)))
        }
        for _ in 0..<200 {
            let files = MemoryFileSystem()
            for offset in Int64(1)...3 {
                _ = try directoryStore(files).save(identity(offset), content(sections(offset, bytes: 9_000)))
            }
            let damaged = generator.below(3)
            let path = files.paths[2 - damaged]
            files.alter(path) { bytes in
                switch generator.below(5) {
                case 0: bytes[generator.below(bytes.count)] ^= 1 << UInt8(generator.below(8))
                case 1: bytes.removeLast(1 + generator.below(bytes.count))
                case 2: bytes.append(contentsOf: [UInt8](repeating: 0, count: 1 + generator.below(50)))
                case 3:
                    let start = generator.below(bytes.count)
                    var isChanged = false
                    for index in start..<bytes.count {
                        isChanged = isChanged || bytes[index] != 0
                        bytes[index] = 0
                    }
                    if !isChanged { bytes[0] = 0 }
                default: bytes = []
                }
            }
            let choice = try directoryStore(files).newestValid(task, incarnation: 1)
            let reader = try #require(choice.reader)
            #expect(reader.header.identity.offset == (damaged == 0 ? 2 : 3))
            #expect(choice.skipped.map(\.info.offset) == (damaged == 0 ? [3] : []))
            #expect(choice.skipped.allSatisfy { $0.error.code != .failed })
            try check(directoryStore(files), atLeast: 2, "seed \(seed)")
            // A damaged one does not take the place of a generation.
            _ = try directoryStore(files).save(identity(4), content(sections(4, bytes: 9_000)))
            let whole = try directoryStore(files).list(task, incarnation: 1).filter { info in
                directoryStoreInspects(files, info)
            }
            #expect(whole.count >= 2)
        }
    }

    private func directoryStoreInspects(_ files: MemoryFileSystem, _ info: SnapshotInfo) -> Bool {
        (try? directoryStore(files))?.inspect(info, verifyingContent: true).problem == nil
    }

    @Test func `a file under another's name is refused`() throws {
        let files = MemoryFileSystem()
        let store = try directoryStore(files)
        _ = try store.save(identity(1), content(sections(1, bytes: 9_000)))
        _ = try store.save(identity(2), content(sections(2, bytes: 9_000)))
        try files.rename(files.paths[0], to: files.paths[1])
        let choice = try store.newestValid(task, incarnation: 1)
        #expect(choice.reader == nil)
        #expect(choice.skipped.map(\.error.code) == [.corrupt])
    }

    @Test func `a full disk is named, older ones stay, and room helps`() throws {
        let files = MemoryFileSystem()
        let store = try directoryStore(files)
        _ = try store.save(identity(1), content(sections(1, bytes: 9_000)))
        for free in [0, 1, 500, 3_000] {
            files.setFree(bytes: free)
            #expect { try store.save(identity(2), content(sections(2, bytes: 9_000))) } throws: { error in
                let error = error as? SnapshotError
                return error?.code == .full && error?.reason.contains("free space") == true
            }
            try check(store, atLeast: 1, "\(free) bytes free")
            #expect(files.paths.count == 1)
        }
        files.setFree(bytes: .max)
        _ = try store.save(identity(2), content(sections(2, bytes: 9_000)))
        try check(store, atLeast: 2, "with room")
    }

    @Test func `a log cut short after any record falls back to the generation before`() throws {
        for records in 0..<200 {
            let log = MemorySnapshotLog()
            for offset in Int64(1)...5 {
                _ = try LogSnapshotStore(log, options: smallFrames).save(
                    identity(offset), content(sections(offset, bytes: 9_000)))
            }
            let before = log.recordCount
            log.fail(afterRecords: records)
            var saved = false
            let store = try LogSnapshotStore(log, options: smallFrames)
            do {
                _ = try store.save(identity(6), content(sections(6, bytes: 9_000)))
                saved = true
            } catch {
                #expect(error.code == .failed)
            }
            let ended = log.recordCount - before < records
            log.fail(afterRecords: nil)
            for isCompacted in [false, true] {
                if isCompacted { log.compact() }
                try check(LogSnapshotStore(log, options: smallFrames), atLeast: saved ? 6 : 5, "\(records) records")
            }
            _ = try LogSnapshotStore(log, options: smallFrames).save(identity(7), content(sections(7, bytes: 9_000)))
            try check(LogSnapshotStore(log, options: smallFrames), atLeast: 7, "\(records) records, after the next")
            if ended { return }
        }
        Issue.record("the log was never long enough")
    }

    @Test(arguments: [UInt64](1...4))
    func `a log with altered, lost and foreign records never yields a wrong content`(seed: UInt64) throws {
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        for _ in 0..<100 {
            let log = MemorySnapshotLog()
            let store = try LogSnapshotStore(log, options: smallFrames)
            for offset in Int64(1)...4 {
                _ = try store.save(identity(offset), content(sections(offset, bytes: 9_000)))
            }
            let noise = (0..<generator.below(40)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            try log.append([SnapshotLogRecord(key: noise, value: noise)], partition: 0)
            let victim = generator.below(log.recordCount)
            var index = 0
            log.alter(partition: 0) { _, value in
                defer { index += 1 }
                guard index == victim, var bytes = value, !bytes.isEmpty else { return }
                switch generator.below(3) {
                case 0: value = nil
                case 1: value = Array(bytes.dropLast())
                default:
                    bytes[generator.below(bytes.count)] ^= 1 << UInt8(generator.below(8))
                    value = bytes
                }
            }
            try check(LogSnapshotStore(log, options: smallFrames), atLeast: 3, "seed \(seed)")
        }
    }

    @Test func `a log of a shrunken state forgets the surplus frames`() throws {
        let log = MemorySnapshotLog()
        let store = try LogSnapshotStore(log, options: smallFrames)
        for offset in Int64(1)...4 { _ = try store.save(identity(offset), content(sections(offset, bytes: 90_000))) }
        for offset in Int64(5)...8 { _ = try store.save(identity(offset), content(sections(offset, bytes: 100))) }
        log.compact()
        #expect(log.recordCount <= 4 * 4)
        try store.removeAll(task, incarnation: nil)
        log.compact()
        #expect(log.recordCount == 0)
    }

    @Test func `no value of a log is too large for a broker, even if nothing compresses`() throws {
        let log = MemorySnapshotLog()
        let store = try LogSnapshotStore(log)
        var generator = SeededRandom(seed: 1)
        var noise: [UInt8] = []
        while noise.count < 3_000_000 { withUnsafeBytes(of: generator.next()) { noise.append(contentsOf: $0) } }
        _ = try store.save(identity(1), content([1: noise]))
        var largest = 0
        try log.read(partition: 0) { _, value, _ in largest = max(largest, value?.count ?? 0) }
        #expect(largest <= LogSnapshotStore.valueBytesMax)
        #expect(try everything(#require(try store.newestValid(task, incarnation: 1).reader)) == [1: noise])
    }
}
