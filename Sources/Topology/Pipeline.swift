import DriftDetection
import Normalization
import Propagation
import Scaling
import StageKit
import TwinCore
import Twins

/// The settings of all five stages, where one program runs the whole pipeline: simulation, replay of a chain, backtest.
package struct PipelineSettings: Sendable {
    package var normalizer = NormalizerSettings()
    package var twins = TwinSettings()
    package var drift = DriftSettings()
    package var propagation = PropagationSettings()
    package var scaling = ScalingSettings()

    package init() {}

    /// A task of any stage, fresh or restored.
    package func makeTask(_ setting: TaskSetting, restoring reader: StateReader?) throws(StateError) -> any TaskLogic {
        switch setting.task.stage {
        case .normalizer: try NormalizerTask(setting, settings: normalizer, restoring: reader)
        case .twinUpdater: try FrameTask<TwinStage>(setting, settings: twins, restoring: reader)
        case .driftDetector: try FrameTask<DriftStage>(setting, settings: drift, restoring: reader)
        case .graphPropagator: try FrameTask<PropagationStage>(setting, settings: propagation, restoring: reader)
        case .scalingDecider: try FrameTask<ScalingStage>(setting, settings: scaling, restoring: reader)
        }
    }
}
