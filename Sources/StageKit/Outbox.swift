import Messages
import TwinCore

/// Records on their way to the broker, one behind the other in one piece of memory that is reused: what a task writes
/// between two commits costs no allocation.
package struct Outbox: ~Copyable {
    /// One record; its bytes live until the outbox changes.
    package struct Record {
        package let topic: TopicName
        package let partition: Int32
        package let key: UnsafeRawBufferPointer?
        /// Nil is a tombstone.
        package let value: UnsafeRawBufferPointer?
    }

    /// Where a record stands: its key, then its value, to the end. A null key or value has -1 bytes.
    private struct Place: BitwiseCopyable {
        var end: Int
        var keyBytes: Int32
        var valueBytes: Int32
        var partition: Int32
        var topic: TopicName
    }

    /// What a record costs beside its bytes.
    private static let overheadBytes = 64
    /// Memory beyond this is given back when the outbox is emptied.
    private static let keptBytesMax = 4 << 20

    private var text = JSONWriter(capacityBytes: 4_096)
    private var places: [Place] = []

    package init() {}

    /// One record by itself, without a key.
    package init(_ topic: TopicName, _ partition: Int32, value: [UInt8]) {
        self.init()
        append(topic, partition) { buffer in value.withUnsafeBytes { buffer.append($0) } }
    }

    /// Records held.
    package var count: Int { places.count }

    /// Their bytes, and what the records themselves cost.
    package var byteCount: Int { text.byteCount &+ places.count &* Self.overheadBytes }

    /// Calls `body` with each record, oldest first.
    package borrowing func forEach<E: Error>(_ body: (Record) throws(E) -> Void) throws(E) {
        let bytes = text.buffer.bytes
        for place in places {
            let valueStart = place.end &- Int(max(place.valueBytes, 0))
            let keyStart = valueStart &- Int(max(place.keyBytes, 0))
            try body(
                Record(
                    topic: place.topic, partition: place.partition,
                    key: place.keyBytes < 0 ? nil : UnsafeRawBufferPointer(rebasing: bytes[keyStart..<valueStart]),
                    value: place.valueBytes < 0
                        ? nil : UnsafeRawBufferPointer(rebasing: bytes[valueStart..<place.end])))
        }
    }

    /// Copies of all records.
    var copies: [OutgoingRecord] {
        var copies: [OutgoingRecord] = []
        copies.reserveCapacity(count)
        forEach { copies.append(OutgoingRecord($0)) }
        return copies
    }

    /// Adds a record with JSON in it. One of more than `bytesMax` bytes is not added, but returned.
    /// - Parameter key: a null key if empty.
    mutating func append(
        _ topic: TopicName, _ partition: Int32, key: UnsafeRawBufferPointer, bytesMax: Int,
        _ body: (inout JSONWriter) -> Void
    ) -> [UInt8]? {
        let start = text.byteCount
        text.buffer.append(key)
        let valueStart = text.byteCount
        text.beginDocument()
        body(&text)
        guard text.byteCount - valueStart <= bytesMax else {
            let refused = [UInt8](text.buffer.bytes[valueStart...])
            text.buffer.cut(to: start)
            return refused
        }
        place(topic, partition, keyBytes: key.isEmpty ? -1 : key.count, valueBytes: text.byteCount - valueStart)
        return nil
    }

    /// Adds a record without a key that `body` writes.
    mutating func append(_ topic: TopicName, _ partition: Int32, _ body: (inout ByteBuffer) -> Void) {
        let start = text.byteCount
        body(&text.buffer)
        place(topic, partition, keyBytes: -1, valueBytes: text.byteCount - start)
    }

    /// Adds a record without a value.
    mutating func appendTombstone(_ topic: TopicName, _ partition: Int32, key: UnsafeRawBufferPointer) {
        text.buffer.append(key)
        place(topic, partition, keyBytes: key.count, valueBytes: -1)
    }

    private mutating func place(_ topic: TopicName, _ partition: Int32, keyBytes: Int, valueBytes: Int) {
        places.append(
            Place(
                end: text.byteCount, keyBytes: Int32(keyBytes), valueBytes: Int32(valueBytes), partition: partition,
                topic: topic))
    }

    /// Forgets all records; the memory is kept for the next ones unless it is much.
    mutating func removeAll() {
        places.removeAll(keepingCapacity: true)
        if text.buffer.capacity > Self.keptBytesMax {
            text = JSONWriter(capacityBytes: 4_096)
        } else {
            text.removeAll()
        }
    }
}

/// A record of an outbox with bytes of its own, for who keeps it.
package struct OutgoingRecord: Sendable {
    package let topic: TopicName
    package let partition: Int32
    package let key: [UInt8]?
    /// Nil is a tombstone.
    package let value: [UInt8]?

    package init(topic: TopicName, partition: Int32, key: [UInt8]?, value: [UInt8]?) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
    }

    package init(_ record: Outbox.Record) {
        self.init(
            topic: record.topic, partition: record.partition, key: record.key.map { [UInt8]($0) },
            value: record.value.map { [UInt8]($0) })
    }
}
