import TwinCore

/// How OpenTelemetry's attributes become identity, tags and calls.
package struct OTLPMapping: Sendable, Equatable {
    /// An attribute and the tag that it becomes.
    package struct Tag: Sendable, Equatable {
        package var attribute: String
        package var name: String

        package init(attribute: String, name: String) {
            self.attribute = attribute
            self.name = name
        }
    }

    /// Attributes of the resource; the first that it has is its id.
    package var resource = [
        "service.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.pod.name",
        "host.name",
    ]
    /// The attribute of the resource that is its class.
    package var resourceClass = "twinscale.class"
    package var tags = [
        Tag(attribute: "cloud.region", name: "region"), Tag(attribute: "cloud.availability_zone", name: "zone"),
        Tag(attribute: "k8s.cluster.name", name: "cluster"), Tag(attribute: "k8s.namespace.name", name: "namespace"),
        Tag(attribute: "service.namespace", name: "application"),
        Tag(attribute: "deployment.environment.name", name: "environment"),
    ]
    /// Metrics that tell of calls: their data points name both ends. The defaults are what the Collector's
    /// service-graph connector counts at the callee, with and without the unit in its name.
    package var calls = ["traces_service_graph_request_server", "traces_service_graph_request_server_seconds"]
    /// Attributes of such a data point.
    package var (caller, callee) = ("client", "server")
    /// Metrics of this prefix that are not in `calls` tell the same once more, and are passed over.
    package var callsPrefix = "traces_service_graph_"

    package init() {}

    /// Adds everything, as all of it can change what is read.
    package func hash(into digest: inout Digest, text: (inout Digest, String) -> Void) {
        for list in [resource, [resourceClass], calls, [caller, callee, callsPrefix]] {
            digest.combine(UInt64(list.count))
            for word in list { text(&digest, word) }
        }
        digest.combine(UInt64(tags.count))
        for tag in tags {
            text(&digest, tag.attribute)
            text(&digest, tag.name)
        }
    }
}
