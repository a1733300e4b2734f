import Topology
import TwinCore

/// How topics, groups and snapshots are called within a namespace. The empty namespace has bare names.
package struct TopicNaming: Sendable, Equatable {
    package let namespace: String

    package init(namespace: String) throws(ConfigurationError) {
        if let fault = Topology.fault(inNamespace: namespace) { throw ConfigurationError(fault) }
        self.namespace = namespace
    }

    /// The topic's name on the broker.
    package func topic(_ topic: TopicName) -> String { qualified(topic.text) }

    /// Any name, within the namespace.
    package func qualified(_ name: String) -> String {
        Topology.brokerName(name, namespace: namespace)
    }

    /// The topic that a name on the broker stands for; nil if it is none of this namespace.
    package func topic(named name: String) -> TopicName? {
        if namespace.isEmpty { return TopicName(text: name) }
        guard name.hasPrefix("\(namespace).") else { return nil }
        return TopicName(text: String(name.dropFirst(namespace.count + 1)))
    }

    /// The consumer group of a stage's incarnation.
    package func group(_ stage: StageName, incarnation: UInt64) -> String { qualified("\(stage.text).\(incarnation)") }

    /// The component of snapshot paths. No namespace holds a dot, so none can meet the empty one's.
    package var snapshotNamespace: String { namespace.isEmpty ? "no.namespace" : namespace }
}
