import Synchronization

/// A record on its way into a log. Without a value it is a tombstone: compaction removes the key.
package struct SnapshotLogRecord: Hashable, Sendable {
    /// What compaction keeps one record of.
    package var key: [UInt8]
    /// Nil in a tombstone.
    package var value: [UInt8]?

    /// A record, or a tombstone without a value.
    package init(key: [UInt8], value: [UInt8]?) {
        self.key = key
        self.value = value
    }
}

/// A compacted log, as a store of snapshots needs it: a Kafka topic in production, memory in tests. All calls block.
package protocol SnapshotLog: Sendable {
    /// At least 1, and the same for all processes that share the log.
    var partitionCount: Int32 { get }

    /// Appends records in order and returns when all are durable. After a throw any of them may be in the log or not.
    func append(_ records: [SnapshotLogRecord], partition: Int32) throws(SnapshotError)

    /// Gives every record from the start of the partition to the end seen at the start of the call, in order. The
    /// bytes are valid during the call of `body`; time stamps are milliseconds since the epoch.
    func read(
        partition: Int32,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, _ milliseconds: Int64) -> Void
    ) throws(SnapshotError)
}

/// A log in memory, for tests and simulation. It keeps time by counting appended records, fails when it is told to,
/// and compacts when it is asked to.
package final class MemorySnapshotLog: SnapshotLog {
    private struct Stored {
        var key: [UInt8]
        var value: [UInt8]?
        var timestampMilliseconds: Int64
    }

    private struct State {
        var partitions: [[Stored]]
        var clock: Int64 = 0
        var recordsUntilFailure: Int?
    }

    private let state: Mutex<State>
    package let partitionCount: Int32

    /// An empty log of so many partitions, at least one.
    package init(partitionCount: Int32 = 1) {
        self.partitionCount = max(partitionCount, 1)
        state = Mutex(State(partitions: Array(repeating: [], count: Int(max(partitionCount, 1)))))
    }

    /// Lets so many more records in, then fails every append until called again with nil.
    package func fail(afterRecords count: Int?) { state.withLock { $0.recordsUntilFailure = count } }

    /// Records in all partitions.
    package var recordCount: Int { state.withLock { $0.partitions.reduce(0) { $0 + $1.count } } }

    package func append(_ records: [SnapshotLogRecord], partition: Int32) throws(SnapshotError) {
        let failed = state.withLock { state -> Bool in
            for record in records {
                if let left = state.recordsUntilFailure {
                    guard left > 0 else { return true }
                    state.recordsUntilFailure = left - 1
                }
                state.clock += 1
                state.partitions[Int(partition)].append(
                    Stored(key: record.key, value: record.value, timestampMilliseconds: state.clock))
            }
            return false
        }
        if failed { throw SnapshotError(.failed, "the log took no more records") }
    }

    package func read(
        partition: Int32,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, _ milliseconds: Int64) -> Void
    ) throws(SnapshotError) {
        for record in state.withLock({ $0.partitions[Int(partition)] }) {
            record.key.withUnsafeBytes { key in
                if let value = record.value {
                    value.withUnsafeBytes { body(key, $0, record.timestampMilliseconds) }
                } else {
                    body(key, nil, record.timestampMilliseconds)
                }
            }
        }
    }

    /// Keeps the newest record of each key, and no tombstone.
    package func compact() {
        state.withLock { state in
            for partition in state.partitions.indices {
                var newest: [[UInt8]: Int] = [:]
                for (index, record) in state.partitions[partition].enumerated() { newest[record.key] = index }
                let records = state.partitions[partition]
                state.partitions[partition] = records.indices.compactMap { index in
                    newest[records[index].key] == index && records[index].value != nil ? records[index] : nil
                }
            }
        }
    }

    /// Changes a stored value in place, for tests: `change` gets each record's key and may alter its value.
    package func alter(partition: Int32, _ change: (_ key: [UInt8], _ value: inout [UInt8]?) -> Void) {
        state.withLock { state in
            for index in state.partitions[Int(partition)].indices {
                let key = state.partitions[Int(partition)][index].key
                change(key, &state.partitions[Int(partition)][index].value)
            }
        }
    }
}
