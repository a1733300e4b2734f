/// The bounds of the container format. A header that claims more is refused before anything is allocated for it.
package enum SnapshotLimits {
    /// Sections of one snapshot.
    package static let sectionsMax = 4_096
    /// Frames of one snapshot; with the smallest useful frame of 64 KiB this is 64 GiB.
    package static let framesMax = 1 << 20
    /// Uncompressed bytes of a frame at least.
    package static let frameBytesMin = 4 << 10
    /// Uncompressed bytes of a frame at most; bounds the memory of a reader's thread.
    package static let frameBytesMax = 16 << 20
    /// Uncompressed bytes of one snapshot.
    package static let contentBytesMax = 1 << 36
    /// Bytes of an encoded header: the frames, the sections and the fixed part.
    package static let headerBytesMax = 32 << 20
    /// Snapshots looked at in one directory or partition; more means that something else writes there.
    package static let entriesMax = 100_000
    /// Threads of one write or restore.
    package static let threadsMax = 64
}

/// How snapshots are written and read.
package struct SnapshotOptions: Hashable, Sendable {
    /// Threads that compress or decompress, the calling one included.
    package var threads: Int
    /// zstd level, 1…19. Level 1 is faster than most disks.
    package var level: Int32
    /// Uncompressed bytes of a frame. Larger compresses little better; smaller spreads better over threads.
    package var frameBytes: Int
    /// Generations that stay when a new one has been made durable.
    package var generationsKept: Int

    /// Options to be checked by `validate` before use.
    package init(threads: Int = 2, level: Int32 = 1, frameBytes: Int = 1 << 20, generationsKept: Int = 3) {
        self.threads = threads
        self.level = level
        self.frameBytes = frameBytes
        self.generationsKept = generationsKept
    }

    /// Throws `invalid` and names the option that is out of range.
    package func validate() throws(SnapshotError) {
        guard (1...SnapshotLimits.threadsMax).contains(threads) else {
            throw SnapshotError(.invalid, "threads must lie in 1…\(SnapshotLimits.threadsMax), not \(threads)")
        }
        guard (1...19).contains(level) else {
            throw SnapshotError(.invalid, "compression level must lie in 1…19, not \(level)")
        }
        let sizes = SnapshotLimits.frameBytesMin...SnapshotLimits.frameBytesMax
        guard sizes.contains(frameBytes) else {
            throw SnapshotError(.invalid, "frame bytes must lie in \(sizes), not \(frameBytes)")
        }
        guard (1...1_000).contains(generationsKept) else {
            throw SnapshotError(.invalid, "generations kept must lie in 1…1000, not \(generationsKept)")
        }
    }
}
