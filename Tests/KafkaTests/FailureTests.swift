import Testing

@testable import Kafka

@Suite("Failures")
struct FailureTests {
    @Test("A flush throws what the broker refused, by name, and the next flush is clean again", .timeLimit(.minutes(1)))
    func refusedRecord() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var producer = try Producer(properties: broker.properties)
            try producer.send("t", 0, [1])
            try producer.flush(timeoutMilliseconds: patience)
            broker.pushErrors([.topicAuthorizationFailed], on: .produce)
            try producer.send("t", 0, [2])
            let error = #expect(throws: KafkaError.self) { try producer.flush(timeoutMilliseconds: patience) }
            #expect(error?.name == "TOPIC_AUTHORIZATION_FAILED")
            #expect(error?.disposition == .stopBroken)
            #expect(error?.reason.contains("t[0]") == true)
            producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000))
        }
    }

    @Test("A gap in the producer's numbering voids it: restore and replay, not retry", .timeLimit(.minutes(1)))
    func fatalProducer() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var producer = try Producer(properties: broker.properties)
            try producer.send("t", 0, [1])
            try producer.flush(timeoutMilliseconds: patience)
            broker.pushErrors([.outOfOrderSequence], on: .produce)
            try producer.send("t", 0, [2])
            let error = #expect(throws: KafkaError.self) { try producer.flush(timeoutMilliseconds: patience) }
            #expect(error?.disposition == .restoreAndReplay, "\(String(describing: error))")
            let again = #expect(throws: KafkaError.self) { try producer.send("t", 0, [3]) }
            #expect(again?.disposition == .restoreAndReplay, "\(String(describing: again))")
            producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000))
        }
    }

    @Test("Transient broker errors are retried inside and written once, in order", .timeLimit(.minutes(1)))
    func retriedInside() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var producer = try Producer(properties: broker.properties)
            broker.pushErrors([.requestTimedOut, .notLeader, .disconnect], on: .produce)
            for value in 0..<50 { try producer.send("t", 0, [UInt8(value)]) }
            try producer.flush(timeoutMilliseconds: patience)
            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 100)
            try consumer.assign([PartitionStart(KafkaPartition("t", 0), .beginning)])
            let (records, _) = try read(&consumer, &batch) { _, events in !events.isEmpty }
            #expect(records.compactMap { $0.value?.first } == Array(0..<50))
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)
            producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000))
        }
    }

    @Test("A record beyond message.max.bytes is refused as a dead letter, at once", .timeLimit(.minutes(1)))
    func tooLarge() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            var producer = try Producer(properties: broker.properties)
            let error = #expect(throws: KafkaError.self) {
                try producer.send("t", 0, [UInt8](repeating: 0, count: 2_000_000))
            }
            #expect(error?.disposition == .deadLetter)
            #expect(error?.name == "MSG_SIZE_TOO_LARGE")
            try producer.flush(timeoutMilliseconds: patience)
            producer.purgeAndDestroy(deadline: Deadline(milliseconds: 5_000))
        }
    }

    @Test("With no broker there, every call ends in time and says what is missing", .timeLimit(.minutes(1)))
    func noBroker() async throws {
        try await onThread {
            let nowhere: KafkaProperties = ["bootstrap.servers": "127.0.0.1:1"]
            let admin = try Admin(properties: nowhere)
            let described = #expect(throws: KafkaError.self) {
                try admin.describeCluster(timeoutMilliseconds: 500)
            }
            #expect(described?.disposition == .retry)
            #expect(described?.reason.contains("127.0.0.1:1") == true, "\(String(describing: described))")
            let created = #expect(throws: KafkaError.self) {
                try admin.createTopics([TopicSpecification(name: "t", partitions: 1)], timeoutMilliseconds: 500)
            }
            #expect(created?.disposition == .retry)
            #expect(admin.close(deadline: Deadline(milliseconds: 5_000)) == .closed)

            var producer = try Producer(properties: nowhere)
            try producer.send("t", 0, [1])
            let flushed = #expect(throws: KafkaError.self) { try producer.flush(timeoutMilliseconds: 300) }
            #expect(flushed?.disposition == .retry)
            let outstanding = producer.outstanding
            #expect(outstanding == 1)
            let ended = Deadline(milliseconds: 5_000)
            #expect(producer.purgeAndDestroy(deadline: ended) == .closed)
            #expect(!ended.hasPassed)
        }
    }

    @Test(
        "A consumer whose broker is gone reads, commits and closes within its time-outs", .timeLimit(.minutes(1)),
        arguments: [false, true])
    func brokerGone(isCommitting: Bool) async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 10)
            try consumer.subscribe(["t"])
            var isAssigned = false
            let until = Deadline(milliseconds: 20_000)
            while !isAssigned, !until.hasPassed {
                if case .assigned(let parts) = try consumer.poll(into: &batch, timeoutMilliseconds: 100).rebalance {
                    try consumer.assign(parts.map { PartitionStart($0, .beginning) })
                    isAssigned = true
                }
            }
            #expect(isAssigned)
            try broker.takeDown()
            let deadline = Deadline(milliseconds: 3_000)
            while !consumer.isEveryBrokerDown, !deadline.hasPassed {
                _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50)
            }
            let isDown = consumer.isEveryBrokerDown
            #expect(isDown)
            let cause = consumer.connectionError
            #expect(cause?.disposition == .retry)
            if isCommitting {
                let error = #expect(throws: KafkaError.self) {
                    try consumer.commit([NextOffset(KafkaPartition("t", 0), 1)], timeoutMilliseconds: 300)
                }
                #expect(error?.disposition == .retry)
            }
            // librdkafka keeps an unanswered commit for a session time-out and does not end before it.
            let closing = Deadline(milliseconds: 4_000)
            let outcome = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 1_000))
            #expect(isCommitting || outcome != .abandoned, "\(outcome)")
            #expect(!closing.hasPassed)
            withExtendedLifetime(broker) {}
        }
    }

    @Test(
        "A broker that keeps its connections and never answers counts as gone after a bounded silence",
        .timeLimit(.minutes(1)))
    func brokerFrozen() async throws {
        #expect(try KafkaProperties().resolved(for: .consumer)["socket.timeout.ms"] == "15000")
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var properties = broker.properties
            properties["socket.timeout.ms"] = "2000"
            var consumer = try Consumer(properties: properties, groupID: "g", topics: ["t"])
            var batch = RecordBatch(recordsMax: 10)
            try consumer.assign([PartitionStart(KafkaPartition("t", 0), .beginning)])
            for _ in 0..<10 { _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100) }
            let wasDown = consumer.isEveryBrokerDown
            #expect(!wasDown)
            try broker.setRoundTrip(milliseconds: 60_000)
            let deadline = Deadline(milliseconds: 15_000)
            while !consumer.isEveryBrokerDown, !deadline.hasPassed {
                _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50)
            }
            let isDown = consumer.isEveryBrokerDown
            #expect(isDown)
            _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 1_000))
            withExtendedLifetime(broker) {}
        }
    }

    @Test(
        "Credentials that the other side does not take are an operator's matter, within the time-out",
        .timeLimit(.minutes(1)))
    func credentials() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            var properties = broker.properties
            properties["security.protocol"] = "sasl_plaintext"
            properties["sasl.mechanisms"] = "PLAIN"
            properties["sasl.username"] = "someone"
            properties["sasl.password"] = "hunter2"
            let admin = try Admin(properties: properties)
            let error = #expect(throws: KafkaError.self) {
                try admin.describeCluster(timeoutMilliseconds: 1_000)
            }
            #expect(error?.disposition == .stopBroken, "\(String(describing: error))")
            #expect(error?.reason.contains("hunter2") == false)
        }
    }

    @Test("Reading below or beyond the log is refused, not silently restarted", .timeLimit(.minutes(1)))
    func outOfRange() async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 1)
            var consumer = try Consumer(properties: broker.properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 10)
            try consumer.assign([PartitionStart(KafkaPartition("t", 0), .at(1_000))])
            let (records, events) = try read(&consumer, &batch) { _, events in !events.isEmpty }
            #expect(records.isEmpty)
            guard case .failed(0, 0, let error) = events.first else {
                Issue.record("\(events)")
                return
            }
            #expect(error.disposition == .restoreAndReplay)
            #expect(error.name == "_AUTO_OFFSET_RESET")
            #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000)) == .closed)
        }
    }
}
