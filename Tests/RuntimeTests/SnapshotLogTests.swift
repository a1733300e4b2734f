import Kafka
import Snapshots
import Testing
import TwinCore

@testable import Runtime

@Suite("Snapshots in a topic", .serialized)
struct SnapshotLogTests {
    @Test(
        "What is appended is read back in order, tombstones too; an empty partition ends at once",
        .timeLimit(.minutes(1)))
    func roundTrip() throws {
        let broker = try EmbeddedBroker()
        try broker.createTopic("snapshots", partitions: 2)
        let log = KafkaSnapshotLog(
            topic: "snapshots", partitionCount: 2, properties: broker.properties, groupID: "reader")
        try log.append(
            (0..<200).map { SnapshotLogRecord(key: [UInt8($0)], value: $0 % 3 == 0 ? nil : [1, UInt8($0)]) },
            partition: 1)
        var read: [SnapshotLogRecord] = []
        try log.read(partition: 1) { key, value, _ in
            read.append(SnapshotLogRecord(key: Array(key), value: value.map { Array($0) }))
        }
        #expect(read.count == 200)
        #expect(read[4] == SnapshotLogRecord(key: [4], value: [1, 4]))
        #expect(read[6] == SnapshotLogRecord(key: [6], value: nil))
        var others = 0
        try log.read(partition: 0) { _, _, _ in others += 1 }
        #expect(others == 0)
    }

    @Test("A stage keeps its snapshots in a topic and restarts from them", .timeLimit(.minutes(1)))
    func stage() async throws {
        let stand = try Stand(topics: ["observations", "forecasts", "deadletters", "snapshots"])
        let sender = try Sender(stand)
        let first = try stand.service(["--snapshots-url", "kafka:snapshots"])
        async let firstRun: Void = first.run()
        try await waitForSnapshots(first, sender)
        first.requestStop()
        try await firstRun
        try sender.send(frames: 5, samples: 20)
        let last = try stand.service(["--snapshots-url", "kafka:snapshots"])
        async let run: Void = last.run()
        try await wait("the end") { last.hasCommitted(sender.framesSent, partitions: 4) }
        // Without a snapshot it would have folded everything again.
        #expect(last.board.current.recordsFolded < 4 * UInt64(sender.framesSent))
        last.requestStop()
        try await run
        try check(stand, sender)
    }

    @Test("A writing that the broker refuses says so, and the next one is clean", .timeLimit(.minutes(1)))
    func refused() throws {
        let broker = try EmbeddedBroker()
        try broker.createTopic("snapshots", partitions: 1)
        let log = KafkaSnapshotLog(
            topic: "snapshots", partitionCount: 1, properties: broker.properties, groupID: "reader")
        broker.pushErrors([.topicAuthorizationFailed], on: .produce)
        let error = #expect(throws: SnapshotError.self) {
            try log.append([SnapshotLogRecord(key: [1], value: [1])], partition: 0)
        }
        #expect(error?.code == .failed)
        #expect(error?.reason.contains("snapshots") == true)
        try log.append([SnapshotLogRecord(key: [1], value: [1])], partition: 0)
    }
}
