import Synchronization

/// A file system in memory that knows what is durable and what is not, for tests and simulation. Time advances by
/// one millisecond with every call that changes something.
///
/// `powerCut` models what a real one may do at worst: of a file that was not synced any prefix, or a part with
/// zeroes, may remain; a name that was made, moved or removed without syncing its directory may be the old or the
/// new one.
package final class MemoryFileSystem: FileSystem {
    fileprivate final class Content: Sendable {
        struct Bytes {
            var live: [UInt8] = []
            var durable: [UInt8]?
            var modifiedMilliseconds: Int64 = 0
        }

        let bytes = Mutex(Bytes())
    }

    private struct State {
        var directories: Set<String>
        var live: [String: Content] = [:]
        var durable: [String: Content] = [:]
        var clock: Int64 = 0
        var bytesFree: Int
    }

    private let state: Mutex<State>

    /// - Parameter bytesFree: what may be written in all before the disk is full.
    package init(root: String = "/", bytesFree: Int = .max) {
        state = Mutex(State(directories: [root], bytesFree: bytesFree))
    }

    /// Sets the room that is left, in bytes.
    package func setFree(bytes: Int) { state.withLock { $0.bytesFree = bytes } }

    /// The paths of all files, sorted.
    package var paths: [String] { state.withLock { $0.live.keys.sorted() } }

    /// Changes a file's bytes behind everybody's back, for tests. Does nothing if there is no such file.
    package func alter(_ path: String, _ change: (inout [UInt8]) -> Void) {
        state.withLock { $0.live[path] }?.bytes.withLock { bytes in
            change(&bytes.live)
            bytes.durable = bytes.live
        }
    }

    /// Loses what was not made durable, as `choose` decides: it gets a bound and returns a number below it.
    package func powerCut(_ choose: (Int) -> Int) {
        state.withLock { state in
            for path in Set(state.live.keys).union(state.durable.keys).sorted()
            where state.live[path] !== state.durable[path] {
                if choose(2) == 0 { state.live[path] = state.durable[path] }
            }
            for path in state.live.keys.sorted() {
                state.live[path]?.bytes.withLock { bytes in
                    guard bytes.live != bytes.durable else { return }
                    switch choose(3) {
                    case 0: bytes.live = bytes.durable ?? []
                    case 1: bytes.live = Array(bytes.live.prefix(choose(bytes.live.count + 1)))
                    default:
                        let start = choose(bytes.live.count + 1)
                        for index in start..<bytes.live.count { bytes.live[index] = 0 }
                    }
                    bytes.durable = bytes.live
                }
            }
            state.durable = state.live
        }
    }

    package func makeDirectory(_ path: String) throws(FileError) {
        try changing { (state) throws(FileError) in
            guard !state.directories.contains(path) else { throw FileError(.exists, "mkdir \(path)") }
            guard state.directories.contains(parent(path)) else { throw FileError(.missing, "mkdir \(path)") }
            state.directories.insert(path)
        }
    }

    package func create(_ path: String) throws(FileError) -> any WritableFile {
        let content = try changing { (state) throws(FileError) in
            guard state.live[path] == nil else { throw FileError(.exists, "open \(path)") }
            guard state.directories.contains(parent(path)) else { throw FileError(.missing, "open \(path)") }
            let content = Content()
            content.bytes.withLock { $0.modifiedMilliseconds = state.clock }
            state.live[path] = content
            return content
        }
        return MemoryFile(self, content)
    }

    package func open(_ path: String) throws(FileError) -> any ReadableFile {
        guard let content = state.withLock({ $0.live[path] }) else { throw FileError(.missing, "open \(path)") }
        return MemoryFile(self, content)
    }

    package func rename(_ path: String, to target: String) throws(FileError) {
        try changing { (state) throws(FileError) in
            guard let content = state.live.removeValue(forKey: path) else {
                throw FileError(.missing, "rename \(path)")
            }
            state.live[target] = content
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try changing { (state) throws(FileError) in
            guard state.live.removeValue(forKey: path) != nil else { throw FileError(.missing, "unlink \(path)") }
        }
    }

    package func removeDirectory(_ path: String) throws(FileError) {
        try changing { (state) throws(FileError) in
            let names = Array(state.live.keys) + Array(state.directories)
            guard !names.contains(where: { parent($0) == path }) else { throw FileError(.exists, "rmdir \(path)") }
            guard state.directories.remove(path) != nil else { throw FileError(.missing, "rmdir \(path)") }
        }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        try changing { (state) throws(FileError) in
            guard state.directories.contains(path) else { throw FileError(.missing, "open \(path)") }
            for name in Set(state.live.keys).union(state.durable.keys) where parent(name) == path {
                state.durable[name] = state.live[name]
            }
        }
    }

    package func list(_ path: String, entriesMax: Int) throws(FileError) -> [String] {
        let names = try state.withLock { (state) throws(FileError) -> [String] in
            guard state.directories.contains(path) else { throw FileError(.missing, "opendir \(path)") }
            let all = Array(state.live.keys) + Array(state.directories)
            return all.filter { $0 != path && parent($0) == path }.map { name($0) }
        }
        guard names.count <= entriesMax else { throw FileError(.other, "\(path) has over \(entriesMax) entries") }
        return names
    }

    package func status(_ path: String) throws(FileError) -> FileStatus {
        try state.withLock { (state) throws(FileError) -> FileStatus in
            if let content = state.live[path] {
                return content.bytes.withLock {
                    FileStatus(
                        bytes: $0.live.count, modifiedMilliseconds: $0.modifiedMilliseconds, isDirectory: false)
                }
            }
            guard state.directories.contains(path) else { throw FileError(.missing, "lstat \(path)") }
            return FileStatus(bytes: 0, modifiedMilliseconds: 0, isDirectory: true)
        }
    }

    private func changing<Result>(
        _ body: (inout State) throws(FileError) -> Result
    ) throws(FileError) -> Result where Result: Sendable {
        try state.withLock { (state) throws(FileError) -> Result in
            state.clock += 1
            return try body(&state)
        }
    }

    /// Takes room on the disk and tells the time. Writes are cut short when the room ends.
    fileprivate func take(bytes: Int) throws(FileError) -> (bytes: Int, clock: Int64) {
        try changing { (state) throws(FileError) in
            let taken = min(bytes, state.bytesFree)
            guard taken > 0 || bytes == 0 else { throw FileError(.full, "write: no space left on device") }
            if state.bytesFree != .max { state.bytesFree -= taken }
            return (taken, state.clock)
        }
    }
}

private func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

private func name(_ path: String) -> String {
    String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...])
}

