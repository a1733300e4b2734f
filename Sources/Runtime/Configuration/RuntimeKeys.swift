import StageKit
import TaskLoop
import Topology
import TwinCore

/// Every key of a stage's process, beside those of the stage's own logic (`stage.…`) and librdkafka's (`kafka.…`).
enum RuntimeKeys {
    private static let positive = 1...Int.max

    static let all: [ConfigurationKey] = identity + topics + snapshots + loop + limits + operation

    private static let identity = [
        ConfigurationKey(
            "namespace", .text, default: "",
            "Prefix of all topics, groups and snapshots; a second pipeline beside the first."),
        ConfigurationKey(
            "incarnation", .integer(1...Int(Int32.max)), default: "1",
            "Raised for a reset and for every change that changes outputs."),
        ConfigurationKey(
            "rebuildFromStart", .flag, default: "false",
            "Build a new state from what the log still has; needs a raised incarnation."),
        ConfigurationKey(
            "acceptGap", .flag, default: "false",
            "Go on although entries of a sender are missing for good."),
        ConfigurationKey(
            "clock", .word(["wall", "event"]), default: "wall",
            "Whether a caught-up normalizer's watermark may follow the wall clock."),
    ]

    private static let topics =
        [
            ConfigurationKey(
                "partitions", .integer(1...TopicFile.partitionsMax), default: "\(Topology.partitionsDefault)",
                "Partitions of every topic but policies and commands.")
        ]
        + TopicName.allCases.map { topic in
            ConfigurationKey(
                "topics.\(topic.text).partitions", .integer(0...TopicFile.partitionsMax), default: "0", isHidden: true,
                "Partitions of \(topic.text), where they differ; 0: as all.")
        }
        + TopicName.allCases.map { topic in
            ConfigurationKey(
                "topics.\(topic.text).epoch", .integer(1...Int(UInt16.max)),
                default: "\(Topology.plan(of: topic).epoch)", isHidden: true,
                "Raised when topic \(topic.text) is recreated.")
        }

    private static let snapshots = [
        ConfigurationKey(
            "snapshots.url", .text, default: "file:///var/lib/twinscale/snapshots",
            "Where snapshots are kept: file:///directory, or kafka:topic (compacted)."),
        ConfigurationKey(
            "snapshots.generationsKept", .integer(1...1_000), default: "3", "Snapshots kept per task."),
        ConfigurationKey("snapshots.threads", .integer(1...64), default: "2", "Threads that compress and restore."),
        ConfigurationKey("snapshots.level", .integer(1...19), default: "1", "zstd level."),
    ]

    private static let loop: [ConfigurationKey] = {
        let d = LoopSettings()
        func key(_ name: String, _ value: some BinaryInteger, _ help: String, min: Int = 1) -> ConfigurationKey {
            ConfigurationKey("loop.\(name)", .integer(min...Int.max / 4), default: "\(value)", help)
        }
        return [
            key("commitIntervalMilliseconds", d.commitIntervalMilliseconds, "Commit at the latest after so long."),
            key("commitRecordsMax", d.commitRecordsMax, "Commit at the latest after so many records."),
            key("commitBytesMax", d.commitBytesMax, "Commit at the latest after so many bytes of output."),
            key("pollTimeoutMilliseconds", d.pollTimeoutMilliseconds, "Longest wait for records."),
            key("heartbeatIntervalMilliseconds", d.heartbeatIntervalMilliseconds, "A heartbeat at least so often."),
            key("snapshotIntervalMilliseconds", d.snapshotIntervalMilliseconds, "A snapshot after so long with input."),
            key("snapshotBytes", d.snapshotBytes, "A snapshot after so many bytes of input."),
            key("snapshotHeldBytesMax", d.snapshotHeldBytesMax, "Memory that writing snapshots may cost."),
            key("flushTimeoutMilliseconds", d.flushTimeoutMilliseconds, "Longest wait for acknowledgements."),
            key("revokeTimeoutMilliseconds", d.revokeTimeoutMilliseconds, "For flush and commit in a rebalance."),
            key("rebuildBackoffMilliseconds", d.rebuildBackoffMilliseconds, "First wait before a rebuild."),
            key("rebuildBackoffMillisecondsMax", d.rebuildBackoffMillisecondsMax, "Longest wait before a rebuild."),
            key("rebuildsMax", d.rebuildsMax, "Rebuilds in a row before giving up."),
            key("commitRetriesMax", d.commitRetriesMax, "Retries of one commit.", min: 0),
        ]
    }()

    private static let limits = [
        ConfigurationKey(
            "limits.gapFramesMax", .integer(positive), default: "300",
            "Frames of a sender that an open gap may last before the task stops."),
        ConfigurationKey("limits.namesMax", .integer(1...100_000_000), default: "1000000", "Names known to one task."),
        ConfigurationKey(
            "limits.frameBytesMax", .integer(4_096...50_000_000), default: "\(Emitter.Limits().frameBytesMax)",
            "A frame is cut when it reaches this size."),
        ConfigurationKey(
            "limits.recordBytesMax", .integer(8_192...100_000_000), default: "\(Emitter.Limits().recordBytesMax)",
            "No record exceeds this size; below kafka.message.max.bytes."),
        ConfigurationKey(
            "limits.batchRecordsMax", .integer(1...1_000_000), default: "10000", "Records taken in one poll."),
    ]

    private static let operation = [
        ConfigurationKey(
            "health.listen", .text, default: "",
            "Address of /health, /status and /metrics, for example 127.0.0.1:9401; empty: off."),
        ConfigurationKey(
            "alarms.silentSenderMilliseconds", .integer(positive), default: "60000",
            "How long a sender may say nothing new about time while others do."),
        ConfigurationKey(
            "log.level", .word(["trace", "debug", "info", "notice", "warning", "error", "critical"]), default: "info",
            "Least severe level that is logged."),
        ConfigurationKey("log.format", .word(["logfmt", "json"]), default: "logfmt", "Form of a log line."),
        ConfigurationKey(
            "startTimeoutMilliseconds", .integer(positive), default: "30000",
            "Longest wait for a broker at the start."),
        ConfigurationKey(
            "stopTimeoutMilliseconds", .integer(positive), default: "20000", "Longest wait for an orderly end."),
    ]
}
