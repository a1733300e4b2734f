import Configuration
import Kafka
import Logging
import Snapshots
import StageKit
import TaskLoop
import TwinCore

/// Where snapshots are kept.
package enum SnapshotLocation: Sendable, Equatable {
    case directory(String)
    /// A compacted topic, without the namespace.
    case topic(String)

    /// From `file:///path` or `kafka:topic`; nil if it is neither.
    package init?(_ url: String) {
        if url.hasPrefix("file://") {
            let path = String(url.dropFirst(7))
            guard path.hasPrefix("/") else { return nil }
            self = .directory(path)
        } else if url.hasPrefix("kafka:"), url.count > 6 {
            self = .topic(String(url.dropFirst(6)))
        } else {
            return nil
        }
    }
}

/// Everything that is configured about one stage's process; immutable once made.
///
/// Sources from lowest to highest: defaults, the YAML file (`--config FILE` or `TWINSCALE_CONFIG`), the environment
/// (`TWINSCALE_…`), the command line. `kafka.*` passes through to librdkafka.
package struct RuntimeConfiguration: Sendable {
    /// Form of a log line.
    package enum LogFormat: String, Sendable { case logfmt, json }

    package let stage: StageName
    package let naming: TopicNaming
    package let layout: TopicLayout
    package let incarnation: UInt64
    package let rebuildFromStart: Bool
    package let acceptsGaps: Bool
    package let followsWallClock: Bool
    package let kafka: KafkaProperties
    package let snapshots: SnapshotLocation
    package let snapshotOptions: SnapshotOptions
    package let loop: LoopSettings
    package let gapFramesMax: UInt64
    package let namesMax: Int
    package let emitterLimits: Emitter.Limits
    package let batchRecordsMax: Int
    package let health: ListenAddress?
    package let silentSenderMilliseconds: Int64
    package let logLevel: Logger.Level
    package let logFormat: LogFormat
    package let startTimeoutMilliseconds: Int
    package let stopTimeoutMilliseconds: Int
    /// Variables that begin like ours and are none.
    package let ignoredEnvironment: [String]
    /// Typed values of all keys, those of the stage's logic included.
    let values: ConfigurationValues
    private let epochs: [UInt16]

    /// Checks and joins the sources. `stageKeys` are those of the stage's own logic, named `stage.…`.
    package init(
        stage: StageName, stageKeys: [ConfigurationKey] = [], sources: ConfigurationSources
    ) throws(ConfigurationError) {
        self.stage = stage
        let values = try ConfigurationValues(keys: RuntimeKeys.all + stageKeys, sources: sources)
        self.values = values
        ignoredEnvironment = sources.ignoredEnvironment
        naming = try TopicNaming(namespace: values.text("namespace"))
        (layout, epochs) = values.topics
        incarnation = UInt64(values.integer("incarnation"))
        rebuildFromStart = values.flag("rebuildFromStart")
        acceptsGaps = values.flag("acceptGap")
        followsWallClock = values.text("clock") == "wall"
        kafka = values.kafka
        guard let location = SnapshotLocation(values.text("snapshots.url")) else {
            throw ConfigurationError(
                "'snapshots.url' is '\(values.text("snapshots.url"))'", hint: "write file:///directory or kafka:topic")
        }
        snapshots = location
        snapshotOptions = SnapshotOptions(
            threads: values.integer("snapshots.threads"), level: Int32(values.integer("snapshots.level")),
            generationsKept: values.integer("snapshots.generationsKept"))
        loop = Self.loopSettings(values)
        gapFramesMax = UInt64(values.integer("limits.gapFramesMax"))
        namesMax = values.integer("limits.namesMax")
        var limits = Emitter.Limits()
        limits.frameBytesMax = values.integer("limits.frameBytesMax")
        limits.recordBytesMax = values.integer("limits.recordBytesMax")
        emitterLimits = limits
        batchRecordsMax = values.integer("limits.batchRecordsMax")
        health = try ListenAddress.parse(values.text("health.listen"), key: "health.listen")
        silentSenderMilliseconds = Int64(values.integer("alarms.silentSenderMilliseconds"))
        logLevel = Logger.Level(rawValue: values.text("log.level")) ?? .info
        logFormat = LogFormat(rawValue: values.text("log.format")) ?? .logfmt
        startTimeoutMilliseconds = values.integer("startTimeoutMilliseconds")
        stopTimeoutMilliseconds = values.integer("stopTimeoutMilliseconds")
        try validate()
    }

    /// From a process's command line and environment.
    package init(
        stage: StageName, stageKeys: [ConfigurationKey] = [], arguments: [String] = [],
        environment: [String: String] = [:]
    ) throws(ConfigurationError) {
        let sources = try ConfigurationSources(
            keys: RuntimeKeys.all + stageKeys, stage: stage.text, stages: StageName.allCases.map(\.text),
            arguments: arguments, environment: environment)
        try self.init(stage: stage, stageKeys: stageKeys, sources: sources)
    }

    private static func loopSettings(_ values: ConfigurationValues) -> LoopSettings {
        var loop = LoopSettings()
        func milliseconds(_ name: String) -> Int64 { Int64(values.integer("loop.\(name)")) }
        loop.commitIntervalMilliseconds = milliseconds("commitIntervalMilliseconds")
        loop.commitRecordsMax = values.integer("loop.commitRecordsMax")
        loop.commitBytesMax = values.integer("loop.commitBytesMax")
        loop.pollTimeoutMilliseconds = milliseconds("pollTimeoutMilliseconds")
        loop.heartbeatIntervalMilliseconds = milliseconds("heartbeatIntervalMilliseconds")
        loop.snapshotIntervalMilliseconds = milliseconds("snapshotIntervalMilliseconds")
        loop.snapshotBytes = values.integer("loop.snapshotBytes")
        loop.snapshotHeldBytesMax = values.integer("loop.snapshotHeldBytesMax")
        loop.flushTimeoutMilliseconds = milliseconds("flushTimeoutMilliseconds")
        loop.revokeTimeoutMilliseconds = milliseconds("revokeTimeoutMilliseconds")
        loop.rebuildBackoffMilliseconds = milliseconds("rebuildBackoffMilliseconds")
        loop.rebuildBackoffMillisecondsMax = milliseconds("rebuildBackoffMillisecondsMax")
        loop.rebuildsMax = values.integer("loop.rebuildsMax")
        loop.commitRetriesMax = values.integer("loop.commitRetriesMax")
        return loop
    }

    /// The epoch of a topic.
    package func epoch(of topic: TopicName) -> UInt16 { epochs[Int(topic.rawValue)] }

    /// The consumer group of this stage and incarnation.
    package var groupID: String { naming.group(stage, incarnation: incarnation) }

    /// What a task needs to know about itself.
    package func taskSetting(_ task: TaskID) -> TaskSetting {
        TaskSetting(
            task: task, incarnation: incarnation, layout: layout, namesMax: namesMax, gapFramesMax: gapFramesMax,
            rebuildsFromStart: rebuildFromStart, emitterLimits: emitterLimits)
    }

    /// Of everything in the shell's configuration that changes outputs; a stage adds its logic and its settings.
    package func fingerprint(logicVersion: UInt32, settings hash: (inout Digest) -> Void) -> UInt64 {
        var digest = Digest(seed: UInt64(stage.rawValue))
        digest.combine(UInt64(logicVersion))
        for topic in TopicName.allCases { digest.combine(UInt64(layout[topic])) }
        digest.combine(UInt64(namesMax))
        digest.combine(gapFramesMax)
        digest.combine(UInt64(emitterLimits.recordBytesMax))
        hash(&digest)
        return digest.value
    }

    // MARK: checks across keys

    private func validate() throws(ConfigurationError) {
        let session = try kafkaMilliseconds("session.timeout.ms", default: 6_000)
        let heartbeat = try kafkaMilliseconds("heartbeat.interval.ms", default: 1_500)
        let maxPoll = try kafkaMilliseconds("max.poll.interval.ms", default: 300_000)
        try order(
            "loop.revokeTimeoutMilliseconds", loop.revokeTimeoutMilliseconds, "kafka.session.timeout.ms", session,
            "a worker that is slow to let go is thrown out of its group")
        try order(
            "kafka.heartbeat.interval.ms", heartbeat, "kafka.session.timeout.ms", session,
            "the group would not hear of the worker in time")
        try order(
            "kafka.session.timeout.ms", session, "kafka.max.poll.interval.ms", maxPoll, "a session ends before a poll")
        try order(
            "loop.flushTimeoutMilliseconds", loop.flushTimeoutMilliseconds, "kafka.max.poll.interval.ms", maxPoll,
            "a worker that waits for acknowledgements would be thrown out of its group")
        try order(
            "loop.commitIntervalMilliseconds", loop.commitIntervalMilliseconds, "kafka.session.timeout.ms", session,
            "too much would be repeated after a crash")
        let message = try kafkaMilliseconds("message.max.bytes", default: 1_000_000)
        try order(
            "limits.recordBytesMax", Int64(emitterLimits.recordBytesMax), "kafka.message.max.bytes", message,
            "the producer would refuse our own records")
        try order(
            "limits.frameBytesMax", Int64(emitterLimits.frameBytesMax), "limits.recordBytesMax",
            Int64(emitterLimits.recordBytesMax), "a frame is a record")
        if rebuildFromStart && incarnation < 2 {
            throw ConfigurationError(
                "'rebuildFromStart' needs a new incarnation, so that receivers can tell the rebuilt tasks from the old",
                hint: "raise it, for example with --incarnation 2")
        }
    }

    private func order(
        _ name: String, _ value: Int64, _ limitName: String, _ limit: Int64, _ why: String
    ) throws(ConfigurationError) {
        guard value < limit else {
            throw ConfigurationError(
                "'\(name)' is \(value) and must stay below '\(limitName)', which is \(limit): \(why)")
        }
    }

    private func kafkaMilliseconds(_ name: String, default value: Int64) throws(ConfigurationError) -> Int64 {
        guard let text = kafka[name] else { return value }
        guard let number = Int64(text) else {
            throw ConfigurationError("'kafka.\(name)' is '\(text)' and must be a whole number")
        }
        return number
    }
}
