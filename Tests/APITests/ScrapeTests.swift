import Foundation
import HTTPTypes
import Testing
import Views

@testable import API

/// `/metrics`, judged by Prometheus itself.
@Suite(.timeLimit(.minutes(2))) struct ScrapeTests {
    private static func program(_ name: String) -> String? {
        ["/usr/bin", "/usr/local/bin"].map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// A Prometheus that scrapes one address once a second, with a folder of its own.
    private final class Prometheus {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("prometheus-\(UUID().uuidString)")
        private let process = Process()
        private let log: URL

        init(program: String, port: Int, token: String) throws {
            log = folder.appendingPathComponent("log")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(token.utf8).write(to: folder.appendingPathComponent("token"))
            let configuration = """
                global: {scrape_interval: 1s, scrape_timeout: 1s}
                scrape_configs:
                  - job_name: twin-api
                    authorization: {credentials_file: \(folder.path)/token}
                    static_configs: [{targets: ["127.0.0.1:\(port)"]}]
                """
            let file = folder.appendingPathComponent("prometheus.yml")
            try Data(configuration.utf8).write(to: file)
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = [
                "--config.file=\(file.path)", "--storage.tsdb.path=\(folder.path)/data",
                "--web.listen-address=127.0.0.1:0",
            ]
            process.standardError = try FileHandle(forWritingTo: log)
            try process.run()
        }

        /// Where it listens, once it says so.
        var address: String? {
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").filter { $0.contains("component=web") }.compactMap { line in
                line.split(separator: " ").first { $0.hasPrefix("address=127.0.0.1:") && !$0.hasSuffix(":0") }
                    .map { "http://" + $0.dropFirst(8) }
            }.first
        }

        var words: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

        func end() {
            process.terminate()
            process.waitUntilExit()
            try? FileManager.default.removeItem(at: folder)
        }
    }

    /// The value of a question to Prometheus; nil while there is no answer.
    private static func ask(_ address: String, _ question: String) async -> Double? {
        let port = address.split(separator: ":").last.flatMap { Int($0) } ?? 0
        guard let text = try? await HTTP.get(port: port, path: "/api/v1/query?query=\(question)"),
            let json = try? JSONValue(Array(text.utf8))
        else { return nil }
        return json["data"]?["result"]?.elements.first?["value"]?.elements.last?.text.flatMap { Double($0) }
    }

    @Test(.enabled(if: program("prometheus") != nil, "prometheus is not installed: apt-get install prometheus"))
    func prometheusScrapesWhatTheServerTells() async throws {
        let server = try TestServer.guarded()
        SmallFleet.fill(server)
        let program = try #require(Self.program("prometheus"))
        try await server.listen { (port) async throws in
            let prometheus = try Prometheus(program: program, port: port, token: TestServer.tokens[0].token)
            defer { prometheus.end() }
            var found: [String: Double] = [:]
            let questions = ["up", "twinscale_twins", "scrape_samples_scraped", "twinscale_twin_ready_units"]
            for _ in 0..<300 where found.count < questions.count || found["up"] != 1 {
                try await Task.sleep(for: .milliseconds(100))
                guard let address = prometheus.address else { continue }
                for question in questions { found[question] = await Self.ask(address, question) }
            }
            #expect(found["up"] == 1, "\(prometheus.words)")
            #expect(found["twinscale_twins"] == 3)
            #expect(found["twinscale_twin_ready_units"] == 4)
            #expect(found["scrape_samples_scraped"] ?? 0 > 30)
        }
    }

    @Test(.enabled(if: program("promtool") != nil, "promtool is not installed: apt-get install prometheus"))
    func promtoolFindsNoFault() async throws {
        let server = try TestServer()
        SmallFleet.fill(server)
        let program = try #require(Self.program("promtool"))
        try await server.test { (ask) async throws in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = ["check", "metrics"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            process.standardError = output
            try process.run()
            input.fileHandleForWriting.write(Data(try await ask(.get, "/metrics").bytes))
            try input.fileHandleForWriting.close()
            let words = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(words)")
        }
    }
}
