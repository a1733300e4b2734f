import DriftDetection
import Messages
import Propagation
import Scaling
import StageKit
import TwinCore
import Twins

/// The stages of a backtest, each with one partition. Stages that cannot change any output are left out: the propagator
/// without edges and policies, the decider without policies.
struct Pipeline {
    let driver: PipelineDriver
    private let tasks: [Running]
    private let twins: TwinSettings
    private let drift: DriftSettings

    private struct Running {
        let inbox: TopicName
        let stage: StageName
        let logic: any TaskLogic
    }

    init(
        twins: TwinSettings, propagates: Bool, decides: Bool, drift: DriftSettings = DriftSettings()
    ) throws(BacktestError) {
        var stages: [StageName] = [.twinUpdater, .driftDetector]
        if propagates || decides { stages.append(.graphPropagator) }
        if decides { stages.append(.scalingDecider) }
        var tasks: [Running] = []
        for stage in stages { tasks.append(try Self.task(stage, twins, drift, restoring: nil)) }
        self.twins = twins
        self.drift = drift
        self.tasks = tasks
        driver = PipelineDriver(tasks: tasks.map { ($0.inbox, $0.logic) })
    }

    private init(continuing other: Pipeline) throws(BacktestError) {
        var tasks: [Running] = []
        for task in other.tasks {
            let sections = task.logic.freeze().flattened.map { section in
                let room = UnsafeMutableRawBufferPointer.allocate(byteCount: section.bytes.count, alignment: 64)
                room.copyBytes(from: section.bytes)
                return (tag: section.tag, bytes: UnsafeRawBufferPointer(room))
            }
            defer { for section in sections { section.bytes.deallocate() } }
            tasks.append(
                try Self.task(task.stage, other.twins, other.drift, restoring: StateReader(sections: sections)))
        }
        twins = other.twins
        drift = other.drift
        self.tasks = tasks
        driver = PipelineDriver(tasks: tasks.map { ($0.inbox, $0.logic) }, continuing: other.driver)
    }

    /// The same stages, made anew from a snapshot of each: as after a restart.
    func restarted() throws(BacktestError) -> Pipeline { try Pipeline(continuing: self) }

    private static func task(
        _ stage: StageName, _ twins: TwinSettings, _ drift: DriftSettings, restoring reader: StateReader?
    ) throws(BacktestError) -> Running {
        do throws(StateError) {
            switch stage {
            case .twinUpdater: return try running(TwinStage.self, twins, reader)
            case .driftDetector:
                var drift = drift
                drift.seriesMax = twins.seriesMax
                return try running(DriftStage.self, drift, reader)
            case .graphPropagator:
                var propagation = PropagationSettings()
                propagation.resourcesMax = twins.resourcesMax
                propagation.horizonsSeconds = twins.horizonSeconds.prefix(8).map { Int32($0) }
                return try running(PropagationStage.self, propagation, reader)
            default:
                var scaling = ScalingSettings()
                scaling.resourcesMax = twins.resourcesMax
                scaling.restateEveryDecision = true
                // Recorded telemetry shows no capacity of ours, and no actuator answers: an action counts as carried
                // out when the policy's provisioning delay has passed.
                scaling.actuation = .assumed
                scaling.takesUnknownMetrics = true
                return try running(ScalingStage.self, scaling, reader)
            }
        } catch {
            throw BacktestError(.stage, "a stage could not be set up: \(error)")
        }
    }

    private static func running<S: Stage & ~Copyable>(
        _ type: S.Type, _ settings: S.Settings, _ reader: StateReader?
    ) throws(StateError) -> Running {
        let setting = TaskSetting(
            task: TaskID(stage: S.name, inbox: S.inbox, epoch: 1, partition: 0), layout: TopicLayout(partitions: 1),
            namesMax: 4_000_000)
        return Running(
            inbox: S.inbox, stage: S.name, logic: try FrameTask<S>(setting, settings: settings, restoring: reader))
    }

    /// What the stages have counted.
    var counters: [(stage: String, counters: [(name: String, value: UInt64)])] {
        tasks.map { task in (task.stage.text, task.logic.stageCounters.map { ($0.name, $0.value) }) }
    }
}
