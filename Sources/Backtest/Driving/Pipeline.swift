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
    private let tasks: [(name: String, logic: any TaskLogic)]

    init(twins: TwinSettings, propagates: Bool, decides: Bool) throws(BacktestError) {
        let layout = TopicLayout(partitions: 1)
        do throws(StateError) {
            func setting(_ stage: StageName, _ inbox: TopicName) -> TaskSetting {
                TaskSetting(
                    task: TaskID(stage: stage, inbox: inbox, epoch: 1, partition: 0), layout: layout,
                    namesMax: 4_000_000)
            }
            var tasks: [(inbox: TopicName, name: String, logic: any TaskLogic)] = []
            tasks.append(
                (.observations, StageName.twinUpdater.text,
                    try FrameTask<TwinStage>(setting(.twinUpdater, .observations), settings: twins)))
            var drift = DriftSettings()
            drift.seriesMax = twins.seriesMax
            tasks.append(
                (.forecasts, StageName.driftDetector.text,
                    try FrameTask<DriftStage>(setting(.driftDetector, .forecasts), settings: drift)))
            if propagates || decides {
                var propagation = PropagationSettings()
                propagation.resourcesMax = twins.resourcesMax
                propagation.horizonsSeconds = twins.horizonSeconds.prefix(8).map { Int32($0) }
                tasks.append(
                    (.forecasts, StageName.graphPropagator.text,
                        try FrameTask<PropagationStage>(setting(.graphPropagator, .forecasts), settings: propagation)))
            }
            if decides {
                var scaling = ScalingSettings()
                scaling.resourcesMax = twins.resourcesMax
                scaling.restateEveryDecision = true
                // Recorded telemetry shows no capacity of ours, and no actuator answers: an action counts as carried
                // out when the policy's provisioning delay has passed.
                scaling.actuation = .assumed
                scaling.takesUnknownMetrics = true
                tasks.append(
                    (.outlooks, StageName.scalingDecider.text,
                        try FrameTask<ScalingStage>(setting(.scalingDecider, .outlooks), settings: scaling)))
            }
            driver = PipelineDriver(tasks: tasks.map { ($0.inbox, $0.logic) })
            self.tasks = tasks.map { ($0.name, $0.logic) }
        } catch {
            throw BacktestError(.stage, "a stage could not be set up: \(error)")
        }
    }

    /// What the stages have counted.
    var counters: [(stage: String, counters: [(name: String, value: UInt64)])] {
        tasks.map { task in (task.name, task.logic.stageCounters.map { ($0.name, $0.value) }) }
    }
}
