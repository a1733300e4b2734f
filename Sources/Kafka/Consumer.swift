import CRdKafka
import Glibc
import Synchronization

/// A Kafka consumer, confined to the thread that made it: every callback runs there, inside `poll` or `close`.
///
/// ## Non-obvious
/// - A rebalance is *reported* by `poll` and *answered* by the caller, later and on the same thread, with `assign` or
///   `unassign`. Until then the group waits, so offsets can be flushed and committed in between; the wait is bounded by
///   `max.poll.interval.ms`, and our own deadline should lie far below it.
/// - The first record is waited for with `rd_kafka_consumer_poll`, the rest is drained from the same queue without
///   waiting: the batch call's own time-out would wait for a *full* batch.
/// - No pause, resume or seek: together with the batch call they lose records before librdkafka 2.1.0. Where reading
///   begins is said in `assign`.
/// - A partition that is begun anew while it is being read has its old fetcher stopped. Taken away again before that
///   has happened, it is stopped twice, and librdkafka aborts the process (confluentinc/librdkafka#5573). So after
///   such an `assign` the next change of the assignment waits for a moment.
/// - Offsets given to `commit` are those of the *next* record to process. Consecutive offsets are never assumed:
///   compaction and transaction markers leave holes.
package struct Consumer: ~Copyable {
    /// The consumer's own queue. Its reference must be gone before the client is closed.
    private var queue: OpaquePointer?
    private var topics: TopicTable
    /// After the queue and the topics, so that a consumer that is dropped without `close` ends in the right order too.
    var handle: ClientHandle
    /// A reported rebalance has not been answered yet.
    var owesAnswer = false
    /// Something is assigned, and may be read.
    private var isAssigned = false
    /// Until when the stopping of fetchers may last that the last `assign` replaced.
    private var stopping = Deadline(milliseconds: 0)
    /// A stop is served by a broker's thread, at once unless that is busy; nothing tells when it is done.
    private static let stopMilliseconds = 300

    /// A member of `groupID`; a consumer that only reads what it assigns itself needs one too, but never joins it.
    /// Topics named here get the first indices in `Record.topic`.
    /// Throws for properties that are unknown, malformed or fixed by the design. Does not connect yet.
    package init(properties: KafkaProperties, groupID: String, topics: [String] = []) throws(KafkaError) {
        guard !groupID.isEmpty else { throw KafkaError(refusing: "a consumer needs a group id") }
        handle = try ClientHandle(RD_KAFKA_CONSUMER, properties: properties, role: .consumer, groupID: groupID)
        // One queue for records and callbacks, so that one poll serves both.
        rd_kafka_poll_set_consumer(handle.client)
        queue = rd_kafka_queue_get_consumer(handle.client)
        self.topics = TopicTable(names: topics)
    }

    /// Joins the group for these topics. The assignment comes later, as `Polled.rebalance`.
    package mutating func subscribe(_ names: [String]) throws(KafkaError) {
        for name in names { topics.add(name) }
        let list = PartitionList(names.map { KafkaPartition($0, -1) })
        try check(rd_kafka_subscribe(handle.client, list.list), doing: "subscribing")
    }

    /// The name that stands behind `Record.topic`.
    package func topicName(_ index: Int) -> String? {
        topics.names.indices.contains(index) ? topics.names[index] : nil
    }

    /// Begins to read these partitions, each from its start: the answer to `Rebalance.assigned`, or an assignment of
    /// one's own without a group. Under the eager protocol it replaces what was assigned before.
    package mutating func assign(_ starts: [PartitionStart]) throws(KafkaError) {
        for start in starts { topics.add(start.partition.topic) }
        let list = PartitionList(starts)
        settle()
        if isAssigned && !owesAnswer { stopping = Deadline(milliseconds: Self.stopMilliseconds) }
        isAssigned = true
        owesAnswer = false
        if handle.context.isCooperative {
            if let error = rd_kafka_incremental_assign(handle.client, list.list) {
                throw KafkaError(consuming: error, doing: "assigning")
            }
        } else {
            try check(rd_kafka_assign(handle.client, list.list), doing: "assigning")
        }
    }

    /// Lets go of these partitions: the answer to `Rebalance.revoked` and `.lost`. Under the eager protocol it lets go
    /// of all, whatever is listed. Offsets that are to be committed must have been committed before.
    package mutating func unassign(_ partitions: [KafkaPartition]) throws(KafkaError) {
        settle()
        owesAnswer = false
        if handle.context.isCooperative {
            let list = PartitionList(partitions)
            if let error = rd_kafka_incremental_unassign(handle.client, list.list) {
                throw KafkaError(consuming: error, doing: "unassigning")
            }
        } else {
            isAssigned = false
            try check(rd_kafka_assign(handle.client, nil), doing: "unassigning")
        }
    }

    /// Waits until no fetcher is being stopped any more.
    func settle() {
        let left = stopping.remainingMilliseconds
        if left > 0 { usleep(UInt32(left) * 1_000) }
    }

    /// librdkafka's log lines since the last call, bounded; the oldest are dropped first, and counted.
    package func drainLogs() -> [KafkaLogLine] { handle.context.drainLogs() }

    /// True from the moment the last broker was lost until the next record, or answer to a question, arrives.
    package var isEveryBrokerDown: Bool { handle.context.contents.withLock { $0.isEveryBrokerDown } }

    /// The last thing that kept the client from its brokers, until the same.
    package var connectionError: KafkaError? { handle.context.contents.withLock { $0.lastError } }

    func check(_ code: rd_kafka_resp_err_t, doing: String) throws(KafkaError) {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        if let fatal = KafkaError(fatalOf: handle.client, doing: doing) { throw fatal }
        throw handle.context.explain(KafkaError(code, doing: doing))
    }

    /// Lets the queue and the topic handles go: they would hold the client alive.
    mutating func releaseReferences() {
        if let queue { rd_kafka_queue_destroy(queue) }
        queue = nil
        topics.release()
    }

    deinit {
        if let queue { rd_kafka_queue_destroy(queue) }
    }
}

