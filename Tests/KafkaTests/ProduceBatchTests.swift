import Testing

@testable import Kafka

@Suite("Producing in batches")
struct ProduceBatchTests {
    @Test("A batch keeps the order of each partition, null keys and tombstones", .timeLimit(.minutes(1)))
    func order() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("things", partitions: 2)
            var producer = try Producer(properties: broker.properties)
            let topic = try producer.topic("things")
            try Self.send(topic, 0..<2_500, &producer, isTombstone: { $0 % 100 == 7 })
            try producer.flush(timeoutMilliseconds: patience)
            let found = try Self.readAll(broker, count: 2_500)
            for partition in 0..<2 {
                let sent = Array(stride(from: partition, to: 2_500, by: 2))
                let records = found.filter { $0.partition == partition }
                #expect(records.map { number($0.key) ?? number($0.value) } == sent)
                #expect(records.filter { $0.value == nil }.count == sent.filter { $0 % 100 == 7 }.count)
                #expect(records.allSatisfy { ($0.key == nil) != ($0.value == nil) })
            }
        }
    }

    @Test("With a full queue it waits for room, and nothing is lost, doubled or moved", .timeLimit(.minutes(1)))
    func fullQueue() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("things", partitions: 2)
            var properties = broker.properties
            properties["queue.buffering.max.messages"] = "100"
            var producer = try Producer(properties: properties)
            let topic = try producer.topic("things")
            try Self.send(topic, 0..<2_000, &producer, isTombstone: { _ in false })
            try producer.flush(timeoutMilliseconds: patience)
            let found = try Self.readAll(broker, count: 2_000)
            for partition in 0..<2 {
                let values = found.filter { $0.partition == partition }.map { number($0.value) }
                #expect(values == Array(stride(from: partition, to: 2_000, by: 2)))
            }
        }
    }

    /// Even numbers to partition 0, odd ones to partition 1; a tombstone has its number as the key.
    private static func send(
        _ topic: Producer.Topic, _ numbers: Range<Int>, _ producer: inout Producer, isTombstone: (Int) -> Bool
    ) throws(KafkaError) {
        let texts = numbers.map { Array("\($0)".utf8) }
        var batch = ProduceBatch()
        // The batch borrows: what it points to must live until it is produced.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 * texts.count, alignment: 8)
        defer { memory.deallocate() }
        for (index, text) in texts.enumerated() {
            let room = UnsafeMutableRawBufferPointer(rebasing: memory[index * 8..<index * 8 + text.count])
            room.copyBytes(from: text)
            let bytes = UnsafeRawBufferPointer(room)
            let isGone = isTombstone(numbers.lowerBound + index)
            if batch.isFull { try producer.produce(&batch, to: topic, deadline: Deadline(milliseconds: patience)) }
            batch.append(
                partition: Int32(index % 2), key: isGone ? bytes : nil, value: isGone ? nil : bytes)
        }
        try producer.produce(&batch, to: topic, deadline: Deadline(milliseconds: patience))
        #expect(batch.count == 0)
    }

    private static func readAll(_ broker: borrowing EmbeddedBroker, count: Int) throws -> [Copied] {
        var consumer = try Consumer(properties: broker.properties, groupID: "g")
        var batch = RecordBatch(recordsMax: 1_000)
        try consumer.assign((0..<2).map { PartitionStart(KafkaPartition("things", $0), .beginning) })
        let (records, _) = try read(&consumer, &batch) { $0.count >= count && $1.count >= 2 }
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000))
        return records
    }
}
