import Foundation
import Kafka
import Logging
import Runtime
import Snapshots
import StageKit
import TaskLoop
import Topology
import TwinCore
import Worker

/// Stages over a real broker, each alone in this process: CPU time of all threads, consumption and production included.
struct KafkaBench {
    /// What one stage cost.
    struct Cost: Sendable {
        var cpuSeconds = 0.0
        var wallSeconds = 0.0
        var records: UInt64 = 0
    }

    static let partitions: Int32 = 4
    private static let timeoutMilliseconds = 20_000

    let broker: BrokerOptions
    let namespace: String
    let directory: String

    init(_ broker: BrokerOptions) {
        self.broker = broker
        namespace = "bench-\(UUID().uuidString.prefix(8).lowercased())"
        directory = NSTemporaryDirectory() + "twinscale-\(namespace)"
    }

    private func name(_ topic: TopicName) -> String { Topology.brokerName(topic, namespace: namespace) }

    /// Topics that go when the benchmark has ended.
    private var topics: [String] { TopicName.allCases.map { name($0) } + [yardstickTopic] }

    /// Where the hand-written job writes.
    var yardstickTopic: String { "\(namespace).yardstick" }

    func prepare() throws {
        let admin = try Admin(properties: broker.properties)
        do throws(KafkaError) {
            try admin.createTopics(
                topics.map { topic in
                    let isSingle = topic == name(.policies) || topic == name(.commands)
                    return TopicSpecification(name: topic, partitions: isSingle ? 1 : Int(Self.partitions))
                }, timeoutMilliseconds: Self.timeoutMilliseconds)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        usleep(500_000)
    }

    func cleanUp() {
        if let admin = try? Admin(properties: broker.properties) {
            try? admin.deleteTopics(topics, timeoutMilliseconds: Self.timeoutMilliseconds)
            admin.close(deadline: Deadline(milliseconds: 1_000))
        }
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Writes the feed into telemetry and the policy into policies. Not measured.
    func fill(_ feed: BenchFeed, _ bar: ProgressBar) throws {
        var producer = try Producer(properties: broker.properties)
        let telemetry = try producer.topic(name(.telemetry))
        let policies = try producer.topic(name(.policies))
        let deadline = Deadline(milliseconds: 600_000)
        try BenchFeed.policy(metric: "rps").withUnsafeBytes { value in
            try Array("all".utf8).withUnsafeBytes { key in
                try producer.produce(to: policies, partition: 0, key: key, value: value, deadline: deadline)
            }
        }
        try feed.forEach(in: 0..<feed.count) { index, value in
            try producer.produce(
                to: telemetry, partition: feed.partitions[index], key: nil, value: value, deadline: deadline)
            if index % 10_000 == 0 { bar.show(index, of: feed.count, "writing records") }
        }
        try producer.flush(timeoutMilliseconds: 120_000)
        _ = producer.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
    }

    /// What a stage's executable would be told.
    func arguments(run: Int) -> [String] {
        [
            "--namespace", namespace, "--partitions", "\(Self.partitions)", "--clock", "event",
            "--snapshots-url", "file://\(directory)", "--loop-snapshot-interval-milliseconds", "5000",
        ] + broker.arguments
    }

    /// Runs a stage over all that is in its inbox.
    func run(_ stage: StageName) throws -> Cost {
        let (definition, configuration) = try StageCatalogue.stage(
            stage, arguments: arguments(run: 1), environment: [:])
        return try measure(definition, configuration)
    }

    /// Runs the peer job over telemetry.
    func runPeerJob(incarnation: Int) throws -> Cost {
        let configuration: RuntimeConfiguration
        do {
            configuration = try RuntimeConfiguration(
                stage: .normalizer,
                arguments: arguments(run: incarnation) + ["--incarnation", "\(incarnation)"])
        } catch { throw ToolError(error.reason, hint: error.hint) }
        let definition = StageDefinition(
            stage: .normalizer, inboxes: [.telemetry], outputs: [PeerJobTask.output]
        ) { configuration in
            TaskFactory(
                stage: .normalizer, incarnation: configuration.incarnation, fingerprint: 1,
                make: { (task, reader) throws(StateError) in
                    try PeerJobTask(configuration.taskSetting(task), restoring: reader)
                })
        }
        return try measure(definition, configuration)
    }

    private static let secondsMax = 900.0

    /// Runs a worker until it has read everything, and measures from its first record on.
    private func measure(_ definition: StageDefinition, _ configuration: RuntimeConfiguration) throws -> Cost {
        let store: any SnapshotStore
        do {
            store = try SnapshotStores.open(configuration)
        } catch { throw ToolError(error.reason, hint: error.hint) }
        let log = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        let world = try KafkaWorld(configuration, inboxes: definition.inboxes, snapshots: store, log: log)
        let worker = Worker(settings: configuration.loop, factory: definition.factory(configuration), world: world)
        let start = Usage.now
        var begin: Usage?
        var end = start
        var isAsked = false
        while worker.step() {
            if begin == nil, worker.recordsFolded > 0 { begin = Usage.now }
            guard !isAsked else { continue }
            let isDone =
                worker.recordsFolded > 0 && worker.loop.isReady && worker.loop.isAtBoundary
                && worker.loop.partitions.allSatisfy(\.isAtEnd)
            let isLate = Usage.now.wallSeconds - start.wallSeconds > Self.secondsMax
            if isDone || isLate || isInterrupted {
                end = Usage.now
                isAsked = true
                worker.requestStop()
            }
        }
        world.close(deadlineMilliseconds: 5_000)
        if let failure = worker.stopReason.flatMap({ StageFailure($0) }) {
            throw ToolError("\(definition.stage.text): \(failure.reason)", hint: failure.hint)
        }
        if isInterrupted { throw ToolError("interrupted") }
        let from = begin ?? start
        return KafkaBench.Cost(
            cpuSeconds: end.cpuSeconds - from.cpuSeconds, wallSeconds: end.wallSeconds - from.wallSeconds,
            records: worker.recordsFolded)
    }
}
