import Kafka
import Messages
import Normalization
import StageKit
import TaskLoop
import Testing
import TwinCore

@testable import Runtime

@Suite("Configuration")
struct ConfigurationTests {
    private func load(
        _ yaml: String? = nil, environment: [String: String] = [:], arguments: [String] = [],
        keys: [ConfigurationKey] = []
    ) throws(ConfigurationError) -> RuntimeConfiguration {
        let arguments = yaml == nil ? arguments : ["--config", "/etc/twinscale.yaml"] + arguments
        let sources = try ConfigurationSources(
            keys: RuntimeKeys.all + keys, stage: "twin-updater", stages: StageName.allCases.map(\.text),
            arguments: arguments, environment: environment, readFile: { _ in yaml ?? "" })
        return try RuntimeConfiguration(stage: .twinUpdater, stageKeys: keys, sources: sources)
    }

    @Test("Defaults, file, environment and command line lie over each other in this order")
    func precedence() throws {
        let yaml = """
            incarnation: 2
            partitions: 16
            loop:
              commitIntervalMilliseconds: 250
            kafka:
              bootstrap.servers: file:1
              client.id: file
            """
        let defaults = try load()
        #expect(defaults.incarnation == 1)
        #expect(defaults.loop.commitIntervalMilliseconds == 100)
        #expect(defaults.kafka["bootstrap.servers"] == "127.0.0.1:9092")
        let fromFile = try load(yaml)
        #expect(fromFile.incarnation == 2)
        #expect(fromFile.layout[.observations] == 16)
        #expect(fromFile.layout[.policies] == 1)
        #expect(fromFile.loop.commitIntervalMilliseconds == 250)
        let environment = [
            "TWINSCALE_INCARNATION": "3", "TWINSCALE_LOOP_COMMIT_INTERVAL_MILLISECONDS": "300",
            "TWINSCALE_KAFKA_BOOTSTRAP_SERVERS": "environment:1",
        ]
        let fromEnvironment = try load(yaml, environment: environment)
        #expect(fromEnvironment.incarnation == 3)
        #expect(fromEnvironment.loop.commitIntervalMilliseconds == 300)
        #expect(fromEnvironment.kafka["bootstrap.servers"] == "environment:1")
        #expect(fromEnvironment.kafka["client.id"] == "file")
        let all = try load(
            yaml, environment: environment,
            arguments: ["--incarnation=4", "--kafka", "bootstrap.servers=option:1", "--accept-gap"])
        #expect(all.incarnation == 4)
        #expect(all.layout[.observations] == 16)
        #expect(all.acceptsGaps)
        #expect(all.kafka["bootstrap.servers"] == "option:1")
        #expect(all.text.contains("incarnation: 4  # --incarnation"))
        #expect(all.text.contains("kafka.client.id: file  # twinscale.yaml"))
        let line = "loop.commitIntervalMilliseconds: 300  # TWINSCALE_LOOP_COMMIT_INTERVAL_MILLISECONDS"
        #expect(all.text.contains(line))
    }

    @Test("An unknown key is an error that names the key and the nearest known one")
    func unknownKey() {
        let error = #expect(throws: ConfigurationError.self) { try load("loop: {commitIntervallMilliseconds: 5}") }
        #expect(error?.reason == "unknown key 'loop.commitIntervallMilliseconds' in twinscale.yaml")
        #expect(error?.hint == "did you mean 'loop.commitIntervalMilliseconds'?")
        let option = #expect(throws: ConfigurationError.self) { try load(arguments: ["--incarnaton", "2"]) }
        #expect(option?.reason == "unknown option '--incarnaton'")
        #expect(option?.hint == "did you mean '--incarnation'?")
        let stage = #expect(throws: ConfigurationError.self) { try load("stages: {twin-update: {a: 1}}") }
        #expect(stage?.hint == "did you mean 'stages.twin-updater'?")
    }

