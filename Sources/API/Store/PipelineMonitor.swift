import Kafka
import Logging
import Runtime
import Snapshots
import StageKit
import Synchronization
import Topology
import TwinCore

/// How the pipeline and the reading of its topics are doing.
struct PipelineStatus: Sendable {
    /// One partition of a stage's inbox.
    struct Partition: Sendable {
        var topic: TopicName
        var partition: Int32
        var committed: Int64?
        var end: Int64?
        var lag: Int64?
    }

    /// One stage.
    struct Stage: Sendable {
        var stage: StageName
        /// The highest incarnation that has committed; nil if none has, or it is not known.
        var incarnation: UInt64?
        var partitions: [Partition] = []
        /// Wall clock of its newest durable snapshot, milliseconds.
        var snapshotMilliseconds: Int64?

        /// Records that it has not committed; nil if no partition is known.
        var lag: Int64? {
            let known = partitions.compactMap(\.lag)
            return known.isEmpty ? nil : known.reduce(0, +)
        }
    }

    var isReady = false
    var reason: String? = "starting"
    var stages: [Stage] = StageName.allCases.map { Stage(stage: $0) }
    var topics: [ViewReader.TopicProgress] = []
    var malformedFrames: UInt64 = 0
}

/// Knows how the pipeline is doing.
protocol PipelineMonitor: Sendable {
    var status: PipelineStatus { get }
}

/// Asks the broker for committed offsets and ends, and the snapshot store for ages, every few seconds on a thread of
/// its own; answers from memory.
final class KafkaPipelineMonitor: PipelineMonitor {
    private static let intervalMilliseconds: Int64 = 5_000
    private static let requestMilliseconds = 4_000

    private let configuration: ProgramConfiguration
    private let reader: ViewReader
    private let log: Logger
    private let known = Mutex(PipelineStatus())
    private let isStopping = Atomic<Bool>(false)

    init(_ configuration: ProgramConfiguration, reader: ViewReader, log: Logger) {
        self.configuration = configuration
        self.reader = reader
        self.log = log
    }

    func start() -> Bool { startThread(stackBytes: 1 << 20) { self.run() } }

    func stop() { isStopping.store(true, ordering: .releasing) }

    private var mustStop: Bool { isStopping.load(ordering: .acquiring) }

    var status: PipelineStatus {
        var status = known.withLock { $0 }
        let progress = reader.current
        status.isReady = progress.isReady
        status.reason = progress.reason
        status.topics = progress.topics
        status.malformedFrames = progress.malformedFrames
        return status
    }

    private func run() {
        var snapshots = NewestSnapshots(configuration)
        var told: String?
        while !mustStop {
            do throws(KafkaError) {
                let admin = try Admin(properties: configuration.kafka)
                while !mustStop {
                    snapshots.look()
                    try look(admin, snapshots.milliseconds)
                    told = nil
                    sleepMilliseconds(Self.intervalMilliseconds) { self.mustStop }
                }
                admin.close(deadline: Deadline(milliseconds: 500))
            } catch {
                if told != error.reason {
                    log.info("the pipeline's lag is not known", metadata: ["reason": "\(error.reason)"])
                }
                told = error.reason
                known.withLock { status in
                    for index in status.stages.indices {
                        status.stages[index].partitions = []
                        status.stages[index].incarnation = nil
                    }
                }
                sleepMilliseconds(Self.intervalMilliseconds) { self.mustStop }
            }
        }
    }

    private func look(_ admin: borrowing Admin, _ snapshots: [Int64?]) throws(KafkaError) {
        var stages: [PipelineStatus.Stage] = []
        for stage in StageName.allCases { stages.append(try look(admin, stage)) }
        for (index, made) in snapshots.enumerated() { stages[index].snapshotMilliseconds = made }
        let found = stages
        known.withLock { $0.stages = found }
    }

    /// A stage as its highest incarnation that has committed has left it.
    private func look(_ admin: borrowing Admin, _ stage: StageName) throws(KafkaError) -> PipelineStatus.Stage {
        var inboxes: [(TopicName, Int32)] = []
        for topic in Topology.inboxes(of: stage) {
            inboxes += (0..<configuration.layout[topic]).map { (topic, $0) }
        }
        let places = inboxes.map { KafkaPartition(configuration.naming.topic($0.0), $0.1) }
        let known = self.known.withLock { status in status.stages.first { $0.stage == stage }?.incarnation }
        let used = try admin.committedIncarnations(
            of: stage, configuration.naming, from: known ?? 1, named: configuration.incarnation, in: places,
            timeoutMilliseconds: Self.requestMilliseconds
        ).last?.incarnation
        let lags = try admin.lag(
            ofGroup: configuration.naming.group(stage, incarnation: used ?? configuration.incarnation), places,
            timeoutMilliseconds: Self.requestMilliseconds)
        var result = PipelineStatus.Stage(stage: stage, incarnation: used)
        result.partitions = zip(inboxes, lags).map { inbox, lag in
            PipelineStatus.Partition(
                topic: inbox.0, partition: lag.partition.partition, committed: lag.committed, end: lag.ends.high,
                lag: lag.lag)
        }
        return result
    }
}

/// When each stage's newest snapshot was made durable, asked of the store now and then.
private struct NewestSnapshots {
    /// A directory is listed; a topic must be read whole.
    private static let directoryMilliseconds: Int64 = 5_000
    private static let topicMilliseconds: Int64 = 60_000

    private let configuration: ProgramConfiguration
    private let intervalMilliseconds: Int64
    private var store: (any SnapshotStore)?
    private var next = Int64.min
    /// By stage; nil where the store holds none, or cannot be asked.
    private(set) var milliseconds = [Int64?](repeating: nil, count: StageName.allCases.count)

    init(_ configuration: ProgramConfiguration) {
        self.configuration = configuration
        if case .topic = configuration.snapshots {
            intervalMilliseconds = Self.topicMilliseconds
        } else {
            intervalMilliseconds = Self.directoryMilliseconds
        }
    }

    mutating func look() {
        let now = monotonicMilliseconds()
        guard now >= next else { return }
        next = now + intervalMilliseconds
        if store == nil { store = try? SnapshotStores.open(configuration, reader: "twin-api") }
        guard let found = try? store?.listAll() else { return }
        milliseconds = StageName.allCases.map { stage in
            found.filter { $0.task.stage == stage }.map(\.createdMilliseconds).max()
        }
    }
}
