import TwinCore

/// Snapshots as files: `<root>/<namespace>/<stage>/<incarnation>/<inbox>@<epoch>-<partition>/<offset>.snapshot`.
///
/// A file is written under a temporary name, synced, renamed, and its directory synced: under its final name there
/// is either a whole snapshot or none. The root may be a volume shared by several machines.
package struct DirectorySnapshotStore: SnapshotStore {
    package let options: SnapshotOptions
    private let files: any FileSystem
    private let base: String
    private let leftoverAgeMillisecondsMin: Int64

    /// - Parameters:
    ///   - root: an absolute or relative directory, made if it is not there.
    ///   - namespace: one path component.
    ///   - leftoverAgeSecondsMin: how much older than a new snapshot a temporary file must be to count as left by a
    ///     crashed writer. It must stay above the longest writing of one frame, and is measured by the store's own
    ///     clock.
    package init(
        root: String, namespace: String, options: SnapshotOptions = SnapshotOptions(),
        files: any FileSystem = PosixFileSystem(), leftoverAgeSecondsMin: Int64 = 3_600
    ) throws(SnapshotError) {
        try options.validate()
        try SnapshotName.check(namespace, "namespace")
        guard !root.isEmpty, root.utf8.count <= 2_000, !root.utf8.contains(0) else {
            throw SnapshotError(.invalid, "the snapshot directory must have 1 to 2000 bytes and no zero byte")
        }
        guard (0...1_000_000_000).contains(leftoverAgeSecondsMin) else {
            throw SnapshotError(.invalid, "the age of leftovers must lie in 0…1000000000 seconds")
        }
        self.options = options
        self.files = files
        var trimmed = root
        while trimmed.utf8.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        base = trimmed == "/" ? "/\(namespace)" : "\(trimmed)/\(namespace)"
        leftoverAgeMillisecondsMin = leftoverAgeSecondsMin * 1_000
    }

    package func list(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) -> [SnapshotInfo] {
        var found: [SnapshotInfo] = []
        for incarnation in try incarnations(of: task.stage, only: incarnation) {
            found += try snapshots(of: task, incarnation: incarnation)
        }
        return newestFirst(found)
    }

    package func listAll() throws(SnapshotError) -> [SnapshotInfo] {
        var found: [SnapshotInfo] = []
        for stage in StageName.allCases {
            for incarnation in try incarnations(of: stage, only: nil) {
                for name in try names(in: "\(base)/\(stage.text)/\(incarnation)") {
                    guard let task = SnapshotName.parseTask(stage: stage, name[...]) else { continue }
                    found += try snapshots(of: task, incarnation: incarnation)
                }
            }
        }
        return newestFirst(found)
    }

    package func save(
        _ identity: SnapshotIdentity, _ content: SnapshotContent
    ) throws(SnapshotError) -> SnapshotReceipt {
        let plan = try SnapshotPlan(identity, content, options)
        let directory = path(identity.task, identity.incarnation)
        let target = "\(directory)/\(SnapshotName.file(offset: identity.offset))"
        let header: SnapshotHeader
        let status: FileStatus
        do throws(FileError) {
            try makeDirectories(directory)
            // A process that died may have made them without getting to make them durable.
            let stage = "\(base)/\(identity.task.stage.text)"
            for parent in ["\(stage)/\(identity.incarnation)", stage, base] { try files.syncDirectory(parent) }
        } catch { throw error.asSnapshotError }
        let (file, temporary) = try createTemporary(in: directory, offset: identity.offset)
        do throws(SnapshotError) {
            header = try plan.write(into: FileFrameSink(file, from: plan.headerBytes))
            status = try finish(file, header, temporary: temporary, target: target, directory: directory)
        } catch {
            removeQuietly(file, temporary)
            throw error
        }
        let info = SnapshotInfo(
            task: identity.task, incarnation: identity.incarnation, offset: identity.offset, generation: 0,
            bytes: status.bytes, createdMilliseconds: status.modifiedMilliseconds, place: .file(target), written: 0)
        var receipt = SnapshotReceipt(info: info, header)
        do throws(SnapshotError) {
            try prune(identity.task, incarnation: identity.incarnation, keeping: options.generationsKept)
            try removeLeftovers(in: directory, newest: status.modifiedMilliseconds)
        } catch { receipt.housekeeping = error }
        return receipt
    }

    package func open(_ info: SnapshotInfo) throws(SnapshotError) -> SnapshotReader {
        let (header, file) = try readHeader(info)
        let source = FileFrameSource(file: file, start: header.encodedBytes)
        let reader = SnapshotReader(info: info, header: header, source: source, threads: options.threads)
        try reader.verifyStored()
        return reader
    }

    package func prune(_ task: TaskID, incarnation: Int64, keeping generations: Int) throws(SnapshotError) {
        guard generations >= 1 else { throw SnapshotError(.invalid, "at least one generation must be kept") }
        var valid = 0
        var damaged = 0
        // One that is damaged does not count as a generation, but not more than as many of them stay.
        for info in try list(task, incarnation: incarnation) {
            var isDamaged = false
            if valid < generations {
                do throws(SnapshotError) {
                    _ = try readHeader(info)
                } catch {
                    switch error.code {
                    case .missing: continue
                    case .corrupt, .limit, .unsupported: isDamaged = true
                    default: throw error
                    }
                }
            }
            if isDamaged { damaged += 1 } else { valid += 1 }
            if (isDamaged ? damaged : valid) > generations { try remove(info) }
        }
    }

    package func removeAll(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) {
        for incarnation in try incarnations(of: task.stage, only: incarnation) {
            let directory = path(task, incarnation)
            for name in try names(in: directory)
            where SnapshotName.parseFile(name) != nil || Self.isTemporary(name) {
                try removeFile("\(directory)/\(name)")
            }
            do throws(FileError) {
                try files.removeDirectory(directory)
            } catch {
                guard error.kind == .missing || error.kind == .exists else { throw error.asSnapshotError }
            }
        }
    }
}

