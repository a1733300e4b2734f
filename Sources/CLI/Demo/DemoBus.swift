import Foundation
import Glibc
import Kafka
import Runtime
import StageKit
import Topology
import TwinCore

/// How much history is written before the pipeline has to have worked it off.
enum DemoHistory {
    /// What lies in an inbox meanwhile stays far below the 5 MB that the broker keeps.
    private static let secondsAtOnce: Int64 = 4 * 3_600
    /// The last days in smaller steps, so that a request to retrain comes back soon after what caused it, as in life.
    private static let carefulSeconds: Int64 = 2 * 86_400
    private static let carefulSecondsAtOnce: Int64 = 1_200

    /// Seconds to write in one go where so many are left.
    static func secondsAtOnce(left: Int64) -> Int64 { left <= carefulSeconds ? carefulSecondsAtOnce : secondsAtOnce }
}

/// The demo's own clients: it writes what a platform and an operator would, and reads what an actuator would.
final class DemoBus {
    private var producer: Producer
    private var consumer: Consumer
    private let admin: Admin
    private var batch = RecordBatch(recordsMax: 4_000)
    private let naming: TopicNaming
    private let layout: TopicLayout
    private let read: [TopicName]
    private var handles: [TopicName: Producer.Topic] = [:]
    /// Records written, which on topics that nobody else writes is the end offset.
    private var written: [TopicName: [Int64]] = [:]
    /// The time-out of a single request.
    private static let requestMilliseconds = 5_000

    /// Connects, reading `read` from now on.
    init(bootstrap: String, reading read: [TopicName]) throws {
        let properties: KafkaProperties = [
            "bootstrap.servers": bootstrap, "fetch.wait.max.ms": "5", "linger.ms": "0",
        ]
        naming = try TopicNaming(namespace: "")
        layout = TopicLayout(partitions: DemoPipeline.partitions)
        self.read = read
        producer = try Producer(properties: properties)
        consumer = try Consumer(properties: properties, groupID: "demo", topics: read.map(\.text))
        admin = try Admin(properties: properties)
        var starts: [PartitionStart] = []
        for topic in read {
            for partition in 0..<layout[topic] {
                starts.append(PartitionStart(KafkaPartition(naming.topic(topic), partition), .beginning))
            }
        }
        try consumer.assign(starts)
    }

    deinit {
        // Live records would keep the consumer from ending.
        batch.clear()
    }

    /// Queues a record.
    func send(_ topic: TopicName, partition: Int = 0, key: String? = nil, _ bytes: [UInt8]) throws {
        let handle = try handles[topic] ?? producer.topic(naming.topic(topic))
        handles[topic] = handle
        let count = Int(layout[topic])
        let place = partition % count
        written[topic, default: Array(repeating: 0, count: count)][place] += 1
        let deadline = Deadline(milliseconds: Self.requestMilliseconds)
        try bytes.withUnsafeBytes { value in
            guard let key else {
                return try producer.produce(
                    to: handle, partition: Int32(place), key: nil, value: value, deadline: deadline)
            }
            try Array(key.utf8).withUnsafeBytes {
                try producer.produce(to: handle, partition: Int32(place), key: $0, value: value, deadline: deadline)
            }
        }
    }

    func flush() throws { try producer.flush(timeoutMilliseconds: Self.requestMilliseconds) }

    /// Waits until everything written so far has gone through all five stages: each has committed what lay in its
    /// inbox when the stage before was done. `idle` is called while waiting, and may throw to give up.
    func drain(_ idle: () throws -> Void) throws {
        try flush()
        var raw: [KafkaPartition] = []
        var ends: [Int64] = []
        for topic in Topology.inboxes(of: .normalizer) {
            for (partition, count) in (written[topic] ?? []).enumerated() where count > 0 {
                raw.append(KafkaPartition(naming.topic(topic), Int32(partition)))
                ends.append(count)
            }
        }
        try wait(.normalizer, raw, ends, idle)
        try wait([.twinUpdater], inbox: .observations, idle)
        // Once more for influence that crossed from one partition to another.
        try wait([.graphPropagator, .driftDetector], inbox: .forecasts, idle)
        try wait([.graphPropagator], inbox: .forecasts, idle)
        try wait([.scalingDecider], inbox: .outlooks, idle)
    }

    private func wait(_ stages: [StageName], inbox: TopicName, _ idle: () throws -> Void) throws {
        let partitions = (0..<layout[inbox]).map { KafkaPartition(naming.topic(inbox), $0) }
        let ends = try partitions.map { partition in
            try admin.watermarks(partition, timeoutMilliseconds: Self.requestMilliseconds).high
        }
        for stage in stages { try wait(stage, partitions, ends, idle) }
    }

    private func wait(
        _ stage: StageName, _ partitions: [KafkaPartition], _ ends: [Int64], _ idle: () throws -> Void
    ) throws {
        let group = naming.group(stage, incarnation: 1)
        while true {
            let committed = try admin.committedOffsets(
                ofGroup: group, partitions, timeoutMilliseconds: Self.requestMilliseconds)
            if zip(committed, ends).allSatisfy({ ($0 ?? 0) >= $1 }) { return }
            try idle()
            usleep(1_500)
        }
    }

    /// Hands over what has arrived on the topics that are read, up to their present ends.
    func receive(_ body: (TopicName, UnsafeRawBufferPointer) throws -> Void) throws {
        var missing: [(KafkaPartition, Int64)] = []
        for topic in read {
            for partition in 0..<layout[topic] {
                let partition = KafkaPartition(naming.topic(topic), partition)
                let end = try admin.watermarks(partition, timeoutMilliseconds: Self.requestMilliseconds).high
                if end > 0 { missing.append((partition, end)) }
            }
        }
        let deadline = Deadline(milliseconds: Self.requestMilliseconds)
        while !deadline.hasPassed {
            let positions = try consumer.positions(missing.map(\.0))
            missing = zip(missing, positions).filter { ($1 ?? 0) < $0.1 }.map(\.0)
            if missing.isEmpty { return }
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: 5)
            let read = self.read
            try batch.forEach { (record) throws in
                if let value = record.value, read.indices.contains(record.topic) {
                    try body(read[record.topic], value)
                }
            }
        }
    }

    /// The number of records on a topic.
    func recordCount(_ topic: TopicName) throws -> Int64 {
        var sum: Int64 = 0
        for partition in 0..<layout[topic] {
            let ends = try admin.watermarks(
                KafkaPartition(naming.topic(topic), partition), timeoutMilliseconds: Self.requestMilliseconds)
            sum += ends.high
        }
        return sum
    }
}
