import Kafka
import Runtime
import StageKit
import Topology
import TwinCore

/// Finds out when a chain has come to its end.
///
/// Its inner inboxes have no end that is known beforehand, as stages of the chain still write them, in loops too. A
/// stage commits only when all that its input caused is acknowledged. So once the source has ended, every other stage
/// has committed an end that its inbox had, and the inbox still ends there, nothing is on its way any more.
struct ChainEnd {
    private let broker: BrokerOptions
    private let naming: TopicNaming
    /// The inboxes that the chain writes, by stage.
    private let inboxes: [StageName: [TopicName]]
    private var seen: [TopicPartition: Int64]?

    /// - Parameter naming: of the topics that the chain writes.
    init(_ broker: BrokerOptions, naming: TopicNaming, inboxes: [StageName: [TopicName]]) {
        self.broker = broker
        self.naming = naming
        self.inboxes = inboxes
    }

    /// Asks the broker only when everything seen before is committed. To be called after the source has ended.
    /// - Parameter settled: up to where each stage has committed all that it read.
    mutating func isReached(_ settled: [StageName: [TopicPartition: Int64]]) throws -> Bool {
        if let seen, !covers(settled, seen) { return false }
        let ends = try readEnds()
        defer { seen = ends }
        return ends == seen
    }

    private func covers(_ settled: [StageName: [TopicPartition: Int64]], _ ends: [TopicPartition: Int64]) -> Bool {
        inboxes.allSatisfy { stage, topics in
            ends.allSatisfy { partition, end in
                !topics.contains(partition.topic) || settled[stage]?[partition] ?? 0 >= end
            }
        }
    }

    private func readEnds() throws -> [TopicPartition: Int64] {
        var ends: [TopicPartition: Int64] = [:]
        for topic in TopicName.allCases where inboxes.values.contains(where: { $0.contains(topic) }) {
            let reader = try TopicReader.open(broker, topic: naming.topic(topic))
            for place in reader.places { ends[TopicPartition(topic, place.partition.partition)] = place.end }
            reader.close()
        }
        return ends
    }
}
