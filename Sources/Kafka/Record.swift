import CRdKafka

/// One consumed record, seen inside `RecordBatch.forEach` and nowhere else: its bytes belong to the batch, and the
/// compiler refuses to keep it beyond the call.
package struct Record: ~Copyable, ~Escapable {
    /// The topic, as its index among the topics in the order in which the consumer first named them.
    package let topic: Int
    package let partition: Int32
    package let offset: Int64
    /// The record's timestamp, milliseconds since the epoch (create or log-append time); -1 where it has none.
    package let timestampMilliseconds: Int64
    @usableFromInline let message: UnsafeMutablePointer<rd_kafka_message_t>
    @usableFromInline let keyStart: UnsafeRawPointer?
    @usableFromInline let keyCount: Int
    @usableFromInline let valueStart: UnsafeRawPointer?
    @usableFromInline let valueCount: Int

    @_lifetime(borrow batch)
    @usableFromInline
    init(_ message: UnsafeMutablePointer<rd_kafka_message_t>, topic: Int, in batch: borrowing RecordBatch) {
        self.topic = topic
        partition = message.pointee.partition
        offset = message.pointee.offset
        timestampMilliseconds = rd_kafka_message_timestamp(message, nil)
        self.message = message
        keyStart = UnsafeRawPointer(message.pointee.key)
        keyCount = message.pointee.key_len
        valueStart = UnsafeRawPointer(message.pointee.payload)
        valueCount = message.pointee.len
    }

    /// The key's bytes, nil for a null key. Not to be kept beyond the closure that sees this record.
    @inlinable package var key: UnsafeRawBufferPointer? {
        keyStart.map { UnsafeRawBufferPointer(start: $0, count: keyCount) }
    }

    /// The value's bytes, nil for a tombstone. Not to be kept beyond the closure that sees this record.
    @inlinable package var value: UnsafeRawBufferPointer? {
        valueStart.map { UnsafeRawBufferPointer(start: $0, count: valueCount) }
    }

    /// The value's bytes, empty for a tombstone; the compiler keeps it from outliving the record.
    @inlinable package var valueSpan: RawSpan {
        @_lifetime(borrow self) get {
            let bytes = UnsafeRawBufferPointer(start: valueStart, count: valueCount)
            return _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
        }
    }

    /// The last header of this name, or nil. Headers are decoded when first asked for: not for hot topics.
    package func header(_ name: String) -> UnsafeRawBufferPointer? {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return nil }
        var value: UnsafeRawPointer?
        var size = 0
        guard rd_kafka_header_get_last(headers, name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        return UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : size)
    }

    /// Calls `body` with the name and value of every header, in order.
    package func forEachHeader(_ body: (String, UnsafeRawBufferPointer?) -> Void) {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return }
        var index = 0
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(headers, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            let bytes = value.map { UnsafeRawBufferPointer(start: $0, count: size) }
            body(name.map { String(cString: $0) } ?? "", bytes)
            index += 1
        }
    }
}
