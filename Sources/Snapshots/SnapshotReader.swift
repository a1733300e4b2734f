import TwinCore

/// Where the stored frames of one snapshot come from. Called from several threads at once.
protocol FrameSource: Sendable {
    /// Fills `target` with the frame that starts `position` bytes after the header. Throws `corrupt` if it is short.
    func load(frame: Int, position: Int, into target: UnsafeMutableRawBufferPointer) throws(SnapshotError)
}

/// A snapshot whose header and stored bytes have been verified. Its content is verified once more, frame by frame,
/// while it is restored: what a frame yields is what was written, or the restore throws.
package final class SnapshotReader: Sendable {
    /// What the store said of it.
    package let info: SnapshotInfo
    /// Its header, already checked.
    package let header: SnapshotHeader
    private let source: any FrameSource
    private let threads: Int
    private let frames: [SnapshotFrame]
    private let positions: [Int]
    private let storedFrameBytesMax: Int

    init(info: SnapshotInfo, header: SnapshotHeader, source: any FrameSource, threads: Int) {
        self.info = info
        self.header = header
        self.source = source
        self.threads = threads
        frames = header.sections.flatMap(\.frames)
        var position = 0
        var positions: [Int] = []
        positions.reserveCapacity(frames.count)
        for frame in frames {
            positions.append(position)
            position += Int(frame.storedBytes)
        }
        self.positions = positions
        storedFrameBytesMax = frames.reduce(0) { max($0, Int($1.storedBytes)) }
    }

    /// Restores a section in parallel. `body` gets each frame's bytes with their position in the section, in any
    /// order and from several threads at once; the ranges never overlap. Throws `missing` or `corrupt`; after a
    /// throw what was delivered is worthless.
    package func restore(
        _ tag: UInt32, _ body: @escaping @Sendable (_ position: Int, _ bytes: UnsafeRawBufferPointer) -> Void
    ) throws(SnapshotError) {
        let range = try frameRange(tag)
        let frameBytes = header.frameBytes
        try eachFrame(in: range) { frame, bytes in
            body((frame - range.lowerBound) * frameBytes, bytes)
        }
    }

    /// Restores a section in parallel, straight into one buffer of exactly its size.
    package func restore(_ tag: UInt32, into target: UnsafeMutableRawBufferPointer) throws(SnapshotError) {
        let range = try frameRange(tag)
        try checkSize(tag, target.count)
        try eachFrame(in: range, target: SharedBuffers([target])) { _, _ in }
    }

    /// A small section as an array. Throws `limit` if it is larger than `bytesMax`.
    package func bytes(_ tag: UInt32, bytesMax: Int = 64 << 20) throws(SnapshotError) -> [UInt8] {
        let size = header.section(tag)?.contentBytes ?? 0
        guard size <= bytesMax else {
            throw SnapshotError(.limit, "section \(tag) has \(size) bytes, over \(bytesMax)")
        }
        guard size > 0 else {
            _ = try frameRange(tag)
            return []
        }
        var failure: SnapshotError?
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            do throws(SnapshotError) {
                let whole = UnsafeMutableRawBufferPointer(buffer)
                try restore(tag, into: UnsafeMutableRawBufferPointer(rebasing: whole[..<size]))
                count = size
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads everything and checks the stored bytes against their digests, without decompressing.
    package func verifyStored() throws(SnapshotError) {
        try eachFrame(in: 0..<frames.count, decompressing: false) { _, _ in }
    }

    /// Reads and decompresses everything and checks both digests of every frame.
    package func verifyContent() throws(SnapshotError) {
        try eachFrame(in: 0..<frames.count) { _, _ in }
    }
}

extension SnapshotReader {
    private func frameRange(_ tag: UInt32) throws(SnapshotError) -> Range<Int> {
        var first = 0
        for section in header.sections {
            if section.tag == tag { return first..<(first + section.frames.count) }
            first += section.frames.count
        }
        throw SnapshotError(.missing, "the snapshot has no section \(tag)")
    }

    private func checkSize(_ tag: UInt32, _ bytes: Int) throws(SnapshotError) {
        let size = header.section(tag)?.contentBytes ?? 0
        guard size == bytes else {
            throw SnapshotError(.invalid, "section \(tag) has \(size) bytes, the destination \(bytes)")
        }
    }

    private struct Progress {
        var next: Int
        var failure: SnapshotError?
    }

    /// Loads, checks and delivers the frames of a range on the reader's threads.
    private func eachFrame(
        in range: Range<Int>, decompressing: Bool = true,
        target: SharedBuffers? = nil, _ body: @escaping @Sendable (Int, UnsafeRawBufferPointer) -> Void
    ) throws(SnapshotError) {
        guard !range.isEmpty else { return }
        let progress = Monitor(Progress(next: range.lowerBound))
        runInParallel(threads: min(threads, range.count)) {
            do throws(SnapshotError) {
                let decompressor = try Decompressor()
                let stored = RawMemory(byteCount: self.storedFrameBytesMax)
                let plain = RawMemory(byteCount: target == nil && decompressing ? self.header.frameBytes : 0)
                while let frame = Self.take(progress, range.upperBound) {
                    let source = try self.loadStored(frame, stored.bytes)
                    var content = source
                    if decompressing {
                        let size = Int(self.frames[frame].contentBytes)
                        let start = (frame - range.lowerBound) * self.header.frameBytes
                        let output = UnsafeMutableRawBufferPointer(
                            rebasing: target?.buffers[0][start..<(start + size)] ?? plain.bytes[..<size])
                        try decompressor.decompress(source, into: output)
                        content = UnsafeRawBufferPointer(output)
                        guard digestOf(content) == self.frames[frame].contentDigest else {
                            throw SnapshotError(.corrupt, "frame \(frame)'s content does not match its digest")
                        }
                    }
                    body(frame, content)
                }
            } catch {
                progress.withLock { if $0.failure == nil { $0.failure = error } }
            }
        }
        if let failure = progress.withLock({ $0.failure }) { throw failure }
    }

    private static func take(_ progress: Monitor<Progress>, _ end: Int) -> Int? {
        progress.withLock { state in
            guard state.failure == nil, state.next < end else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func loadStored(
        _ frame: Int, _ memory: UnsafeMutableRawBufferPointer
    ) throws(SnapshotError) -> UnsafeRawBufferPointer {
        let target = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(frames[frame].storedBytes)])
        try source.load(frame: frame, position: positions[frame], into: target)
        let bytes = UnsafeRawBufferPointer(target)
        guard digestOf(bytes) == frames[frame].storedDigest else {
            throw SnapshotError(.corrupt, "frame \(frame) does not match its digest")
        }
        return bytes
    }
}

/// Buffers of the caller that several threads fill in disjoint ranges while the caller waits.
private struct SharedBuffers: @unchecked Sendable {
    let buffers: [UnsafeMutableRawBufferPointer]

    init(_ buffers: [UnsafeMutableRawBufferPointer]) { self.buffers = buffers }
}
