import Synchronization
import Testing

@testable import Kafka

@Suite("Rebalance")
struct RebalanceTests {
    /// What two members share in a test: every record processed under a commit, and when to stop.
    final class Shared: Sendable {
        let processed = Mutex<[Int: Int]>([:])
        let events = Mutex<[String]>([])
        let stop = Atomic<Bool>(false)
        let owned = Mutex<[String: Int]>([:])
    }

    /// A worker as the task loop will be: answers rebalances after the poll, commits before it lets go.
    static func work(
        _ name: String, properties: KafkaProperties, shared: Shared, leaveAfter: (@Sendable () -> Bool)? = nil
    ) throws {
        // A group keeps to one strategy.
        let strategy = properties["partition.assignment.strategy"] ?? "range"
        var consumer = try Consumer(properties: properties, groupID: "group-\(strategy)")
        var batch = RecordBatch(recordsMax: 200)
        try consumer.subscribe(["t"])
        var next: [KafkaPartition: Int64] = [:]
        while !shared.stop.load(ordering: .relaxed), !(leaveAfter?() ?? false) {
            let polled = try consumer.poll(into: &batch, timeoutMilliseconds: 20)
            for record in batch.copied() {
                let partition = KafkaPartition("t", record.partition)
                guard let expected = next[partition], record.offset >= expected else { continue }
                next[partition] = record.offset + 1
                if let value = number(record.value) { shared.processed.withLock { $0[value, default: 0] += 1 } }
            }
            guard let rebalance = polled.rebalance else { continue }
            try answer(rebalance, name, &consumer, &next, shared)
        }
        do throws(KafkaError) {
            try consumer.commit(next.map { NextOffset($0.key, $0.value) }, timeoutMilliseconds: 1_000)
        } catch {
            shared.events.withLock { $0.append("uncommitted") }
        }
        #expect(consumer.close(clearing: batch, deadline: Deadline(milliseconds: 6_000)) == .closed)
        shared.events.withLock { $0.append("\(name) closed") }
        shared.owned.withLock { $0[name] = 0 }
    }

    private static func answer(
        _ rebalance: Rebalance, _ name: String, _ consumer: inout Consumer, _ next: inout [KafkaPartition: Int64],
        _ shared: Shared
    ) throws {
        switch rebalance {
        case .assigned(let partitions):
            let committed = try consumer.committed(partitions, timeoutMilliseconds: patience)
            for (partition, offset) in zip(partitions, committed) { next[partition] = offset ?? 0 }
            try consumer.assign(
                zip(partitions, committed).map { PartitionStart($0, $1.map { .at($0) } ?? .beginning) })
            shared.events.withLock { $0.append("\(name) assigned \(partitions.count)") }
            shared.owned.withLock { $0[name] = next.count }
        case .revoked(let partitions):
            do throws(KafkaError) {
                try consumer.commit(next.map { NextOffset($0.key, $0.value) }, timeoutMilliseconds: 1_000)
            } catch {
                // A real broker takes a commit at this moment, the embedded one does not: let go without.
                #expect(error.disposition == .retry)
                shared.events.withLock { $0.append("uncommitted") }
            }
            for partition in partitions { next[partition] = nil }
            try consumer.unassign(partitions)
            shared.events.withLock { $0.append("\(name) revoked \(partitions.count)") }
            shared.owned.withLock { $0[name] = next.count }
        case .lost(let partitions):
            for partition in partitions { next[partition] = nil }
            try consumer.unassign(partitions)
            shared.events.withLock { $0.append("\(name) lost") }
            shared.owned.withLock { $0[name] = next.count }
        case .failed(let error):
            shared.events.withLock { $0.append("\(name) failed \(error)") }
        }
    }

    @Test(
        "A second member takes its half and gives it back; nothing is lost, doubled only what was not committed",
        .timeLimit(.minutes(2)))
    func twoMembers() async throws {
        let broker = try EmbeddedBroker()
        try broker.createTopic("t", partitions: 4)
        try await Self.takeTurns(properties: broker.properties)
        withExtendedLifetime(broker) {}
    }

    /// One member owns the four partitions of "t", a second joins, owns a half, and leaves, while records stream in.
    static func takeTurns(properties: KafkaProperties) async throws {
        let shared = Shared()
        async let first: Void = onThread { try Self.work("first", properties: properties, shared: shared) }
        async let second: Void = onThread {
            let until = Deadline(milliseconds: 40_000)
            while shared.owned.withLock({ $0["first"] }) != 4, !until.hasPassed { pause() }
            let stay = Mutex(0)
            try Self.work("second", properties: properties, shared: shared) {
                // Leaves once it has owned its half for a while.
                shared.owned.withLock { $0["second"] == 2 }
                    && stay.withLock({
                        $0 += 1; return $0 > 30
                    })
            }
        }
        async let sent: Int = onThread {
            var producer = try Producer(properties: properties)
            var count = 0
            let until = Deadline(milliseconds: 60_000)
            var extra = 0
            while extra < 100, !until.hasPassed {
                for _ in 0..<20 {
                    try producer.send("t", Int32(count % 4), Array("\(count)".utf8))
                    count += 1
                }
                try producer.flush(timeoutMilliseconds: patience)
                pause()
                let isOver = shared.events.withLock { $0.contains("second closed") }
                if isOver, shared.owned.withLock({ $0["first"] }) == 4 { extra += 1 }
            }
            let total = count
            while shared.processed.withLock({ $0.count }) < total, !until.hasPassed { pause() }
            shared.stop.store(true, ordering: .relaxed)
            return total
        }
        let total = try await sent
        try await first
        try await second
        let events = shared.events.withLock { $0 }
        #expect(events.contains("first assigned 4"))
        let isCooperative = properties["partition.assignment.strategy"] == "cooperative-sticky"
        #expect(events.contains(isCooperative ? "first revoked 2" : "first revoked 4"), "\(events)")
        #expect(events.contains("second assigned 2"))
        #expect(shared.processed.withLock { $0.count } == total)
        if !events.contains("uncommitted") {
            #expect(shared.processed.withLock { $0.values.allSatisfy { $0 == 1 } }, "\(events)")
        }
    }

    static let strategies =
        LibraryVersion.loaded >= .cooperativeCommits ? ["range", "cooperative-sticky"] : ["range"]

    @Test("Closing with an unanswered rebalance does not hang", .timeLimit(.minutes(1)), arguments: strategies)
    func closeUnanswered(strategy: String) async throws {
        try await onThread {
            let broker = try EmbeddedBroker()
            try broker.createTopic("t", partitions: 2)
            var properties = broker.properties
            properties["partition.assignment.strategy"] = strategy
            var consumer = try Consumer(properties: properties, groupID: "g")
            var batch = RecordBatch(recordsMax: 10)
            try consumer.subscribe(["t"])
            var rebalance: Rebalance?
            let until = Deadline(milliseconds: 20_000)
            while rebalance == nil, !until.hasPassed {
                rebalance = try consumer.poll(into: &batch, timeoutMilliseconds: 100).rebalance
            }
            #expect(rebalance == .assigned([KafkaPartition("t", 0), KafkaPartition("t", 1)]))
            let closing = Deadline(milliseconds: 5_000)
            #expect(consumer.close(clearing: batch, deadline: closing) == .closed)
            #expect(!closing.hasPassed)
        }
    }
}
