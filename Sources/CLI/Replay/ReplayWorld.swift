import Foundation
import Kafka
import Runtime
import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// What a replay reads and where it ends.
struct ReplayRange: Sendable {
    /// Records below are folded silently.
    var point: Int64
    /// Records at or beyond are left alone; nil while the inbox is still being written by the replay itself.
    var end: Int64?
}

/// The outside of a replaying worker: reads the recorded inbox without joining anybody's group, writes into the
/// parallel
/// topics, commits to a group of its own. Confined to one thread.
final class ReplayWorld: WorkerWorld {
    private static let timeoutMilliseconds = 10_000

    private let configuration: RuntimeConfiguration
    /// How the inbox topics are called: live ones, or those of the replay where a chain wrote them.
    private let inboxNaming: TopicNaming
    private let inboxes: [TopicName]
    private let ranges: [TopicPartition: ReplayRange]
    let partitions: [TopicPartition]
    let snapshots: any SnapshotStore
    private let writer: SnapshotWriter

    private var consumer: Consumer
    private var batch = RecordBatch(recordsMax: 10_000)
    private var cursor = 0
    private var eventCursor = 0
    private var output: OutputChannel
    private var hasAssigned = false
    /// Where reading stands; beyond the end of its range a partition is done.
    private var positions: [TopicPartition: Int64] = [:]
    private(set) var recordsRead = 0
    private(set) var recordsWritten = 0
    private(set) var failures: [String] = []
    private(set) var recoveries: [TaskID: (from: Int64, speakFrom: Int64, usedSnapshot: Bool)] = [:]
    private(set) var nowMilliseconds: Int64 = 0

    /// Partitions whose commits count: all if an interrupted replay goes on, else those of this run. The group may have
    /// commits of an older replay whose topics are gone.
    private var committing: Set<TopicPartition>

    /// - Parameter configuration: that of the stage in the replay's namespace.
    init(
        _ configuration: RuntimeConfiguration, inboxes: [TopicName], inboxNaming: TopicNaming,
        ranges: [TopicPartition: ReplayRange], snapshots: any SnapshotStore, resumes: Bool
    ) throws {
        self.configuration = configuration
        self.inboxes = inboxes
        self.inboxNaming = inboxNaming
        self.ranges = ranges
        self.snapshots = snapshots
        partitions = inboxes.flatMap { inbox in
            (0..<configuration.layout[inbox]).map { TopicPartition(inbox, $0) }
        }
        committing = resumes ? Set(partitions) : []
        let writer = try SnapshotWriter(snapshots)
        let consumer = try Consumer(
            properties: configuration.kafka, groupID: configuration.groupID,
            topics: inboxes.map { inboxNaming.topic($0) })
        let output = OutputChannel(try Producer(properties: configuration.kafka), naming: configuration.naming)
        self.writer = writer
        self.consumer = consumer
        self.output = output
        refreshClock()
    }

    private func refreshClock() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        nowMilliseconds = Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// A replay lives in event time alone.
    var wallClock: EventTime? { nil }

    private func name(_ partition: TopicPartition) -> KafkaPartition {
        KafkaPartition(inboxNaming.topic(partition.topic), partition.partition)
    }

    // MARK: progress

    /// Every partition is read to the end of its range. Never, while one has no end.
    var isDone: Bool {
        partitions.allSatisfy { partition in
            guard let end = ranges[partition]?.end else { return false }
            return positions[partition] ?? 0 >= end
        }
    }

    /// Offsets passed and offsets to pass.
    var progress: (done: Int, total: Int) {
        var (done, total) = (0, 0)
        for (partition, range) in ranges {
            guard let end = range.end else { continue }
            total += Int(end)
            done += Int(min(positions[partition] ?? 0, end))
        }
        return (done, total)
    }

    // MARK: consuming