// MARK: - Listing

extension DirectorySnapshotStore {
    private func path(_ task: TaskID, _ incarnation: Int64) -> String {
        "\(base)/\(SnapshotName.path(task, incarnation: incarnation))"
    }

    /// The names in a directory, none if it is not there.
    private func names(in directory: String) throws(SnapshotError) -> [String] {
        do throws(FileError) {
            return try files.list(directory, entriesMax: SnapshotLimits.entriesMax).sorted()
        } catch {
            guard error.kind == .missing else { throw error.asSnapshotError }
            return []
        }
    }

    private func incarnations(of stage: StageName, only: Int64?) throws(SnapshotError) -> [Int64] {
        if let only { return [only] }
        return try names(in: "\(base)/\(stage.text)").compactMap { SnapshotName.parseNumber($0[...]) }
    }

    private func snapshots(of task: TaskID, incarnation: Int64) throws(SnapshotError) -> [SnapshotInfo] {
        let directory = path(task, incarnation)
        var found: [SnapshotInfo] = []
        for name in try names(in: directory) {
            guard let offset = SnapshotName.parseFile(name) else { continue }
            do throws(FileError) {
                let file = "\(directory)/\(name)"
                let status = try files.status(file)
                guard !status.isDirectory else { continue }
                found.append(
                    SnapshotInfo(
                        task: task, incarnation: incarnation, offset: offset, generation: 0, bytes: status.bytes,
                        createdMilliseconds: status.modifiedMilliseconds, place: .file(file), written: 0))
            } catch {
                // Another process may have pruned it since.
                guard error.kind == .missing else { throw error.asSnapshotError }
            }
        }
        return found
    }

    /// The header, checked against the name and the length of the file, and the open file.
    private func readHeader(_ info: SnapshotInfo) throws(SnapshotError) -> (SnapshotHeader, any ReadableFile) {
        guard case .file(let path) = info.place else {
            throw SnapshotError(.invalid, "the snapshot is of another store")
        }
        let file: any ReadableFile
        do throws(FileError) { file = try files.open(path) } catch { throw error.asSnapshotError }
        let prefix = RawMemory(byteCount: SnapshotHeader.prefixBytes)
        try readExactly(file, prefix.bytes)
        let size = try SnapshotHeader.encodedBytes(prefix: UnsafeRawBufferPointer(prefix.bytes))
        guard size <= file.byteCount else { throw SnapshotError(.corrupt, "the file ends inside its header") }
        let memory = RawMemory(byteCount: size)
        try readExactly(file, memory.bytes)
        let header = try SnapshotHeader(decoding: UnsafeRawBufferPointer(memory.bytes))
        try checkIdentity(header, info)
        guard size + header.storedBytes == file.byteCount else {
            throw SnapshotError(
                .corrupt, "the file has \(file.byteCount) bytes where its header says \(size + header.storedBytes)")
        }
        return (header, file)
    }

    private func readExactly(
        _ file: any ReadableFile, _ target: UnsafeMutableRawBufferPointer
    ) throws(SnapshotError) {
        let whole: Bool
        do throws(FileError) {
            whole = try file.readAll(into: target, at: 0)
        } catch { throw error.asSnapshotError }
        guard whole else { throw SnapshotError(.corrupt, "the file ends inside its header") }
    }
}

