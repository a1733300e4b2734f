import Kafka
import Snapshots
import Synchronization

/// A compacted Kafka topic as a log of snapshots. Calls may come from any thread, one writes at a time.
package final class KafkaSnapshotLog: SnapshotLog {
    /// Longest wait for the acknowledgement of one call's records.
    private static let appendTimeoutMilliseconds = 60_000
    /// Longest silence while reading.
    private static let silenceMillisecondsMax = 20_000

    package let partitionCount: Int32
    private let topic: String
    private let properties: KafkaProperties
    private let groupID: String
    /// Made when first needed, and again after a failure that voids it.
    private let producer = Mutex<Producer?>(nil)
    /// Kept from reading to reading: a new consumer needs half a second before its first fetch.
    /// Touched only while `reading` is held. It cannot live inside the lock: a reading mixes it with the caller's
    /// closure.
    private nonisolated(unsafe) var reader: Reader?
    private let reading = Mutex(())

    /// A log over an existing topic. `groupID` only names the reader; it never joins.
    package init(
        topic: String, partitionCount: Int32, properties: KafkaProperties, groupID: String
    ) {
        self.topic = topic
        self.partitionCount = max(partitionCount, 1)
        self.properties = properties
        self.groupID = groupID
    }

    package func append(_ records: [SnapshotLogRecord], partition: Int32) throws(SnapshotError) {
        let failure = producer.withLock { producer -> SnapshotError? in
            do throws(KafkaError) {
                if producer == nil { producer = try Producer(properties: properties) }
                try Self.send(records, to: topic, partition, &producer)
                return nil
            } catch {
                // Nothing of a failed call may be written later, in the middle of the next.
                if let old = producer.take() { old.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000)) }
                return Self.failure(error, topic)
            }
        }
        if let failure { throw failure }
    }

    private static func send(
        _ records: [SnapshotLogRecord], to topic: String, _ partition: Int32, _ producer: inout Producer?
    ) throws(KafkaError) {
        guard let handle = try producer?.topic(topic) else { return }
        let deadline = Deadline(milliseconds: appendTimeoutMilliseconds)
        for record in records {
            var failure: KafkaError?
            record.key.withUnsafeBytes { key in
                func produce(_ value: UnsafeRawBufferPointer?) {
                    do throws(KafkaError) {
                        try producer?.produce(
                            to: handle, partition: partition, key: key, value: value, deadline: deadline)
                    } catch { failure = error }
                }
                if let value = record.value { value.withUnsafeBytes { produce($0) } } else { produce(nil) }
            }
            if let failure { throw failure }
        }
        try producer?.flush(timeoutMilliseconds: Int(deadline.remainingMilliseconds))
    }

    package func read(
        partition: Int32,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, _ milliseconds: Int64) -> Void
    ) throws(SnapshotError) {
        let place = KafkaPartition(topic, partition)
        let failure = reading.withLock { _ -> SnapshotError? in
            do throws(KafkaError) {
                if reader == nil { reader = try Reader(properties, groupID: groupID) }
                let isComplete = try reader?.read(place, silenceMillisecondsMax: Self.silenceMillisecondsMax, body)
                if isComplete == true { return nil }
                if let old = reader.take() { old.close() }
                return SnapshotError(
                    .failed, "\(place): no answer for \(Self.silenceMillisecondsMax) ms while reading")
            } catch {
                if let old = reader.take() { old.close() }
                return Self.failure(error, topic)
            }
        }
        if let failure { throw failure }
    }

    private static func failure(_ error: KafkaError, _ topic: String) -> SnapshotError {
        let code: SnapshotError.Code = error.disposition == .deadLetter ? .limit : .failed
        return SnapshotError(code, "snapshot topic '\(topic)': \(error.reason)")
    }
}

/// A consumer that reads whole partitions, one at a time, and joins no group.
private struct Reader: ~Copyable {
    private var consumer: Consumer
    private var batch = RecordBatch(recordsMax: 256)

    init(_ properties: KafkaProperties, groupID: String) throws(KafkaError) {
        consumer = try Consumer(properties: properties, groupID: groupID)
    }

    /// Reads until the end of the partition is reported; false if the broker falls silent.
    mutating func read(
        _ place: KafkaPartition, silenceMillisecondsMax: Int,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?, Int64) -> Void
    ) throws(KafkaError) -> Bool {
        try consumer.assign([PartitionStart(place, .beginning)])
        var silence = Deadline(milliseconds: silenceMillisecondsMax)
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        var isComplete = false
        while !isComplete, !silence.hasPassed {
            let polled = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
            batch.forEach { record in body(record.key ?? empty, record.value, record.timestampMilliseconds) }
            if polled.records > 0 { silence = Deadline(milliseconds: silenceMillisecondsMax) }
            for event in batch.events {
                switch event {
                case .end: isComplete = true
                case .failed(_, _, let error): if error.disposition != .retry { throw error }
                }
            }
        }
        batch.clear()
        try consumer.unassign([place])
        return isComplete
    }

    consuming func close() { _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 500)) }
}
