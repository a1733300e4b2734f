import Glibc
import Logging
import Testing
import TwinCore

@testable import Runtime

@Suite("Status and logs")
struct StatusTests {
    private func board() throws -> StatusBoard {
        StatusBoard(stage: .twinUpdater, try RuntimeConfiguration(stage: .twinUpdater))
    }

    @Test("The health server answers probes, and refuses what is no probe")
    func health() throws {
        let board = try board()
        let server = try HealthServer(board, at: ListenAddress(host: "127.0.0.1", port: 0))
        defer { server.stop() }
        let early = talk(server, "GET /health HTTP/1.1\r\n\r\n")
        #expect(early.hasPrefix("HTTP/1.1 503") && early.hasSuffix("starting\n"))
        board.publish { status in
            status.isReady = true
            status.publishedMilliseconds = monotonicMilliseconds()
            status.alarms = [Alarm(.snapshotFailing, "no \"room\"")]
        }
        let ready = talk(server, "GET /health HTTP/1.1\r\n\r\n")
        #expect(ready.hasPrefix("HTTP/1.1 200 OK") && ready.hasSuffix("ready\nalarm snapshotFailing: no \"room\"\n"))
        let status = talk(server, "GET /status?x=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(status.contains("\"stage\":\"twin-updater\""))
        #expect(status.contains("no \\\"room\\\""))
        let metrics = talk(server, "GET /metrics HTTP/1.1\r\n\r\n")
        #expect(metrics.contains("twinscale_ready{stage=\"twin-updater\"} 1"))
        #expect(metrics.contains("alarm=\"snapshotFailing\"} 1"))
        #expect(talk(server, "GET /else HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 404"))
        #expect(talk(server, "POST /health HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 405"))
        #expect(talk(server, "hello\r\n\r\n").hasPrefix("HTTP/1.1 400"))
        #expect(talk(server, "GET /" + String(repeating: "a", count: 20_000)) == "")
        board.publish { $0.publishedMilliseconds = monotonicMilliseconds() - 60_000 }
        #expect(talk(server, "GET /health HTTP/1.1\r\n\r\n").contains("has said nothing for 60 s"))
    }

    @Test("An address in use is refused by name")
    func addressInUse() throws {
        let server = try HealthServer(try board(), at: ListenAddress(host: "127.0.0.1", port: 0))
        defer { server.stop() }
        let failure = #expect(throws: StageFailure.self) { try HealthServer(try board(), at: server.address) }
        #expect(failure?.reason == "the health address '\(server.address)' is in use")
    }

    @Test("A log line is one line, whatever is in it")
    func logLines() {
        let time = EventTime(seconds: 1_700_000_000)
        let fields = [("task", "a/b@1[0]"), ("reason", "it said \"no\"\nand left"), ("empty", "")]
        let line = String(decoding: LineLogHandler.logfmt(time, .info, "test", "task recovered", fields), as: UTF8.self)
        #expect(
            line == "time=2023-11-14T22:13:20Z level=info logger=test msg=\"task recovered\" task=a/b@1[0] "
                + "reason=\"it said \\\"no\\\"\\nand left\" empty=\"\"\n"
                || line.hasPrefix("time=2023-11-14T22:13:20.000Z level=info"))
        #expect(line.filter { $0 == "\n" }.count == 1)
        let json = String(decoding: LineLogHandler.json(time, .info, "test", "task recovered", fields), as: UTF8.self)
        #expect(json.contains("\"message\":\"task recovered\""))
        #expect(json.filter { $0 == "\n" }.count == 1)
    }
}
