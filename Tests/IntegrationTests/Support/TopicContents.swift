import Kafka
import Messages
import Simulation
import StageKit
import Topology
import TwinCore

/// Everything that stands in all topics, read back from the broker.
struct TopicContents: Sendable {
    let layout: TopicLayout
    private(set) var records: [TopicPartition: [SimulatedLog.Stored]] = [:]
    /// Partitions that have lost their beginning; the oracle cannot fold them.
    private(set) var truncated: [TopicPartition] = []

    /// - Parameter rawNamespace: of the raw topics, where they are not in `namespace`.
    init(
        _ broker: any TestBroker, layout: TopicLayout, namespace: String = "", rawNamespace: String? = nil
    ) throws {
        self.layout = layout
        let names = TopicName.allCases.map {
            Topology.brokerName($0.text, namespace: $0.isRaw ? rawNamespace ?? namespace : namespace)
        }
        var consumer = try Consumer(properties: broker.properties, groupID: "integration-reader", topics: names)
        var batch = RecordBatch(recordsMax: 10_000)
        var starts: [PartitionStart] = []
        for (topic, name) in zip(TopicName.allCases, names) {
            for partition in 0..<layout[topic] {
                starts.append(PartitionStart(KafkaPartition(name, partition), .beginning))
            }
        }
        var open = Set(starts.map(\.partition))
        try consumer.assign(starts)
        let deadline = Deadline(milliseconds: 60_000)
        while !open.isEmpty {
            guard !deadline.hasPassed else { throw Trouble("reading back did not reach the end of \(open)") }
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
            batch.forEach { record in
                let id = TopicPartition(TopicName.allCases[record.topic], record.partition)
                let type = id.topic.isRaw ? record.header("content-type").map { Array($0) } : nil
                records[id, default: []].append(
                    SimulatedLog.Stored(
                        offset: record.offset, key: record.key.map { Array($0) }, value: record.value.map { Array($0) },
                        contentType: type))
            }
            for event in batch.events {
                switch event {
                case .end(let topic, let partition, _): open.remove(KafkaPartition(names[topic], partition))
                case .failed(_, _, let error): if error.disposition != .retry { throw error }
                }
            }
        }
        batch.clear()
        try consumer.unassign([])
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 5_000))
        truncated = records.filter { ($0.value.first?.offset ?? 0) > 0 }.map(\.key)
    }

    subscript(partition: TopicPartition) -> [SimulatedLog.Stored] { records[partition] ?? [] }

    /// True if a frame holds entries that an earlier one of its sender already had.
    var hasRepeats: Bool {
        records.contains { partition, records in
            guard Oracle.frameTopics.contains(partition.topic) else { return false }
            var last: [TaskID: TwinCore.Sequence] = [:]
            return records.contains { record in
                guard let frame = record.value.flatMap({ Oracle.entries(of: $0) }), !frame.entries.isEmpty else {
                    return false
                }
                let (sender, before) = (frame.header.sender, last[frame.header.sender] ?? .none)
                last[sender] = max(before, frame.header.last)
                return frame.header.first <= before
            }
        }
    }

    /// The same with one record gone, as if a broker had lost it.
    func losing(_ partition: TopicPartition, at index: Int) -> TopicContents {
        var copy = self
        copy.records[partition]?.remove(at: index)
        return copy
    }

    /// All records of a topic, partition by partition.
    func all(_ topic: TopicName) -> [SimulatedLog.Stored] {
        (0..<layout[topic]).flatMap { self[TopicPartition(topic, $0)] }
    }
}

extension TopicName {
    /// Written from outside.
    var isRaw: Bool { Topology.inboxes(of: .normalizer).contains(self) }
}

/// How far the groups of the stages are behind.
struct GroupLag {
    /// Records behind, by stage; partitions without a commit count from their start.
    var byStage: [StageName: Int64] = [:]
    /// The ends of all inboxes, to see whether anything still moves.
    var ends: [TopicPartition: Int64] = [:]

    var total: Int64 { byStage.values.reduce(0, +) }

    /// Asks the broker. Ends are read by fetching, as one of the brokers answers the other question wrongly.
    init(
        _ broker: any TestBroker, layout: TopicLayout, stages: [StageName] = StageName.allCases,
        incarnations: [StageName: Int] = [:]
    ) throws {
        for stage in stages {
            var consumer = try Consumer(
                properties: broker.properties, groupID: "\(stage.text).\(incarnations[stage] ?? 1)")
            var ids: [TopicPartition] = []
            for topic in Topology.inboxes(of: stage) {
                for partition in 0..<layout[topic] { ids.append(TopicPartition(topic, partition)) }
            }
            let partitions = ids.map { KafkaPartition($0.topic.text, $0.partition) }
            let committed = try consumer.committed(partitions, timeoutMilliseconds: 10_000)
            let starts = zip(partitions, committed).map { PartitionStart($0, .at($1 ?? 0)) }
            let found = try consumer.endsByFetching(starts, deadline: Deadline(milliseconds: 10_000))
            for (index, id) in ids.enumerated() {
                guard let end = found[index] else { throw Trouble("the end of \(id) cannot be read") }
                byStage[stage, default: 0] += max(end - (committed[index] ?? 0), 0)
                ends[id] = end
            }
            _ = consumer.close(clearing: RecordBatch(recordsMax: 1), deadline: Deadline(milliseconds: 5_000))
        }
    }
}
