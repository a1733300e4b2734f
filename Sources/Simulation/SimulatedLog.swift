import StageKit
import TwinCore

/// An in-memory broker: partitions that only grow, offsets with holes, offsets committed by groups.
package final class SimulatedLog {
    /// A record as it lies in the log.
    package struct Stored: Sendable, Equatable {
        package var offset: Int64
        package var key: [UInt8]?
        package var value: [UInt8]?
        /// The record's `content-type` header.
        package var contentType: [UInt8]?

        /// A record as somebody read it.
        package init(offset: Int64, key: [UInt8]?, value: [UInt8]?, contentType: [UInt8]? = nil) {
            self.offset = offset
            self.key = key
            self.value = value
            self.contentType = contentType
        }
    }

    package let layout: TopicLayout
    private var partitions: [TopicPartition: [Stored]] = [:]
    private var ends: [TopicPartition: Int64] = [:]
    private var commits: [Group: Int64] = [:]
    /// Offsets that compaction has removed: kept for the record, not given to readers.
    private var compacted: [TopicPartition: Set<Int64>] = [:]

    private struct Group: Hashable {
        var stage: StageName
        var incarnation: UInt64
        var partition: TopicPartition
    }

    /// Virtual milliseconds.
    package var clock: () -> Int64 = { 0 }
    /// When each record was appended.
    private var times: [TopicPartition: [Int64: Int64]] = [:]

    package init(layout: TopicLayout) { self.layout = layout }

    /// When a record was appended; nil if there is none.
    package func time(of offset: Int64, in partition: TopicPartition) -> Int64? { times[partition]?[offset] }

    /// Appends a record and returns its offset.
    @discardableResult
    package func append(
        _ partition: TopicPartition, key: [UInt8]?, value: [UInt8]?, contentType: [UInt8]? = nil
    ) -> Int64 {
        let offset = ends[partition] ?? 0
        if isLost(partition, value) {
            ends[partition] = offset + 1
            return offset
        }
        times[partition, default: [:]][offset] = clock()
        partitions[partition, default: []].append(
            Stored(offset: offset, key: key, value: value, contentType: contentType))
        ends[partition] = offset + 1
        return offset
    }

    /// The n-th record with entries of this partition is acknowledged and lost: what a careful system must notice.
    package var losses: (partition: TopicPartition, number: Int)?

    private func isLost(_ partition: TopicPartition, _ value: [UInt8]?) -> Bool {
        guard let loss = losses, loss.partition == partition, let value,
            let frame = Oracle.entries(of: value), !frame.entries.isEmpty
        else { return false }
        losses = loss.number > 1 ? (partition, loss.number - 1) : nil
        return loss.number == 1
    }

    /// Removes all records below an offset but the last of each key.
    package func compact(_ partition: TopicPartition, below offset: Int64) {
        var kept = Set<[UInt8]>()
        for record in records(partition).reversed() {
            guard let key = record.key else { continue }
            if !kept.insert(key).inserted && record.offset < offset {
                compacted[partition, default: []].insert(record.offset)
            }
        }
    }

    /// Whether compaction has removed a record.
    package func isCompacted(_ partition: TopicPartition, _ offset: Int64) -> Bool {
        compacted[partition]?.contains(offset) ?? false
    }

    /// Makes a hole of `count` offsets, as control records and compaction do.
    package func skip(_ partition: TopicPartition, count: Int64) { ends[partition] = (ends[partition] ?? 0) + count }

    /// What the partition holds.
    package func records(_ partition: TopicPartition) -> [Stored] { partitions[partition] ?? [] }

    /// Offset after the last record or hole.
    package func end(_ partition: TopicPartition) -> Int64 { ends[partition] ?? 0 }

    /// Index of the first record at or beyond an offset.
    package func index(_ partition: TopicPartition, from offset: Int64) -> Int {
        let records = partitions[partition] ?? []
        var low = 0
        var high = records.count
        while low < high {
            let middle = (low + high) / 2
            if records[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The record at an index of a partition, or nil.
    package func record(_ partition: TopicPartition, _ index: Int) -> Stored? {
        guard let records = partitions[partition], index < records.count else { return nil }
        return records[index]
    }

    package func committed(_ stage: StageName, _ incarnation: UInt64, _ partition: TopicPartition) -> Int64? {
        commits[Group(stage: stage, incarnation: incarnation, partition: partition)]
    }

    package func commit(_ stage: StageName, _ incarnation: UInt64, _ partition: TopicPartition, _ offset: Int64) {
        commits[Group(stage: stage, incarnation: incarnation, partition: partition)] = offset
    }
}
