import Glibc
import Synchronization

/// The real file system.
package struct PosixFileSystem: FileSystem {
    package init() {}

    package func makeDirectory(_ path: String) throws(FileError) {
        guard mkdir(path, 0o755) == 0 else { throw posixError("mkdir", path) }
    }

    package func create(_ path: String) throws(FileError) -> any WritableFile {
        PosixFile(try openDescriptor(path, O_WRONLY | O_CREAT | O_EXCL), path, byteCount: 0)
    }

    package func open(_ path: String) throws(FileError) -> any ReadableFile {
        let descriptor = try openDescriptor(path, O_RDONLY)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = posixError("fstat", path)
            Glibc.close(descriptor)
            throw error
        }
        return PosixFile(descriptor, path, byteCount: Int(status.st_size))
    }

    package func rename(_ path: String, to target: String) throws(FileError) {
        guard Glibc.rename(path, target) == 0 else { throw posixError("rename", path) }
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw posixError("unlink", path) }
    }

    package func removeDirectory(_ path: String) throws(FileError) {
        guard rmdir(path) == 0 else { throw posixError("rmdir", path) }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        let descriptor = try openDescriptor(path, O_RDONLY | O_DIRECTORY)
        let failure: FileError? = fsync(descriptor) == 0 ? nil : posixError("fsync", path)
        Glibc.close(descriptor)
        if let failure { throw failure }
    }

    package func list(_ path: String, entriesMax: Int) throws(FileError) -> [String] {
        guard let directory = opendir(path) else { throw posixError("opendir", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw posixError("readdir", path) }
                return names
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            guard names.count < entriesMax else {
                throw FileError(.other, "\(path) has over \(entriesMax) entries; something else writes there")
            }
            names.append(name)
        }
    }

    package func status(_ path: String) throws(FileError) -> FileStatus {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw posixError("lstat", path) }
        let seconds = Int64(status.st_mtim.tv_sec)
        return FileStatus(
            bytes: Int(status.st_size),
            modifiedMilliseconds: seconds.multipliedReportingOverflow(by: 1_000).partialValue
                &+ Int64(status.st_mtim.tv_nsec / 1_000_000),
            isDirectory: status.st_mode & S_IFMT == S_IFDIR)
    }

    private func openDescriptor(_ path: String, _ flags: Int32) throws(FileError) -> Int32 {
        while true {
            let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o644)
            if descriptor >= 0 { return descriptor }
            guard errno == EINTR else { throw posixError("open", path) }
        }
    }
}

/// An open descriptor, closed once.
private final class PosixFile: WritableFile, ReadableFile {
    private let descriptor: Mutex<Int32>
    private let path: String
    let byteCount: Int

    init(_ descriptor: Int32, _ path: String, byteCount: Int) {
        self.descriptor = Mutex(descriptor)
        self.path = path
        self.byteCount = byteCount
    }

    deinit {
        descriptor.withLock { if $0 >= 0 { _ = Glibc.close($0) } }
    }

    /// Reads must overlap, so the lock is not held over a call: nobody closes while others read or write.
    private var open: Int32 { descriptor.withLock { $0 } }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) -> Int {
        while true {
            let count = pwrite(open, bytes.baseAddress, bytes.count, off_t(position))
            if count >= 0 { return count }
            guard errno == EINTR else { throw posixError("write", path) }
        }
    }

    func read(into target: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Int {
        while true {
            let count = pread(open, target.baseAddress, target.count, off_t(position))
            if count >= 0 { return count }
            guard errno == EINTR else { throw posixError("read", path) }
        }
    }

    func sync() throws(FileError) {
        guard fsync(open) == 0 else { throw posixError("fsync", path) }
    }

    func close() throws(FileError) {
        let closing = descriptor.withLock { held in
            defer { held = -1 }
            return held
        }
        // After EINTR the descriptor is gone on Linux, and its data was synced before.
        guard closing >= 0, Glibc.close(closing) == 0 || errno == EINTR else { throw posixError("close", path) }
    }
}

/// From `errno`, which must be that of the call.
private func posixError(_ call: String, _ path: String) -> FileError {
    let code = errno
    let kind: FileError.Kind =
        switch code {
        case ENOENT, ENOTDIR: .missing
        case EEXIST, ENOTEMPTY: .exists
        case ENOSPC, EDQUOT, EFBIG: .full
        case EACCES, EPERM, EROFS: .denied
        default: .other
        }
    let words = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
        guard let start = text.baseAddress, strerror_r(code, start, text.count) == 0 else { return "error \(code)" }
        return String(cString: start)
    }
    return FileError(kind, "\(call) \(path): \(words)")
}
