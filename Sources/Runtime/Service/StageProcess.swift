import Glibc
import Logging
import ServiceLifecycle
import StageKit
import TwinCore
import UnixSignals
import Worker

/// A stage's executable, from its command line to its exit code.
package enum StageProcess {
    /// Version of the pipeline, for `--version` and logs.
    package static let version = "0.1.0"

    /// Parses the configuration, runs the stage until it is told to stop, and ends the process.
    ///
    /// - Parameters:
    ///   - keys: those of the stage's own settings.
    ///   - definition: the stage as configured.
    package static func main(
        _ stage: StageName, purpose: String, keys: [ConfigurationKey],
        _ definition: (RuntimeConfiguration) throws(ConfigurationError) -> StageDefinition
    ) async -> Never {
        // A reader of our log that goes away must not end us.
        signal(SIGPIPE, SIG_IGN)
        let configuration: RuntimeConfiguration
        let made: StageDefinition
        do throws(ConfigurationError) {
            let sources = try ConfigurationSources(
                keys: RuntimeKeys.all + keys, stage: stage.text, stages: StageName.allCases.map(\.text),
                arguments: Array(CommandLine.arguments.dropFirst()), environment: environment())
            if case .help(let isWhole) = sources.request {
                show(RuntimeConfiguration.help(stage: stage, stageKeys: keys, purpose: purpose, isWhole: isWhole))
                exit(ExitCode.requested)
            }
            if sources.request == .version {
                show("\(stage.text) \(version)\n")
                exit(ExitCode.requested)
            }
            configuration = try RuntimeConfiguration(stage: stage, stageKeys: keys, sources: sources)
            made = try definition(configuration)
            if sources.request == .printConfiguration {
                show(configuration.text + "\n")
                exit(ExitCode.requested)
            }
        } catch {
            complain(stage, StageFailure(.refused, error.reason, hint: error.hint))
            exit(ExitCode.refused)
        }
        let (level, format) = (configuration.logLevel, configuration.logFormat)
        LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format) }
        exit(await run(made, configuration, log: Logger(label: "twinscale.\(stage.text)")))
    }

    /// Runs a stage until a signal, a request or a failure; returns the exit code.
    package static func run(
        _ definition: StageDefinition, _ configuration: RuntimeConfiguration, log: Logger
    ) async -> Int32 {
        log.notice(
            "stage starts",
            metadata: [
                "stage": "\(definition.stage.text)", "group": "\(configuration.groupID)",
                "incarnation": "\(configuration.incarnation)", "version": "\(version)",
                "kafka.properties": "\(configuration.kafka)",
            ])
        if !configuration.ignoredEnvironment.isEmpty {
            log.notice(
                "unknown environment variables ignored",
                metadata: ["variables": "\(configuration.ignoredEnvironment.joined(separator: " "))"])
        }
        let service = StageService(definition, configuration, log: log)
        var health: HealthServer?
        do {
            if let address = configuration.health {
                let server = try HealthServer(service.board, at: address)
                log.notice("health server listens", metadata: ["address": "\(server.address)"])
                health = server
            }
            var quiet = log
            quiet.logLevel = max(log.logLevel, .notice)
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: [
                        .init(
                            service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                            failureTerminationBehavior: .cancelGroup, serviceName: definition.stage.text)
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
            try await group.run()
            health?.stop()
            log.notice("stage stopped", metadata: ["stage": "\(definition.stage.text)"])
            return ExitCode.requested
        } catch {
            health?.stop()
            let failure = error as? StageFailure ?? StageFailure(.broken, "\(error)")
            log.critical(
                "stage ended",
                metadata: [
                    "stage": "\(definition.stage.text)", "reason": "\(failure.reason)",
                    "hint": "\(failure.hint ?? "")", "exit.code": "\(failure.exitCode)",
                ])
            return failure.exitCode
        }
    }

    /// For what is wrong before there is a log: one line on the standard error, and a second one with what to do.
    private static func complain(_ stage: StageName, _ failure: StageFailure) {
        var text = "\(stage.text): \(failure.kind.rawValue): \(failure.reason)\n"
        if let hint = failure.hint { text += "  hint: \(hint)\n" }
        Array(text.utf8).withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private static func show(_ text: String) {
        Array(text.utf8).withUnsafeBytes { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }

    /// The process's environment.
    package static func environment() -> [String: String] {
        var found: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                found[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return found
    }
}