    @Test(
        "A value of the wrong type is an error that names key, value and place",
        arguments: [
            ("partitions: many", "'partitions' is 'many' (twinscale.yaml) and must be a whole number from 1 to 10000"),
            ("incarnation: 0", "'incarnation' is '0' (twinscale.yaml) and must be a whole number from 1 to 2147483647"),
            ("clock: sundial", "'clock' is 'sundial' (twinscale.yaml) and must be one of wall, event"),
            ("acceptGap: perhaps", "'acceptGap' is 'perhaps' (twinscale.yaml) and must be true or false"),
            ("namespace: a.b", "namespace 'a.b' may hold letters, digits, '-' and '_' only"),
            ("snapshots: {url: s3://x}", "'snapshots.url' is 's3://x'"),
            ("health: {listen: nowhere}", "'health.listen' is 'nowhere' and must be an address"),
            ("- 1\n- 2", "twinscale.yaml must hold keys and values"),
        ])
    func wrongValue(_ yaml: String, _ reason: String) {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml) }
        #expect(error?.reason == reason)
    }

    @Test(
        "Broken YAML and duplicate keys are refused in one line",
        arguments: ["a: [", "namespace: a\nnamespace: b", "\t- :"])
    func brokenFile(_ yaml: String) {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml) }
        #expect(error?.reason.contains("\n") == false)
        #expect(error?.reason.contains("twinscale.yaml") == true)
    }

    @Test("Time-outs out of order are refused with the reason")
    func timeoutOrder() {
        let revoke = #expect(throws: ConfigurationError.self) {
            try load(arguments: ["--loop-revoke-timeout-milliseconds", "7000"])
        }
        #expect(revoke?.reason.hasPrefix("'loop.revokeTimeoutMilliseconds' is 7000 and must stay below") == true)
        let size = #expect(throws: ConfigurationError.self) {
            try load(arguments: ["--kafka", "message.max.bytes=5000"])
        }
        #expect(size?.reason.contains("limits.recordBytesMax") == true)
        let rebuild = #expect(throws: ConfigurationError.self) { try load("rebuildFromStart: true") }
        #expect(rebuild?.hint?.contains("--incarnation 2") == true)
    }

    @Test("Secrets never show in the effective configuration")
    func redaction() throws {
        let configuration = try load(
            "kafka: {sasl: {password: hunter2, username: bob}}",
            environment: ["TWINSCALE_KAFKA_SSL_KEY_PASSWORD": "hunter2"])
        #expect(configuration.kafka["sasl.password"] == "hunter2")
        #expect(!configuration.text.contains("hunter2"))
        #expect(configuration.text.contains("kafka.sasl.password: ***"))
        #expect(configuration.text.contains("kafka.sasl.username: bob"))
    }

    @Test(
        "A broken file is told of by line and key, never by value",
        arguments: [
            ("partitions: 2\nkafka:\n  sasl.password: \"s3cret-", "line 3"), ("a: [s3cret", "line 1"),
            ("kafka:\n  sasl.password: s3cret: no", "line 2"), ("s3cret: 1\ns3cret: 2", "stands twice"),
            ("kafka: {sasl.password: 's3cret'x}", "line 1"), ("kafka:\n  sasl.password: *s3cret", "line 2"),
            ("kafka:\n  sasl.password: %s3cret", "line 2"), ("kafka:\n  sasl.password: !<s3cret x", "line 2"),
        ])
    func brokenSecret(_ yaml: String, _ place: String) {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml) }
        #expect(error?.description.contains("s3cret") == false, "\(String(describing: error))")
        #expect(error?.reason.contains(place) == true, "\(String(describing: error))")
    }

    @Test("A property that librdkafka does not know is refused, its value never shown")
    func unknownProperty() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try load(arguments: ["--kafka", "sasl.pasword=s3cret"])
        }
        #expect(error?.reason.contains("'kafka.sasl.pasword' (--kafka) is not known to librdkafka") == true)
        #expect(error?.hint == "did you mean 'kafka.sasl.password'?")
        #expect(error?.description.contains("s3cret") == false)
        let hidden = try load(arguments: ["--kafka", "sasl.kerberos.principal=s3cret", "--kafka", "retries=7"])
        #expect(!hidden.text.contains("s3cret"))
        #expect(hidden.text.contains("kafka.retries: 7"))
    }

    @Test("A file that is not there is told of in one sentence")
    func missingFile() {
        let error = #expect(throws: ConfigurationError.self) {
            try RuntimeConfiguration(stage: .twinUpdater, arguments: ["--config", "/nowhere/t.yaml"])
        }
        #expect(error?.reason == "the configuration file '/nowhere/t.yaml' does not exist")
        let folder = #expect(throws: ConfigurationError.self) {
            try RuntimeConfiguration(stage: .twinUpdater, arguments: ["--config", "/"])
        }
        #expect(folder?.reason == "the configuration file '/' cannot be read")
    }

    @Test("One file serves all stages: each takes its own section")
    func stageSections() throws {
        struct Settings { var horizon = 60; var weight = 0.5; var isStrict = false; var steps: [Double] = [1, 5] }
        var table = SettingsTable(Settings())
        table.integer("horizonSeconds", \.horizon, in: 1...3_600, "Horizon.")
        table.number("weight", \.weight, in: 0...1, "Weight.")
        table.flag("strict", \.isStrict, "Strict.")
        table.numbers("steps", "Steps.", get: { $0.steps }, set: { $0.steps = $1 })
        let yaml = """
            stages:
              twin-updater: {horizonSeconds: 120, strict: yes, steps: [2, 4.5]}
              normalizer: {whatever: 1}
            """
        let settings = try table.settings(
            try load(yaml, environment: ["TWINSCALE_STAGE_WEIGHT": "0.25"], keys: table.keys))
        #expect(settings.horizon == 120)
        #expect(settings.weight == 0.25)
        #expect(settings.isStrict)
        #expect(settings.steps == [2, 4.5])
        let error = #expect(throws: ConfigurationError.self) {
            try load("stage: {weight: 3}", keys: table.keys)
        }
        #expect(error?.reason == "'stage.weight' is '3' (twinscale.yaml) and must be a number from 0.0 to 1.0")
    }

    @Test("A role that is none is answered with those that are")
    func rolesOfMetrics() throws {
        let table = SettingsTable<NormalizerSettings>.normalizer()
        func metrics(_ text: String) throws -> [MetricDeclaration] {
            let configuration = try load(environment: ["TWINSCALE_STAGE_METRICS": text], keys: table.keys)
            return try table.normalizerSettings(configuration).metrics
        }
        #expect(try metrics("workers=supply").map(\.role) == [.supply])
        let error = #expect(throws: ConfigurationError.self) { try metrics("foo=bar") }
        let roles = "demand, utilisation, slo, backlog, footprint, supply, unknown"
        #expect(error?.reason.contains("'bar' is no role; roles are \(roles)") == true)
        #expect(table.keys.contains { $0.name == "stage.metrics" && $0.help.contains(roles) })
    }

    @Test("Names that only begin like ours are ignored and remembered, as orchestrators invent them")
    func foreignEnvironment() throws {
        let configuration = try load(environment: [
            "TWINSCALE_SERVICE_HOST": "10.0.0.1", "TWINSCALE_SERVER": "http://a", "TWINSCALE_TOKEN": "x",
            "TWINSCALE_CA": "ca.pem", "PATH": "/bin",
        ])
        #expect(configuration.ignoredEnvironment == ["TWINSCALE_SERVICE_HOST"])
    }

    @Test("The fingerprint moves with what changes outputs, and with nothing else")
    func fingerprint() throws {
        func fingerprint(_ arguments: [String]) throws -> UInt64 {
            try load(arguments: arguments).fingerprint(logicVersion: 1) { _ in }
        }
        let base = try fingerprint([])
        #expect(try fingerprint(["--partitions", "16"]) != base)
        #expect(try fingerprint(["--limits-names-max", "5"]) != base)
        #expect(try fingerprint(["--incarnation", "2"]) == base)
        #expect(try fingerprint(["--accept-gap"]) == base)
        #expect(try fingerprint(["--loop-commit-interval-milliseconds", "10"]) == base)
        #expect(try load().fingerprint(logicVersion: 2) { _ in } != base)
    }
}
