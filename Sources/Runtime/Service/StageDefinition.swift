import StageKit
import TwinCore
import Worker

/// A stage as the shell runs it: what it reads and writes, and how its tasks are made.
package struct StageDefinition: Sendable {
    package let stage: StageName
    package let inboxes: [TopicName]
    /// Without `deadletters`, which every stage writes.
    package let outputs: [TopicName]
    /// Makes the tasks' factory; called on the worker's thread.
    package let factory: @Sendable (RuntimeConfiguration) -> TaskFactory

    package init(
        stage: StageName, inboxes: [TopicName], outputs: [TopicName],
        factory: @escaping @Sendable (RuntimeConfiguration) -> TaskFactory
    ) {
        self.stage = stage
        self.inboxes = inboxes
        self.outputs = outputs
        self.factory = factory
    }

    /// All topics that must be there.
    package var topics: [TopicName] {
        TopicName.allCases.filter { inboxes.contains($0) || outputs.contains($0) || $0 == .deadletters }
    }
}

extension StageDefinition {
    /// A stage over frames, with these settings.
    package static func frames<S: Stage & ~Copyable>(
        _ type: S.Type, settings: S.Settings, hash: @escaping @Sendable (S.Settings, inout Digest) -> Void
    ) -> StageDefinition where S: SendableMetatype {
        StageDefinition(stage: S.name, inboxes: [S.inbox], outputs: S.outputs) { configuration in
            TaskFactory(
                stage: S.name, incarnation: configuration.incarnation,
                fingerprint: configuration.fingerprint(logicVersion: S.logicVersion) { hash(settings, &$0) },
                rebuildFromStart: configuration.rebuildFromStart, acceptsGaps: configuration.acceptsGaps,
                epoch: { configuration.epoch(of: $0) },
                make: { (task, reader) throws(StateError) in
                    try FrameTask<S>(configuration.taskSetting(task), settings: settings, restoring: reader)
                })
        }
    }
}
