import StageKit
import Topology
import TwinCore

extension SimulatedPipeline {
    /// The real topology with the real stages.
    package static func real(
        layout: TopicLayout, settings: PipelineSettings = PipelineSettings(), gapFramesMax: UInt64 = 1_000,
        namesMax: Int = 100_000
    ) -> SimulatedPipeline {
        var pipeline = SimulatedPipeline(
            layout: layout,
            inboxes: { Topology.inboxes(of: $0) },
            outputs: { stage in
                let outputs = Topology.outputs(of: stage)
                return outputs.contains(.deadletters) ? outputs : outputs + [.deadletters]
            },
            make: { (setting, reader) throws(StateError) -> any TaskLogic in
                var setting = setting
                setting.gapFramesMax = gapFramesMax
                setting.namesMax = namesMax
                return try settings.makeTask(setting, restoring: reader)
            })
        pipeline.keepsTwins = true
        return pipeline
    }
}
