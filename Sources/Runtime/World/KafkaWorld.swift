import Kafka
import Logging
import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// Kafka, the snapshot store and the clocks, as a worker's loop sees them. Confined to the worker's thread.
///
/// ## Non-obvious
/// - A batch that the worker leaves early is kept, and the next poll goes on in it. What a rebalance brought beside the
///   batch is given first.
/// - The end of a partition is given only after all records of its batch: given before, it would make the loop jump
///   over them.
/// - Every `assign` begins anew at the loop's own offsets and forgets what was fetched. A record kept from before could
///   lie beyond the offset to begin at and hide those between.
/// - Time is read once per some records; reading it per record would cost as much as decoding one.
package final class KafkaWorld: WorkerWorld {
    /// Time-outs of the calls that ask a broker something.
    static let requestTimeoutMilliseconds = 10_000
    /// Wait after a failure that can be retried at once, so that retries do not spin.
    static let retryPauseMilliseconds: Int64 = 50
    /// Records between two readings of the clock.
    private static let recordsPerClock = 64

    let configuration: RuntimeConfiguration
    let log: Logger
    /// Inbox topics, in the order of the consumer's topic indices.
    let inboxes: [TopicName]
    /// Topics from outside: their records carry a content type.
    private let isExternal: [Bool]
    private let groupID: String
    private let isCooperative: Bool
    private let isStopping: () -> Bool
    package let snapshots: any SnapshotStore
    let writer: SnapshotWriter

    var consumer: Consumer?
    private var batch = RecordBatch()
    private var cursor = 0
    private var eventCursor = 0
    private var waitingRebalance: Rebalance?
    private var assigned: [TopicPartition] = []
    var output: OutputChannel?
    private var clock: Int64 = monotonicMilliseconds()
    /// The last committed offset read for each partition: what a log's end is judged against.
    var committedRead: [TopicPartition: Int64] = [:]
    package private(set) var statistics = WorldStatistics()
    var eventLog: WorkerEventLog

    /// Opens a consumer and a producer and joins the group of the stage and incarnation.
    package init(
        _ configuration: RuntimeConfiguration, inboxes: [TopicName], snapshots: any SnapshotStore, log: Logger,
        isStopping: @escaping () -> Bool = { false }
    ) throws(WorldError) {
        self.configuration = configuration
        self.inboxes = inboxes
        self.snapshots = snapshots
        self.log = log
        self.isStopping = isStopping
        isExternal = inboxes.map(\.isExternal)
        groupID = configuration.groupID
        isCooperative = configuration.kafka["partition.assignment.strategy"] == "cooperative-sticky"
        eventLog = WorkerEventLog(log)
        do {
            writer = try SnapshotWriter(snapshots)
        } catch {
            throw WorldError(.stopBroken, "snapshots cannot be written: \(error.reason)")
        }
        let names = inboxes.map { configuration.naming.topic($0) }
        do throws(KafkaError) {
            var consumer = try Consumer(properties: configuration.kafka, groupID: configuration.groupID, topics: names)
            try consumer.subscribe(names)
            self.consumer = consume consumer
            output = OutputChannel(try Producer(properties: configuration.kafka), naming: configuration.naming)
        } catch { throw WorldError(error) }
        batch = RecordBatch(recordsMax: configuration.batchRecordsMax)
    }

    // MARK: clocks

    package var nowMilliseconds: Int64 { clock }

    package var wallClock: EventTime? {
        configuration.followsWallClock ? EventTime(milliseconds: wallMilliseconds()) : nil
    }

    /// Reads the clock; called by whoever did something that takes time.
    package func refreshClock() { clock = monotonicMilliseconds() }

    // MARK: polling

    package func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) throws(WorldError) {
        refreshClock()
        if cursor >= batch.count && eventCursor >= batch.events.count && waitingRebalance == nil {
            try fetch(timeoutMilliseconds)
        }
        if let rebalance = waitingRebalance {
            waitingRebalance = nil
            return try give(rebalance, body)
        }
        let isExhausted = giveRecords(body)
        refreshClock()
        if isExhausted { try giveEvents(body) }
    }

    private func fetch(_ timeoutMilliseconds: Int64) throws(WorldError) {
        cursor = 0
        eventCursor = 0
        do throws(KafkaError) {
            let wait = Int(clamping: timeoutMilliseconds)
            let polled = try consumer?.poll(into: &batch, timeoutMilliseconds: wait)
            waitingRebalance = polled?.rebalance
        } catch { throw failed(error) }
        output?.producer.serve()
        refreshClock()
        statistics.polls &+= 1
        if batch.count > 0 {
            statistics.records &+= UInt64(batch.count)
            statistics.bytes &+= UInt64(batch.bytes)
            statistics.lastRecordMilliseconds = clock
        }
    }

    private func give(_ rebalance: Rebalance, _ body: (PollEvent) -> Bool) throws(WorldError) {
        switch rebalance {
        case .assigned(let partitions):
            statistics.hasJoined = true
            _ = body(.assigned(try known(partitions)))
        case .revoked(let partitions) where partitions.isEmpty, .lost(let partitions) where partitions.isEmpty:
            // Nothing of ours goes; the group still waits for the answer.
            try answerEmptyRevocation()
        case .revoked(let partitions): _ = body(.revoked(try known(partitions), lost: false))
        case .lost(let partitions): _ = body(.revoked(try known(partitions), lost: true))
        case .failed(let error): throw failed(error)
        }
    }

    private func answerEmptyRevocation() throws(WorldError) {
        do throws(KafkaError) {
            try consumer?.unassign([])
        } catch { throw failed(error) }
    }

    private func known(_ partitions: [KafkaPartition]) throws(WorldError) -> [TopicPartition] {
        var known: [TopicPartition] = []
        for partition in partitions {
            guard let topic = configuration.naming.topic(named: partition.topic) else {
                throw WorldError(.stopBroken, "the group assigned \(partition), which is none of our topics")
            }
            guard partition.partition < configuration.layout[topic] else {
                throw WorldError(
                    .stopBroken,
                    "\(partition) is beyond the \(configuration.layout[topic]) partitions that are configured; "
                        + "the partition count is fixed: replay into a new namespace")
            }
            known.append(TopicPartition(topic, partition.partition))
        }
        return known
    }

    /// Gives records until the worker leaves; true if all were given.
    private func giveRecords(_ body: (PollEvent) -> Bool) -> Bool {
        guard cursor < batch.count else { return true }
        let inboxes = self.inboxes
        let isExternal = self.isExternal
        var untilClock = Self.recordsPerClock
        cursor = batch.forEach(from: cursor) { record in
            guard record.topic < inboxes.count else { return true }
            untilClock -= 1
            if untilClock == 0 {
                untilClock = Self.recordsPerClock
                clock = monotonicMilliseconds()
            }
            let contentType = isExternal[record.topic] ? record.header("content-type") : nil
            return body(
                .record(
                    TopicPartition(inboxes[record.topic], record.partition),
                    InboxRecord(
                        offset: record.offset, key: record.key, value: record.value, contentType: contentType)))
        }
        return cursor >= batch.count
    }

    private func giveEvents(_ body: (PollEvent) -> Bool) throws(WorldError) {
        while eventCursor < batch.events.count {
            let event = batch.events[eventCursor]
            eventCursor += 1
            switch event {
            case .end(let topic, let partition, let offset):
                guard topic < inboxes.count else { continue }
                if !body(.end(TopicPartition(inboxes[topic], partition), position: offset)) { return }
            case .failed(_, _, let error):
                if error.disposition == .retry {
                    noteFailure(error.description)
                } else {
                    throw failed(error)
                }
            }
        }
        // Give the fetch buffers back before waiting for the next ones.
        if cursor > 0 || eventCursor > 0 { forgetBatch() }
    }

    private func forgetBatch() {
        batch.clear()
        cursor = 0
        eventCursor = 0
    }

    // MARK: partitions come and go

    package func assign(_ starts: [LoopStart]) throws(WorldError) {
        let wanted = starts.map { start in
            PartitionStart(name(of: start.partition), .at(start.offset))
        }
        do throws(KafkaError) {
            if isCooperative {
                try assignCooperatively(starts, wanted)
            } else {
                try consumer?.assign(wanted)
            }
        } catch { throw failed(error) }
        assigned = starts.map(\.partition)
        forgetBatch()
    }

    /// The added ones answer the group; the others begin anew where the loop stands.
    private func assignCooperatively(_ starts: [LoopStart], _ wanted: [PartitionStart]) throws(KafkaError) {
        var added: [PartitionStart] = []
        var kept: [PartitionStart] = []
        for (start, partition) in zip(starts, wanted) {
            if assigned.contains(start.partition) { kept.append(partition) } else { added.append(partition) }
        }
        try consumer?.assign(added)
        guard !kept.isEmpty else { return }
        try consumer?.unassign(kept.map(\.partition))
        try consumer?.assign(kept)
    }

    package func release(_ partitions: [TopicPartition]) throws(WorldError) {
        do throws(KafkaError) {
            try consumer?.unassign(partitions.map { name(of: $0) })
        } catch { throw failed(error) }
        if isCooperative {
            assigned.removeAll { partitions.contains($0) }
        } else {
            assigned = []
        }
        forgetBatch()
    }

    func name(of partition: TopicPartition) -> KafkaPartition {
        KafkaPartition(configuration.naming.topic(partition.topic), partition.partition)
    }

    // MARK: the producer's renewal

    package func rebuildProducer(afterMilliseconds: Int64) throws(WorldError) {
        sleepMilliseconds(afterMilliseconds, unless: isStopping)
        do throws(KafkaError) {
            let fresh = try Producer(properties: configuration.kafka)
            let old = output.take()
            output = OutputChannel(fresh, naming: configuration.naming)
            old?.close(deadline: Deadline(milliseconds: 5_000))
        } catch { throw failed(error) }
        statistics.rebuilds &+= 1
        // What was fetched lies beyond what will be committed; recovery begins before it.
        forgetBatch()
        refreshClock()
    }

    // MARK: snapshots and events

    package func submit(_ job: SnapshotJob) {
        if !writer.submit(job) { noteFailure("the snapshot writer takes no more; this snapshot is skipped") }
    }

    package func note(_ event: WorkerEvent) {
        if case .failed(let reason) = event { noteFailure(reason) }
        eventLog.note(event, now: clock)
    }

    func noteFailure(_ reason: String) {
        statistics.lastFailure = reason
        statistics.lastFailureWallMilliseconds = wallMilliseconds()
        statistics.failures &+= 1
        eventLog.failure(reason, now: clock)
    }

    /// The error for the worker; what can be retried is retried after a short pause.
    func failed(_ error: KafkaError) -> WorldError {
        if error.disposition == .retry { sleepMilliseconds(Self.retryPauseMilliseconds, unless: isStopping) }
        refreshClock()
        return WorldError(error)
    }

    /// Counts what `KafkaWorld+Output` does.
    func count(_ change: (inout WorldStatistics) -> Void) { change(&statistics) }

    package func rest(milliseconds: Int64) {
        sleepMilliseconds(milliseconds, unless: isStopping)
        refreshClock()
    }

    // MARK: the end

    /// Ends consumer, producer and snapshot writer within the deadline. What is to be committed has been committed.
    /// Without `gracefully` nobody is told: as after a crash.
    package func close(deadlineMilliseconds: Int, gracefully: Bool = true) {
        let deadline = Deadline(milliseconds: deadlineMilliseconds)
        if gracefully, writer.isBusy {
            _ = writer.finish(withinSeconds: Double(deadline.remainingMilliseconds) / 2_000)
        }
        var finished = RecordBatch(recordsMax: 1)
        swap(&finished, &batch)
        cursor = 0
        if let consumer = consumer.take() {
            let wait = gracefully ? Int(deadline.remainingMilliseconds) : 0
            let outcome = consumer.close(clearing: finished, deadline: Deadline(milliseconds: wait))
            if gracefully, outcome != .closed {
                log.notice("consumer left without goodbye", metadata: ["kafka.outcome": "\(outcome)"])
            }
        }
        if let output = output.take() {
            let left = max(500, Int(deadline.remainingMilliseconds))
            output.close(deadline: Deadline(milliseconds: left))
        }
    }
}

