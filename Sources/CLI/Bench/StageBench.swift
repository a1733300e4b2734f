import DriftDetection
import Messages
import Normalization
import Propagation
import Scaling
import StageKit
import Topology
import TwinCore
import Twins

/// The pure loops in memory: what decoding, folding and encoding cost, without Kafka.
struct StageBench {
    /// What one stage cost and left behind.
    struct Cost {
        var cpuSeconds = 0.0
        /// Records that it wrote, by topic and partition.
        var outputs: [TopicPartition: [[UInt8]]] = [:]
        var entries: UInt64 = 0
        /// Bytes of its tasks' states.
        var stateBytes = 0
    }

    static let partitions: Int32 = 4
    /// Records between two commits: a tenth of a second at 200 000 a second.
    private static let recordsPerCommit = 20_000
    private static let commitsPerHeartbeat = 10
    static let layout = TopicLayout(partitions: partitions)

    private static func setting(_ stage: StageName, _ inbox: TopicName, _ partition: Int32) -> TaskSetting {
        TaskSetting(task: TaskID(stage: stage, inbox: inbox, epoch: 1, partition: partition), layout: layout)
    }

    private static func collect(_ task: any TaskLogic, into cost: inout Cost) {
        for record in task.emitter.takeOutgoing() {
            guard let value = record.value else { continue }
            cost.outputs[TopicPartition(record.topic, record.partition), default: []].append(value)
        }
    }

    /// Normalizes a feed.
    /// - Parameter isWarm: called when half of it is done, for who looks at steady state only.
    static func normalize(_ feed: BenchFeed, isWarm: () -> Void = {}) throws -> Cost {
        var cost = Cost()
        let settings = NormalizerSettings()
        let tasks = try (0..<partitions).map {
            try NormalizerTask(setting(.normalizer, .telemetry, $0), settings: settings)
        }
        var others: [NormalizerTask] = []
        for topic in NormalizerSettings.rawTopics where topic != .telemetry {
            for partition in 0..<layout[topic] {
                others.append(try NormalizerTask(setting(.normalizer, topic, partition), settings: settings))
            }
        }
        let policies = try NormalizerTask(setting(.normalizer, .policies, 0), settings: settings)
        try "all".utf8.withContiguousStorageIfAvailable { key in
            try BenchFeed.policy(metric: "rps").withUnsafeBytes { value in
                try policies.receive(
                    InboxRecord(offset: 0, key: UnsafeRawBufferPointer(key), value: value), muted: false)
            }
        }
        policies.emitter.cutAll()
        collect(policies, into: &cost)
        var offsets = [Int64](repeating: 0, count: Int(partitions))
        var commits = 0
        var from = 0
        while from < feed.count {
            let to = min(from + recordsPerCommit, feed.count)
            if from < feed.count / 2, to >= feed.count / 2 { isWarm() }
            let begin = threadSeconds()
            try feed.forEach(in: from..<to) { index, value in
                let partition = Int(feed.partitions[index])
                try tasks[partition].receive(
                    InboxRecord(offset: offsets[partition], key: nil, value: value), muted: false)
                offsets[partition] += 1
            }
            commits += 1
            for task in tasks {
                if commits % commitsPerHeartbeat == 0 { task.heartbeat(isCaughtUp: false, wallClock: nil) }
                task.emitter.cutAll()
            }
            cost.cpuSeconds += threadSeconds() - begin
            for task in tasks { collect(task, into: &cost) }
            if commits % commitsPerHeartbeat == 0 {
                for task in others { task.heartbeat(isCaughtUp: true, wallClock: nil); collect(task, into: &cost) }
            }
            from = to
        }
        finish(tasks, &cost)
        return cost
    }

    private static func finish(_ tasks: [any TaskLogic], _ cost: inout Cost) {
        for task in tasks {
            cost.entries += task.emitter.counters.entries
            for section in task.freeze().sections {
                cost.stateBytes += section.bytes.count + section.pages.reduce(0) { $0 + $1.byteCount }
            }
        }
    }

    /// Runs a stage over all partitions of its inbox.
    static func run<S: Stage & ~Copyable>(
        _ type: S.Type, _ settings: S.Settings, _ inputs: [TopicPartition: [[UInt8]]], keepsOutputs: Bool = true,
        isWarm: () -> Void = {}
    ) throws -> Cost {
        var cost = Cost()
        let tasks = try (0..<partitions).map { partition in
            try FrameTask<S>(setting(S.name, S.inbox, partition), settings: settings)
        }
        for partition in 0..<partitions {
            let task = tasks[Int(partition)]
            let records = inputs[TopicPartition(S.inbox, partition)] ?? []
            for (offset, record) in records.enumerated() {
                if partition == partitions - 1, offset == records.count / 2 { isWarm() }
                let begin = threadSeconds()
                try record.withUnsafeBytes { value in
                    try task.receive(InboxRecord(offset: Int64(offset), key: nil, value: value), muted: false)
                }
                task.emitter.cutAll()
                cost.cpuSeconds += threadSeconds() - begin
                if keepsOutputs { collect(task, into: &cost) } else { _ = task.emitter.takeOutgoing() }
            }
        }
        finish(tasks, &cost)
        return cost
    }

    /// A floor for the models' step that the feed never reaches twice: its samples are gathered, and no model steps.
    static let restingStepSeconds = 86_400.0

    /// All five, each over what the ones before wrote; by stage. Beside it the twin-updater with its models at rest:
    /// everything that it does but their steps.
    static func chain(_ feed: BenchFeed) throws -> (costs: [(stage: StageName, cost: Cost)], resting: Cost) {
        var normalizer = try normalize(feed)
        var settings = TwinSettings()
        settings.stepSecondsMin = restingStepSeconds
        let resting = try run(TwinStage.self, settings, normalizer.outputs, keepsOutputs: false)
        var twins = try run(TwinStage.self, TwinSettings(), normalizer.outputs)
        let drift = try run(DriftStage.self, DriftSettings(), twins.outputs, keepsOutputs: false)
        let propagator = try run(PropagationStage.self, PropagationSettings(), twins.outputs)
        twins.outputs = [:]
        // Policies come from the normalizer, outlooks from the propagator; a decider sees both in one inbox.
        var outlooks = normalizer.outputs.filter { $0.key.topic == .outlooks }
        normalizer.outputs = [:]
        for (partition, records) in propagator.outputs where partition.topic == .outlooks {
            outlooks[partition, default: []] += records
        }
        let decider = try run(ScalingStage.self, ScalingSettings(), outlooks, keepsOutputs: false)
        let costs: [(stage: StageName, cost: Cost)] = [
            (.normalizer, normalizer), (.twinUpdater, twins), (.driftDetector, drift), (.graphPropagator, propagator),
            (.scalingDecider, decider),
        ]
        return (costs, resting)
    }
}