extension Consumer {
    /// What a poll brought, beside the records and events in the batch.
    package struct Polled: Sendable {
        /// Records in the batch.
        package let records: Int
        /// A change of the assignment, to be answered before the next poll. Records of partitions that are no longer
        /// owned may stand in the batch beside it; the caller drops them.
        package let rebalance: Rebalance?
    }

    /// Empties `batch`, waits up to `timeoutMilliseconds` for a first record, then takes what is there, up to
    /// `recordsMax` or the batch's capacity. Returns at once after a rebalance.
    /// Throws only what voids the consumer; what concerns one partition is an event in the batch.
    package mutating func poll(
        into batch: inout RecordBatch, timeoutMilliseconds: Int, recordsMax: Int = .max
    ) throws(KafkaError) -> Polled {
        batch.clear()
        // Two events can lie in one poll only if the first needed no answer.
        if let rebalance = takeRebalance() { return Polled(records: 0, rebalance: rebalance) }
        let limit = min(max(recordsMax, 1), batch.recordsMax)
        let client = handle.client
        let wait = Int32(clamping: max(timeoutMilliseconds, 0))
        var arrived = 0
        if let first = rd_kafka_consumer_poll(client, wait) {
            batch.messages[0] = first
            arrived = 1
        }
        if arrived > 0, arrived < limit, !handle.context.hasRebalance.load(ordering: .relaxed), let queue {
            let more = rd_kafka_consume_batch_queue(queue, 0, batch.messages + 1, limit - 1)
            if more > 0 { arrived += more }
        }
        batch.accept(arrived) { topics.index(of: $0, client: client) }
        if batch.count > 0, handle.context.contents.withLock({ $0.lastError != nil }) { handle.context.recordContact() }
        for case .failed(nil, _, let error) in batch.events where error.disposition != .retry {
            throw KafkaError(fatalOf: client, doing: "consuming") ?? error
        }
        return Polled(records: batch.count, rebalance: takeRebalance())
    }

    private mutating func takeRebalance() -> Rebalance? {
        guard let rebalance = handle.context.takeRebalance() else { return nil }
        if case .failed = rebalance { owesAnswer = false } else { owesAnswer = true }
        return rebalance
    }
}

/// Topics by index, and the handles by which records name them. Each known handle is held by a reference of our own,
/// so that its address stays the topic's.
private struct TopicTable: ~Copyable {
    private(set) var names: [String]
    private var handles: [(handle: OpaquePointer, index: Int)] = []

    init(names: [String]) { self.names = names }

    @discardableResult
    mutating func add(_ name: String) -> Int {
        if let index = names.firstIndex(of: name) { return index }
        names.append(name)
        return names.count - 1
    }

    mutating func index(of handle: OpaquePointer, client: OpaquePointer) -> Int {
        for known in handles where known.handle == handle { return known.index }
        let index = add(rd_kafka_topic_name(handle).map { String(cString: $0) } ?? "")
        guard let held = rd_kafka_topic_new(client, names[index], nil) else { return index }
        if held == handle {
            handles.append((handle, index))
        } else {
            rd_kafka_topic_destroy(held)
        }
        return index
    }

    mutating func release() {
        for known in handles { rd_kafka_topic_destroy(known.handle) }
        handles = []
    }

    deinit {
        for known in handles { rd_kafka_topic_destroy(known.handle) }
    }
}