/// Plain counters of the worker's thread, published once a second.
package struct WorldStatistics: Sendable {
    package var polls: UInt64 = 0
    package var records: UInt64 = 0
    package var bytes: UInt64 = 0
    package var recordsProduced: UInt64 = 0
    package var bytesProduced: UInt64 = 0
    package var flushes: UInt64 = 0
    package var flushMilliseconds: UInt64 = 0
    package var commits: UInt64 = 0
    package var commitMilliseconds: UInt64 = 0
    package var rebuilds: UInt64 = 0
    package var failures: UInt64 = 0
    package var lastFailure: String?
    package var lastFailureWallMilliseconds: Int64 = 0
    package var lastRecordMilliseconds: Int64 = 0
    /// The group has given an assignment, if only an empty one.
    package var hasJoined = false
}

extension TopicName {
    /// Written by others than our stages: content types and transactions are possible.
    var isExternal: Bool {
        switch self {
        case .telemetry, .interactions, .environment, .outcomes, .policies, .commands: true
        default: false
        }
    }
}

extension WorldError {
    /// A Kafka error, sorted the same way.
    init(_ error: KafkaError) {
        let disposition: Disposition =
            switch error.disposition {
            case .retry: .retry
            case .restoreAndReplay: .restoreAndReplay
            case .stopFenced: .stopFenced
            case .deadLetter: .deadLetter
            case .stopBroken: .stopBroken
            }
        self.init(disposition, "\(error.reason) (\(error.name))")
    }
}
