import Kafka
import Logging
import TwinCore
import Worker

/// Turns what a worker tells into log lines: constant messages, structured metadata, repeated failures counted instead
/// of repeated.
struct WorkerEventLog {
    private static let repeatMilliseconds: Int64 = 5_000

    private let log: Logger
    private var lastReason = ""
    private var lastMilliseconds: Int64 = .min / 2
    private var suppressed = 0

    init(_ log: Logger) { self.log = log }

    mutating func note(_ event: WorkerEvent, now: Int64) {
        switch event {
        case .recovered(let task, let from, let speakFrom, let usedSnapshot):
            log.info(
                "task recovered",
                metadata: [
                    "task": "\(task)", "offset.from": "\(from)", "offset.speakFrom": "\(speakFrom)",
                    "snapshot.used": "\(usedSnapshot)",
                ])
        case .resumed(let task, let offset):
            log.info("task resumed", metadata: ["task": "\(task)", "offset.from": "\(offset)"])
        case .skippedSnapshot(let task, let reason):
            log.warning("snapshot passed over", metadata: ["task": "\(task)", "reason": "\(reason)"])
        case .released(let partitions):
            log.info("partitions released", metadata: ["partitions": "\(partitions.map(\.description))"])
        case .rebuilding(let reason): log.warning("worker rebuilds", metadata: ["reason": "\(reason)"])
        case .acceptedGap(let task, let reason):
            log.warning("gap accepted", metadata: ["task": "\(task)", "reason": "\(reason)"])
        case .snapshotSubmitted(let task, let offset):
            log.debug("snapshot begun", metadata: ["task": "\(task)", "offset": "\(offset)"])
        case .failed: break
        }
    }

    mutating func failure(_ reason: String, now: Int64) {
        if reason == lastReason, now - lastMilliseconds < Self.repeatMilliseconds {
            suppressed += 1
            return
        }
        var metadata: Logger.Metadata = ["reason": "\(reason)"]
        if suppressed > 0 { metadata["repeats.suppressed"] = "\(suppressed)" }
        log.warning("worker met an error", metadata: metadata)
        lastReason = reason
        lastMilliseconds = now
        suppressed = 0
    }

    /// librdkafka's own lines; they are background to our own, hence one level quieter.
    func library(_ lines: [KafkaLogLine]) {
        for line in lines {
            // librdkafka calls some properties experimental, at every start.
            if line.facility == "CONFWARN", line.text.contains("is experimental") { continue }
            let level: Logger.Level = line.level <= 4 ? .notice : line.level <= 6 ? .info : .debug
            log.log(
                level: level, "librdkafka",
                metadata: ["kafka.facility": "\(line.facility)", "kafka.text": "\(line.text)"])
        }
    }
}
