import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// One worker's view of the simulated outside. Faults strike here, at the calls that can fail in production.
package final class SimulatedWorld: WorkerWorld {
    package let id: Int
    package let stage: StageName
    package let incarnation: UInt64
    package let hub: SimulationHub
    package let snapshots: any SnapshotStore
    /// Event time as a clock on the wall would show it, where the simulation has one.
    package var wallClock: EventTime? { hub.wallClock }
    /// What the worker told its operator.
    package private(set) var failures: [String] = []

    private var positions: [(id: TopicPartition, offset: Int64)] = []
    private var queued: [OutgoingRecord] = []
    private var turn = 0

    package init(id: Int, stage: StageName, incarnation: UInt64, hub: SimulationHub, snapshots: any SnapshotStore) {
        self.id = id
        self.stage = stage
        self.incarnation = incarnation
        self.hub = hub
        self.snapshots = snapshots
    }

    package var nowMilliseconds: Int64 { hub.now }

    private var group: SimulatedGroup { hub.group(stage, incarnation) }

    // MARK: consuming

    package func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) throws(WorldError) {
        hub.now += Int64(hub.random.int(0...5))
        if hub.random.chance(hub.faults.pollFails) { throw WorldError(.retry, "poll failed") }
        if !group.isEvicted(id), let event = group.takeEvent(id) {
            switch event {
            case .assigned(let partitions): _ = body(.assigned(partitions))
            case .revoked(let partitions, let lost): _ = body(.revoked(partitions, lost: lost))
            }
            // Records of before the rebalance may still come: the loop has to drop them.
            if hub.random.chance(0.5) { deliver(most: 2, body) }
            return
        }
        let most = hub.random.chance(hub.faults.tinyBatch) ? 1 : hub.random.int(1...80)
        if !deliver(most: most, body) { hub.now += min(timeoutMilliseconds, 10) }
    }

    /// Gives records of the assigned partitions in turn; true if there were any.
    @discardableResult
    private func deliver(most: Int, _ body: (PollEvent) -> Bool) -> Bool {
        guard !positions.isEmpty else { return false }
        var given = 0
        for _ in 0..<positions.count where given < most {
            turn = (turn + 1) % positions.count
            let partition = positions[turn].id
            var index = hub.log.index(partition, from: positions[turn].offset)
            while given < most, let record = hub.log.record(partition, index) {
                given += 1
                index += 1
                positions[turn].offset = record.offset + 1
                if hub.log.isCompacted(partition, record.offset) { continue }
                if !give(partition, record, body) { return true }
                if hub.random.chance(0.05) { break }
            }
            if hub.log.record(partition, index) == nil {
                positions[turn].offset = hub.log.end(partition)
                if !body(.end(partition, position: positions[turn].offset)) { return true }
            }
        }
        return given > 0
    }

    private func give(_ partition: TopicPartition, _ record: SimulatedLog.Stored, _ body: (PollEvent) -> Bool) -> Bool {
        func borrow<R>(_ bytes: [UInt8]?, _ inner: (UnsafeRawBufferPointer?) -> R) -> R {
            guard let bytes else { return inner(nil) }
            return bytes.withUnsafeBytes { inner($0) }
        }
        return borrow(record.key) { key in
            borrow(record.value) { value in
                borrow(record.contentType) { type in
                    body(
                        .record(
                            partition, InboxRecord(offset: record.offset, key: key, value: value, contentType: type)))
                }
            }
        }
    }

    package func committed(_ partition: TopicPartition, incarnation: UInt64) throws(WorldError) -> Int64? {
        hub.log.committed(stage, incarnation, partition)
    }

    /// Virtual time passes by itself.
    package func rest(milliseconds: Int64) {}

    package func bounds(_ partition: TopicPartition) throws(WorldError) -> LogBounds {
        LogBounds(start: hub.start(stage, partition), end: hub.log.end(partition))
    }

    package func assign(_ starts: [StartOffset]) throws(WorldError) {
        positions = starts.map { ($0.partition, $0.offset) }
        turn = 0
    }

    package func release(_ partitions: [TopicPartition]) throws(WorldError) {
        positions.removeAll { partitions.contains($0.id) }
        turn = 0
        group.released(id)
    }

    // MARK: producing

    package func produce(_ records: borrowing Outbox) throws(WorldError) {
        records.forEach { queued.append(OutgoingRecord($0)) }
        // The client sends in the background: some of it is in the log long before the flush.
        while !queued.isEmpty && hub.random.chance(0.3) { append(queued.removeFirst()) }
    }

    private func append(_ record: OutgoingRecord) {
        let partition = TopicPartition(record.topic, record.partition)
        if hub.random.chance(hub.faults.offsetGap) { hub.log.skip(partition, count: Int64(hub.random.int(1...3))) }
        hub.log.append(partition, key: record.key, value: record.value)
        if hub.random.chance(hub.faults.frameTwice) { hub.log.append(partition, key: record.key, value: record.value) }
    }

    package func flush(timeoutMilliseconds: Int64) throws(WorldError) {
        hub.now += Int64(hub.random.int(0...3))
        if hub.random.chance(hub.faults.flushFails) {
            dropSome()
            throw WorldError(.restoreAndReplay, "a frame was not acknowledged")
        }
        for record in queued { append(record) }
        queued = []
    }

    /// The process dies or the producer is thrown away: any part of what is queued has made it.
    package func dropSome() {
        let keep = hub.random.unit()
        for record in queued where hub.random.chance(keep) { append(record) }
        queued = []
    }

    package func commit(_ offsets: [StartOffset], timeoutMilliseconds: Int64) throws(WorldError) {
        if group.isEvicted(id) { throw WorldError(.restoreAndReplay, "not a member of the group any more") }
        if hub.random.chance(hub.faults.commitFails) {
            throw WorldError(hub.random.chance(0.5) ? .retry : .restoreAndReplay, "commit failed")
        }
        for start in offsets {
            guard group.owns(id, start.partition) else {
                throw WorldError(.restoreAndReplay, "\(start.partition) is not ours any more")
            }
            hub.check(
                start.offset >= hub.log.committed(stage, incarnation, start.partition) ?? 0,
                "#\(id) moved the committed offset of \(start.partition) back to \(start.offset)")
            hub.log.commit(stage, incarnation, start.partition, start.offset)
        }
        if hub.random.chance(hub.faults.commitReplyLost) { throw WorldError(.retry, "the reply was lost") }
    }

    package func rebuildProducer(afterMilliseconds: Int64) throws(WorldError) {
        dropSome()
        hub.now += afterMilliseconds
    }

    // MARK: snapshots and notes

    package func submit(_ job: SnapshotJob) {
        do {
            _ = try snapshots.save(job.identity, job.content)
            hub.snapshotsSaved += 1
            hub.damageSnapshots(of: job.identity.task)
        } catch {
            hub.snapshotsFailed += 1
        }
    }

    package func note(_ event: WorkerEvent) {
        if case .failed(let reason) = event { failures.append(reason) }
        if case .skippedSnapshot = event { hub.snapshotsSkipped += 1 }
        if case .recovered(_, _, _, let usedSnapshot) = event {
            hub.recoveries += 1
            if usedSnapshot { hub.recoveriesFromSnapshot += 1 }
        }
    }
}
