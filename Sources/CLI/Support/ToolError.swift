import ArgumentParser
import Kafka

/// Why a command cannot do what it was asked to, and what to do about it.
struct ToolError: Error, Equatable {
    let reason: String
    let hint: String?

    init(_ reason: String, hint: String? = nil) {
        self.reason = reason
        self.hint = hint
    }

    /// A Kafka error, with advice for the ones that newcomers meet.
    init(_ error: KafkaError, _ broker: BrokerOptions) {
        switch error.name {
        case "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE":
            self.init(
                error.reason,
                hint:
                    "is a broker listening at \(broker.bootstrap)? Name another with --bootstrap HOST:PORT; "
                    + "for TLS or a "
                    + "login add --kafka security.protocol=… and what belongs to it")
        case "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
            "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED":
            self.init(error.reason, hint: "the login given with --kafka sasl.… lacks the right for that")
        case "_UNSUPPORTED_FEATURE":
            self.init(error.reason, hint: "the broker at \(broker.bootstrap) takes no such requests")
        default: self.init(error.description)
        }
    }

    /// Prints the reason and the hint to standard error; the code says that the question could not be answered.
    var exit: ExitCode { failure(hint.map { "\(reason)\nhint: \($0)" } ?? reason) }
}

/// Runs a command's body and turns what it throws into words and an exit code.
func reporting(_ broker: BrokerOptions, _ body: () throws -> Void) throws {
    do {
        try body()
    } catch let error as ToolError {
        throw error.exit
    } catch let error as KafkaError {
        throw ToolError(error, broker).exit
    }
}
