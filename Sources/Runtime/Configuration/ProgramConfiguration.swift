import Kafka
import Logging
import StageKit
import TwinCore

/// What a program that is no stage configures: it shares the stages' file, where its own keys stand in a section of
/// its name.
package struct ProgramConfiguration: Sendable {
    package let naming: TopicNaming
    package let layout: TopicLayout
    package let incarnation: UInt64
    package let kafka: KafkaProperties
    package let snapshots: SnapshotLocation?
    package let logLevel: Logger.Level
    package let logFormat: RuntimeConfiguration.LogFormat
    package let startTimeoutMilliseconds: Int
    package let ignoredEnvironment: [String]
    private let values: ConfigurationValues
    private let epochs: [UInt16]

    /// - Parameters:
    ///   - keys: the program's own.
    ///   - sources: made with `knownKeys(keys)`.
    package init(keys: [ConfigurationKey], sources: ConfigurationSources) throws(ConfigurationError) {
        values = try ConfigurationValues(keys: Self.knownKeys(keys), sources: sources)
        ignoredEnvironment = sources.ignoredEnvironment
        naming = try TopicNaming(namespace: values.text("namespace"))
        (layout, epochs) = values.topics
        incarnation = UInt64(values.integer("incarnation"))
        kafka = values.kafka
        snapshots = SnapshotLocation(values.text("snapshots.url"))
        logLevel = Logger.Level(rawValue: values.text("log.level")) ?? .info
        logFormat = RuntimeConfiguration.LogFormat(rawValue: values.text("log.format")) ?? .logfmt
        startTimeoutMilliseconds = values.integer("startTimeoutMilliseconds")
    }

    /// The program's keys with those of the stages, as one file serves all.
    package static func knownKeys(_ keys: [ConfigurationKey]) -> [ConfigurationKey] { RuntimeKeys.all + keys }

    /// Those among the known ones that mean something to a program that is no stage.
    package static func usedKeys(_ keys: [ConfigurationKey]) -> [ConfigurationKey] {
        let used = ["namespace", "incarnation", "partitions", "snapshots.url", "startTimeoutMilliseconds"]
        return RuntimeKeys.all.filter { key in
            used.contains(key.name) || key.name.hasPrefix("topics.") || key.name.hasPrefix("log.")
        } + keys
    }

    /// The epoch of a topic.
    package func epoch(of topic: TopicName) -> UInt16 { epochs[Int(topic.rawValue)] }

    /// The value of a key that is a text or a word.
    package func text(_ name: String) -> String { values.text(name) }

    /// The value of a key that is a whole number.
    package func integer(_ name: String) -> Int { values.integer(name) }

    /// The value of a key that is a number.
    package func number(_ name: String) -> Double { values.number(name) }

    /// The value of a key that is true or false.
    package func flag(_ name: String) -> Bool { values.flag(name) }

    /// The effective configuration as YAML, with the origin of each value; secrets are shown as `***`.
    package var effective: String { values.effectiveText }
}
