import Synchronization
import TwinCore

/// Snapshots in a compacted log. Each task and incarnation has a fixed number of slots, and each slot the keys
/// `<stage>/<incarnation>/<inbox>@<epoch>-<partition>/<slot>/<frame>` and `…/manifest`, so the log stays as large as
/// the newest generations however long it runs.
///
/// Writing takes the slot of the oldest generation: its manifest is withdrawn, its frames are overwritten, and the
/// new manifest comes last and says the size and digest of each frame. A writing that was cut short leaves a slot
/// without a manifest, or with frames that do not fit it, and the generation before is used. A zombie that writes
/// beside the task's owner, for another offset, can spoil the slot that both write, and no other.
package final class LogSnapshotStore: SnapshotStore {
    /// Largest value of a record, below the 1 000 000 bytes that brokers and producers take by default.
    package static let valueBytesMax = 900 << 10
    /// Uncompressed bytes of a frame: what stays below `valueBytesMax` even if it does not compress.
    package static let frameBytesMax = 768 << 10
    /// Bytes handed to the log in one call.
    private static let appendBytesMax = 4 << 20
    /// Slots of one task at most; names with more are not ours.
    private static let slotsMax = 1_001

    package let options: SnapshotOptions
    private let log: any SnapshotLog
    private let slots: Int
    /// What was written or seen last, per task path: saves a reading of the log before each writing.
    private let known = Mutex<[String: KnownSlots]>([:])

    /// Frames are cut down to `frameBytesMax`. One slot more than the generations kept is used, as one is always
    /// being overwritten.
    package init(_ log: any SnapshotLog, options: SnapshotOptions = SnapshotOptions()) throws(SnapshotError) {
        var options = options
        options.frameBytes = min(options.frameBytes, Self.frameBytesMax)
        try options.validate()
        self.options = options
        self.log = log
        slots = options.generationsKept + 1
    }

    package func list(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) -> [SnapshotInfo] {
        let partition = partition(of: task)
        let found = try manifests(in: partition).filter { manifest in
            manifest.info.task == task && (incarnation == nil || manifest.info.incarnation == incarnation)
        }
        return newestFirst(found.map(\.info))
    }

    package func listAll() throws(SnapshotError) -> [SnapshotInfo] {
        var found: [SnapshotInfo] = []
        for partition in 0..<log.partitionCount { found += try manifests(in: partition).map(\.info) }
        return newestFirst(found)
    }

    package func save(
        _ identity: SnapshotIdentity, _ content: SnapshotContent
    ) throws(SnapshotError) -> SnapshotReceipt {
        let plan = try SnapshotPlan(identity, content, options)
        guard plan.headerBytes + Manifest.extraBytes <= Self.valueBytesMax else {
            throw SnapshotError(.limit, "the state is too large for a log; use a directory as the snapshot store")
        }
        let path = SnapshotName.path(identity.task, incarnation: identity.incarnation)
        let partition = partition(of: identity.task)
        let before = try knownSlots(identity, path)
        let generation = before.generation + 1
        let slot = Int(generation % Int64(slots))
        let oldFrames = before.frames[slot] ?? 0
        // Until the manifest stands, frames of both may lie in the slot.
        known.withLock { $0[path, default: before].frames[slot] = max(oldFrames, plan.frameCount) }
        let prefix = "\(path)/\(slot)"
        try log.append([SnapshotLogRecord(key: key("\(prefix)/manifest"), value: nil)], partition: partition)
        let sink = LogFrameSink(log, prefix: prefix, partition: partition, batchBytesMax: Self.appendBytesMax)
        let header = try plan.write(into: sink)
        try sink.flush()
        let value = Manifest.encode(generation: generation, header)
        try log.append([SnapshotLogRecord(key: key("\(prefix)/manifest"), value: value)], partition: partition)
        known.withLock { known in
            known[path, default: before].generation = generation
            known[path, default: before].frames[slot] = plan.frameCount
        }
        let info = SnapshotInfo(
            task: identity.task, incarnation: identity.incarnation, offset: identity.offset, generation: 0,
            bytes: value.count + header.storedBytes, createdMilliseconds: 0,
            place: .slot(slot, partition: partition), written: generation)
        var receipt = SnapshotReceipt(info: info, header)
        if plan.frameCount < oldFrames {
            let surplus = (plan.frameCount..<oldFrames).map {
                SnapshotLogRecord(key: key("\(prefix)/\($0)"), value: nil)
            }
            do throws(SnapshotError) {
                try log.append(surplus, partition: partition)
            } catch { receipt.housekeeping = error }
        }
        return receipt
    }

    package func open(_ info: SnapshotInfo) throws(SnapshotError) -> SnapshotReader {
        guard case .slot(let slot, let partition) = info.place, (0..<log.partitionCount).contains(partition) else {
            throw SnapshotError(.invalid, "the snapshot is of another store")
        }
        // Without a header only the manifest is looked at, which says what is wrong with it.
        let sizes = info.header?.sections.flatMap(\.frames).map { Int($0.storedBytes) } ?? []
        let (manifest, frames) = try readSlot(slot, of: info, partition: partition, sizes: sizes)
        guard let manifest, manifest.info.written == info.written else {
            throw SnapshotError(.missing, "slot \(slot) was overwritten since")
        }
        let header = try manifest.header.get()
        try checkIdentity(header, info)
        guard header == info.header else { throw SnapshotError(.missing, "slot \(slot) was overwritten since") }
        let source = MemoryFrameSource(frames: frames)
        let reader = SnapshotReader(info: info, header: header, source: source, threads: options.threads)
        try reader.verifyStored()
        return reader
    }

    package func prune(_ task: TaskID, incarnation: Int64, keeping generations: Int) throws(SnapshotError) {
        guard generations >= 1 else { throw SnapshotError(.invalid, "at least one generation must be kept") }
        for info in try list(task, incarnation: incarnation).dropFirst(generations) {
            guard case .slot(let slot, _) = info.place else { continue }
            try erase(task) { $0.task == task && $0.incarnation == incarnation && $0.slot == slot }
        }
    }

    package func removeAll(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) {
        try erase(task) { $0.task == task && (incarnation == nil || $0.incarnation == incarnation) }
        known.withLock { $0.removeAll() }
    }
}

