import CRdKafka
import Synchronization

/// A client for questions and orders to the cluster. Every call blocks until its time-out at most; none belongs on a
/// worker's loop. An absent broker or refused credentials end as an error that says so.
package struct Admin: ~Copyable {
    var handle: ClientHandle

    /// Throws for properties that are unknown, malformed or fixed by the design. Does not connect yet.
    package init(properties: KafkaProperties) throws(KafkaError) {
        handle = try ClientHandle(RD_KAFKA_PRODUCER, properties: properties, role: .admin)
    }

    /// librdkafka's log lines since the last call, bounded.
    package func drainLogs() -> [KafkaLogLine] { handle.context.drainLogs() }

    /// Ends the client. False outcome only if librdkafka does not let go in time.
    @discardableResult
    package consuming func close(deadline: Deadline) -> CloseOutcome {
        handle.destroy(flags: 0, deadline: deadline) ? .closed : .abandoned
    }

    /// Sends one admin request and waits for its one result, which it passes to `body`.
    func request<Result>(
        _ operation: rd_kafka_admin_op_t, doing: String, timeoutMilliseconds: Int,
        send: (_ options: OpaquePointer, _ replies: OpaquePointer) throws(KafkaError) -> Void,
        body: (_ event: OpaquePointer) throws(KafkaError) -> Result
    ) throws(KafkaError) -> Result {
        guard let replies = rd_kafka_queue_new(handle.client) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: doing)
        }
        defer { rd_kafka_queue_destroy(replies) }
        guard let options = rd_kafka_AdminOptions_new(handle.client, operation) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, doing: doing)
        }
        defer { rd_kafka_AdminOptions_destroy(options) }
        let wait = Int32(clamping: max(timeoutMilliseconds, 1))
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            _ = rd_kafka_AdminOptions_set_request_timeout(options, wait, text.baseAddress, text.count)
            // How long the broker itself may wait for a topic to appear everywhere; some operations have no such wait.
            _ = rd_kafka_AdminOptions_set_operation_timeout(options, wait, text.baseAddress, text.count)
        }
        try send(options, replies)
        // librdkafka answers a time-out itself; the slack is for its timers.
        let deadline = Deadline(milliseconds: timeoutMilliseconds + 1_000)
        guard let event = rd_kafka_queue_poll(replies, deadline.remainingMilliseconds) else {
            throw explain(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: doing)
        }
        defer { rd_kafka_event_destroy(event) }
        let code = rd_kafka_event_error(event)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
            throw explain(code, doing: doing, detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
        }
        return try body(event)
    }

    func check(_ code: rd_kafka_resp_err_t, doing: String) throws(KafkaError) {
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw explain(code, doing: doing) }
    }

    /// The error with its cause, if the connection has told one.
    func explain(_ code: rd_kafka_resp_err_t, doing: String, detail: String? = nil) -> KafkaError {
        rd_kafka_poll(handle.client, 0)
        return handle.context.explain(KafkaError(code, doing: doing, detail: detail))
    }

    static func throwFirstError(
        _ results: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int, doing: String,
        except isFine: (rd_kafka_resp_err_t) -> Bool = { _ in false }
    ) throws(KafkaError) {
        for result in UnsafeBufferPointer(start: results, count: count) {
            let code = rd_kafka_topic_result_error(result)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR, !isFine(code) else { continue }
            let name = rd_kafka_topic_result_name(result).map { String(cString: $0) } ?? "?"
            let detail = rd_kafka_topic_result_error_string(result).map { String(cString: $0) }
            throw KafkaError(code, doing: "\(doing) '\(name)'", detail: detail)
        }
    }
}
