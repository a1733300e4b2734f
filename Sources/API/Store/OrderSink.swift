import Dispatch
import Kafka
import Runtime
import StageKit
import Synchronization
import TwinCore

/// A record that the API writes.
package struct OrderRecord: Sendable {
    package var topic: TopicName
    package var key: [UInt8]?
    /// Nil is a tombstone.
    package var value: [UInt8]?
    package var contentType: String?

    package init(_ topic: TopicName, key: [UInt8]? = nil, value: [UInt8]?, contentType: String? = nil) {
        self.topic = topic
        self.key = key
        self.value = value
        self.contentType = contentType
    }
}

/// Why a record was not written.
package struct OrderError: Error, Sendable {
    package let reason: String
    /// Nothing is wrong with the record; try again later.
    package let isTemporary: Bool

    package init(_ reason: String, isTemporary: Bool) {
        self.reason = reason
        self.isTemporary = isTemporary
    }
}

/// Where orders and ingested records go.
package protocol OrderSink: Sendable {
    /// Returns once all are acknowledged.
    func write(_ records: [OrderRecord]) async throws(OrderError)
}

/// Writes to Kafka. One producer, used by one caller at a time; a bounded number may wait.
final class KafkaOrderSink: OrderSink {
    /// Writes that wait at most.
    static let waitingMax = 1_000
    private static let timeoutMilliseconds = 10_000

    private final class Box {
        var producer: Producer?
        var next: Int32 = 0
    }

    private let configuration: ProgramConfiguration
    private let queue = DispatchQueue(label: "twin-api.orders")
    /// Touched only within `queue`.
    private nonisolated(unsafe) let box = Box()
    private let waiting = Atomic<Int>(0)

    init(_ configuration: ProgramConfiguration) { self.configuration = configuration }

    func write(_ records: [OrderRecord]) async throws(OrderError) {
        guard waiting.add(1, ordering: .relaxed).newValue <= Self.waitingMax else {
            waiting.subtract(1, ordering: .relaxed)
            throw OrderError("too many writes wait for the broker", isTemporary: true)
        }
        let failure = await withCheckedContinuation { (continuation: CheckedContinuation<OrderError?, Never>) in
            queue.async { [self] in
                var failure: OrderError?
                do throws(KafkaError) { try produce(records) } catch {
                    failure = OrderError(error.reason, isTemporary: error.disposition != .deadLetter)
                    if error.disposition != .retry && error.disposition != .deadLetter { box.producer = nil }
                }
                waiting.subtract(1, ordering: .relaxed)
                continuation.resume(returning: failure)
            }
        }
        if let failure { throw failure }
    }

    private func produce(_ records: [OrderRecord]) throws(KafkaError) {
        var producer: Producer
        if let kept = box.producer.take() {
            producer = kept
        } else {
            producer = try Producer(properties: configuration.kafka)
        }
        let deadline = Deadline(milliseconds: Self.timeoutMilliseconds)
        do throws(KafkaError) {
            for record in records { try produce(record, &producer, deadline) }
            try producer.flush(timeoutMilliseconds: Self.timeoutMilliseconds)
        } catch {
            box.producer = consume producer
            throw error
        }
        box.producer = consume producer
    }

    private func produce(
        _ record: OrderRecord, _ producer: inout Producer, _ deadline: Deadline
    ) throws(KafkaError) {
        let topic = try producer.topic(configuration.naming.topic(record.topic))
        let count = configuration.layout[record.topic]
        // Orders about one thing keep their order; what comes without a key is spread.
        let partition: Int32
        if let key = record.key {
            partition = key.withUnsafeBytes { TwinCore.partition(of: $0, among: count) }
        } else {
            partition = box.next % max(count, 1)
            box.next = box.next == .max ? 0 : box.next + 1
        }
        let headers = record.contentType.map { [("content-type", Array($0.utf8))] } ?? []
        try Self.withBytes(record.key) { (key) throws(KafkaError) in
            try Self.withBytes(record.value) { (value) throws(KafkaError) in
                if headers.isEmpty {
                    try producer.produce(to: topic, partition: partition, key: key, value: value, deadline: deadline)
                } else {
                    try producer.produce(
                        to: topic, partition: partition, key: key, value: value,
                        headers: headers.map { (name: $0.0, value: $0.1) }, deadline: deadline)
                }
            }
        }
    }

    private static func withBytes(
        _ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws(KafkaError) -> Void
    ) throws(KafkaError) {
        guard let bytes else { return try body(nil) }
        var failure: KafkaError?
        bytes.withUnsafeBytes { pointer in
            do throws(KafkaError) { try body(pointer) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
