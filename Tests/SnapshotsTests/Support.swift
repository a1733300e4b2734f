import Snapshots
import Synchronization
import TestKit
import TwinCore

let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 7)
let otherTask = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 2, partition: 0)

func identity(_ offset: Int64, incarnation: Int64 = 1, of task: TaskID = task) -> SnapshotIdentity {
    SnapshotIdentity(task: task, offset: offset, incarnation: incarnation, fingerprint: 0xfeed, schemaVersion: 3)
}

/// Half noise, half repetition, as states are.
func semiCompressible(_ count: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededRandom(seed: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        let word = generator.next()
        withUnsafeBytes(of: word & 0x0000_00ff_ffff_ffff) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: [0, 0, 0, 1, 0, 0, 0, 2])
    }
    return Array(bytes.prefix(count))
}

/// The state of a task after `offset` records: sections by tag.
func sections(_ offset: Int64, bytes: Int = 30_000) -> [UInt32: [UInt8]] {
    [
        1: semiCompressible(bytes, seed: UInt64(offset) &* 31 &+ 1),
        2: semiCompressible(bytes % 1_000 + Int(offset % 97), seed: UInt64(offset) &* 31 &+ 2),
        9: [],
    ]
}

/// The same cut into chunks of random size.
func content(_ sections: [UInt32: [UInt8]], seed: UInt64 = 1) -> SnapshotContent {
    var generator = SeededRandom(seed: seed)
    return SnapshotContent(
        sections.keys.sorted().map { tag in
            var rest = sections[tag, default: []][...]
            var chunks: [any SnapshotChunk] = []
            while !rest.isEmpty {
                let count = min(rest.count, generator.below(9_000))
                chunks.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            return SnapshotSection(tag: tag, chunks: chunks)
        })
}

/// All sections of a reader, by tag.
func everything(_ reader: SnapshotReader) throws -> [UInt32: [UInt8]] {
    var found: [UInt32: [UInt8]] = [:]
    for section in reader.header.sections { found[section.tag] = try reader.bytes(section.tag) }
    return found
}

let smallFrames = SnapshotOptions(threads: 2, level: 1, frameBytes: 4_096, generationsKept: 3)

func directoryStore(
    _ files: any FileSystem, namespace: String = "test", options: SnapshotOptions = smallFrames,
    leftoverAgeSecondsMin: Int64 = 0
) throws -> DirectorySnapshotStore {
    try DirectorySnapshotStore(
        root: "/store", namespace: namespace, options: options, files: files,
        leftoverAgeSecondsMin: leftoverAgeSecondsMin)
}

/// What goes wrong at one call.
enum Fault: CaseIterable {
    /// The call fails and changes nothing; later ones work.
    case error
    /// A write takes half of its bytes and the next call fails; other calls fail.
    case short
    /// The process dies: half of a write is done, everything from here on fails.
    case crash
    /// The process dies after the call was done.
    case crashAfter
}

/// Wraps a file system and lets the n-th call go wrong.
final class FaultyFileSystem: FileSystem {
    private struct State {
        var calls = 0
        var faultAt: Int
        var isDead = false
    }

    private let base: any FileSystem
    private let fault: Fault
    private let state: Mutex<State>

    init(_ base: any FileSystem, _ fault: Fault, at call: Int) {
        self.base = base
        self.fault = fault
        state = Mutex(State(faultAt: call))
    }

    var calls: Int { state.withLock { $0.calls } }

    fileprivate enum Verdict {
        case go, fail, half, dieAfter
    }

    fileprivate func judge() -> Verdict {
        state.withLock { state in
            if state.isDead { return .fail }
            state.calls += 1
            guard state.calls - 1 == state.faultAt else { return .go }
            switch fault {
            case .error: return .fail
            case .short:
                state.faultAt += 1
                return .half
            case .crash:
                state.isDead = true
                return .half
            case .crashAfter:
                state.isDead = true
                return .dieAfter
            }
        }
    }

    fileprivate func run<Result>(_ body: () throws(FileError) -> Result) throws(FileError) -> Result {
        switch judge() {
        case .go: return try body()
        case .dieAfter:
            _ = try body()
            throw FileError(.other, "injected, after the call")
        case .fail, .half: throw FileError(.other, "injected")
        }
    }

    func makeDirectory(_ path: String) throws(FileError) {
        try run { () throws(FileError) in try base.makeDirectory(path) }
    }

    func create(_ path: String) throws(FileError) -> any WritableFile {
        FaultyFile(self, write: try run { () throws(FileError) in try base.create(path) }, read: nil)
    }

    func open(_ path: String) throws(FileError) -> any ReadableFile {
        FaultyFile(self, write: nil, read: try run { () throws(FileError) in try base.open(path) })
    }

    func rename(_ path: String, to target: String) throws(FileError) {
        try run { () throws(FileError) in try base.rename(path, to: target) }
    }

    func remove(_ path: String) throws(FileError) {
        try run { () throws(FileError) in try base.remove(path) }
    }

    func removeDirectory(_ path: String) throws(FileError) {
        try run { () throws(FileError) in try base.removeDirectory(path) }
    }

    func syncDirectory(_ path: String) throws(FileError) {
        try run { () throws(FileError) in try base.syncDirectory(path) }
    }

    func list(_ path: String, entriesMax: Int) throws(FileError) -> [String] {
        try run { () throws(FileError) in try base.list(path, entriesMax: entriesMax) }
    }

    func status(_ path: String) throws(FileError) -> FileStatus {
        try run { () throws(FileError) in try base.status(path) }
    }
}

private final class FaultyFile: WritableFile, ReadableFile {
    private let system: FaultyFileSystem
    private let writable: (any WritableFile)?
    private let readable: (any ReadableFile)?

    init(_ system: FaultyFileSystem, write: (any WritableFile)?, read: (any ReadableFile)?) {
        self.system = system
        writable = write
        readable = read
    }

    var byteCount: Int { readable?.byteCount ?? 0 }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) -> Int {
        guard let writable else { throw FileError(.other, "not open for writing") }
        switch system.judge() {
        case .go: return try writable.write(bytes, at: position)
        case .half:
            return try writable.write(UnsafeRawBufferPointer(rebasing: bytes[..<((bytes.count + 1) / 2)]), at: position)
        case .dieAfter:
            _ = try writable.write(bytes, at: position)
            throw FileError(.other, "injected, after the call")
        case .fail: throw FileError(.other, "injected")
        }
    }

    func read(into target: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Int {
        guard let readable else { throw FileError(.other, "not open for reading") }
        return try system.run { () throws(FileError) in try readable.read(into: target, at: position) }
    }

    func sync() throws(FileError) {
        try system.run { () throws(FileError) in try writable?.sync() }
    }

    func close() throws(FileError) {
        try system.run { () throws(FileError) in try writable?.close() }
    }
}
