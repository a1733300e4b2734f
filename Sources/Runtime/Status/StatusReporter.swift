import Kafka
import Logging
import Snapshots
import StageKit
import TaskLoop
import TwinCore
import Worker

/// Collects the worker's counters on its own thread, once a second, and hands them to the board and to the metrics.
struct StatusReporter {
    private static let intervalMilliseconds: Int64 = 1_000

    private struct Snapshot {
        var offset: Int64
        var wallMilliseconds: Int64
        var seconds: Double
    }

    private let board: StatusBoard
    private let configuration: RuntimeConfiguration
    private let log: Logger
    private var metrics: MetricsExport
    private var events: WorkerEventLog
    private var last: Int64 = .min / 2
    private var snapshots: [TaskID: Snapshot] = [:]
    private var snapshotFailures: [TaskID: String] = [:]
    private var watch: AlarmWatch
    private var raised: Set<String> = []

    init(_ board: StatusBoard, _ configuration: RuntimeConfiguration, log: Logger) {
        self.board = board
        self.configuration = configuration
        self.log = log
        metrics = MetricsExport(stage: configuration.stage)
        events = WorkerEventLog(log)
        watch = AlarmWatch(silentSenderMilliseconds: configuration.silentSenderMilliseconds)
    }

    mutating func publishIfDue(_ worker: Worker<KafkaWorld>, _ world: KafkaWorld) {
        guard world.nowMilliseconds - last >= Self.intervalMilliseconds else { return }
        publish(worker, world)
    }

    mutating func publish(_ worker: Worker<KafkaWorld>, _ world: KafkaWorld) {
        let now = world.nowMilliseconds
        last = now
        drainSnapshots(world)
        events.library(world.drainLibraryLogs())
        var tasks: [TaskStatus] = []
        for state in worker.loop.partitions {
            let logic = worker.runningTasks.first { $0.id == state.id }?.logic
            tasks.append(status(state, logic, world))
        }
        let reason = Self.unreadiness(worker.loop, tasks, world)
        let alarms = watch.alarms(tasks, facts(world), now: now)
        report(alarms)
        let folded = worker.recordsFolded
        let loop = worker.loop
        board.publish { status in
            status.publishedMilliseconds = now
            status.publishedWallMilliseconds = wallMilliseconds()
            status.hasJoined = world.statistics.hasJoined
            status.isReady = reason == nil
            status.reason = reason ?? ""
            status.recordsFolded = folded
            status.recordsDropped = loop.recordsDropped
            status.commits = loop.commits
            status.rebuilds = loop.rebuildsTotal
            status.world = world.statistics
            status.tasks = tasks
            status.alarms = alarms
        }
        metrics.publish(board.current)
    }

    // MARK: parts

    private mutating func drainSnapshots(_ world: KafkaWorld) {
        for result in world.writer.drainResults() {
            let task = result.identity.task
            switch result.outcome {
            case .saved(let receipt):
                snapshots[task] = Snapshot(
                    offset: result.identity.offset, wallMilliseconds: wallMilliseconds(), seconds: result.seconds)
                snapshotFailures[task] = nil
                log.debug(
                    "snapshot saved",
                    metadata: [
                        "task": "\(task)", "offset": "\(result.identity.offset)", "bytes": "\(receipt.info.bytes)",
                        "seconds": "\(result.seconds)",
                    ])
            case .failed(let error):
                if snapshotFailures[task] != error.description {
                    log.error("snapshot failed", metadata: ["task": "\(task)", "reason": "\(error)"])
                }
                snapshotFailures[task] = error.description
            case .replaced: break
            }
        }
    }

    private func status(
        _ state: TaskLoop.Partition, _ logic: (any TaskLogic)?, _ world: KafkaWorld
    ) -> TaskStatus {
        let task = TaskID(
            stage: configuration.stage, inbox: state.id.topic, epoch: configuration.epoch(of: state.id.topic),
            partition: state.id.partition)
        let phase: TaskStatus.Phase =
            switch state.phase {
            case .recovering: .recovering
            case .replaying, .settling: .replaying
            case .running: .running
            }
        let counters = logic?.emitter.counters ?? EmitterCounters()
        let snapshot = snapshots[task]
        return TaskStatus(
            task: task, phase: phase, nextOffset: state.next, committedOffset: state.committed,
            speakFrom: state.speakFrom, isCaughtUp: state.isAtEnd,
            lag: world.fetchedEnd(state.id).map { max($0 - state.next, 0) },
            watermarkMilliseconds: logic?.watermark?.milliseconds, entries: counters.entries, frames: counters.frames,
            records: counters.records, deadLetters: counters.deadLetters, snapshotOffset: snapshot?.offset,
            snapshotWallMilliseconds: snapshot?.wallMilliseconds, snapshotSeconds: snapshot?.seconds,
            counters: logic?.stageCounters ?? [], senders: (logic?.upstream).map { SenderStatus.all($0) } ?? [])
    }

    private static func unreadiness(_ loop: TaskLoop, _ tasks: [TaskStatus], _ world: KafkaWorld) -> String? {
        guard world.statistics.hasJoined else {
            return world.connectionProblem.map { "no broker: \($0)" } ?? "waiting for the group's assignment"
        }
        if let task = tasks.first(where: { $0.phase == .recovering }) { return "recovering \(task.task)" }
        if let task = tasks.first(where: { $0.phase == .replaying }) {
            return "replaying \(task.task) at \(task.nextOffset) of \(task.speakFrom)"
        }
        // A member without partitions stands by, and is ready for that.
        if !tasks.isEmpty, !loop.isReady { return "rebalancing" }
        return nil
    }

    private func facts(_ world: KafkaWorld) -> WorkerFacts {
        WorkerFacts(
            connectionProblem: world.connectionProblem, rebuilds: world.statistics.rebuilds,
            lastFailure: world.statistics.lastFailure, snapshotFailures: snapshotFailures,
            lastRecordMilliseconds: world.statistics.lastRecordMilliseconds)
    }

    /// Each alarm is logged when it is raised and when it ends, not in between.
    private mutating func report(_ alarms: [Alarm]) {
        let now = Set(alarms.map(\.kind.rawValue))
        for alarm in alarms where !raised.contains(alarm.kind.rawValue) {
            log.warning("alarm raised", metadata: ["alarm": "\(alarm.kind.rawValue)", "detail": "\(alarm.detail)"])
        }
        for name in raised.subtracting(now).sorted() { log.notice("alarm ended", metadata: ["alarm": "\(name)"]) }
        raised = now
    }
}

extension KafkaWorld {
    /// The end of a partition as the last fetch reported it.
    func fetchedEnd(_ partition: TopicPartition) -> Int64? { consumer?.fetchedWatermarks(name(of: partition)).high }

    /// What keeps the clients from every broker; nil while one answers.
    var connectionProblem: String? {
        guard consumer?.isEveryBrokerDown ?? false else { return nil }
        return consumer?.connectionError?.reason ?? output?.producer.connectionError?.reason ?? "all brokers are down"
    }

    /// librdkafka's log lines of both clients.
    func drainLibraryLogs() -> [KafkaLogLine] { (consumer?.drainLogs() ?? []) + (output?.producer.drainLogs() ?? []) }
}
