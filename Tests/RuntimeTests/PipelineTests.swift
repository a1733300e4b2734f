import Glibc
import Kafka
import StageKit
import TaskLoop
import Testing
import TwinCore

@testable import Runtime

@Suite("A stage over a broker", .serialized)
struct PipelineTests {
    @Test("Frames in, numbered frames out, committed, with a snapshot", .timeLimit(.minutes(1)))
    func processes() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        try sender.send(frames: 20, samples: 50)
        let service = try stand.service()
        async let run: Void = service.run()
        try await wait("commits") { service.hasCommitted(20, partitions: 4) }
        try sender.send(frames: 5, samples: 50)
        try await wait("more commits") { service.hasCommitted(25, partitions: 4) }
        try await waitForSnapshots(service, sender)
        try await wait("the last commits") { service.hasCommitted(sender.framesSent, partitions: 4) }
        #expect(service.board.unreadiness == nil)
        service.requestStop()
        try await run
        try check(stand, sender)
        let status = service.board.current
        #expect(status.tasks.allSatisfy { Int($0.entries) == sender.samplesSent(0) && $0.deadLetters == 0 })
        #expect(status.recordsFolded == 4 * UInt64(sender.framesSent))
        #expect(status.stopped == "stopped as requested")
    }

    @Test(
        "After a crash the next worker goes on from snapshot and commit: nothing lost, nothing doubled",
        .timeLimit(.minutes(1)))
    func crashes() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        let victim = try stand.service()
        async let victimRun: Void = victim.run()
        try await waitForSnapshots(victim, sender)
        try sender.send(frames: 30, samples: 20)
        victim.crash()
        try await victimRun
        try sender.send(frames: 10, samples: 20)
        let service = try stand.service()
        async let run: Void = service.run()
        try await wait("the end") { service.hasCommitted(sender.framesSent, partitions: 4) }
        service.requestStop()
        try await run
        try check(stand, sender)
    }

    @Test("A second worker takes half of the partitions, and gives them back when it leaves", .timeLimit(.minutes(1)))
    func rebalances() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        try sender.send(frames: 10, samples: 20)
        let first = try stand.service()
        async let firstRun: Void = first.run()
        try await wait("all partitions") { first.hasCommitted(10, partitions: 4) }
        let second = try stand.service()
        async let secondRun: Void = second.run()
        try await wait("two each") {
            first.board.current.tasks.count == 2 && second.board.current.tasks.count == 2
        }
        try sender.send(frames: 10, samples: 20)
        try await wait("both commit") {
            first.hasCommitted(20, partitions: 2) && second.hasCommitted(20, partitions: 2)
        }
        second.requestStop()
        try await secondRun
        try sender.send(frames: 10, samples: 20)
        try await wait("the first has all again") { first.hasCommitted(30, partitions: 4) }
        first.requestStop()
        try await firstRun
        try check(stand, sender)
    }

    @Test("A fatal producer error is survived in the process: rebuild, recover, resend", .timeLimit(.minutes(1)))
    func rebuilds() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        let service = try stand.service()
        async let run: Void = service.run()
        try sender.send(frames: 10, samples: 20)
        try await wait("commits") { service.hasCommitted(10, partitions: 4) }
        // The sender's own requests come to the same broker, so it sends before the fault is set.
        try sender.send(frames: 10, samples: 20)
        stand.broker.pushErrors([.outOfOrderSequence], on: .produce)
        try sender.sendRetrying(frames: 10, samples: 20)
        try await wait("commits after the fault") { service.hasCommitted(30, partitions: 4) }
        service.requestStop()
        try await run
        try check(stand, sender)
    }

    @Test("A broker that goes away and comes back costs time and nothing else", .timeLimit(.minutes(1)))
    func brokerRestarts() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        let service = try stand.service()
        async let run: Void = service.run()
        try sender.send(frames: 10, samples: 20)
        try await wait("commits") { service.hasCommitted(5, partitions: 4) }
        try stand.broker.takeDown()
        try await wait("the alarm") { service.board.current.alarms.contains { $0.kind == .brokerUnreachable } }
        try stand.broker.bringUp()
        try sender.send(frames: 10, samples: 20)
        try await wait("commits after the return") { service.hasCommitted(20, partitions: 4) }
        try await wait("the alarm's end") {
            !service.board.current.alarms.contains { $0.kind == .brokerUnreachable }
        }
        service.requestStop()
        try await run
        try check(stand, sender)
    }

    @Test("Without a place for snapshots the pipeline goes on and raises an alarm", .timeLimit(.minutes(1)))
    func snapshotsFail() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        // A file where a directory must be: refused to every user, root too.
        let service = try stand.service(["--snapshots-url", "file:///dev/full/snapshots"])
        async let run: Void = service.run()
        for round in 1...3 {
            try sender.send(frames: 10, samples: 20)
            try await wait("commits") { service.hasCommitted(Int64(round * 10), partitions: 4) }
        }
        try await wait("the alarm") { service.board.current.alarms.contains { $0.kind == .snapshotFailing } }
        service.requestStop()
        try await run
        try check(stand, sender)
    }

    @Test("Garbage in the inbox becomes dead letters, and the stream goes on", .timeLimit(.minutes(1)))
    func garbage() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        try sender.sendRaw([1, 2, 3], partition: 2)
        try sender.sendRaw(nil, partition: 3)
        let service = try stand.service()
        async let run: Void = service.run()
        try await wait("commits") {
            service.board.current.tasks.filter { $0.committedOffset > 0 }.count == 2
        }
        #expect(service.board.current.tasks.reduce(0) { $0 + $1.deadLetters } == 1)
        service.requestStop()
        try await run
    }

    @Test("A snapshot by other logic refuses the start and says what to do", .timeLimit(.minutes(1)))
    func otherLogic() async throws {
        let stand = try Stand()
        let sender = try Sender(stand)
        try sender.send(frames: 10, samples: 20)
        let service = try stand.service()
        async let run: Void = service.run()
        try await waitForSnapshots(service, sender)
        service.requestStop()
        try await run
        let other = StageService(echo(factor: 2_000), try stand.configuration(), log: quietLog())
        let failure = await #expect(throws: StageFailure.self) { try await other.run() }
        #expect(failure?.kind == .refused)
        #expect(failure?.exitCode == 2)
        #expect(failure?.reason.contains("raise --incarnation") == true, "\(String(describing: failure))")
        let raised = StageService(
            echo(factor: 2_000), try stand.configuration(["--incarnation", "2"]), log: quietLog())
        async let raisedRun: Void = raised.run()
        try sender.send(frames: 1, samples: 20)
        try await wait("the new incarnation") { raised.hasCommitted(sender.framesSent, partitions: 4) }
        raised.requestStop()
        try await raisedRun
        // The new incarnation has replayed silently up to the old one's commit, then spoken.
        let all = try outputs(stand, partition: 0)
        #expect(all.count == sender.samplesSent(0))
        #expect(all.last.map { $0.value > 20_000 } == true)
        // Whoever starts the old one again hears that nobody would listen.
        let again = try stand.service()
        let fenced = await #expect(throws: StageFailure.self) { try await again.run() }
        #expect(fenced?.exitCode == 4)
        #expect(fenced?.reason.contains("start with --incarnation 2") == true, "\(String(describing: fenced))")
    }
}