private final class MemoryFile: WritableFile, ReadableFile {
    private let system: MemoryFileSystem
    private let content: MemoryFileSystem.Content
    private let isClosed = Atomic<Bool>(false)

    init(_ system: MemoryFileSystem, _ content: MemoryFileSystem.Content) {
        self.system = system
        self.content = content
    }

    var byteCount: Int { content.bytes.withLock { $0.live.count } }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) -> Int {
        guard !isClosed.load(ordering: .relaxed) else { throw FileError(.other, "write: closed") }
        let (count, clock) = try system.take(bytes: bytes.count)
        let source = Array(bytes.prefix(count))
        content.bytes.withLock { held in
            let missing = position + count - held.live.count
            if missing > 0 { held.live.append(contentsOf: repeatElement(0, count: missing)) }
            held.live.replaceSubrange(position..<(position + count), with: source)
            held.modifiedMilliseconds = clock
        }
        return count
    }

    func read(into target: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Int {
        content.bytes.withLock { held in
            guard position < held.live.count else { return 0 }
            let count = min(target.count, held.live.count - position)
            target.copyBytes(from: held.live[position..<(position + count)])
            return count
        }
    }

    func sync() throws(FileError) {
        guard !isClosed.load(ordering: .relaxed) else { throw FileError(.other, "fsync: closed") }
        content.bytes.withLock { $0.durable = $0.live }
    }

    func close() throws(FileError) { isClosed.store(true, ordering: .relaxed) }
}
