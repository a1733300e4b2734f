import CRdKafka

/// Records for one topic that go to librdkafka in one call, so that it takes its locks and reads its clocks once for
/// all of them. The bytes are only borrowed: `Producer.produce` copies them, and must come before they change.
package struct ProduceBatch: ~Copyable {
    /// How many records fit; more than a few hundred save nothing.
    package static let recordsMax = 1_024

    /// Records at hand.
    package private(set) var count = 0
    private let messages: UnsafeMutablePointer<rd_kafka_message_t>

    package init() {
        messages = .allocate(capacity: Self.recordsMax)
        messages.initialize(repeating: rd_kafka_message_t(), count: Self.recordsMax)
    }

    deinit { messages.deallocate() }

    package var isFull: Bool { count == Self.recordsMax }

    /// Adds a record. Nil is a null key, and a tombstone; empty is neither.
    package mutating func append(partition: Int32, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?) {
        precondition(count < Self.recordsMax, "the batch is full")
        let message = messages + count
        message.pointee.partition = partition
        message.pointee.key = Producer.start(of: key)
        message.pointee.key_len = key?.count ?? 0
        message.pointee.payload = Producer.start(of: value)
        message.pointee.len = value?.count ?? 0
        count += 1
    }

    package mutating func removeAll() { count = 0 }

    /// Hands the records from `first` on to librdkafka; returns the first that it refused, and why.
    fileprivate func produce(from first: Int, to topic: OpaquePointer) -> (index: Int, code: rd_kafka_resp_err_t)? {
        let left = count - first
        let flags = RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION
        let taken = rd_kafka_produce_batch(topic, 0, flags, messages + first, Int32(left))
        guard Int(taken) < left else { return nil }
        let refused = (first..<count).first { messages[$0].err != RD_KAFKA_RESP_ERR_NO_ERROR } ?? first
        return (refused, messages[refused].err)
    }

    fileprivate func partition(of index: Int) -> Int32 { messages[index].partition }
}

extension Producer {
    /// Queues a batch and empties it. While the queue is full it waits for room until the deadline.
    /// Throws as `produce` of a single record does; some of the batch may then have been queued.
    package mutating func produce(
        _ batch: inout ProduceBatch, to topic: Topic, deadline: Deadline
    ) throws(KafkaError) {
        defer { batch.removeAll() }
        var next = 0
        while let refused = batch.produce(from: next, to: handle(of: topic)) {
            // Once the queue is full, everything behind is refused as well, so the order stands.
            guard refused.code == RD_KAFKA_RESP_ERR__QUEUE_FULL, !deadline.hasPassed else {
                let place = "\(name(of: topic))[\(batch.partition(of: refused.index))]"
                throw failure(refused.code, doing: "producing to \(place)")
            }
            next = refused.index
            serve(forMilliseconds: min(deadline.remainingMilliseconds, 10))
        }
    }
}
