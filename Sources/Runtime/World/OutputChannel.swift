import Kafka
import StageKit
import TwinCore

/// A producer and what it needs to write a task's records: topic handles, looked up once, and a batch that is reused.
package struct OutputChannel: ~Copyable {
    package var producer: Producer
    private let naming: TopicNaming
    private var topics: [Producer.Topic?]
    private var batch = ProduceBatch()

    package init(_ producer: consuming Producer, naming: TopicNaming) {
        self.producer = producer
        self.naming = naming
        topics = Array(repeating: nil, count: TopicName.allCases.count + 1)
    }

    /// Queues all records of an outbox, in order; waits for room until the deadline.
    package mutating func produce(_ records: borrowing Outbox, deadline: Deadline) throws(KafkaError) {
        // What a failure left behind points to bytes that are gone.
        batch.removeAll()
        var open = TopicName.telemetry
        try records.forEach { (record) throws(KafkaError) in
            if batch.isFull || record.topic != open { try send(to: open, deadline) }
            open = record.topic
            batch.append(partition: record.partition, key: record.key, value: record.value)
        }
        try send(to: open, deadline)
    }

    private mutating func send(to topic: TopicName, _ deadline: Deadline) throws(KafkaError) {
        guard batch.count > 0 else { return }
        let index = Int(topic.rawValue)
        let handle: Producer.Topic
        if let known = topics[index] {
            handle = known
        } else {
            handle = try producer.topic(naming.topic(topic))
            topics[index] = handle
        }
        try producer.produce(&batch, to: handle, deadline: deadline)
    }

    /// Drops what is not acknowledged and ends the producer.
    package consuming func close(deadline: Deadline) { _ = producer.purgeAndDestroy(deadline: deadline) }
}
