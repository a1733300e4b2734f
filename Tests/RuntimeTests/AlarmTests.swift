import Messages
import StageKit
import Testing
import TwinCore

@testable import Runtime

@Suite("Alarms", .serialized)
struct AlarmTests {
    private static func task(_ partition: Int32 = 0) -> TaskID {
        TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: partition)
    }

    private static func source(_ partition: Int32) -> TaskID {
        TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: partition)
    }

    // MARK: provoked in a running stage

    /// A stage that runs with its health server while `body` provokes it.
    private func running(
        _ stand: Stand, _ more: [String] = [], _ body: (StageService, HealthServer) async throws -> Void
    ) async throws {
        let service = try stand.service(more)
        let server = try HealthServer(service.board, at: ListenAddress(host: "127.0.0.1", port: 0))
        defer { server.stop() }
        async let run: Void = service.run()
        try await wait("the start") { service.board.current.isReady && service.board.current.tasks.count == 4 }
        try await body(service, server)
        service.requestStop()
        try await run
    }

    /// Waits for the alarm, and looks for it everywhere where an operator would.
    private func expect(
        _ kind: Alarm.Kind, naming words: String, _ service: StageService, _ server: HealthServer
    ) async throws {
        try await wait("the alarm \(kind.rawValue)") { service.board.current.alarms.contains { $0.kind == kind } }
        let detail = service.board.current.alarms.first { $0.kind == kind }?.detail ?? ""
        #expect(detail.contains(words), "\(detail)")
        let health = talk(server, "GET /health HTTP/1.1\r\n\r\n")
        #expect(health.hasPrefix("HTTP/1.1 200 OK"), "\(health)")
        #expect(health.contains("alarm \(kind.rawValue): "), "\(health)")
        #expect(talk(server, "GET /status HTTP/1.1\r\n\r\n").contains("{\"kind\":\"\(kind.rawValue)\",\"detail\":\""))
        let metrics = talk(server, "GET /metrics HTTP/1.1\r\n\r\n")
        #expect(metrics.contains("twinscale_alarm{stage=\"twin-updater\",alarm=\"\(kind.rawValue)\"} 1\n"))
        for other in Alarm.Kind.allCases where other != kind {
            #expect(metrics.contains("alarm=\"\(other.rawValue)\"} 0\n"), "\(other.rawValue) is raised too")
        }
    }

    private func expectEnd(_ kind: Alarm.Kind, _ service: StageService) async throws {
        try await wait("the end of \(kind.rawValue)") {
            !service.board.current.alarms.contains { $0.kind == kind }
        }
    }

    @Test("gapOpen: a lost frame raises it, its resend ends it, and nothing is missing", .timeLimit(.minutes(1)))
    func gapOpen() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        var lane = SenderLane()
        let frames = (0..<4).map { _ in lane.frame(partition: 0, samples: 10) }
        try await running(stand) { service, server in
            try sender.sendRaw(frames[0], partition: 0)
            try sender.sendRaw(frames[2], partition: 0)
            try sender.sendRaw(frames[3], partition: 0)
            try await expect(.gapOpen, naming: "2 frames came ahead", service, server)
            for frame in frames[1...] { try sender.sendRaw(frame, partition: 0) }
            try await expectEnd(.gapOpen, service)
            try await wait("everything") { service.board.current.tasks.contains { $0.committedOffset == 6 } }
        }
        // Numbered by where the resent frames stand, else the same.
        let told = try outputs(stand, partition: 0).map { "\($0.resource) \($0.value)" }
        #expect(told == lane.expected().map { "\($0.resource) \($0.value)" })
    }

    @Test("silentSender: names the sender that others wait for, until it speaks", .timeLimit(.minutes(1)))
    func silentSender() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        let sources = [Self.source(0), Self.source(1)]
        var seconds: Int64 = 1_700_000_000
        /// One more heartbeat of a source, a second of event time further.
        func beat(_ source: TaskID) throws {
            seconds += 1
            let heartbeat = Heartbeat(watermark: EventTime(seconds: seconds), isIdle: false, senders: sources)
            var writer = FrameWriter()
            try sender.sendRaw(writer.finish(sender: source, incarnation: 1, heartbeat: heartbeat), partition: 0)
        }
        try await running(stand, ["--alarms-silent-sender-milliseconds", "1500"]) { service, server in
            let end = monotonicMilliseconds() + patienceMilliseconds
            while service.board.current.alarms.isEmpty, monotonicMilliseconds() < end {
                try beat(sources[0])
                try await Task.sleep(for: .milliseconds(100))
            }
            try await expect(.silentSender, naming: "\(sources[1]) has said nothing", service, server)
            while !service.board.current.alarms.isEmpty, monotonicMilliseconds() < end {
                for source in sources { try beat(source) }
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(service.board.current.alarms.isEmpty)
        }
    }

    @Test("fencedSender: an incarnation that was replaced and speaks on is named", .timeLimit(.minutes(1)))
    func fencedSender() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        let source = Self.source(0)
        func beat(_ incarnation: UInt64) throws {
            var writer = FrameWriter()
            let heartbeat = Heartbeat(watermark: EventTime(seconds: 1_700_000_000), isIdle: true, senders: [])
            try sender.sendRaw(
                writer.finish(sender: source, incarnation: incarnation, heartbeat: heartbeat), partition: 0)
        }
        try await running(stand) { service, server in
            try beat(2)
            let end = monotonicMilliseconds() + patienceMilliseconds
            while service.board.current.alarms.isEmpty, monotonicMilliseconds() < end {
                try beat(1)
                try await Task.sleep(for: .milliseconds(100))
            }
            try await expect(
                .fencedSender,
                naming: "\(source) says with incarnation 1 is refused, as incarnation 2 has taken over", service, server
            )
        }
    }

    @Test("limitReached: more names than are allowed are refused, counted and reported", .timeLimit(.minutes(1)))
    func limitReached() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        try await running(stand, ["--limits-names-max", "5"]) { service, server in
            try sender.send(frames: 1, samples: 40)
            try await expect(.limitReached, naming: "namesRefused", service, server)
            #expect(service.board.current.isReady)
        }
    }

    // MARK: over time

    private func status(_ change: (inout TaskStatus) -> Void = { _ in }) -> TaskStatus {
        var status = TaskStatus(
            task: Self.task(), phase: .running, nextOffset: 10, committedOffset: 10, speakFrom: 0, isCaughtUp: true,
            lag: 0, watermarkMilliseconds: nil, entries: 0, frames: 0, records: 0, deadLetters: 0, counters: [])
        change(&status)
        return status
    }

    private func sender(_ partition: Int32, _ watermark: Int64?, isIdle: Bool = false) -> SenderStatus {
        SenderStatus(
            task: Self.source(partition), last: .none, gapFrames: 0, isAwaited: true, isIdle: isIdle,
            watermarkMilliseconds: watermark)
    }

    @Test("A limit that is met no more ends its alarm after a minute; meeting it again raises it again")
    func limitEnds() {
        var watch = AlarmWatch(silentSenderMilliseconds: 1_000)
        func kinds(_ refused: UInt64, _ rejected: UInt64, at now: Int64) -> [Alarm.Kind] {
            let counters = [StageCounter("seriesRefused", refused), StageCounter("commandsRejected", rejected)]
            return watch.alarms([status { $0.counters = counters }], WorkerFacts(), now: now).map(\.kind)
        }
        #expect(kinds(0, 7, at: 0).isEmpty)
        #expect(kinds(3, 7, at: 1_000) == [.limitReached])
        #expect(kinds(3, 9, at: 60_999) == [.limitReached])
        #expect(kinds(3, 9, at: 61_000).isEmpty)
        #expect(kinds(4, 9, at: 62_000) == [.limitReached])
    }

    @Test("A fenced sender is told of while it speaks, and not for what a replay passes")
    func fenceEnds() {
        var watch = AlarmWatch(silentSenderMilliseconds: 1_000)
        func kinds(_ frames: UInt64, _ phase: TaskStatus.Phase = .running, at now: Int64) -> [Alarm.Kind] {
            let task = status {
                $0.phase = phase
                $0.senders = [sender(0, 5)]
                $0.senders[0].refusedFrames = frames
            }
            return watch.alarms([task], WorkerFacts(), now: now).map(\.kind)
        }
        #expect(kinds(3, .replaying, at: 0).isEmpty)
        #expect(kinds(5, .replaying, at: 1_000).isEmpty)
        #expect(kinds(5, at: 2_000).isEmpty)
        #expect(kinds(6, at: 3_000) == [.fencedSender])
        #expect(kinds(6, at: 62_999) == [.fencedSender])
        #expect(kinds(6, at: 63_000).isEmpty)
        // The task began anew, and counts anew.
        #expect(kinds(2, at: 64_000).isEmpty)
    }

    @Test("A silent sender that is ahead of the others is not said to hold the watermark back")
    func silenceAhead() {
        var watch = AlarmWatch(silentSenderMilliseconds: 1_000)
        func texts(_ first: Int64, _ second: Int64?, at now: Int64) -> [String] {
            let task = status { $0.senders = [sender(0, first), sender(1, second)] }
            return watch.alarms([task], WorkerFacts(), now: now).map(\.detail)
        }
        #expect(texts(5, 900, at: 0).isEmpty)
        #expect(texts(6, 900, at: 2_000).map { $0.hasSuffix("for 2 s") } == [true])
        #expect(texts(901, 900, at: 2_500).map { $0.hasSuffix("and holds the watermark back") } == [true])
    }

    @Test("Nobody is silent where all stand still, where one is idle, or while the task recovers")
    func silence() {
        var watch = AlarmWatch(silentSenderMilliseconds: 1_000)
        func kinds(_ senders: [SenderStatus], _ phase: TaskStatus.Phase = .running, at now: Int64) -> [Alarm.Kind] {
            let task = status {
                $0.senders = senders
                $0.phase = phase
            }
            return watch.alarms([task], WorkerFacts(), now: now).map(\.kind)
        }
        // Both stand still: the platform is quiet.
        #expect(kinds([sender(0, 5), sender(1, 5)], at: 0).isEmpty)
        #expect(kinds([sender(0, 5), sender(1, 5)], at: 5_000).isEmpty)
        // One moves, the other has been quiet for long.
        #expect(kinds([sender(0, 6), sender(1, 5)], at: 5_500) == [.silentSender])
        #expect(kinds([sender(0, 7), sender(1, 5, isIdle: true)], at: 6_000).isEmpty)
        #expect(kinds([sender(0, 8), sender(1, 5)], .replaying, at: 9_000).isEmpty)
        #expect(kinds([sender(0, 9), sender(1, 5)], at: 9_900).isEmpty)
        #expect(kinds([sender(0, 10), sender(1, 5)], at: 10_100) == [.silentSender])
        // One that was never heard of is silent too.
        #expect(kinds([sender(0, 11), sender(2, nil)], at: 10_200).isEmpty)
        #expect(kinds([sender(0, 12), sender(2, nil)], at: 11_300) == [.silentSender])
        // A task that has gone is forgotten.
        #expect(watch.alarms([], WorkerFacts(), now: 20_000).isEmpty)
        #expect(kinds([sender(0, 13), sender(2, nil)], at: 20_100).isEmpty)
    }
}