// MARK: - Reading

extension LogSnapshotStore {
    private func partition(of task: TaskID) -> Int32 {
        Int32(truncatingIfNeeded: fnv1a64(task.description) % UInt64(max(log.partitionCount, 1)))
    }

    /// The newest manifest of each slot in a partition. One that cannot be decoded is listed by its key, so that
    /// it is reported when it is opened.
    private func manifests(in partition: Int32) throws(SnapshotError) -> [Manifest] {
        var newest: [SlotKey: Manifest] = [:]
        var isOverfull = false
        try log.read(partition: partition) { key, value, timestamp in
            guard let key = SlotKey(key), key.part == .manifest, key.slot < Self.slotsMax else { return }
            guard let value else {
                newest[key] = nil
                return
            }
            guard newest.count < SnapshotLimits.entriesMax else {
                isOverfull = true
                return
            }
            newest[key] = Manifest(key: key, value: value, partition: partition, timestampMilliseconds: timestamp)
        }
        guard !isOverfull else {
            throw SnapshotError(.limit, "over \(SnapshotLimits.entriesMax) snapshots in one partition")
        }
        let found = Array(newest.values)
        known.withLock { known in
            for manifest in found {
                guard case .slot(let slot, _) = manifest.info.place, let header = try? manifest.header.get() else {
                    continue
                }
                let path = SnapshotName.path(manifest.info.task, incarnation: manifest.info.incarnation)
                var slots = known[path] ?? KnownSlots()
                slots.generation = max(slots.generation, manifest.info.written)
                slots.frames[slot] = max(slots.frames[slot] ?? 0, header.frameCount)
                known[path] = slots
            }
        }
        return found
    }

    private func knownSlots(_ identity: SnapshotIdentity, _ path: String) throws(SnapshotError) -> KnownSlots {
        if let slots = known.withLock({ $0[path] }) { return slots }
        _ = try manifests(in: partition(of: identity.task))
        return known.withLock { $0[path] } ?? KnownSlots()
    }

    /// The newest manifest of a slot and the newest value of each of its frames, as far as its size fits; a frame
    /// that is missing or does not fit is empty.
    private func readSlot(
        _ slot: Int, of info: SnapshotInfo, partition: Int32, sizes: [Int]
    ) throws(SnapshotError) -> (Manifest?, [[UInt8]]) {
        var manifest: Manifest?
        var frames = [[UInt8]](repeating: [], count: sizes.count)
        try log.read(partition: partition) { bytes, value, timestamp in
            guard let key = SlotKey(bytes), key.slot == slot, key.task == info.task,
                key.incarnation == info.incarnation
            else { return }
            switch key.part {
            case .manifest:
                manifest = value.map {
                    Manifest(key: key, value: $0, partition: partition, timestampMilliseconds: timestamp)
                }
            case .frame(let index):
                guard index < sizes.count else { return }
                frames[index] = value.flatMap { $0.count == sizes[index] ? Array($0) : nil } ?? []
            }
        }
        return (manifest, frames)
    }

    /// Writes tombstones over every living key that matches; manifests first.
    private func erase(_ task: TaskID, _ matches: (SlotKey) -> Bool) throws(SnapshotError) {
        let partition = partition(of: task)
        var living: [SlotKey: [UInt8]] = [:]
        try log.read(partition: partition) { bytes, value, _ in
            guard let key = SlotKey(bytes), matches(key) else { return }
            living[key] = value == nil ? nil : Array(bytes)
        }
        let keys = living.sorted { a, b in
            let (isFirst, isSecond) = (a.key.part == .manifest, b.key.part == .manifest)
            return isFirst != isSecond ? isFirst : a.value.lexicographicallyPrecedes(b.value)
        }
        for start in stride(from: 0, to: keys.count, by: 1_000) {
            let records = keys[start..<min(start + 1_000, keys.count)].map {
                SnapshotLogRecord(key: $0.value, value: nil)
            }
            try log.append(records, partition: partition)
        }
    }
}

