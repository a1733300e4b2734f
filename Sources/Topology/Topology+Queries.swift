import StageKit
import TwinCore

extension Topology {
    /// The plan of a topic.
    package static func plan(of topic: TopicName) -> TopicPlan {
        guard let plan = topics.first(where: { $0.topic == topic }) else {
            preconditionFailure("the topology has no topic \(topic.text)")  // a test counts them
        }
        return plan
    }

    /// The plan of a stage.
    package static func plan(of stage: StageName) -> StagePlan {
        guard let plan = stages.first(where: { $0.stage == stage }) else {
            preconditionFailure("the topology has no stage \(stage.text)")  // a test counts them
        }
        return plan
    }

    /// The topics that a stage reads: one, or for the normalizer all raw ones.
    package static func inboxes(of stage: StageName) -> [TopicName] { plan(of: stage).reads.map(\.topic) }

    /// The topics that a stage writes, dead letters included.
    package static func outputs(of stage: StageName) -> [TopicName] { plan(of: stage).writes.map(\.topic) }

    /// Who writes a topic: outsiders, then stages in the order of the flow.
    package static func writers(of plan: TopicPlan) -> [Party] {
        guard let topic = plan.topic else { return StageName.allCases.map { .stage($0) } }
        return plan.outsideWriters.map { .outsider($0) }
            + stages.filter { $0.writes.contains { $0.topic == topic } }.map { .stage($0.stage) }
    }

    /// Who reads a topic: stages in the order of the flow, then outsiders.
    package static func readers(of plan: TopicPlan) -> [Party] {
        guard let topic = plan.topic else { return StageName.allCases.map { .stage($0) } }
        return stages.filter { $0.reads.contains { $0.topic == topic } }.map { .stage($0.stage) }
            + plan.outsideReaders.map { .outsider($0) }
    }

    /// Every task of a stage: one per partition of each of its inboxes, in the order of the page.
    package static func tasks(
        of stage: StageName, layout: TopicLayout, epoch: (TopicName) -> UInt16 = { plan(of: $0).epoch }
    ) -> [TaskID] {
        inboxes(of: stage).flatMap { inbox in
            (0..<layout[inbox]).map {
                TaskID(stage: stage, inbox: inbox, epoch: epoch(inbox), partition: $0)
            }
        }
    }

    /// A topic's name on the broker: the namespace and a dot before it, unless the namespace is empty.
    package static func brokerName(_ topic: String, namespace: String) -> String {
        namespace.isEmpty ? topic : "\(namespace).\(topic)"
    }

    /// A topic's name on the broker.
    package static func brokerName(_ topic: TopicName, namespace: String) -> String {
        brokerName(topic.text, namespace: namespace)
    }

    /// Longest namespace; topic names on a broker end at 249 characters, file names at 255.
    package static let namespaceBytesMax = 64

    /// What is wrong with a namespace, or nil: it becomes part of topic names, group ids and paths.
    package static func fault(inNamespace namespace: String) -> String? {
        let isAllowed = namespace.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        if !isAllowed { return "namespace '\(namespace)' may hold letters, digits, '-' and '_' only" }
        if namespace.utf8.count > namespaceBytesMax { return "a namespace has at most \(namespaceBytesMax) characters" }
        return nil
    }
}
