import CRdKafka

/// An offset to commit: that of the next record to process.
package struct NextOffset: Hashable, Sendable {
    package let partition: KafkaPartition
    package let offset: Int64

    package init(_ partition: KafkaPartition, _ offset: Int64) {
        self.partition = partition
        self.offset = offset
    }
}

/// The oldest offset still there, and the one that the next record will get.
package struct Watermarks: Sendable, Equatable {
    package let low: Int64
    package let high: Int64
}

extension Consumer {
    /// The group's committed offsets, in the order asked for; nil where none is committed.
    package func committed(
        _ partitions: [KafkaPartition], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [Int64?] {
        guard !partitions.isEmpty else { return [] }
        let doing = "reading committed offsets"
        let list = PartitionList(partitions)
        try check(
            rd_kafka_committed(handle.client, list.list, Int32(clamping: timeoutMilliseconds)), doing: doing)
        try list.throwFirstError(doing: doing)
        return list.offsets(of: partitions)
    }

    /// Commits and waits for the broker's answer, at most until the time-out; then the outcome is unknown, which is
    /// harmless, as offsets only ever grow. Nothing is sent for an empty list.
    package func commit(_ offsets: [NextOffset], timeoutMilliseconds: Int) throws(KafkaError) {
        guard !offsets.isEmpty else { return }
        let doing = "committing"
        let list = PartitionList(capacity: offsets.count)
        for next in offsets { list.add(next.partition, offset: next.offset) }
        // A queue of its own: the reply must not meet the batch call on the consumer's queue, and the library's
        // blocking commit knows no time-out.
        guard let replies = rd_kafka_queue_new(handle.client) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: doing)
        }
        defer { rd_kafka_queue_destroy(replies) }
        try check(rd_kafka_commit_queue(handle.client, list.list, replies, nil, nil), doing: doing)
        let deadline = Deadline(milliseconds: timeoutMilliseconds)
        while true {
            guard let event = rd_kafka_queue_poll(replies, deadline.remainingMilliseconds) else {
                throw handle.context.explain(KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: doing))
            }
            defer { rd_kafka_event_destroy(event) }
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT else { continue }
            try checkCommit(event, doing: doing)
            return
        }
    }

    private func checkCommit(_ event: OpaquePointer, doing: String) throws(KafkaError) {
        if let list = rd_kafka_event_topic_partition_list(event) {
            for element in UnsafePointer(list).elements where element.err != RD_KAFKA_RESP_ERR_NO_ERROR {
                throw KafkaError(element.err, doing: "\(doing) \(element.name)")
            }
        }
        try check(rd_kafka_event_error(event), doing: doing)
    }

    /// Asks any broker for an answer: where there is nothing to read, nothing else shows that one is back.
    package func askForLife(timeoutMilliseconds: Int) {
        var pointer: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle.client, 0, nil, &pointer, Int32(clamping: timeoutMilliseconds))
        if let pointer { rd_kafka_metadata_destroy(pointer) }
        if code == RD_KAFKA_RESP_ERR_NO_ERROR { handle.context.recordContact() }
    }

    /// Asks the broker for both ends of a partition. One of the stand-in brokers of the tests answers the high one
    /// wrongly; `fetchedWatermarks` has what fetches report.
    package func watermarks(
        _ partition: KafkaPartition, timeoutMilliseconds: Int
    ) throws(KafkaError) -> Watermarks {
        var low: Int64 = 0
        var high: Int64 = 0
        let code = rd_kafka_query_watermark_offsets(
            handle.client, partition.topic, partition.partition, &low, &high, Int32(clamping: timeoutMilliseconds))
        try check(code, doing: "asking for the ends of \(partition)")
        handle.context.recordContact()
        return Watermarks(low: low, high: high)
    }

    /// The ends as the last fetch reported them, without asking anybody; nil per end that no fetch has reported yet.
    package func fetchedWatermarks(_ partition: KafkaPartition) -> (low: Int64?, high: Int64?) {
        var low: Int64 = -1
        var high: Int64 = -1
        let code = rd_kafka_get_watermark_offsets(handle.client, partition.topic, partition.partition, &low, &high)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { return (nil, nil) }
        return (low >= 0 ? low : nil, high >= 0 ? high : nil)
    }

    /// The ends of partitions as fetches from these starts report them, in the same order; nil where no fetch came back
    /// in time, or the start lies beyond the end. For tools, on a consumer of their own: nothing stays assigned, and
    /// what was read is dropped. Right on brokers that answer `watermarks` wrongly.
    package mutating func endsByFetching(
        _ starts: [PartitionStart], deadline: Deadline
    ) throws(KafkaError) -> [Int64?] {
        guard !starts.isEmpty else { return [] }
        var batch = RecordBatch(recordsMax: 1_000)
        try assign(starts)
        var ends: [Int64?] = starts.map { _ in nil }
        while ends.contains(nil), !deadline.hasPassed {
            _ = try poll(into: &batch, timeoutMilliseconds: min(Int(deadline.remainingMilliseconds), 20))
            for index in ends.indices where ends[index] == nil {
                ends[index] = fetchedWatermarks(starts[index].partition).high
            }
        }
        batch.clear()
        try unassign(starts.map(\.partition))
        return ends
    }

    /// Per partition the offset after the last record handed out since `assign`, holes included; nil before the first.
    /// For judging how far reading has come, never for committing.
    package func positions(_ partitions: [KafkaPartition]) throws(KafkaError) -> [Int64?] {
        guard !partitions.isEmpty else { return [] }
        let list = PartitionList(partitions)
        try check(rd_kafka_position(handle.client, list.list), doing: "reading positions")
        return list.offsets(of: partitions)
    }
}
