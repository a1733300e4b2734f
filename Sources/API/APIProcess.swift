import Foundation
import Glibc
import Hummingbird
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import Runtime
import ServiceLifecycle
import TwinCore
import UnixSignals
import Views

/// The executable `twin-api`, from its command line to its exit code.
package enum APIProcess {
    private static let name = "twin-api"

    /// Serves until it is told to stop, and ends the process.
    package static func main() async -> Never {
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "token" { token(Array(arguments.dropFirst())) }
        let configuration: ProgramConfiguration
        do throws(ConfigurationError) {
            let sources = try ConfigurationSources(
                keys: ProgramConfiguration.knownKeys(APIKeys.all), stage: name,
                stages: StageName.allCases.map(\.text), arguments: arguments,
                environment: StageProcess.environment())
            if case .help(let isWhole) = sources.request { end(help(isWhole: isWhole), ExitCode.requested) }
            if sources.request == .version { end("\(name) \(StageProcess.version)\n", ExitCode.requested) }
            configuration = try ProgramConfiguration(keys: APIKeys.all, sources: sources)
            if sources.request == .printConfiguration { end(configuration.effective + "\n", ExitCode.requested) }
        } catch { fail(StageFailure(.refused, error.reason, hint: error.hint)) }
        let (level, format) = (configuration.logLevel, configuration.logFormat)
        LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format) }
        let log = Logger(label: "twinscale.\(name)")
        do {
            let server = try APIServer(configuration, log: log)
            try await server.run()
            log.notice("server stopped")
            exit(ExitCode.requested)
        } catch {
            let failure = error as? StageFailure ?? StageFailure(.broken, "\(error)")
            log.critical(
                "server ended",
                metadata: [
                    "reason": "\(failure.reason)", "hint": "\(failure.hint ?? "")", "exit.code": "\(failure.exitCode)",
                ])
            exit(failure.exitCode)
        }
    }

    /// `twin-api token NAME ROLE [TENANT]`: a new token for its holder, and the line for the file.
    private static func token(_ arguments: [String]) -> Never {
        guard (2...3).contains(arguments.count), let role = Role(text: arguments[1]),
            arguments.allSatisfy({ word in !word.isEmpty && !word.contains { $0.isWhitespace || $0 == "#" } })
        else { end("usage: \(name) token NAME viewer|operator|admin [TENANT]\n", ExitCode.refused) }
        let (token, line) = TokenFile.make(
            name: arguments[0], role: role, tenant: arguments.count > 2 ? arguments[2] : nil)
        end("token, for its holder: \(token)\nline, for the file:     \(line)\n", ExitCode.requested)
    }

    private static func end(_ text: String, _ code: Int32) -> Never {
        Array(text.utf8).withUnsafeBytes { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        exit(code)
    }

    private static func fail(_ failure: StageFailure) -> Never {
        var text = "\(name): \(failure.kind.rawValue): \(failure.reason)\n"
        if let hint = failure.hint { text += "  hint: \(hint)\n" }
        Array(text.utf8).withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(failure.exitCode)
    }

    private static func help(isWhole: Bool) -> String {
        let text = """
            \(name): serves twins, forecasts, decisions and orders over HTTP, and the dashboard

            USAGE: \(name) [--config FILE] [--kafka PROPERTY=VALUE]… [OPTIONS]
                   \(name) token NAME viewer|operator|admin [TENANT]

            Settings come as for the stages, whose file it shares: its own stand there in the section api. The second
            form makes a token for somebody and the line that lets it in.

              --config FILE         The YAML file.
              --print-config        Print the effective configuration, secrets hidden, and end.
              --help, --version     Print this, or the version, and end.
              --help-hidden         Print all options: those of single topics, and the stages' that mean nothing here.

            """
        let keys = isWhole ? ProgramConfiguration.knownKeys(APIKeys.all) : ProgramConfiguration.usedKeys(APIKeys.all)
        return text + ConfigurationKey.help(keys, isWhole: isWhole)
    }
}
