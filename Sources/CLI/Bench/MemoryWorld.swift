import Foundation
import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// A worker's outside in memory: one partition whose records are made when asked for, a committed offset, a real
/// snapshot store. For measuring the production loop without a broker.
final class MemoryWorld: WorkerWorld {
    let snapshots: any SnapshotStore
    let writer: SnapshotWriter
    private let partition: TopicPartition
    /// The record at an offset, or nil at the end.
    private let record: (Int64) -> [UInt8]?
    private var position: Int64 = 0
    private var hasAssigned = false
    private(set) var committedOffset: Int64?
    private(set) var results: [SnapshotResult] = []
    private(set) var submitted = 0

    init(
        _ partition: TopicPartition, snapshots: any SnapshotStore, committed: Int64?,
        record: @escaping (Int64) -> [UInt8]?
    ) throws(SnapshotError) {
        self.partition = partition
        self.snapshots = snapshots
        self.record = record
        committedOffset = committed
        writer = try SnapshotWriter(snapshots)
    }

    var nowMilliseconds: Int64 { Int64(Usage.now.wallSeconds * 1_000) }
    var wallClock: EventTime? { nil }

    /// True while a snapshot is on its way to the disk.
    var isWriting: Bool { writer.isBusy }

    func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) throws(WorldError) {
        results += writer.drainResults()
        if !hasAssigned {
            hasAssigned = true
            _ = body(.assigned([partition]))
            return
        }
        guard let bytes = record(position) else {
            _ = body(.end(partition, position: position))
            return
        }
        position += 1
        let offset = position - 1
        bytes.withUnsafeBytes { value in
            _ = body(.record(partition, InboxRecord(offset: offset, key: nil, value: value)))
        }
    }

    func committed(_ partition: TopicPartition, incarnation: UInt64) throws(WorldError) -> Int64? {
        incarnation == 1 ? committedOffset : nil
    }
    func rest(milliseconds: Int64) { usleep(UInt32(clamping: milliseconds * 1_000)) }
    func bounds(_ partition: TopicPartition) throws(WorldError) -> LogBounds { LogBounds(start: 0, end: nil) }
    func assign(_ starts: [StartOffset]) throws(WorldError) {
        if let start = starts.first { position = start.offset }
    }
    func release(_ partitions: [TopicPartition]) throws(WorldError) {}
    func produce(_ records: borrowing Outbox) throws(WorldError) {}
    func flush(timeoutMilliseconds: Int64) throws(WorldError) {}
    func commit(_ offsets: [StartOffset], timeoutMilliseconds: Int64) throws(WorldError) {
        if let offset = offsets.first?.offset { committedOffset = offset }
    }
    func rebuildProducer(afterMilliseconds: Int64) throws(WorldError) {}
    func submit(_ job: SnapshotJob) {
        submitted += 1
        _ = writer.submit(job)
    }
    func note(_ event: WorkerEvent) {}

    /// Waits for the writer and takes what it still has to say.
    func drain() {
        while writer.isBusy { usleep(1_000) }
        results += writer.drainResults()
    }
}