    func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) throws(WorldError) {
        refreshClock()
        if !hasAssigned {
            hasAssigned = true
            _ = body(.assigned(partitions))
            return
        }
        if cursor >= batch.count, eventCursor >= batch.events.count { try fetch(timeoutMilliseconds) }
        guard give(body) else { return }
        try giveEvents(body)
        refreshClock()
    }

    private func fetch(_ timeoutMilliseconds: Int64) throws(WorldError) {
        cursor = 0
        eventCursor = 0
        do throws(KafkaError) {
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        output.producer.serve()
        refreshClock()
    }

    /// Gives records until the worker leaves; true if all were given.
    private func give(_ body: (PollEvent) -> Bool) -> Bool {
        guard cursor < batch.count else { return true }
        cursor = batch.forEach(from: cursor) { record in
            guard record.topic < inboxes.count else { return true }
            let partition = TopicPartition(inboxes[record.topic], record.partition)
            positions[partition] = max(positions[partition] ?? 0, record.offset + 1)
            guard record.offset < ranges[partition]?.end ?? .max else { return true }
            recordsRead += 1
            return body(
                .record(
                    partition,
                    InboxRecord(
                        offset: record.offset, key: record.key, value: record.value,
                        contentType: record.header("content-type"))))
        }
        return cursor >= batch.count
    }

    private func giveEvents(_ body: (PollEvent) -> Bool) throws(WorldError) {
        while eventCursor < batch.events.count {
            let event = batch.events[eventCursor]
            eventCursor += 1
            switch event {
            case .end(let topic, let number, let offset):
                guard topic < inboxes.count else { continue }
                let partition = TopicPartition(inboxes[topic], number)
                positions[partition] = max(positions[partition] ?? 0, offset)
                // Beyond the range lie records that were not given.
                let position = min(offset, ranges[partition]?.end ?? .max)
                if !body(.end(partition, position: position)) { return }
            case .failed(_, _, let error): if error.disposition != .retry { throw failed(error) }
            }
        }
        batch.clear()
        cursor = 0
        eventCursor = 0
    }

    func committed(_ partition: TopicPartition, incarnation: UInt64) throws(WorldError) -> Int64? {
        guard incarnation == configuration.incarnation else { return nil }
        if committing.contains(partition) {
            do throws(KafkaError) {
                // Under the inbox's own name, live or not: the group is the replay's alone.
                let own = try consumer.committed([name(partition)], timeoutMilliseconds: Self.timeoutMilliseconds)
                if let offset = own.first ?? nil { return offset }
            } catch { throw failed(error) }
        }
        let point = ranges[partition]?.point ?? 0
        return point > 0 ? point : nil
    }

    func rest(milliseconds: Int64) { usleep(UInt32(clamping: milliseconds * 1_000)) }

    func bounds(_ partition: TopicPartition) throws(WorldError) -> LogBounds {
        do throws(KafkaError) {
            let told = try consumer.watermarks(name(partition), timeoutMilliseconds: Self.timeoutMilliseconds)
            return LogBounds(start: max(told.low, 0), end: nil)
        } catch { throw failed(error) }
    }

    func assign(_ starts: [LoopStart]) throws(WorldError) {
        do throws(KafkaError) {
            try consumer.assign(starts.map { PartitionStart(name($0.partition), .at($0.offset)) })
        } catch { throw failed(error) }
        for start in starts { positions[start.partition] = max(positions[start.partition] ?? 0, start.offset) }
        batch.clear()
        cursor = 0
        eventCursor = 0
    }

    func release(_ partitions: [TopicPartition]) throws(WorldError) {}

    // MARK: producing

    /// The recorded inbox is read as it stands, and never written to.
    func record(_ acceptance: [UInt8], in inbox: TopicPartition) {}

    func produce(_ records: borrowing Outbox) throws(WorldError) {
        let deadline = Deadline(milliseconds: Int(clamping: configuration.loop.flushTimeoutMilliseconds))
        do throws(KafkaError) {
            try output.produce(records, deadline: deadline)
        } catch {
            // The records have left the emitter: nothing less than a recovery brings them back.
            let failure = failed(error)
            throw failure.disposition == .retry ? WorldError(.restoreAndReplay, failure.reason) : failure
        }
        recordsWritten += records.count
        refreshClock()
    }

    func flush(timeoutMilliseconds: Int64) throws(WorldError) {
        do throws(KafkaError) {
            try output.producer.flush(timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        refreshClock()
    }

    func commit(_ offsets: [LoopStart], timeoutMilliseconds: Int64) throws(WorldError) {
        do throws(KafkaError) {
            try consumer.commit(
                offsets.map { NextOffset(name($0.partition), $0.offset) },
                timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        committing.formUnion(offsets.map(\.partition))
        refreshClock()
    }

    func rebuildProducer(afterMilliseconds wait: Int64) throws(WorldError) {
        usleep(UInt32(clamping: min(wait, 10_000) * 1_000))
        do throws(KafkaError) {
            var fresh = OutputChannel(
                try Producer(properties: configuration.kafka), naming: configuration.naming)
            swap(&fresh, &output)
            fresh.close(deadline: Deadline(milliseconds: 5_000))
        } catch { throw failed(error) }
        batch.clear()
        cursor = 0
        eventCursor = 0
        refreshClock()
    }

    // MARK: the rest

    func submit(_ job: SnapshotJob) { _ = writer.submit(job) }

    func note(_ event: WorkerEvent) {
        switch event {
        case .recovered(let task, let from, let speakFrom, let usedSnapshot):
            recoveries[task] = (from, speakFrom, usedSnapshot)
        case .failed(let reason): if failures.count < 100 { failures.append(reason) }
        case .skippedSnapshot(let task, let reason): failures.append("\(task): a snapshot was passed over: \(reason)")
        default: break
        }
    }

    private func failed(_ error: KafkaError) -> WorldError {
        if error.disposition == .retry { usleep(50_000) }
        refreshClock()
        switch error.disposition {
        case .retry: return WorldError(.retry, error.description)
        case .restoreAndReplay: return WorldError(.restoreAndReplay, error.description)
        case .stopFenced: return WorldError(.stopFenced, error.description)
        case .deadLetter, .stopBroken: return WorldError(.stopBroken, error.description)
        }
    }

    /// Waits for what is on its way to the disk and gives back what pins the clients, which end with this world.
    func close() {
        _ = writer.finish(withinSeconds: 30)
        batch.clear()
    }
}
