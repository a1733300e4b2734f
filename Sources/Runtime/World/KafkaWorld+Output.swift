import Kafka
import StageKit
import TaskLoop
import TwinCore
import Worker

extension KafkaWorld {
    /// Queues records. No failure here may pass as one of a single call: the records have left the emitter, so either
    /// the task is restored, or the worker stops.
    package func produce(_ records: borrowing Outbox) throws(WorldError) {
        let deadline = Deadline(milliseconds: Int(clamping: configuration.loop.flushTimeoutMilliseconds))
        do throws(KafkaError) {
            try output?.produce(records, deadline: deadline)
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
        let (count, bytes) = (UInt64(records.count), UInt64(records.byteCount))
        self.count { statistics in
            statistics.recordsProduced &+= count
            statistics.bytesProduced &+= bytes
        }
    }

    package func flush(timeoutMilliseconds: Int64) throws(WorldError) {
        let before = monotonicMilliseconds()
        do throws(KafkaError) {
            try output?.producer.flush(timeoutMilliseconds: Int(clamping: timeoutMilliseconds))
        } catch { throw failed(error) }
        refreshClock()
        let taken = UInt64(max(nowMilliseconds - before, 0))
        count { statistics in
            statistics.flushes &+= 1
            statistics.flushMilliseconds &+= taken
        }
    }
}
