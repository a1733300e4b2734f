import CRdKafka
import Synchronization

extension Producer {
    /// Longest slice in which a flush waits. With error-only reports nothing wakes librdkafka's own wait when the last
    /// acknowledgement arrives; it looks again after a slice. Each slice wakes every broker's thread to look over all
    /// partitions, so slices grow with the time that has passed: a quarter more of waiting at most, and few of them.
    private static let flushSliceMillisecondsMax: Int32 = 10

    /// Waits until everything produced so far is acknowledged by the brokers.
    /// Throws the first failed delivery since the last flush (with how many failed), the producer's fatal error, or,
    /// after the time-out, `retry` with the number still outstanding: then flush again, the records are kept.
    package func flush(timeoutMilliseconds: Int) throws(KafkaError) {
        let deadline = Deadline(milliseconds: timeoutMilliseconds)
        let start = deadline.remainingMilliseconds
        repeat {
            let left = deadline.remainingMilliseconds
            let slice = min(max(left, 0), max(1, min((start - left) / 4, Self.flushSliceMillisecondsMax)))
            if rd_kafka_flush(handle.client, slice) == RD_KAFKA_RESP_ERR_NO_ERROR { break }
            try throwFailures()
        } while !deadline.hasPassed
        rd_kafka_poll(handle.client, 0)
        try throwFailures()
        let left = outstanding
        guard left == 0 else {
            let text = "\(left) of the records not acknowledged within \(timeoutMilliseconds) ms"
            throw handle.context.explain(KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: "flushing", detail: text))
        }
        handle.context.recordContact()
    }

    private func throwFailures() throws(KafkaError) {
        let (count, first) = handle.context.contents.withLock { contents in
            defer {
                contents.deliveryFailures = 0
                contents.firstDeliveryFailure = nil
            }
            return (contents.deliveryFailures, contents.firstDeliveryFailure)
        }
        if let fatal = KafkaError(fatalOf: handle.client, doing: "flushing") {
            // The failed record says more than the consequence.
            throw first.map { $0.fatal } ?? fatal
        }
        guard let first else { return }
        throw first.counted(count)
    }

    /// Drops what is not acknowledged and ends the producer. Nothing that matters may be outstanding: flush first.
    @discardableResult
    package consuming func purgeAndDestroy(deadline: Deadline) -> CloseOutcome {
        rd_kafka_purge(handle.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        rd_kafka_flush(handle.client, min(deadline.remainingMilliseconds, 100))
        releaseTopics()
        return handle.destroy(flags: 0, deadline: deadline) ? .closed : .abandoned
    }
}

extension KafkaError {
    /// The same failure, saying how many records shared it.
    fileprivate func counted(_ count: Int) -> KafkaError {
        guard count > 1 else { return self }
        return KafkaError(
            rd_kafka_resp_err_t(rawValue: code), doing: "\(count) deliveries failed, the first", detail: reason)
    }
}
