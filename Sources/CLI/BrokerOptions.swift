import ArgumentParser
import Foundation
import Kafka
import Topology

/// How to reach the broker, for every subcommand that talks to one.
package struct BrokerOptions: ParsableArguments {
    private static let bootstrapDefault = "localhost:9092"

    /// Brokers to ask first, as `host:port,…`.
    @Option(help: ArgumentHelp("Brokers to ask first.", valueName: "host:port,…"))
    package var bootstrap = Self.bootstrapDefault

    /// Prefix of all topics; empty for none.
    @Option(
        help: ArgumentHelp(
            "Use the parallel set of topics NAMESPACE.telemetry, NAMESPACE.observations, … instead of the plain one.",
            valueName: "namespace"))
    package var namespace = ""

    /// Properties of librdkafka, as `key=value`.
    @Option(
        name: .customLong("kafka"),
        help: ArgumentHelp(
            "A property of librdkafka, such as security.protocol=SASL_SSL. May be repeated.", valueName: "key=value"))
    package var kafka: [String] = []

    package init() {}

    package func validate() throws {
        if let fault = Topology.fault(inNamespace: namespace) { throw ValidationError(fault) }
        for pair in kafka where !pair.dropFirst().contains("=") {
            throw ValidationError("--kafka '\(pair)' is not of the form key=value")
        }
    }

    /// The same options for another command, for advice. Properties may be secrets and are left to be filled in.
    package var repeated: String {
        var text = bootstrap == Self.bootstrapDefault ? "" : " --bootstrap \(bootstrap)"
        if !namespace.isEmpty { text += " --namespace \(namespace)" }
        return kafka.isEmpty ? text : text + " --kafka …"
    }

    /// What the Kafka module wants to hear.
    package var properties: KafkaProperties {
        var properties: KafkaProperties = ["bootstrap.servers": bootstrap]
        for pair in kafka {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { properties[String(parts[0])] = String(parts[1]) }
        }
        return properties
    }
}

/// Prints the reason to standard error; the code says that the question could not be answered.
package func failure(_ reason: String) -> ExitCode {
    FileHandle.standardError.write(Data("error: \(reason)\n".utf8))
    return ExitCode(2)
}
