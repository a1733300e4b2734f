import CRdKafka

/// A partition by its topic's name on the broker.
package struct KafkaPartition: Hashable, Sendable, CustomStringConvertible {
    package let topic: String
    package let partition: Int32

    package init(_ topic: String, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package var description: String { "\(topic)[\(partition)]" }
}

/// Where reading begins.
package enum StartOffset: Sendable, Equatable {
    /// The oldest record that the broker still has.
    case beginning
    /// Only what comes after now.
    case end
    /// The first record at or beyond this offset.
    case at(Int64)

    var raw: Int64 {
        switch self {
        case .beginning: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .end: Int64(RD_KAFKA_OFFSET_END)
        case .at(let offset): max(offset, 0)
        }
    }
}

/// A partition and where to begin in it.
package struct PartitionStart: Sendable, Equatable {
    package let partition: KafkaPartition
    package let start: StartOffset

    package init(_ partition: KafkaPartition, _ start: StartOffset) {
        self.partition = partition
        self.start = start
    }
}

/// What the group did to this member; the member must answer it with `Consumer.assign` or `Consumer.unassign`.
package enum Rebalance: Sendable, Equatable {
    /// These partitions are ours, once `assign` says where to begin. Eager: all of them; cooperative: the added ones.
    case assigned([KafkaPartition])
    /// These partitions go to somebody else once `unassign` lets go; until then offsets can still be committed.
    case revoked([KafkaPartition])
    /// These partitions are somebody else's already; a commit would fail. `unassign`, without committing.
    case lost([KafkaPartition])
    /// The group could not rebalance; the client tries again by itself, nothing is assigned and nothing to be answered.
    case failed(KafkaError)
}

/// librdkafka's list of partitions, destroyed with its owner.
struct PartitionList: ~Copyable {
    let list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    init(capacity: Int = 4) {
        list = rd_kafka_topic_partition_list_new(Int32(clamping: max(capacity, 1)))
    }

    /// Takes a list over from librdkafka.
    init(owning list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) { self.list = list }

    init(_ partitions: [KafkaPartition]) {
        self.init(capacity: partitions.count)
        for partition in partitions { add(partition) }
    }

    init(_ starts: [PartitionStart]) {
        self.init(capacity: starts.count)
        for start in starts { add(start.partition, offset: start.start.raw) }
    }

    func add(_ partition: KafkaPartition, offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID)) {
        rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset
    }

    deinit { rd_kafka_topic_partition_list_destroy(list) }
}

extension UnsafePointer<rd_kafka_topic_partition_list_t> {
    /// The entries as they stand.
    var elements: UnsafeBufferPointer<rd_kafka_topic_partition_t> {
        UnsafeBufferPointer(start: pointee.elems, count: Int(pointee.cnt))
    }

    var partitions: [KafkaPartition] { elements.map(\.name) }
}

extension PartitionList {
    var elements: UnsafeBufferPointer<rd_kafka_topic_partition_t> { UnsafePointer(list).elements }

    /// Throws the first error that stands beside a partition.
    func throwFirstError(doing: String) throws(KafkaError) {
        for element in elements where element.err != RD_KAFKA_RESP_ERR_NO_ERROR {
            throw KafkaError(element.err, doing: "\(doing) \(element.name)")
        }
    }

    /// The offset of each of `partitions`, by name, as librdkafka may have sorted the list; nil where there is none.
    func offsets(of partitions: [KafkaPartition]) -> [Int64?] {
        partitions.map { partition in
            guard let found = rd_kafka_topic_partition_list_find(list, partition.topic, partition.partition) else {
                return nil
            }
            return found.pointee.offset >= 0 ? found.pointee.offset : nil
        }
    }
}

extension rd_kafka_topic_partition_t {
    var name: KafkaPartition { KafkaPartition(topic.map { String(cString: $0) } ?? "", partition) }
}
