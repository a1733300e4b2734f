import ArgumentParser
import Foundation
import Kafka
import Messages
import Topology

/// Asks the broker and prints what came of it, for `twinscale topics …`.
enum TopicsReport {
    /// Runs `body` with a client, prints its result and throws the exit code where something differs.
    static func withAdmin(
        _ options: TopicsOptions, isDescription: Bool = false,
        _ body: (borrowing Admin) throws(KafkaError) -> [TopicComparison]
    ) throws {
        let compared: [TopicComparison]
        do throws(KafkaError) {
            let admin = try Admin(properties: options.broker.properties)
            do throws(KafkaError) {
                compared = try body(admin)
            } catch {
                admin.close(deadline: Deadline(milliseconds: 2_000))
                throw error
            }
            admin.close(deadline: Deadline(milliseconds: 2_000))
        } catch {
            throw failure(advice(error, options.broker))
        }
        if options.json {
            print(json(compared))
        } else if isDescription {
            describe(compared)
        } else {
            list(compared, options.broker)
        }
        let isFine = compared.allSatisfy { $0.state == .agrees || $0.state == .created }
        if !isFine && !isDescription { throw ExitCode(1) }
    }

    /// The error, and what to do about it.
    private static func advice(_ error: KafkaError, _ broker: BrokerOptions) -> String {
        let bootstrap = broker.bootstrap
        let namespace = broker.namespace.isEmpty ? "NAME" : broker.namespace
        return switch error.name {
        case "_UNSUPPORTED_FEATURE":
            "\(error.reason)\nhint: 'twinscale broker' is like that: it makes the topics itself as it starts, those "
                + "of a namespace with 'twinscale broker --namespace \(namespace)'. "
                + "With another broker use its own tool to create them as 'twinscale topology' says"
        case "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE":
            "\(error.reason)\nhint: is a broker listening at \(bootstrap)? Name another with --bootstrap HOST:PORT; "
                + "for TLS or a login add --kafka security.protocol=… and what belongs to it"
        case "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED":
            "\(error.reason)\nhint: the login needs the rights CREATE and DESCRIBE_CONFIGS"
        case "INVALID_REPLICATION_FACTOR":
            "\(error.reason)\nhint: the cluster has fewer brokers than copies are wanted; say --replication 1"
        default: error.description
        }
    }

    private static func list(_ compared: [TopicComparison], _ broker: BrokerOptions) {
        var rows = [["TOPIC", "PARTITIONS", "STATE", ""]]
        for topic in compared {
            let count = topic.found.map { "\($0.partitions.count)" } ?? "-"
            rows.append([topic.brokerName, count, topic.state.rawValue, topic.explanation])
        }
        print(Topology.aligned(rows).joined(separator: "\n"))
        if compared.contains(where: { $0.state == .differs }) {
            print(
                "\nTopics that differ were left as they are. Bring the file or the topic into line; another partition "
                    + "count needs a new --namespace.")
        }
        if compared.contains(where: { $0.state == .missing }) {
            print("\nCreate what is missing: twinscale topics apply\(broker.repeated)")
        }
    }

    private static func describe(_ compared: [TopicComparison]) {
        var rows = [["TOPIC", "PARTITIONS", "COPIES", "IN SYNC", "STATE", "SETTINGS"]]
        for topic in compared {
            guard let found = topic.found else {
                rows.append([topic.brokerName, "-", "-", "-", topic.state.rawValue, ""])
                continue
            }
            let set = topic.settings?.filter { !$0.isDefault }.map { "\($0.name)=\($0.value ?? "***")" }
            rows.append([
                topic.brokerName, "\(found.partitions.count)", "\(found.partitions.map(\.replicas).min() ?? 0)",
                "\(found.partitions.map(\.inSync).min() ?? 0)", topic.state.rawValue,
                set?.joined(separator: " ") ?? "not told by this broker",
            ])
        }
        print(Topology.aligned(rows).joined(separator: "\n"))
    }

    private static func json(_ compared: [TopicComparison]) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("agree")
        writer.bool(compared.allSatisfy { $0.state == .agrees || $0.state == .created })
        writer.key("topics")
        writer.beginArray()
        for topic in compared { json(topic, into: &writer) }
        writer.endArray()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func json(_ topic: TopicComparison, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("name")
        writer.string(topic.file.name)
        writer.key("brokerName")
        writer.string(topic.brokerName)
        writer.key("state")
        writer.string(topic.state.rawValue)
        writer.key("partitions")
        if let found = topic.found { writer.int(found.partitions.count) } else { writer.null() }
        writer.key("settings")
        if let settings = topic.settings {
            writer.beginObject()
            for setting in settings where !setting.isDefault {
                writer.key(setting.name)
                if let value = setting.value { writer.string(value) } else { writer.null() }
            }
            writer.endObject()
        } else {
            writer.null()
        }
        writer.key("differences")
        writer.beginArray()
        for difference in topic.differences {
            writer.beginObject()
            writer.key("field")
            writer.string(difference.field)
            writer.key("file")
            writer.string(difference.wanted)
            writer.key("broker")
            writer.string(difference.found)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }
}

extension Admin {
    /// Every file's topic as the broker has it. Settings are left out where the broker does not know the question.
    borrowing func compare(
        _ files: [TopicFile], _ options: TopicsOptions, _ deadline: Deadline
    ) throws(KafkaError) -> [TopicComparison] {
        let cluster = try describeCluster(timeoutMilliseconds: Int(deadline.remainingMilliseconds))
        var tellsSettings = true
        var result: [TopicComparison] = []
        for file in files {
            let name = Topology.brokerName(file.name, namespace: options.broker.namespace)
            let found = cluster.topics.first { $0.name == name }
            var settings: [TopicSetting]?
            if found != nil, tellsSettings {
                do throws(KafkaError) {
                    settings = try describeSettings(
                        ofTopic: name, timeoutMilliseconds: max(Int(deadline.remainingMilliseconds), 1))
                } catch {
                    guard error.name == "_UNSUPPORTED_FEATURE" else { throw error }
                    tellsSettings = false
                }
            }
            // The retention of a file that agrees with the code is well formed, as the code's is.
            guard let compared = try? TopicComparison(file: file, brokerName: name, found: found, settings: settings)
            else { continue }
            result.append(compared)
        }
        return result
    }

    /// The same, as soon as every topic can be seen or the deadline has passed: a broker answers a creation before all
    /// of the cluster knows of it.
    borrowing func compareWhenVisible(
        _ files: [TopicFile], _ options: TopicsOptions, _ deadline: Deadline
    ) throws(KafkaError) -> [TopicComparison] {
        while true {
            let compared = try compare(files, options, deadline)
            let isVisible = compared.allSatisfy { topic in
                topic.found.map { !$0.partitions.isEmpty && $0.partitions.allSatisfy { $0.leader != nil } } ?? false
            }
            if isVisible || deadline.remainingMilliseconds <= 200 { return compared }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    /// Creates topics on the broker as their files say.
    borrowing func create(
        _ topics: [TopicComparison], replication: Int?, _ deadline: Deadline
    ) throws(KafkaError) {
        let wanted = topics.map { topic in
            let settings = (try? topic.file.brokerSettings()) ?? []
            return TopicSpecification(
                name: topic.brokerName, partitions: topic.file.partitions, replication: replication,
                settings: settings.map { ($0.name, $0.value) })
        }
        try createTopics(wanted, timeoutMilliseconds: max(Int(deadline.remainingMilliseconds), 1))
    }
}
