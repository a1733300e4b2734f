import Kafka
import StageKit
import TaskLoop
import TwinCore
import Worker

/// Compares the topics on the broker with what is configured, before anything is joined.
package enum TopicCheck {
    /// One question's time; short, as a stop is noticed only between two.
    private static let patienceMilliseconds = 1_500

    /// What keeps a stage from starting.
    package enum Finding: Sendable, Equatable {
        case missing(String)
        case partitions(String, found: Int, configured: Int)
    }

    /// Compares; nothing is asked.
    package static func compare(
        _ cluster: ClusterDescription, _ topics: [TopicName], configuration: RuntimeConfiguration
    ) -> [Finding] {
        var found: [String: Int] = [:]
        for topic in cluster.topics { found[topic.name] = topic.partitions.count }
        var findings: [Finding] = []
        var needed = topics.map { (configuration.naming.topic($0), Int(configuration.layout[$0])) }
        if case .topic(let name) = configuration.snapshots {
            let name = configuration.naming.qualified(name)
            needed.append((name, found[name] ?? 1))
        }
        for (name, configured) in needed {
            guard let count = found[name] else {
                findings.append(.missing(name))
                continue
            }
            if count != configured { findings.append(.partitions(name, found: count, configured: configured)) }
        }
        return findings
    }

    /// What to tell the operator; nil if all is well.
    package static func problem(_ findings: [Finding], configuration: RuntimeConfiguration) -> ConfigurationError? {
        let missing = findings.compactMap { finding -> String? in
            if case .missing(let name) = finding { name } else { nil }
        }
        if !missing.isEmpty {
            let namespace = configuration.naming.namespace
            var option = configuration.kafka["bootstrap.servers"].map { " --bootstrap \($0)" } ?? ""
            if !namespace.isEmpty { option += " --namespace \(namespace)" }
            if case .topic(let name) = configuration.snapshots, missing.contains(configuration.naming.qualified(name)) {
                option += " --optional"
            }
            return ConfigurationError(
                "topics are missing: \(missing.joined(separator: ", "))",
                hint: "create them with: twinscale topics apply\(option)")
        }
        guard case .partitions(let name, let found, let configured)? = findings.first else { return nil }
        return ConfigurationError(
            "topic '\(name)' has \(counted(found, "partition")), configured are \(configured)",
            hint: "the partition count is fixed: configure the \(found) that are there, or replay into a new namespace")
    }

    /// Asks the broker, for as long as a start may take, and throws what keeps the stage from starting. `waiting` hears
    /// why it takes longer.
    package static func run(
        _ configuration: RuntimeConfiguration, topics: [TopicName], isStopping: () -> Bool = { false },
        waiting: (String) -> Void = { _ in }
    ) throws(StageFailure) {
        let deadline = Deadline(milliseconds: configuration.startTimeoutMilliseconds)
        let servers = configuration.kafka["bootstrap.servers"] ?? ""
        let admin: Admin
        do throws(KafkaError) {
            admin = try Admin(properties: configuration.kafka)
        } catch {
            throw StageFailure(.refused, error.reason)
        }
        var cluster: ClusterDescription?
        var failure: KafkaError?
        while cluster == nil, !deadline.hasPassed, !isStopping() {
            do throws(KafkaError) {
                let wait = min(Int(deadline.remainingMilliseconds), Self.patienceMilliseconds)
                cluster = try admin.describeCluster(timeoutMilliseconds: max(wait, 1))
            } catch {
                failure = error
                if error.disposition != .retry { break }
                waiting(error.reason)
                sleepMilliseconds(100, unless: isStopping)
            }
        }
        admin.close(deadline: Deadline(milliseconds: 2_000))
        guard let cluster else {
            if isStopping() { return }
            let waited = "within \(configuration.startTimeoutMilliseconds) ms"
            let reason = failure?.reason ?? "no answer"
            throw StageFailure(
                failure?.disposition == .stopBroken ? .refused : .broken,
                "no Kafka broker answered at \(servers) \(waited): \(reason)",
                hint: "check kafka.bootstrap.servers, the network and the credentials")
        }
        let findings = compare(cluster, topics, configuration: configuration)
        if let problem = problem(findings, configuration: configuration) {
            throw StageFailure(.refused, problem.reason, hint: problem.hint)
        }
    }
}
