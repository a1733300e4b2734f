import Foundation
import Glibc
import Kafka
import Runtime
import Topology
import TwinCore

/// The broker and the five stages as processes of their own, in a directory for their logs and snapshots.
final class DemoPipeline {
    static let partitions: Int32 = 3

    let directory: String
    let bootstrap: String
    private let broker: ChildProcess
    private(set) var stages: [ChildProcess] = []
    private var server: ChildProcess?
    private let serverProgram: String
    private let keepsDirectory: Bool

    /// Starts everything; whatever fails, nothing stays behind.
    init(keep: Bool) throws {
        keepsDirectory = keep
        let programs = try Self.programs()
        serverProgram = programs.server
        guard let directory = makeTemporaryDirectory("twinscale-demo") else {
            throw DemoError("cannot make a temporary directory in \(NSTemporaryDirectory())")
        }
        self.directory = directory
        let logs = directory + "/logs"
        let file = directory + "/bootstrap"
        do {
            try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
            broker = try ChildProcess(
                "broker", program: programs.twinscale,
                arguments: [
                    "broker", "--partitions", "\(Self.partitions)", "--bootstrap-file", file, "--parent-pid",
                    "\(getpid())",
                ], logPath: logs + "/broker.log", group: 0)
        } catch {
            try? FileManager.default.removeItem(atPath: directory)
            throw error
        }
        do {
            bootstrap = try Self.waitForAddress(file, broker)
            let settings = directory + "/twinscale.yaml"
            try Data(Self.settings(bootstrap, directory).utf8).write(to: URL(fileURLWithPath: settings))
            for (stage, program) in zip(StageName.allCases, programs.stages) {
                stages.append(
                    try ChildProcess(
                        stage.text, program: program, arguments: ["--config", settings],
                        logPath: logs + "/\(stage.text).log", group: broker.pid))
            }
        } catch {
            ChildProcess.end(stages + [broker], seconds: 5)
            if !keep { try? FileManager.default.removeItem(atPath: directory) }
            throw error
        }
    }

    /// Starts the server that shows all this in a browser; returns its address. It builds its views from what the
    /// topics hold, so it need not be there while the twins learn.
    func startServer() throws -> String {
        let file = directory + "/address"
        let child = try ChildProcess(
            "twin-api", program: serverProgram,
            arguments: [
                "--config", directory + "/twinscale.yaml", "--api-listen", "127.0.0.1:0", "--api-address-file", file,
            ], logPath: directory + "/logs/twin-api.log", group: broker.pid)
        server = child
        return try Self.waitForAddress(file, child)
    }

    /// Ends the server and the stages, then the broker that they say goodbye to, and removes the directory.
    func end() {
        ChildProcess.end((server.map { [$0] } ?? []) + stages, seconds: 8)
        ChildProcess.end([broker], seconds: 3)
        if !keepsDirectory { try? FileManager.default.removeItem(atPath: directory) }
    }

    var processIDs: String {
        ([broker] + stages).map { "\($0.name) \($0.pid)" }.joined(separator: ", ")
    }

    /// Throws if one of the processes has ended, with its last words.
    func check() throws {
        for child in [broker] + stages + (server.map { [$0] } ?? []) where !child.isRunning {
            let words = child.lastLines(4).map { "\n    " + $0 }.joined()
            throw DemoError("\(child.name) \(child.ending); its last lines in \(child.logPath):\(words)")
        }
    }

    // MARK: what is needed

    /// The stages stand beside this program.
    static func programs() throws -> (twinscale: String, stages: [String], server: String) {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw DemoError("cannot find out where this program is, so neither the stages beside it")
        }
        let directory = (own as NSString).deletingLastPathComponent
        let stages = StageName.allCases.map { directory + "/" + $0.text }
        let server = directory + "/twin-api"
        let missing = (stages + [server]).filter { !FileManager.default.isExecutableFile(atPath: $0) }
        guard missing.isEmpty else {
            let names = missing.map { ($0 as NSString).lastPathComponent }.joined(separator: ", ")
            throw DemoError(
                """
                not built yet: \(names) should stand in \(directory); build them all with: make build \
                (or: swift build --configuration release)
                """)
        }
        return (own, stages, server)
    }

    private static func waitForAddress(_ path: String, _ child: ChildProcess) throws -> String {
        let end = monotonicSeconds() + 15
        while monotonicSeconds() < end {
            if let data = FileManager.default.contents(atPath: path) {
                let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
                if !text.isEmpty { return text }
            }
            if !child.isRunning {
                throw DemoError("\(child.name) \(child.ending): \(child.lastLines(2).joined(separator: " "))")
            }
            if StopSignal.isRaised { throw DemoError("stopped") }
            usleep(20_000)
        }
        throw DemoError("\(child.name) did not say its address within 15 s; see \(child.logPath)")
    }

    /// One file for all stages. Simulated minutes pass in a fraction of a second, so commits and heartbeats must too.
    private static func settings(_ bootstrap: String, _ directory: String) -> String {
        """
        partitions: \(partitions)
        clock: event
        snapshots:
          url: "file://\(directory)/snapshots"
        loop:
          commitIntervalMilliseconds: 10
          pollTimeoutMilliseconds: 20
          heartbeatIntervalMilliseconds: 100
        kafka:
          bootstrap.servers: "\(bootstrap)"
          fetch.wait.max.ms: 5
          linger.ms: 0

        """
    }
}
