/// A call to the file system that failed.
package struct FileError: Error, Hashable, Sendable {
    /// What the caller may do about it.
    package enum Kind: String, Sendable {
        case missing, exists, full, denied, other
    }

    /// What went wrong, by what to do about it.
    package var kind: Kind
    /// The call, the path and the system's words.
    package var reason: String

    /// An error of a kind, with the words for the operator.
    package init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    /// The same for the caller of a store, with what to do about it.
    var asSnapshotError: SnapshotError {
        switch kind {
        case .missing: SnapshotError(.missing, reason)
        case .full:
            SnapshotError(.full, "\(reason); older snapshots are untouched: free space, or keep fewer generations")
        case .denied:
            SnapshotError(.denied, "\(reason); older snapshots are untouched: make the store writable for this process")
        case .exists, .other: SnapshotError(.failed, reason)
        }
    }
}

/// What is known of a directory entry.
package struct FileStatus: Hashable, Sendable {
    /// Bytes of the file.
    package var bytes: Int
    /// Wall clock of the store, milliseconds since the epoch.
    package var modifiedMilliseconds: Int64
    /// True for a directory, false for everything else.
    package var isDirectory: Bool
}

/// The file calls that a store needs, so that tests can make any of them fail. Called from several threads.
package protocol FileSystem: Sendable {
    /// Makes one directory; throws `exists` if it is there.
    func makeDirectory(_ path: String) throws(FileError)
    /// Creates a new file for writing; throws `exists` if it is there.
    func create(_ path: String) throws(FileError) -> any WritableFile
    /// Opens a file for reading; throws `missing` if it is not there.
    func open(_ path: String) throws(FileError) -> any ReadableFile
    /// Replaces the target at once.
    func rename(_ path: String, to target: String) throws(FileError)
    /// Removes a file.
    func remove(_ path: String) throws(FileError)
    /// Removes an empty directory; throws `exists` if it is not empty.
    func removeDirectory(_ path: String) throws(FileError)
    /// Makes the names in a directory durable.
    func syncDirectory(_ path: String) throws(FileError)
    /// The names in a directory in any order, without "." and "..", at most `entriesMax` of them.
    func list(_ path: String, entriesMax: Int) throws(FileError) -> [String]
    /// What a path names; links are not followed.
    func status(_ path: String) throws(FileError) -> FileStatus
}

/// A file being written. It is closed with its last reference.
package protocol WritableFile: Sendable {
    /// Writes some of the bytes at a position and says how many, at least one unless there are none.
    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) -> Int
    /// Makes the bytes durable.
    func sync() throws(FileError)
    /// Closes early, because some file systems report a failed write only now. Later calls fail.
    func close() throws(FileError)
}

/// A file being read. It is closed with its last reference.
package protocol ReadableFile: Sendable {
    /// The size when it was opened.
    var byteCount: Int { get }
    /// Reads some bytes at a position and says how many; zero at the end.
    func read(into target: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Int
}

extension WritableFile {
    /// Writes all bytes. Throws `other` if the file takes none.
    func writeAll(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let count = try write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: position + done)
            guard count > 0, count <= bytes.count - done else {
                throw FileError(.other, "write: the file takes no bytes")
            }
            done += count
        }
    }
}

extension ReadableFile {
    /// Fills the target; false if the file ends before.
    func readAll(into target: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Bool {
        var done = 0
        while done < target.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[done...])
            let count = try read(into: rest, at: position + done)
            guard count > 0, count <= rest.count else { return false }
            done += count
        }
        return true
    }
}
