import Configuration
import Kafka
import StageKit
import TwinCore

/// The values of all keys, joined from their sources and checked against their kinds; reading one cannot fail.
struct ConfigurationValues: Sendable {
    /// One line of the effective configuration.
    struct Effective: Sendable, Equatable {
        var name: String
        /// `***` for a secret.
        var shown: String
        var origin: String
    }

    let kafka: KafkaProperties
    let effective: [Effective]
    private let reader: ConfigReader

    init(keys: [ConfigurationKey], sources: ConfigurationSources) throws(ConfigurationError) {
        let layers: [(name: String, values: [String: WrittenValue])] = [
            ("command line", sources.arguments), ("environment", sources.environment), ("file", sources.file),
            (
                "defaults",
                Dictionary(
                    keys.map { ($0.name, WrittenValue(text: $0.defaultText, origin: "default")) },
                    uniquingKeysWith: { first, _ in first })
            ),
        ]
        var providers: [any ConfigProvider] = []
        for layer in layers {
            providers.append(InMemoryProvider(name: layer.name, values: try Self.typed(layer.values, keys: keys)))
        }
        reader = ConfigReader(providers: providers)
        var kafka = KafkaProperties()
        kafka["bootstrap.servers"] = "127.0.0.1:9092"
        var origins = ["bootstrap.servers": "default"]
        for (name, written) in sources.kafka {
            try Self.check(property: name, written)
            kafka[name] = written.text
            // librdkafka knows some properties under two names; the origin is that of the one that is kept.
            if let kept = KafkaProperties([(name, written.text)]).entries.first { origins[kept.name] = written.origin }
        }
        self.kafka = kafka
        var effective = keys.compactMap { key -> Effective? in
            guard let written = layers.lazy.compactMap({ $0.values[key.name] }).first else { return nil }
            return Effective(name: key.name, shown: written.text, origin: written.origin)
        }
        effective += kafka.entries.map { entry in
            let shown = KafkaProperties.isSecret(entry.name) ? "***" : entry.value
            return Effective(name: "kafka.\(entry.name)", shown: shown, origin: origins[entry.name] ?? "default")
        }
        self.effective = effective
    }

    /// How many partitions each topic has, and its epoch by its number.
    var topics: (layout: TopicLayout, epochs: [UInt16]) {
        var layout = TopicLayout(partitions: Int32(integer("partitions")))
        var epochs = [UInt16](repeating: 1, count: TopicName.allCases.count + 1)
        for topic in TopicName.allCases {
            let count = integer("topics.\(topic.text).partitions")
            if count > 0 { layout[topic] = Int32(count) }
            epochs[Int(topic.rawValue)] = UInt16(integer("topics.\(topic.text).epoch"))
        }
        return (layout, epochs)
    }

    /// Refuses a property that librdkafka does not know; its value may be a password under a misspelt name.
    private static func check(property name: String, _ written: WrittenValue) throws(ConfigurationError) {
        guard !KafkaProperties.isKnown(name) else { return }
        let hint =
            nearest(to: name, among: KafkaProperties.allNames).map { "did you mean 'kafka.\($0)'?" }
            ?? "see CONFIGURATION.md of librdkafka for all properties"
        throw ConfigurationError(
            "'kafka.\(name)' (\(written.origin)) is not known to librdkafka \(LibraryVersion.loaded)", hint: hint)
    }

    private static func typed(
        _ values: [String: WrittenValue], keys: [ConfigurationKey]
    ) throws(ConfigurationError) -> [AbsoluteConfigKey: ConfigValue] {
        var typed: [AbsoluteConfigKey: ConfigValue] = [:]
        for key in keys {
            guard let written = values[key.name] else { continue }
            guard let content = key.value(written.text) else {
                throw ConfigurationError(
                    "'\(key.name)' is '\(written.text)' (\(written.origin)) and must be \(key.expectation)")
            }
            typed[AbsoluteConfigKey(ConfigKey(key.name))] = ConfigValue(content, isSecret: false)
        }
        return typed
    }

    // Every key has a typed default, so the fallbacks below are never used.

    func text(_ name: String) -> String { reader.string(forKey: ConfigKey(name), default: "") }

    func integer(_ name: String) -> Int { reader.int(forKey: ConfigKey(name), default: 0) }

    func number(_ name: String) -> Double { reader.double(forKey: ConfigKey(name), default: 0) }

    func flag(_ name: String) -> Bool { reader.bool(forKey: ConfigKey(name), default: false) }

    func numbers(_ name: String) -> [Double] { reader.doubleArray(forKey: ConfigKey(name), default: []) }
}

extension ConfigurationValues {
    /// The effective configuration as YAML, with the origin of each value; secrets are shown as `***`.
    var effectiveText: String {
        effective.map { line in
            let value = line.shown.isEmpty ? "''" : line.shown
            return "\(line.name): \(value)  # \(line.origin)"
        }.joined(separator: "\n")
    }
}

extension RuntimeConfiguration {
    /// The effective configuration as YAML, with the origin of each value; secrets are shown as `***`.
    package var text: String { values.effectiveText }

    /// Help for all options, wrapped for a terminal.
    package static func help(
        stage: StageName, stageKeys: [ConfigurationKey], purpose: String, isWhole: Bool
    ) -> String {
        let text = """
            \(stage.text): \(purpose)

            USAGE: \(stage.text) [--config FILE] [--kafka PROPERTY=VALUE]… [OPTIONS]

            Settings come, each overriding the one before, from defaults, the YAML file, environment variables and
            options: --health-listen is TWINSCALE_HEALTH_LISTEN, and health: {listen: …} in the file. Any librdkafka
            property can be given under kafka: in the file, as TWINSCALE_KAFKA_SASL_USERNAME, or with
            --kafka sasl.username=….

              --config FILE         The YAML file.
              --print-config        Print the effective configuration, secrets hidden, and end.
              --help, --version     Print this, or the version, and end.
              --help-hidden         Print all options, those of single topics included.

            """
        return text + ConfigurationKey.help(RuntimeKeys.all + stageKeys, isWhole: isWhole)
    }
}
