import Kafka
import TaskLoop
import TwinCore
import Worker

extension KafkaWorld {
    package func committed(_ partition: TopicPartition, incarnation: UInt64) throws(WorldError) -> Int64? {
        let name = name(of: partition)
        do throws(KafkaError) {
            if incarnation == configuration.incarnation {
                let found = try consumer?.committed([name], timeoutMilliseconds: Self.requestTimeoutMilliseconds)
                let offset = found?.first ?? nil
                committedRead[partition] = offset
                return offset
            }
            let admin = try Admin(properties: configuration.kafka)
            let group = configuration.naming.group(configuration.stage, incarnation: incarnation)
            let offsets: [Int64?]
            do throws(KafkaError) {
                offsets = try admin.committedOffsets(
                    ofGroup: group, [name], timeoutMilliseconds: Self.requestTimeoutMilliseconds)
            } catch {
                admin.close(deadline: Deadline(milliseconds: 1_000))
                throw error
            }
            admin.close(deadline: Deadline(milliseconds: 1_000))
            return offsets.first ?? nil
        } catch { throw failed(error) }
    }

    package func bounds(_ partition: TopicPartition) throws(WorldError) -> LogBounds {
        let name = name(of: partition)
        do {
            guard let ends = try consumer?.watermarks(name, timeoutMilliseconds: Self.requestTimeoutMilliseconds) else {
                throw WorldError(.stopBroken, "the consumer is closed")
            }
            let start = max(ends.low, 0)
            let reached = committedRead[partition] ?? 0
            if ends.high >= max(reached, start) { return LogBounds(start: start, end: ends.high) }
            // Either the log was truncated, or the broker does not know its own end (one stand-in does not). What the
            // log really holds at the committed offset decides.
            let end = try LogProbe(configuration).end(of: name, notBefore: reached, claimed: ends.high)
            return LogBounds(start: start, end: end)
        } catch let error as WorldError {
            throw error
        } catch let error as KafkaError {
            throw failed(error)
        } catch {
            throw WorldError(.stopBroken, "\(error)")
        }
    }

    package func commit(_ offsets: [LoopStart], timeoutMilliseconds: Int64) throws(WorldError) {
        let before = monotonicMilliseconds()
        let next = offsets.map { NextOffset(name(of: $0.partition), $0.offset) }
        do throws(KafkaError) {
            try consumer?.commit(next, timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        refreshClock()
        let taken = UInt64(max(nowMilliseconds - before, 0))
        count { statistics in
            statistics.commits &+= 1
            statistics.commitMilliseconds &+= taken
        }
        for start in offsets { committedRead[start.partition] = start.offset }
    }
}

/// Finds out whether a log holds an offset, where the broker's own word on its end is contradicted by a commit.
struct LogProbe {
    private static let timeoutMilliseconds = 3_000
    private let configuration: RuntimeConfiguration

    init(_ configuration: RuntimeConfiguration) { self.configuration = configuration }

    /// `claimed` if reading at `offset` is refused; nil, that is "not known", if anything comes from there.
    func end(of partition: KafkaPartition, notBefore offset: Int64, claimed: Int64) throws(KafkaError) -> Int64? {
        var consumer = try Consumer(properties: configuration.kafka, groupID: "\(configuration.groupID).probe")
        var batch = RecordBatch(recordsMax: 16)
        try consumer.assign([PartitionStart(partition, .at(offset))])
        let deadline = Deadline(milliseconds: Self.timeoutMilliseconds)
        var end: Int64? = claimed
        polling: while !deadline.hasPassed {
            if try consumer.poll(into: &batch, timeoutMilliseconds: 50).records > 0 {
                end = nil
                break
            }
            for event in batch.events {
                switch event {
                case .end:
                    end = nil
                    break polling
                case .failed(_, _, let error) where error.disposition != .retry: break polling
                case .failed: continue
                }
            }
            let fetched = consumer.fetchedWatermarks(partition).high
            if let fetched, fetched >= offset {
                end = nil
                break
            }
        }
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 500))
        return end
    }
}
