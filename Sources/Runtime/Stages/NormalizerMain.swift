import Messages
import Normalization
import StageKit
import Topology
import TwinCore
import Worker

extension StageProcess {
    /// Runs the normalizer, as its executable.
    package static func normalizer() async -> Never {
        let table = SettingsTable<NormalizerSettings>.normalizer()
        await main(
            .normalizer, purpose: "decodes what the platform says and routes it to the partition of its locality",
            keys: table.keys
        ) { (configuration) throws(ConfigurationError) in
            .normalizer(try table.normalizerSettings(configuration))
        }
    }
}

extension StageDefinition {
    /// The normalizer with these settings.
    package static func normalizer(_ settings: NormalizerSettings) -> StageDefinition {
        StageDefinition(
            stage: .normalizer, inboxes: Topology.inboxes(of: .normalizer),
            outputs: Topology.outputs(of: .normalizer)
        ) { configuration in
            TaskFactory(
                stage: .normalizer, incarnation: configuration.incarnation,
                fingerprint: configuration.fingerprint(logicVersion: NormalizerTask.logicVersion) {
                    settings.hash(into: &$0)
                },
                rebuildFromStart: configuration.rebuildFromStart, acceptsGaps: configuration.acceptsGaps,
                epoch: { configuration.epoch(of: $0) },
                make: { (task, reader) throws(StateError) in
                    try NormalizerTask(configuration.taskSetting(task), settings: settings, restoring: reader)
                })
        }
    }
}

extension SettingsTable<NormalizerSettings> {
    /// Which key sets what.
    package static func normalizer() -> SettingsTable {
        var table = SettingsTable(NormalizerSettings())
        table.text("locality", \.localityType, "Type of tag, or types joined by /, that is the unit of partitioning.")
        table.parsed("partitionTable", "Localities with a given partition: NAME=NUMBER,…", parse: Self.partitionTable)
        table.parsed(
            "metrics", "Declared metrics: NAME=ROLE[/UNIT][/counter|/gauge],…; roles: \(MetricRole.words).",
            parse: Self.metrics)
        table.integer("latenessSecondsMax", \.latenessSecondsMax, "How late a record may come and still count.")
        table.integer("restateSeconds", \.restateSeconds, "What is known of a resource is said again after so long.")
        table.integer(
            "expireSeconds", \.expireSeconds, in: 1...1_000_000_000,
            "A resource of which nothing is heard so long is forgotten.")
        table.integer("futureSecondsMax", \.futureSecondsMax, "A larger step forward of event time must be confirmed.")
        table.integer(
            "aheadSecondsMax", \.aheadSecondsMax, in: 0...3_600_000_000,
            "A record further ahead is a dead letter until several sources agree on such a step.")
        table.integer("jumpConfirmations", \.jumpConfirmations, in: 1...1_000, "Records that confirm such a step.")
        table.integer("recordBytesMax", \.recordBytesMax, in: 1_024...100_000_000, "A larger record is a dead letter.")
        table.integer("policyBytesMax", \.policyBytesMax, in: 256...262_144, "A larger policy is a dead letter.")
        table.integer("resourcesMax", \.resourcesMax, in: 1...10_000_000, "Resources in one task's directory.")
        table.integer(
            "deadLettersPerRecordMax", \.deadLettersPerRecordMax, in: 1...10_000,
            "Dead letters written for one record.")
        table.integer("unknownUnitSeriesMax", \.unknownUnitSeriesMax, "Series whose unknown unit is counted apart.")
        table.integer(
            "heartbeatsSkippedMax", \.heartbeatsSkippedMax, in: 0...1_000, "Heartbeats without news held back.")
        for topic in NormalizerSettings.rawTopics {
            let names = RecordEncoding.allCases.map(\.text).joined(separator: ", ")
            let help = "Encoding of \(topic.text) where records name none (\(names)); empty: by their first bytes."
            table.parsed("encodings.\(topic.text)", help) { settings, text in
                guard !text.isEmpty else { return nil }
                guard let encoding = RecordEncoding(text: text) else { return "'\(text)' is no known encoding" }
                settings.encodings[topic] = encoding
                return nil
            }
        }
        table.foreignFormats()
        return table
    }

