import Foundation
import Testing

/// The demo as a process, with its broker and five stages, on programs that were built before.
@Suite("The demo", .serialized)
struct DemoTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The folder with all programs, optimised ones first; nil where they have not been built.
    private static let programs: URL? = ["release", "debug"]
        .map { root.appendingPathComponent(".build/\($0)") }
        .first { folder in
            [
                "twinscale", "normalizer", "twin-updater", "drift-detector", "graph-propagator", "scaling-decider",
            ].allSatisfy {
                FileManager.default.isExecutableFile(atPath: folder.appendingPathComponent($0).path)
            }
        }

    private struct Result: Decodable {
        struct Rule: Decodable {
            let rule: String
            let shortMinutes: Double
            let replicaHours: Double
            let actions: Int
            let warningMinutes: [String: Double?]
        }
        let minutes: Int
        let rules: [Rule]
    }

    private static func start(_ arguments: [String]) throws -> (process: Process, output: Pipe) {
        let process = Process()
        process.executableURL = try #require(programs).appendingPathComponent("twinscale")
        process.arguments = ["demo"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        return (process, output)
    }

    @Test(
        "ends with a table in which twinscale is short no longer than the reactive rule",
        .enabled(if: programs != nil, "the programs are not built: swift build"), .timeLimit(.minutes(15)))
    func endsWithTable() throws {
        let seed = 2
        let (process, output) = try Self.start(
            ["--json", "--seed", "\(seed)", "--history", "3", "--duration", "2.4", "--speed", "100"])
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let result = try JSONDecoder().decode(Result.self, from: data)
        #expect(result.minutes == 240)
        let twinscale = try #require(result.rules.first { $0.rule == "twinscale" })
        let reactive = try #require(result.rules.first { $0.rule == "reactive" })
        #expect(twinscale.shortMinutes <= reactive.shortMinutes, "seed \(seed)")
        #expect(twinscale.actions > 0 && reactive.actions > 0)
        #expect(twinscale.replicaHours > 0 && twinscale.warningMinutes.count == 5)
    }

    @Test(
        "ends at once and leaves nothing behind when interrupted",
        .enabled(if: programs != nil, "the programs are not built: swift build"), .timeLimit(.minutes(3)))
    func endsWhenInterrupted() throws {
        let (process, output) = try Self.start(["--history", "14", "--duration", "600"])
        // As soon as it has said where its logs are, everything is started.
        var said = ""
        while !said.contains("logs: ") {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { break }
            said += String(decoding: data, as: UTF8.self)
        }
        let line = try #require(said.split(separator: "\n").first { $0.hasPrefix("logs: ") })
        let logs = String(line.dropFirst(6).prefix { $0 != " " })
        #expect(FileManager.default.fileExists(atPath: logs))
        process.interrupt()
        _ = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(!FileManager.default.fileExists(atPath: logs))
    }
}