/// What a store remembers of one task's slots.
private struct KnownSlots {
    /// The highest written or seen.
    var generation: Int64 = 0
    /// Frames that may lie in each slot.
    var frames: [Int: Int] = [:]
}

private func key(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A key of the log, taken apart.
private struct SlotKey: Hashable {
    enum Part: Hashable {
        case manifest
        case frame(Int)
    }

    private static let keyBytesMax = 256

    var task: TaskID
    var incarnation: Int64
    var slot: Int
    var part: Part

    /// Nil for keys that are not exactly what the store writes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.keyBytesMax else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = text.split(separator: "/", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 5, let stage = StageName(text: String(parts[0])),
            let incarnation = SnapshotName.parseNumber(parts[1]),
            let task = SnapshotName.parseTask(stage: stage, parts[2]),
            let slot = SnapshotName.parseNumber(parts[3])
        else { return nil }
        if parts[4] == "manifest" {
            part = .manifest
        } else if let frame = SnapshotName.parseNumber(parts[4]), frame < SnapshotLimits.framesMax {
            part = .frame(Int(frame))
        } else {
            return nil
        }
        self.task = task
        self.incarnation = incarnation
        self.slot = Int(slot)
    }
}

/// The last record of a slot: generation u64 · header · digest u64 of both, little endian.
private struct Manifest {
    static let extraBytes = 16

    var info: SnapshotInfo
    var header: Result<SnapshotHeader, SnapshotError>

    static func encode(generation: Int64, _ header: SnapshotHeader) -> [UInt8] {
        var writer = ByteWriter(capacity: header.encodedBytes + extraBytes)
        writer.append(generation)
        writer.append(header.encoded())
        writer.append(writer.digest)
        return writer.bytes
    }

    init(key: SlotKey, value: UnsafeRawBufferPointer, partition: Int32, timestampMilliseconds: Int64) {
        info = SnapshotInfo(
            task: key.task, incarnation: key.incarnation, offset: 0, generation: 0, bytes: value.count,
            createdMilliseconds: timestampMilliseconds, place: .slot(key.slot, partition: partition), written: 0)
        do throws(SnapshotError) {
            let (generation, header) = try Self.decode(value)
            info.offset = header.identity.offset
            info.written = generation
            info.bytes += header.storedBytes
            info.header = header
            self.header = .success(header)
        } catch { header = .failure(error) }
    }

    private static func decode(_ value: UnsafeRawBufferPointer) throws(SnapshotError) -> (Int64, SnapshotHeader) {
        guard value.count > extraBytes else { throw SnapshotError(.corrupt, "the manifest is too short") }
        let body = UnsafeRawBufferPointer(rebasing: value[..<(value.count - 8)])
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: value[(value.count - 8)...]))
        guard try tail.next(UInt64.self) == digestOf(body) else {
            throw SnapshotError(.corrupt, "the manifest's checksum does not match")
        }
        var reader = ByteReader(body)
        let generation: Int64 = try reader.next()
        // One below the end, so that the next one still has a number.
        guard generation >= 0, generation < .max else { throw SnapshotError(.corrupt, "an impossible generation") }
        return (generation, try SnapshotHeader(decoding: UnsafeRawBufferPointer(rebasing: body[8...])))
    }
}

/// Frames appended in batches.
private final class LogFrameSink: FrameSink {
    private struct Batch {
        var records: [SnapshotLogRecord] = []
        var bytes = 0
    }

    private let log: any SnapshotLog
    private let prefix: String
    private let partition: Int32
    private let batchBytesMax: Int
    private let batch = Mutex(Batch())

    init(_ log: any SnapshotLog, prefix: String, partition: Int32, batchBytesMax: Int) {
        self.log = log
        self.prefix = prefix
        self.partition = partition
        self.batchBytesMax = batchBytesMax
    }

    func write(_ bytes: UnsafeRawBufferPointer, frame: Int) throws(SnapshotError) {
        let record = SnapshotLogRecord(key: key("\(prefix)/\(frame)"), value: Array(bytes))
        let isFull = batch.withLock { batch in
            batch.records.append(record)
            batch.bytes += bytes.count
            return batch.bytes >= batchBytesMax
        }
        if isFull { try flush() }
    }

    func flush() throws(SnapshotError) {
        let records = batch.withLock { batch in
            defer { batch = Batch() }
            return batch.records
        }
        if !records.isEmpty { try log.append(records, partition: partition) }
    }
}

/// Frames that were read into memory.
private struct MemoryFrameSource: FrameSource {
    let frames: [[UInt8]]

    func load(frame: Int, position: Int, into target: UnsafeMutableRawBufferPointer) throws(SnapshotError) {
        guard frames[frame].count == target.count else {
            throw SnapshotError(.corrupt, "frame \(frame) is missing or has another size")
        }
        target.copyBytes(from: frames[frame])
    }
}