    /// The settings, with the topics' epochs, which stand in the shell's own keys.
    package func normalizerSettings(
        _ configuration: RuntimeConfiguration
    ) throws(ConfigurationError) -> NormalizerSettings {
        var settings = try settings(configuration)
        for topic in NormalizerSettings.rawTopics where configuration.epoch(of: topic) != 1 {
            settings.epochs[topic] = configuration.epoch(of: topic)
        }
        return settings
    }

    private static func partitionTable(_ settings: inout NormalizerSettings, _ text: String) -> String? {
        for line in text.split(separator: ",") {
            let parts = line.split(separator: "=", maxSplits: 1).map { String($0) }
            guard parts.count == 2, let partition = Int32(parts[1]), partition >= 0 else {
                return "'\(line)' is not NAME=NUMBER"
            }
            settings.partitionTable.append(.init(locality: parts[0], partition: partition))
        }
        return nil
    }

    private static func metrics(_ settings: inout NormalizerSettings, _ text: String) -> String? {
        for line in text.split(separator: ",") {
            let parts = line.split(separator: "=", maxSplits: 1).map { String($0) }
            guard parts.count == 2 else { return "'\(line)' is not NAME=ROLE[/UNIT][/counter|/gauge]" }
            var words = parts[1].split(separator: "/").map { String($0) }
            var metric = MetricDeclaration(name: parts[0])
            if let last = words.last, last == "counter" || last == "gauge" {
                metric.isCounter = last == "counter"
                words.removeLast()
            }
            if let role = words.first, !role.isEmpty {
                guard let known = MetricRole(text: role) else {
                    let names = MetricRole.allCases.map(\.text)
                    let hint = nearest(to: role, among: names).map { "; did you mean '\($0)'?" } ?? ""
                    return "'\(role)' is no role; roles are \(MetricRole.words)\(hint)"
                }
                metric.role = known
            }
            if words.count > 1 { metric.unit = words[1...].joined(separator: "/") }
            settings.metrics.append(metric)
        }
        return nil
    }
}

extension SettingsTable<NormalizerSettings> {
    /// How OpenTelemetry's attributes and collectd's values are read.
    fileprivate mutating func foreignFormats() {
        let defaults = OTLPMapping()
        func joined(_ list: [String]) -> String { list.joined(separator: ",") }
        func list(_ text: String) -> [String] { text.split(separator: ",").map { String($0) } }
        parsed(
            "otlp.resource", default: joined(defaults.resource),
            "Attributes of OpenTelemetry's resources, the first that is there being the resource's id."
        ) { settings, text in
            settings.otlp.resource = list(text)
            return settings.otlp.resource.isEmpty ? "it must name an attribute" : nil
        }
        parsed(
            "otlp.tags", default: joined(defaults.tags.map { "\($0.attribute)=\($0.name)" }),
            "Attributes that become tags: ATTRIBUTE=TAG,…"
        ) { settings, text in
            settings.otlp.tags = []
            for pair in list(text) {
                let parts = pair.split(separator: "=", maxSplits: 1).map { String($0) }
                guard parts.count == 2 else { return "'\(pair)' is not ATTRIBUTE=TAG" }
                settings.otlp.tags.append(.init(attribute: parts[0], name: parts[1]))
            }
            return nil
        }
        text("otlp.class", \.otlp.resourceClass, "The attribute that is the resource's class.")
        parsed(
            "otlp.calls", default: joined(defaults.calls), "Metrics whose data points count the calls between two ends."
        ) { settings, text in
            settings.otlp.calls = list(text)
            return nil
        }
        text("otlp.caller", \.otlp.caller, "The attribute of such a data point that names the caller.")
        text("otlp.callee", \.otlp.callee, "The attribute that names the one that is called.")
        flag("collectdStoresRates", \.collectdStoresRates, "Derives and counters of collectd come as rates.")
        integer("callPairsMax", \.callPairsMax, in: 0...10_000_000, "Pairs whose totals of calls are remembered.")
    }
}
