import Foundation
import Kafka
import Simulation
import StageKit
import Synchronization
import Topology
import TwinCore

/// The raw records of a small fleet in the order in which they are to be written: telemetry with repeats, late samples,
/// garbage and tombstones; interactions, events, outcomes, policies, commands; and garbage in the inner topics.
struct RecordedStream: Sendable {
    struct Item: Sendable {
        var partition: TopicPartition
        var key: [UInt8]?
        var value: [UInt8]?
    }

    private(set) var items: [Item] = []

    /// The same seed gives the same stream.
    init(seed: UInt64, records: Int, layout: TopicLayout, resources: Int = 8) {
        let hub = SimulationHub(layout: layout, seed: seed, faults: .none, inboxes: { Topology.inboxes(of: $0) })
        // 0.4 s of event time per record: at the tests' pace less than the allowed lateness passes while a group
        // waits for a dead member. The shift comes in the middle.
        var feed = SimulatedFeed(
            records: records, resources: resources, localities: 6, stepMilliseconds: 200,
            shiftAfterMilliseconds: Int64(records) * 200)
        var partitions: [TopicPartition] = []
        for topic in TopicName.allCases {
            for partition in 0..<layout[topic] { partitions.append(TopicPartition(topic, partition)) }
        }
        var taken = partitions.map { _ in 0 }
        while !feed.isDone {
            feed.write(to: hub, most: 1)
            for (index, partition) in partitions.enumerated() {
                while let stored = hub.log.record(partition, taken[index]) {
                    taken[index] += 1
                    items.append(Item(partition: partition, key: stored.key, value: stored.value))
                }
            }
        }
    }
}

extension RecordedStream {
    /// Some of the items, in order.
    func part(_ range: Range<Int>) -> RecordedStream {
        var part = self
        part.items = Array(items[range])
        return part
    }
}

/// Writes a stream to a broker at a steady pace, on a thread of its own.
final class StreamFeeder: Sendable {
    private struct State {
        var written = 0
        var failure: String?
        var isDone = false
    }

    private let state = Mutex(State())
    private let stopping = Atomic<Bool>(false)

    /// Begins at once. `recordsPerSecond` 0: as fast as the broker takes it.
    init(_ stream: RecordedStream, properties: KafkaProperties, recordsPerSecond: Double) {
        startThread { [self] in
            do {
                try write(stream, properties, recordsPerSecond)
            } catch {
                state.withLock { $0.failure = "\(error)" }
            }
            state.withLock { $0.isDone = true }
        }
    }

    /// Everything is written and acknowledged, or nothing more will be.
    var isDone: Bool { state.withLock { $0.isDone } }
    var written: Int { state.withLock { $0.written } }
    var failure: String? { state.withLock { $0.failure } }

    func stop() { stopping.store(true, ordering: .relaxed) }

    private func write(_ stream: RecordedStream, _ properties: KafkaProperties, _ pace: Double) throws {
        var producer = try Producer(properties: properties)
        let start = monotonicSeconds()
        for (index, item) in stream.items.enumerated() {
            if stopping.load(ordering: .relaxed) { break }
            if pace > 0 {
                let wait = start + Double(index) / pace - monotonicSeconds()
                if wait > 0 { usleep(UInt32(min(wait, 1) * 1e6)) }
            }
            try producer.write(item.partition.topic.text, item.partition.partition, key: item.key, item.value)
            state.withLock { $0.written = index + 1 }
        }
        try producer.flush(timeoutMilliseconds: 60_000)
        producer.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
    }
}

extension Producer {
    /// Queues a record given as arrays.
    mutating func write(_ topic: String, _ partition: Int32, key: [UInt8]? = nil, _ value: [UInt8]?) throws {
        let handle = try self.topic(topic)
        var failure: KafkaError?
        (key ?? []).withUnsafeBytes { keyBytes in
            (value ?? []).withUnsafeBytes { valueBytes in
                do throws(KafkaError) {
                    try produce(
                        to: handle, partition: partition, key: key == nil ? nil : keyBytes,
                        value: value == nil ? nil : valueBytes, deadline: Deadline(milliseconds: 60_000))
                } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }
}
