import Glibc
import Testing

@testable import Kafka

/// Ten seconds: long enough for any step here on a busy machine, short enough to notice a hang.
let patience = 10_000

/// A record that has been copied out of a batch.
struct Copied: Equatable, Sendable {
    var topic: Int
    var partition: Int32
    var offset: Int64
    var key: [UInt8]?
    var value: [UInt8]?

    init(_ record: borrowing Record) {
        topic = record.topic
        partition = record.partition
        offset = record.offset
        key = record.key.map { Array($0) }
        value = record.value.map { Array($0) }
    }
}

extension RecordBatch {
    borrowing func copied() -> [Copied] {
        var copies: [Copied] = []
        forEach { copies.append(Copied($0)) }
        return copies
    }
}

extension Producer {
    mutating func send(
        _ topic: String, _ partition: Int32, key: [UInt8]? = nil, _ value: [UInt8]?
    ) throws(KafkaError) {
        let topic = try self.topic(topic)
        let keyBytes = key ?? []
        let valueBytes = value ?? []
        let result: Result<Void, KafkaError> = keyBytes.withUnsafeBytes { keyBuffer in
            valueBytes.withUnsafeBytes { valueBuffer in
                Result { () throws(KafkaError) in
                    try produce(
                        to: topic, partition: partition, key: key == nil ? nil : keyBuffer,
                        value: value == nil ? nil : valueBuffer, deadline: Deadline(milliseconds: patience))
                }
            }
        }
        try result.get()
    }
}

/// Reads until `enough` says so or patience ends.
func read(
    _ consumer: inout Consumer, _ batch: inout RecordBatch, until enough: ([Copied], [PartitionEvent]) -> Bool
) throws(KafkaError) -> (records: [Copied], events: [PartitionEvent]) {
    let deadline = Deadline(milliseconds: patience)
    var records: [Copied] = []
    var events: [PartitionEvent] = []
    while !enough(records, events), !deadline.hasPassed {
        _ = try consumer.poll(into: &batch, timeoutMilliseconds: 50)
        records += batch.copied()
        events += batch.events
    }
    return (records, events)
}

func number(_ bytes: [UInt8]?) -> Int? {
    bytes.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
}

/// Runs `body` on a thread of its own and waits for it without blocking the cooperative pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let work = Work { continuation.resume(with: Result { try body() }) }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(work).toOpaque())
        pthread_detach(thread)
    }
}

private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// A breath between looks at something that another thread changes.
func pause() { usleep(10_000) }
