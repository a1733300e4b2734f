import TwinCore

/// Where the frames of a snapshot go, in order, one call at a time (not always from one thread).
protocol FrameSink: Sendable {
    func write(_ bytes: UnsafeRawBufferPointer, frame: Int) throws(SnapshotError)
}

/// The chunks still to be written, released as they are read.
private final class ChunkQueue {
    private struct Entry {
        var chunk: any SnapshotChunk
        var bytes: Int
    }

    /// Reversed, so that the next one is last.
    private var waiting: [Entry] = []
    private var current: Entry?
    private var position = 0

    init(_ sections: [SnapshotSection]) throws(SnapshotError) {
        for section in sections.reversed() {
            for chunk in section.chunks.reversed() where chunk.byteCount > 0 {
                waiting.append(Entry(chunk: chunk, bytes: chunk.byteCount))
            }
        }
    }

    /// Fills `target` with the next bytes. Throws `invalid` if a chunk is not as long as it said.
    func fill(_ target: UnsafeMutableRawBufferPointer) throws(SnapshotError) {
        var filled = 0
        while filled < target.count {
            guard let entry = current ?? waiting.popLast() else {
                throw SnapshotError(.invalid, "the chunks hold fewer bytes than they said")
            }
            let wanted = min(target.count - filled, entry.bytes - position)
            var copied = false
            entry.chunk.withBytes { bytes in
                guard bytes.count == entry.bytes else { return }
                let source = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + wanted)])
                UnsafeMutableRawBufferPointer(rebasing: target[filled...]).copyMemory(from: source)
                copied = true
            }
            guard copied else { throw SnapshotError(.invalid, "a chunk changed its size while it was written") }
            filled += wanted
            position += wanted
            current = entry
            if position == entry.bytes {
                current = nil
                position = 0
            }
        }
    }
}

/// A snapshot about to be written: its layout is known, its frames are not yet compressed.
struct SnapshotPlan {
    private struct Progress {
        let queue: ChunkQueue
        /// The next frame that a thread takes.
        var next = 0
        /// The next frame that may be written: frames are written in order.
        var turn = 0
        var frames: [SnapshotFrame]
        var failure: SnapshotError?
    }

    private let identity: SnapshotIdentity
    private let content: SnapshotContent
    private let options: SnapshotOptions
    private let queue: ChunkQueue
    private let tags: [UInt32]
    private let sectionBytes: [Int]
    /// Content bytes of every frame, over all sections.
    private let frameSizes: [Int]

    /// Bytes that the header will have.
    var headerBytes: Int { SnapshotHeader.encodedBytes(sections: tags.count, frames: frameSizes.count) }

    var frameCount: Int { frameSizes.count }

    /// Takes the content. Throws `limit` or `invalid` before anything is written.
    init(
        _ identity: SnapshotIdentity, _ content: SnapshotContent, _ options: SnapshotOptions
    ) throws(SnapshotError) {
        try options.validate()
        guard identity.offset >= 0, identity.incarnation >= 0, identity.task.partition >= 0 else {
            throw SnapshotError(.invalid, "a snapshot needs an offset, an incarnation and a partition of at least 0")
        }
        let sections = try content.take()
        guard sections.count <= SnapshotLimits.sectionsMax else {
            throw SnapshotError(.limit, "\(sections.count) sections pass \(SnapshotLimits.sectionsMax)")
        }
        try SnapshotHeader.checkTags(sections.map(\.tag))
        var sectionBytes: [Int] = []
        var frameSizes: [Int] = []
        var total = 0
        for section in sections {
            var bytes = 0
            for chunk in section.chunks {
                guard chunk.byteCount >= 0, chunk.byteCount <= SnapshotLimits.contentBytesMax - total else {
                    throw SnapshotError(.limit, "the state passes \(SnapshotLimits.contentBytesMax) bytes")
                }
                bytes += chunk.byteCount
                total += chunk.byteCount
            }
            sectionBytes.append(bytes)
            let count = SnapshotHeader.framesNeeded(bytes, frameBytes: options.frameBytes)
            guard frameSizes.count + count <= SnapshotLimits.framesMax else {
                throw SnapshotError(
                    .limit, "the state needs over \(SnapshotLimits.framesMax) frames; choose larger frames")
            }
            for index in 0..<count { frameSizes.append(min(options.frameBytes, bytes - index * options.frameBytes)) }
        }
        self.identity = identity
        self.content = content
        self.options = options
        self.sectionBytes = sectionBytes
        self.frameSizes = frameSizes
        tags = sections.map(\.tag)
        queue = try ChunkQueue(sections)
        guard headerBytes <= SnapshotLimits.headerBytesMax else {
            throw SnapshotError(.limit, "the header passes \(SnapshotLimits.headerBytesMax) bytes; use larger frames")
        }
    }

    /// Compresses everything into `sink` and returns the header, which the caller writes last.
    func write(into sink: any FrameSink) throws(SnapshotError) -> SnapshotHeader {
        let progress = Monitor(Progress(queue: queue, frames: []))
        let sizes = frameSizes
        let (options, content) = (options, content)
        runInParallel(threads: min(options.threads, max(sizes.count, 1))) {
            do throws(SnapshotError) {
                try Self.work(progress, sizes: sizes, options: options, content: content, sink: sink)
            } catch {
                progress.withLock { if $0.failure == nil { $0.failure = error } }
            }
        }
        let (frames, failure) = progress.withLock { ($0.frames, $0.failure) }
        if let failure { throw failure }
        var sections: [SnapshotSectionEntry] = []
        var first = 0
        for (tag, bytes) in zip(tags, sectionBytes) {
            let end = first + SnapshotHeader.framesNeeded(bytes, frameBytes: options.frameBytes)
            sections.append(
                SnapshotSectionEntry(tag: tag, contentBytes: bytes, frames: Array(frames[first..<end])))
            first = end
        }
        return SnapshotHeader(identity: identity, frameBytes: options.frameBytes, sections: sections)
    }

    /// One thread: take the next frame's bytes, compress them, wait for the turn, write.
    private static func work(
        _ progress: Monitor<Progress>, sizes: [Int], options: SnapshotOptions, content: SnapshotContent,
        sink: any FrameSink
    ) throws(SnapshotError) {
        let compressor = try Compressor(level: options.level)
        let input = RawMemory(byteCount: options.frameBytes)
        let output = RawMemory(byteCount: compressedBytesMax(options.frameBytes))
        while true {
            let taken = try progress.withLock { (state) throws(SnapshotError) -> Int? in
                guard state.failure == nil, state.next < sizes.count else { return nil }
                guard !content.isCancelled else { throw SnapshotError(.cancelled, "the writing was given up") }
                try state.queue.fill(UnsafeMutableRawBufferPointer(rebasing: input.bytes[..<sizes[state.next]]))
                state.next += 1
                return state.next - 1
            }
            guard let frame = taken else { return }
            let source = UnsafeRawBufferPointer(rebasing: input.bytes[..<sizes[frame]])
            let count = try compressor.compress(source, into: output.bytes)
            let stored = UnsafeRawBufferPointer(rebasing: output.bytes[..<count])
            let entry = SnapshotFrame(
                storedBytes: UInt32(count), contentBytes: UInt32(sizes[frame]),
                storedDigest: digestOf(stored), contentDigest: digestOf(source))
            let mayWrite = progress.withLock(
                when: { $0.turn == frame || $0.failure != nil }, { $0.failure == nil })
            guard mayWrite == true else { return }
            try sink.write(stored, frame: frame)
            progress.withLock {
                $0.frames.append(entry)
                $0.turn += 1
            }
        }
    }
}