// MARK: - Writing

extension DirectorySnapshotStore {
    private static let temporarySuffix = ".temporary"
    /// Writers of one snapshot at the same time, on all machines; more find no free temporary name.
    private static let temporaryNamesMax = 64

    private static func isTemporary(_ name: String) -> Bool { name.hasPrefix(".") && name.hasSuffix(temporarySuffix) }

    /// Makes the directory and those above it, each durable in the one above.
    private func makeDirectories(_ path: String) throws(FileError) {
        do throws(FileError) {
            try files.makeDirectory(path)
        } catch {
            if error.kind == .exists { return }
            guard error.kind == .missing, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw error
            }
            try makeDirectories(String(path[..<slash]))
            do throws(FileError) {
                try files.makeDirectory(path)
            } catch {
                guard error.kind == .exists else { throw error }
            }
        }
        if let slash = path.lastIndex(of: "/") {
            try files.syncDirectory(slash == path.startIndex ? "/" : String(path[..<slash]))
        } else {
            try files.syncDirectory(".")
        }
    }

    /// A new file under a name that no other writer has, whatever machine it runs on.
    private func createTemporary(
        in directory: String, offset: Int64
    ) throws(SnapshotError) -> (any WritableFile, String) {
        for attempt in 0..<Self.temporaryNamesMax {
            let path = "\(directory)/.\(offset)-\(attempt)\(Self.temporarySuffix)"
            do throws(FileError) {
                return (try files.create(path), path)
            } catch {
                guard error.kind == .exists else { throw error.asSnapshotError }
            }
        }
        throw SnapshotError(
            .failed, "\(directory) holds \(Self.temporaryNamesMax) unfinished files for offset \(offset); remove them")
    }

    /// Header, sync, rename, sync.
    private func finish(
        _ file: any WritableFile, _ header: SnapshotHeader, temporary: String, target: String, directory: String
    ) throws(SnapshotError) -> FileStatus {
        let encoded = header.encoded()
        do throws(FileError) {
            let memory = RawMemory(byteCount: encoded.count)
            memory.bytes.copyBytes(from: encoded)
            try file.writeAll(UnsafeRawBufferPointer(memory.bytes), at: 0)
            try file.sync()
            try file.close()
            try files.rename(temporary, to: target)
            try files.syncDirectory(directory)
            return try files.status(target)
        } catch { throw error.asSnapshotError }
    }

    /// After a failure: the temporary file goes if it can; if not, a later writer removes it.
    private func removeQuietly(_ file: any WritableFile, _ path: String) {
        do throws(FileError) { try file.close() } catch {}
        do throws(FileError) { try files.remove(path) } catch {}
    }

    private func remove(_ info: SnapshotInfo) throws(SnapshotError) {
        if case .file(let path) = info.place { try removeFile(path) }
    }

    private func removeFile(_ path: String) throws(SnapshotError) {
        do throws(FileError) {
            try files.remove(path)
        } catch {
            guard error.kind == .missing else { throw error.asSnapshotError }
        }
    }

    private func removeLeftovers(in directory: String, newest: Int64) throws(SnapshotError) {
        for name in try names(in: directory) where Self.isTemporary(name) {
            let path = "\(directory)/\(name)"
            do throws(FileError) {
                let age = newest - (try files.status(path)).modifiedMilliseconds
                guard age >= leftoverAgeMillisecondsMin else { continue }
            } catch {
                guard error.kind == .missing else { throw error.asSnapshotError }
                continue
            }
            try removeFile(path)
        }
    }
}

/// Frames one after the other behind the place of the header.
private final class FileFrameSink: FrameSink {
    private let file: any WritableFile
    private let position: Monitor<Int>

    init(_ file: any WritableFile, from start: Int) {
        self.file = file
        position = Monitor(start)
    }

    func write(_ bytes: UnsafeRawBufferPointer, frame: Int) throws(SnapshotError) {
        let start = position.withLock { position in
            defer { position += bytes.count }
            return position
        }
        do throws(FileError) {
            try file.writeAll(bytes, at: start)
        } catch { throw error.asSnapshotError }
    }
}

/// Frames read from an open file.
private struct FileFrameSource: FrameSource {
    let file: any ReadableFile
    let start: Int

    func load(frame: Int, position: Int, into target: UnsafeMutableRawBufferPointer) throws(SnapshotError) {
        let whole: Bool
        do throws(FileError) {
            whole = try file.readAll(into: target, at: start + position)
        } catch { throw error.asSnapshotError }
        guard whole else { throw SnapshotError(.corrupt, "the file ends inside frame \(frame)") }
    }
}
