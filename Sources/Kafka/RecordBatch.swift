import CRdKafka

/// Something that a poll brought beside records.
package enum PartitionEvent: Sendable, Equatable {
    /// The end of the partition was reached: the next record will have this offset or a higher one.
    case end(topic: Int, partition: Int32, offset: Int64)
    /// Reading a partition failed, or, with nil and -1, the consumer as a whole complains.
    case failed(topic: Int?, partition: Int32, KafkaError)
}

/// The records of one poll, in preallocated space; poll empties it before it fills it.
///
/// A retained message pins the whole fetch buffer that it came in, so a batch is to be worked off and cleared soon.
package struct RecordBatch: ~Copyable {
    /// How many records fit.
    package let recordsMax: Int
    /// Records at hand.
    package private(set) var count = 0
    /// What came beside records, in order of arrival.
    package internal(set) var events: [PartitionEvent] = []
    /// Bytes of all keys and values at hand.
    package private(set) var bytes = 0

    @usableFromInline let messages: UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>
    @usableFromInline let topics: UnsafeMutablePointer<Int>

    package init(recordsMax: Int = 10_000) {
        self.recordsMax = max(recordsMax, 1)
        messages = .allocate(capacity: self.recordsMax)
        messages.initialize(repeating: nil, count: self.recordsMax)
        topics = .allocate(capacity: self.recordsMax)
        topics.initialize(repeating: 0, count: self.recordsMax)
    }

    /// Calls `body` with each record in order of arrival, which within a partition is the partition's order.
    @inlinable package borrowing func forEach<E: Error>(_ body: (borrowing Record) throws(E) -> Void) throws(E) {
        for index in 0..<count {
            guard let message = messages[index] else { continue }
            try body(Record(message, topic: topics[index], in: self))
        }
    }

    /// Gives everything back to librdkafka.
    package mutating func clear() {
        for index in 0..<count {
            rd_kafka_message_destroy(messages[index])
            messages[index] = nil
        }
        count = 0
        bytes = 0
        if !events.isEmpty { events.removeAll(keepingCapacity: true) }
    }

    /// Takes the `arrived` messages that librdkafka wrote behind the present ones: keeps records, turns everything else
    /// into events.
    mutating func accept(_ arrived: Int, topicIndex: (OpaquePointer) -> Int) {
        let end = min(count + arrived, recordsMax)
        var kept = count
        var lastHandle: OpaquePointer?
        var lastIndex = 0
        for index in count..<end {
            guard let message = messages[index] else { continue }
            messages[index] = nil
            guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR, let handle = message.pointee.rkt else {
                events.append(PartitionEvent(message, topicIndex: topicIndex))
                rd_kafka_message_destroy(message)
                continue
            }
            if handle != lastHandle {
                lastHandle = handle
                lastIndex = topicIndex(handle)
            }
            messages[kept] = message
            topics[kept] = lastIndex
            bytes &+= message.pointee.len &+ message.pointee.key_len
            kept += 1
        }
        count = kept
    }

    deinit {
        for index in 0..<count { rd_kafka_message_destroy(messages[index]) }
        messages.deallocate()
        topics.deallocate()
    }
}

extension PartitionEvent {
    init(_ message: UnsafeMutablePointer<rd_kafka_message_t>, topicIndex: (OpaquePointer) -> Int) {
        let code = message.pointee.err
        let topic = message.pointee.rkt.map(topicIndex)
        let partition = message.pointee.partition
        if code == RD_KAFKA_RESP_ERR__PARTITION_EOF, let topic {
            self = .end(topic: topic, partition: partition, offset: message.pointee.offset)
            return
        }
        let name = message.pointee.rkt.flatMap { rd_kafka_topic_name($0) }.map { String(cString: $0) }
        let detail = rd_kafka_message_errstr(message).map { String(cString: $0) }
        let place = name.map { partition >= 0 ? "\($0)[\(partition)]" : $0 }
        let error = KafkaError(code, doing: place.map { "reading \($0)" } ?? "consuming", detail: detail)
        self = .failed(topic: topic, partition: name == nil ? -1 : partition, error)
    }
}
