import TwinCore

/// What a snapshot is of: the fold of one task's log before one offset, made by one logic.
package struct SnapshotIdentity: Hashable, Sendable {
    /// The task.
    package var task: TaskID
    /// The state is the fold of the inbox partition before this offset.
    package var offset: Int64
    /// The incarnation of the task that took it.
    package var incarnation: Int64
    /// Of the logic and the configuration that change outputs. A reader with another one must not start.
    package var fingerprint: UInt64
    /// Of the content's own layout, chosen by the stage.
    package var schemaVersion: UInt32

    /// All five parts.
    package init(task: TaskID, offset: Int64, incarnation: Int64, fingerprint: UInt64, schemaVersion: UInt32) {
        self.task = task
        self.offset = offset
        self.incarnation = incarnation
        self.fingerprint = fingerprint
        self.schemaVersion = schemaVersion
    }
}

/// One zstd frame of a section.
package struct SnapshotFrame: Hashable, Sendable, BitwiseCopyable {
    /// Bytes as stored.
    package var storedBytes: UInt32
    /// Bytes after decompression.
    package var contentBytes: UInt32
    /// Digest of the stored bytes; lets a store be verified at the speed of reading.
    package var storedDigest: UInt64
    /// Digest of the decompressed bytes.
    package var contentDigest: UInt64

    /// Sizes and digests as found.
    package init(storedBytes: UInt32, contentBytes: UInt32, storedDigest: UInt64, contentDigest: UInt64) {
        self.storedBytes = storedBytes
        self.contentBytes = contentBytes
        self.storedDigest = storedDigest
        self.contentDigest = contentDigest
    }
}

/// One section: a tag that the stage gives a meaning, and its frames in order.
package struct SnapshotSectionEntry: Hashable, Sendable {
    /// The stage's name for the section, unique in a snapshot.
    package var tag: UInt32
    /// Sum over the frames.
    package var contentBytes: Int
    /// In the order of the content.
    package var frames: [SnapshotFrame]

    /// An entry whose sizes must agree.
    package init(tag: UInt32, contentBytes: Int, frames: [SnapshotFrame]) {
        self.tag = tag
        self.contentBytes = contentBytes
        self.frames = frames
    }

    /// Sum of the frames as stored.
    package var storedBytes: Int { frames.reduce(0) { $0 + Int($1.storedBytes) } }
}

/// The header of the container. It is written after the frames (a file reserves its place), so whatever was cut
/// short has no valid header.
///
/// Little endian: magic 8 · format version u16 · zero u16 · header bytes u32 · task u64 · offset i64 ·
/// incarnation i64 · fingerprint u64 · schema version u32 · sections u32 · frames u32 · frame bytes u32 ·
/// content digest u64, then per section tag u32 · frames u32 · content bytes u64, and per frame of it
/// stored bytes u32 · content bytes u32 · stored digest u64 · content digest u64, and at the end the checksum u64 of
/// everything before it. Every frame but a section's last holds exactly *frame bytes*.
package struct SnapshotHeader: Hashable, Sendable {
    /// "TWINSNAP" as it stands in the file.
    static let magic: UInt64 = 0x5041_4e53_4e49_5754
    /// Of the container, not of the content.
    package static let formatVersion: UInt16 = 1
    static let fixedBytes = 72
    static let sectionBytes = 16
    static let frameEntryBytes = 24
    static let checksumBytes = 8
    /// What must be read to know how long the header is.
    static let prefixBytes = 16

    /// What the snapshot is of.
    package var identity: SnapshotIdentity
    /// Uncompressed bytes of every frame but the last of a section.
    package var frameBytes: Int
    /// In the order of the content.
    package var sections: [SnapshotSectionEntry]

    /// A header to be encoded; its sections must agree with the size of a frame.
    package init(identity: SnapshotIdentity, frameBytes: Int, sections: [SnapshotSectionEntry]) {
        self.identity = identity
        self.frameBytes = frameBytes
        self.sections = sections
    }

    /// Uncompressed bytes of all sections.
    package var contentBytes: Int { sections.reduce(0) { $0 + $1.contentBytes } }
    /// Compressed bytes of all sections, without the header.
    package var storedBytes: Int { sections.reduce(0) { $0 + $1.storedBytes } }
    /// Frames of all sections.
    package var frameCount: Int { sections.reduce(0) { $0 + $1.frames.count } }

    /// Over all uncompressed content: the tags, the sizes and the digests of the frames in order.
    package var contentDigest: UInt64 {
        var digest = Digest()
        digest.combine(UInt64(frameBytes))
        for section in sections {
            digest.combine(UInt64(section.tag))
            digest.combine(UInt64(section.contentBytes))
            for frame in section.frames { digest.combine(frame.contentDigest) }
        }
        return digest.value
    }

    /// Bytes of the encoded header.
    package var encodedBytes: Int { Self.encodedBytes(sections: sections.count, frames: frameCount) }

    /// Bytes of an encoded header with so many sections and frames, both within their limits.
    static func encodedBytes(sections: Int, frames: Int) -> Int {
        fixedBytes + sections * sectionBytes + frames * frameEntryBytes + checksumBytes
    }

    /// The section with the tag, or nil.
    package func section(_ tag: UInt32) -> SnapshotSectionEntry? { sections.first { $0.tag == tag } }
}

