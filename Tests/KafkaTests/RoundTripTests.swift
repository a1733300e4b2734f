import Testing

@testable import Kafka

@Suite("Producing and consuming")
struct RoundTripTests {
    @Test("Tombstones, null keys and empty values arrive as they were sent, in order", .timeLimit(.minutes(1)))
    func tombstones() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("things", partitions: 2)
            var producer = try Producer(properties: broker.properties)
            try producer.send("things", 1, key: [1], [10, 11])
            try producer.send("things", 1, key: [2], nil)
            try producer.send("things", 1, key: nil, [12])
            try producer.send("things", 1, key: [], [])
            try producer.send("things", 1, key: nil, nil)
            try producer.flush(timeoutMilliseconds: patience)

            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 100)
            try consumer.assign([PartitionStart(KafkaPartition("things", 1), .beginning)])
            let (records, events) = try read(&consumer, &batch) { _, events in !events.isEmpty }
            #expect(records.map(\.key) == [[1], [2], nil, [], nil])
            #expect(records.map(\.value) == [[10, 11], nil, [12], [], nil])
            #expect(records.map(\.offset) == [0, 1, 2, 3, 4])
            #expect(events == [.end(topic: 0, partition: 1, offset: 5)])
            #expect(consumer.topicName(0) == "things")
            #expect(consumer.fetchedWatermarks(KafkaPartition("things", 1)).high == 5)
            #expect(try consumer.positions([KafkaPartition("things", 1)]) == [5])
            let ends = try consumer.watermarks(KafkaPartition("things", 1), timeoutMilliseconds: patience)
            #expect(ends == Watermarks(low: 0, high: 5))
            let starts = [
                PartitionStart(KafkaPartition("things", 1), .at(2)),
                PartitionStart(KafkaPartition("things", 0), .beginning),
            ]
            #expect(try consumer.endsByFetching(starts, deadline: Deadline(milliseconds: patience)) == [5, 0])
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)
            #expect(producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000)) == .closed)
        }
    }

    @Test(
        "Many records over several topics keep each partition's order, in batches no larger than asked for",
        .timeLimit(.minutes(1)))
    func order() async throws {
        try await onThread {
            let broker = try EmbeddedBroker(brokers: 2)
            try broker.createTopic("a", partitions: 3)
            try broker.createTopic("b", partitions: 1)
            var producer = try Producer(properties: broker.properties)
            for number in 0..<4_000 {
                try producer.send(number % 4 == 3 ? "b" : "a", Int32(number % 4 % 3), Array("\(number)".utf8))
            }
            try producer.flush(timeoutMilliseconds: patience)
            let outstanding = producer.outstanding
            #expect(outstanding == 0)

            var consumer = try Consumer(properties: broker.properties, groupID: "g", topics: ["b", "a"])
            var batch = RecordBatch(recordsMax: 64)
            let starts = (0..<3).map { PartitionStart(KafkaPartition("a", $0), .at(10)) }
            try consumer.assign(starts + [PartitionStart(KafkaPartition("b", 0), .beginning)])
            var numbers: [[Int]] = Array(repeating: [], count: 4)
            let deadline = Deadline(milliseconds: patience)
            while numbers.joined().count < 3_970, !deadline.hasPassed {
                let polled = try consumer.poll(into: &batch, timeoutMilliseconds: 50, recordsMax: 50)
                #expect(polled.records <= 50)
                #expect(polled.records == batch.count)
                for record in batch.copied() {
                    let lane = record.topic == 0 ? 3 : Int(record.partition)
                    numbers[lane].append(number(record.value) ?? -1)
                }
            }
            for lane in 0..<4 {
                let sent = Array(stride(from: lane, to: 4_000, by: 4))
                #expect(numbers[lane] == Array(sent.dropFirst(lane == 3 ? 0 : 10)))
            }
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)
        }
    }

    @Test("Headers travel with the record that carries them", .timeLimit(.minutes(1)))
    func headers() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var producer = try Producer(properties: broker.properties)
            let topic = try producer.topic("t")
            let value: [UInt8] = [1]
            try value.withUnsafeBytes { bytes in
                try producer.produce(
                    to: topic, partition: 0, key: nil, value: bytes,
                    headers: [("content-type", Array("json".utf8)), ("empty", [])],
                    deadline: Deadline(milliseconds: patience))
            }
            try producer.send("t", 0, [2])
            try producer.flush(timeoutMilliseconds: patience)
            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 10)
            try consumer.assign([PartitionStart(KafkaPartition("t", 0), .beginning)])
            var found: [String?] = []
            var names: [[String]] = []
            let deadline = Deadline(milliseconds: patience)
            while found.count < 2, !deadline.hasPassed {
                _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50)
                batch.forEach { record in
                    found.append(record.header("content-type").map { String(decoding: $0, as: UTF8.self) })
                    var list: [String] = []
                    record.forEachHeader { name, _ in list.append(name) }
                    names.append(list)
                }
            }
            #expect(found == ["json", nil])
            #expect(names == [["content-type", "empty"], []])
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)
        }
    }

    @Test("Committed offsets are those committed, nil elsewhere; lag counts from them", .timeLimit(.minutes(1)))
    func commits() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 2)
            let parts = [KafkaPartition("t", 1), KafkaPartition("t", 0)]
            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            let batch = RecordBatch(recordsMax: 10)
            #expect(try consumer.committed(parts, timeoutMilliseconds: patience) == [nil, nil])
            try consumer.assign(parts.map { PartitionStart($0, .beginning) })
            try consumer.commit([NextOffset(parts[0], 7)], timeoutMilliseconds: patience)
            #expect(try consumer.committed(parts, timeoutMilliseconds: patience) == [7, nil])
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)

            let admin = try Admin(properties: broker.properties)
            let lag = try admin.lag(ofGroup: "g", parts, timeoutMilliseconds: patience)
            #expect(lag.map(\.committed) == [7, nil])
            #expect(lag.map(\.lag) == [0, 0])
        }
    }

    @Test("The embedded broker says at once that it takes no orders, and makes topics that are asked for")
    func noAdministration() async throws {
        let broker = try EmbeddedBroker()
        try await onThread {
            let admin = try Admin(properties: broker.properties)
            let deadline = Deadline(milliseconds: 3_000)
            let refused = #expect(throws: KafkaError.self) {
                try admin.createTopics(
                    [TopicSpecification(name: "t", partitions: 4)], timeoutMilliseconds: patience)
            }
            #expect(refused?.name == "_UNSUPPORTED_FEATURE")
            #expect(refused?.reason.hasSuffix("the broker answers no admin requests") == true, "\(refused as Any)")
            #expect(!deadline.hasPassed)
            #expect(try admin.describeTopic("t", timeoutMilliseconds: patience) == nil)
            try admin.touch("t", timeoutMilliseconds: patience)
            #expect(try admin.describeTopic("t", timeoutMilliseconds: patience)?.partitions.count == 4)
        }
    }
}
