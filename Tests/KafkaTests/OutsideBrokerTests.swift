import Glibc
import Testing

@testable import Kafka

/// The address of a broker to test against, from the environment; without one these tests are skipped.
private let bootstrapServers = getenv("TWINSCALE_TEST_BOOTSTRAP").map { String(cString: $0) }

@Suite("A broker outside this process", .enabled(if: bootstrapServers != nil), .serialized)
struct OutsideBrokerTests {
    private var properties: KafkaProperties {
        ["bootstrap.servers": bootstrapServers ?? "", "fetch.wait.max.ms": "20"]
    }

    private func recreate(_ name: String, partitions: Int) throws {
        let admin = try Admin(properties: properties)
        try admin.deleteTopics([name], timeoutMilliseconds: patience)
        try admin.createTopics(
            [TopicSpecification(name: name, partitions: partitions, replication: 1)], timeoutMilliseconds: patience)
        admin.close(deadline: Deadline(milliseconds: 5_000))
    }

    @Test("Topics are created, described, found existing, and deleted", .timeLimit(.minutes(1)))
    func topics() async throws {
        let properties = properties
        try await onThread {
            let admin = try Admin(properties: properties)
            let topic = TopicSpecification(
                name: "kafka-tests-topics", partitions: 3, replication: 1,
                settings: [("cleanup.policy", "compact"), ("retention.ms", "1234567")])
            try admin.deleteTopics([topic.name], timeoutMilliseconds: patience)
            #expect(try admin.describeTopic(topic.name, timeoutMilliseconds: patience) == nil)
            try admin.createTopics([topic], timeoutMilliseconds: patience)
            try admin.createTopics([topic], timeoutMilliseconds: patience)
            let described = try admin.describeTopic(topic.name, timeoutMilliseconds: patience)
            #expect(described?.partitions.map(\.id) == [0, 1, 2])
            let cluster = try admin.describeCluster(timeoutMilliseconds: patience)
            #expect(!cluster.brokers.isEmpty)
            #expect(cluster.topics.contains { $0.name == topic.name })
            let settings = try admin.describeSettings(ofTopic: topic.name, timeoutMilliseconds: patience)
            #expect(settings.first { $0.name == "cleanup.policy" }?.value == "compact", "\(settings)")
            try admin.deleteTopics([topic.name], timeoutMilliseconds: patience)
            #expect(try admin.describeTopic(topic.name, timeoutMilliseconds: patience) == nil)
            #expect(admin.close(deadline: Deadline(milliseconds: 5_000)) == .closed)
        }
    }

    @Test(
        "Records, tombstones and null keys go through, the end is reported, offsets are committed",
        .timeLimit(.minutes(1)))
    func roundTrip() async throws {
        try recreate("kafka-tests-round", partitions: 1)
        let properties = properties
        try await onThread {
            let partition = KafkaPartition("kafka-tests-round", 0)
            var producer = try Producer(properties: properties)
            try producer.send(partition.topic, 0, key: [1], [2])
            try producer.send(partition.topic, 0, key: [1], nil)
            try producer.send(partition.topic, 0, key: nil, [3])
            try producer.flush(timeoutMilliseconds: patience)
            var consumer = try Consumer(properties: properties, groupID: "kafka-tests-round")
            var batch = RecordBatch(recordsMax: 100)
            try consumer.assign([PartitionStart(partition, .beginning)])
            let (records, events) = try read(&consumer, &batch) { _, events in !events.isEmpty }
            #expect(records.map(\.value) == [[2], nil, [3]])
            #expect(records.map(\.key) == [[1], [1], nil])
            #expect(events == [.end(topic: 0, partition: 0, offset: 3)])
            #expect(consumer.fetchedWatermarks(partition).high == 3)
            try consumer.commit([NextOffset(partition, 3)], timeoutMilliseconds: patience)
            #expect(try consumer.committed([partition], timeoutMilliseconds: patience) == [3])
            let ends = try consumer.endsByFetching(
                [PartitionStart(partition, .at(3))], deadline: Deadline(milliseconds: patience))
            #expect(ends == [3])
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 8_000)) == .closed)
            let admin = try Admin(properties: properties)
            let committed = try admin.committedOffsets(
                ofGroup: "kafka-tests-round", [partition], timeoutMilliseconds: patience)
            #expect(committed == [3])
            producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000))
        }
    }

    @Test("Two members of a group take turns without loss", .timeLimit(.minutes(3)))
    func rebalance() async throws {
        try recreate("t", partitions: 4)
        try await RebalanceTests.takeTurns(properties: properties)
    }

    @Test(
        "The same under cooperative assignment, where the library can be trusted with it", .timeLimit(.minutes(3)),
        .enabled(if: LibraryVersion.loaded >= .cooperativeCommits))
    func cooperativeRebalance() async throws {
        try recreate("t", partitions: 4)
        var properties = properties
        properties["partition.assignment.strategy"] = "cooperative-sticky"
        try await RebalanceTests.takeTurns(properties: properties)
    }
}