extension SnapshotHeader {
    /// The header as bytes, `encodedBytes` long.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: encodedBytes)
        writer.append(Self.magic)
        writer.append(Self.formatVersion)
        writer.append(UInt16(0))
        writer.append(UInt32(encodedBytes))
        writer.append(identity.task.packed)
        writer.append(identity.offset)
        writer.append(identity.incarnation)
        writer.append(identity.fingerprint)
        writer.append(identity.schemaVersion)
        writer.append(UInt32(sections.count))
        writer.append(UInt32(frameCount))
        writer.append(UInt32(frameBytes))
        writer.append(contentDigest)
        for section in sections {
            writer.append(section.tag)
            writer.append(UInt32(section.frames.count))
            writer.append(UInt64(section.contentBytes))
            for frame in section.frames {
                writer.append(frame.storedBytes)
                writer.append(frame.contentBytes)
                writer.append(frame.storedDigest)
                writer.append(frame.contentDigest)
            }
        }
        writer.append(writer.digest)
        return writer.bytes
    }

    /// Reads from the first `prefixBytes` bytes how long the header is. Throws `corrupt`, `unsupported` or `limit`.
    static func encodedBytes(prefix: UnsafeRawBufferPointer) throws(SnapshotError) -> Int {
        var reader = ByteReader(prefix)
        guard try reader.next(UInt64.self) == magic else {
            throw SnapshotError(.corrupt, "not a snapshot, or its writing was cut short: no magic at its start")
        }
        let version = try reader.next(UInt16.self)
        guard version == formatVersion else {
            throw SnapshotError(
                .unsupported,
                "container format \(version) is not \(formatVersion); use the program that wrote it")
        }
        guard try reader.next(UInt16.self) == 0 else { throw SnapshotError(.corrupt, "reserved bits are set") }
        let bytes = Int(try reader.next(UInt32.self))
        guard bytes >= fixedBytes + checksumBytes else { throw SnapshotError(.corrupt, "the header is too short") }
        guard bytes <= SnapshotLimits.headerBytesMax else {
            throw SnapshotError(.limit, "a header of \(bytes) bytes passes \(SnapshotLimits.headerBytesMax)")
        }
        return bytes
    }

    /// Decodes exactly one header. Survives any bytes: everything is checked against the limits and the length at
    /// hand before it is used, and the checksum before anything is believed.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(SnapshotError) {
        guard try Self.encodedBytes(prefix: bytes) == bytes.count else {
            throw SnapshotError(.corrupt, "the header's length does not match its bytes")
        }
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - Self.checksumBytes)...]))
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - Self.checksumBytes)])
        guard try tail.next(UInt64.self) == digestOf(body) else {
            throw SnapshotError(.corrupt, "the header's checksum does not match")
        }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: body[Self.prefixBytes...]))
        guard let task = TaskID(packed: try reader.next()) else {
            throw SnapshotError(.corrupt, "the header names no known task")
        }
        let offset: Int64 = try reader.next()
        let incarnation: Int64 = try reader.next()
        guard offset >= 0, incarnation >= 0 else { throw SnapshotError(.corrupt, "a negative offset or incarnation") }
        identity = SnapshotIdentity(
            task: task, offset: offset, incarnation: incarnation, fingerprint: try reader.next(),
            schemaVersion: try reader.next())
        let sectionCount = Int(try reader.next(UInt32.self))
        let frameCount = Int(try reader.next(UInt32.self))
        frameBytes = Int(try reader.next(UInt32.self))
        let digest: UInt64 = try reader.next()
        guard sectionCount <= SnapshotLimits.sectionsMax, frameCount <= SnapshotLimits.framesMax,
            (SnapshotLimits.frameBytesMin...SnapshotLimits.frameBytesMax).contains(frameBytes)
        else { throw SnapshotError(.limit, "sections, frames or the size of a frame pass the limits") }
        guard Self.encodedBytes(sections: sectionCount, frames: frameCount) == bytes.count else {
            throw SnapshotError(.corrupt, "the section table does not fill the header")
        }
        sections = try Self.decodeSections(&reader, count: sectionCount, frameBytes: frameBytes)
        guard reader.remaining == 0 else { throw SnapshotError(.corrupt, "bytes after the section table") }
        try Self.checkTags(sections.map(\.tag))
        guard contentDigest == digest else { throw SnapshotError(.corrupt, "the content digest does not match") }
    }

    private static func decodeSections(
        _ reader: inout ByteReader, count: Int, frameBytes: Int
    ) throws(SnapshotError) -> [SnapshotSectionEntry] {
        var sections: [SnapshotSectionEntry] = []
        sections.reserveCapacity(count)
        var total = 0
        for _ in 0..<count {
            let tag: UInt32 = try reader.next()
            let frameCount = Int(try reader.next(UInt32.self))
            let declared: UInt64 = try reader.next()
            guard declared <= UInt64(SnapshotLimits.contentBytesMax) else {
                throw SnapshotError(.limit, "section \(tag) passes \(SnapshotLimits.contentBytesMax) bytes")
            }
            let contentBytes = Int(declared)
            total += contentBytes
            guard total <= SnapshotLimits.contentBytesMax else {
                throw SnapshotError(.limit, "the content passes \(SnapshotLimits.contentBytesMax) bytes")
            }
            guard frameCount == framesNeeded(contentBytes, frameBytes: frameBytes),
                frameCount <= reader.remaining / frameEntryBytes
            else { throw SnapshotError(.corrupt, "section \(tag) has not the frames that its size needs") }
            var frames: [SnapshotFrame] = []
            frames.reserveCapacity(frameCount)
            for index in 0..<frameCount {
                let frame = SnapshotFrame(
                    storedBytes: try reader.next(), contentBytes: try reader.next(),
                    storedDigest: try reader.next(), contentDigest: try reader.next())
                let expected = min(frameBytes, contentBytes - index * frameBytes)
                guard Int(frame.contentBytes) == expected, frame.storedBytes > 0,
                    Int(frame.storedBytes) <= compressedBytesMax(expected)
                else { throw SnapshotError(.corrupt, "frame \(index) of section \(tag) has an impossible size") }
                frames.append(frame)
            }
            sections.append(SnapshotSectionEntry(tag: tag, contentBytes: contentBytes, frames: frames))
        }
        return sections
    }

    /// Frames that so many bytes are cut into.
    static func framesNeeded(_ contentBytes: Int, frameBytes: Int) -> Int {
        contentBytes / frameBytes + (contentBytes % frameBytes == 0 ? 0 : 1)
    }

    /// Throws `invalid` if two sections share a tag.
    static func checkTags(_ tags: [UInt32]) throws(SnapshotError) {
        let sorted = tags.sorted()
        for index in sorted.indices.dropFirst() where sorted[index] == sorted[index - 1] {
            throw SnapshotError(.invalid, "two sections have the tag \(sorted[index])")
        }
    }
}
