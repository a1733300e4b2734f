import CRdKafka
import Synchronization

/// How a client ended.
package enum CloseOutcome: Sendable, Equatable {
    /// In order; the group knows that we have left.
    case closed
    /// The group could not be told in time; it finds out by the session time-out.
    case leftWithoutGoodbye
    /// librdkafka did not come to an end in time; its threads remain until the process exits.
    case abandoned
}

extension Consumer {
    /// Ends the consumer, in the one order that does not hang, and never later than `deadline` plus a small grace.
    /// What is to be committed must have been committed before.
    package consuming func close(clearing batch: consuming RecordBatch, deadline: Deadline) -> CloseOutcome {
        // 1. From now on the callback answers rebalances by itself.
        handle.context.isClosing.store(true, ordering: .releasing)
        // 2. Live messages and references would keep the client alive.
        batch.clear()
        releaseReferences()
        settle()
        // 3. A rebalance that nobody will answer any more would block the goodbye.
        if owesAnswer || handle.context.hasRebalance.load(ordering: .acquiring) {
            rd_kafka_assign(handle.client, nil)
        }
        // 4. Say goodbye to the group, without the blocking call, which has no time-out.
        let saidGoodbye = leaveGroup(deadline: deadline)
        // 5. Destroy; whatever happens, within the grace.
        let flags = saidGoodbye ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE
        let grace = Deadline(milliseconds: max(Int(deadline.remainingMilliseconds), 1_000))
        guard handle.destroy(flags: flags, deadline: grace) else { return .abandoned }
        return saidGoodbye ? .closed : .leftWithoutGoodbye
    }

    private func leaveGroup(deadline: Deadline) -> Bool {
        guard let queue = rd_kafka_queue_new(handle.client) else { return false }
        defer { rd_kafka_queue_destroy(queue) }
        if let error = rd_kafka_consumer_close_queue(handle.client, queue) {
            rd_kafka_error_destroy(error)
            return false
        }
        while rd_kafka_consumer_closed(handle.client) == 0 {
            if deadline.hasPassed { return false }
            // Records that were fetched meanwhile come here too; the call that serves only callbacks aborts on them.
            if let message = rd_kafka_consume_queue(queue, min(deadline.remainingMilliseconds, 20)) {
                rd_kafka_message_destroy(message)
            }
        }
        return true
    }
}
