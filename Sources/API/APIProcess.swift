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
        let usage = "usage: \(name) token NAME viewer|operator|admin [TENANT]\n"
        if let fault = tokenFault(arguments) { end("\(name): \(fault)\n\(usage)", ExitCode.refused, STDERR_FILENO) }
        guard let role = Role(text: arguments[1]) else { end(usage, ExitCode.refused, STDERR_FILENO) }
        let (token, line) = TokenFile.make(
            name: arguments[0], role: role, tenant: arguments.count > 2 ? arguments[2] : nil)
        end("token, for its holder: \(token)\nline, for the file:     \(line)\n", ExitCode.requested)
    }

    /// What is wrong with the words behind `token`; nil if nothing is.
    static func tokenFault(_ words: [String]) -> String? {
        guard (2...3).contains(words.count) else { return "a token needs a name and a role" }
        guard Role(text: words[1]) != nil else {
            return "the role '\(words[1])' is none of \(Role.allCases.map(\.text).joined(separator: ", "))"
        }
        for (kind, word) in [("name", words[0])] + words.dropFirst(2).map({ ("tenant", $0) }) {
            if word.isEmpty { return "the \(kind) is empty" }
            if word.contains(where: { $0.isWhitespace || $0 == "#" }) {
                return "the \(kind) '\(word)' holds white space or '#', which the file's lines cannot"
            }
        }
        return nil
    }

    private static func end(_ text: String, _ code: Int32, _ descriptor: Int32 = STDOUT_FILENO) -> Never {
        Array(text.utf8).withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
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
