import Kafka
import StageKit
import TaskLoop
import TwinCore
import Worker

extension KafkaWorld {
    /// Queues records. No failure here may pass as one of a single call: the records have left the emitter, so either
    /// the task is restored, or the worker stops.
    package func produce(_ records: [OutgoingRecord]) throws(WorldError) {
        let deadline = Deadline(milliseconds: Int(clamping: configuration.loop.flushTimeoutMilliseconds))
        var bytes = 0
        do throws(KafkaError) {
            for record in records {
                try produce(record, deadline: deadline)
                bytes += record.byteCount
            }
        } catch {
            let failure = failed(error)
            switch failure.disposition {
            case .retry: throw WorldError(.restoreAndReplay, failure.reason)
            case .deadLetter:
                throw WorldError(
                    .stopBroken,
                    "\(failure.reason); lower limits.recordBytesMax or raise the topic's max.message.bytes")
            case .restoreAndReplay, .stopFenced, .stopBroken: throw failure
            }
        }
        refreshClock()
        count { statistics in
            statistics.recordsProduced &+= UInt64(records.count)
            statistics.bytesProduced &+= UInt64(bytes)
        }
    }

    private func produce(_ record: OutgoingRecord, deadline: Deadline) throws(KafkaError) {
        guard let handle = try handle(of: record.topic) else { return }
        let failure = Self.withBytes(record.key) { key in
            Self.withBytes(record.value) { value -> KafkaError? in
                do throws(KafkaError) {
                    try self.producer?.produce(
                        to: handle, partition: record.partition, key: key, value: value, deadline: deadline)
                    return nil
                } catch { return error }
            }
        }
        if let failure { throw failure }
    }

    private func handle(of topic: TopicName) throws(KafkaError) -> Producer.Topic? {
        let index = Int(topic.rawValue)
        if let handle = topicHandles[index] { return handle }
        topicHandles[index] = try producer?.topic(configuration.naming.topic(topic))
        return topicHandles[index]
    }

    private static func withBytes<Result>(
        _ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Result
    ) -> Result {
        guard let bytes else { return body(nil) }
        return bytes.withUnsafeBytes { body($0) }
    }

    package func flush(timeoutMilliseconds: Int64) throws(WorldError) {
        let before = monotonicMilliseconds()
        do throws(KafkaError) {
            try producer?.flush(timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        refreshClock()
        let taken = UInt64(max(nowMilliseconds - before, 0))
        count { statistics in
            statistics.flushes &+= 1
            statistics.flushMilliseconds &+= taken
        }
    }
}
