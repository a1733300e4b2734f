import CRdKafka

/// How far a group is behind in one partition.
package struct PartitionLag: Sendable, Equatable {
    package let partition: KafkaPartition
    /// The group's next offset; nil if it has committed none.
    package let committed: Int64?
    package let ends: Watermarks

    /// Offsets between the group and the end, counted from the log's start where nothing is committed. Never negative.
    package var lag: Int64 { max(ends.high - max(committed ?? ends.low, ends.low), 0) }
}

extension Admin {
    /// Both ends of a partition by request; see `Consumer.watermarks` for where the high one may be wrong.
    package func watermarks(
        _ partition: KafkaPartition, timeoutMilliseconds: Int
    ) throws(KafkaError) -> Watermarks {
        var low: Int64 = 0
        var high: Int64 = 0
        let code = rd_kafka_query_watermark_offsets(
            handle.client, partition.topic, partition.partition, &low, &high, Int32(clamping: timeoutMilliseconds))
        try check(code, doing: "asking for the ends of \(partition)")
        return Watermarks(low: low, high: high)
    }

    /// The first offset at or after a timestamp in each partition, in the order asked for. Nil where the broker gives
    /// no answer: either no record is that late, or it does not know how to answer; a search over records tells.
    package func offsets(
        atMilliseconds timestamp: Int64, in partitions: [KafkaPartition], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [Int64?] {
        guard !partitions.isEmpty else { return [] }
        let doing = "asking for offsets by timestamp"
        let list = PartitionList(capacity: partitions.count)
        for partition in partitions { list.add(partition, offset: timestamp) }
        try check(
            rd_kafka_offsets_for_times(handle.client, list.list, Int32(clamping: timeoutMilliseconds)), doing: doing)
        let isTime = timestamp > 631_152_000_000  // 1990 in milliseconds; a small number could be a true answer
        for index in 0..<Int(list.list.pointee.cnt)
        where isTime && list.list.pointee.elems[index].offset == timestamp {
            // A broker that ignores the question leaves the timestamp standing where the offset should be.
            list.list.pointee.elems[index].offset = Int64(RD_KAFKA_OFFSET_END)
        }
        try list.throwFirstError(doing: doing)
        return list.offsets(of: partitions)
    }

    /// What a group has committed, in the order asked for; nil where nothing is committed.
    package func committedOffsets(
        ofGroup group: String, _ partitions: [KafkaPartition], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [Int64?] {
        guard !partitions.isEmpty else { return [] }
        let doing = "reading the offsets of group '\(group)'"
        let list = PartitionList(partitions)
        var requests: [OpaquePointer?] = [rd_kafka_ListConsumerGroupOffsets_new(group, list.list)]
        defer { for request in requests { rd_kafka_ListConsumerGroupOffsets_destroy(request) } }
        return try request(
            RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, doing: doing, timeoutMilliseconds: timeoutMilliseconds,
            send: { options, replies throws(KafkaError) in
                rd_kafka_ListConsumerGroupOffsets(handle.client, &requests, requests.count, options, replies)
            },
            body: { event throws(KafkaError) in
                var count = 0
                let results = rd_kafka_ListConsumerGroupOffsets_result_groups(
                    rd_kafka_event_ListConsumerGroupOffsets_result(event), &count)
                guard let result = UnsafeBufferPointer(start: results, count: count).first else {
                    throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: doing)
                }
                if let error = rd_kafka_group_result_error(result) {
                    let detail = rd_kafka_error_string(error).map { String(cString: $0) }
                    throw self.explain(rd_kafka_error_code(error), doing: doing, detail: detail)
                }
                return try Self.offsets(rd_kafka_group_result_partitions(result), of: partitions, doing: doing)
            })
    }

    private static func offsets(
        _ list: UnsafePointer<rd_kafka_topic_partition_list_t>?, of partitions: [KafkaPartition], doing: String
    ) throws(KafkaError) -> [Int64?] {
        guard let list else { return partitions.map { _ in nil } }
        var found: [KafkaPartition: Int64] = [:]
        for element in list.elements {
            guard element.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw KafkaError(element.err, doing: "\(doing) in \(element.name)")
            }
            if element.offset >= 0 { found[element.name] = element.offset }
        }
        return partitions.map { found[$0] }
    }

    /// How far a group is behind in each partition.
    package func lag(
        ofGroup group: String, _ partitions: [KafkaPartition], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [PartitionLag] {
        let deadline = Deadline(milliseconds: timeoutMilliseconds)
        let committed = try committedOffsets(
            ofGroup: group, partitions, timeoutMilliseconds: Int(deadline.remainingMilliseconds))
        var lags: [PartitionLag] = []
        for (partition, offset) in zip(partitions, committed) {
            let left = max(Int(deadline.remainingMilliseconds), 1)
            let ends = try watermarks(partition, timeoutMilliseconds: left)
            lags.append(PartitionLag(partition: partition, committed: offset, ends: ends))
        }
        return lags
    }
}
