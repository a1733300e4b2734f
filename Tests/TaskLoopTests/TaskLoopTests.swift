import TaskLoop
import Testing
import TwinCore

@Suite("The loop's transitions")
struct TaskLoopTests {
    let a = TopicPartition(.observations, 0)
    let b = TopicPartition(.observations, 1)

    /// A loop that owns partition `a` from offset 10 on and speaks.
    func running(_ change: (inout LoopSettings) -> Void = { _ in }) -> TaskLoop {
        var settings = LoopSettings()
        settings.heartbeatIntervalMilliseconds = .max
        change(&settings)
        var loop = TaskLoop(settings: settings)
        loop.assigned([a], now: 0)
        #expect(loop.next(now: 0) == .recover(a))
        loop.recovered(a, from: 10, speakFrom: 10, committed: 10)
        #expect(loop.next(now: 0) == .assign([StartOffset(a, 10)]))
        loop.assigned()
        return loop
    }

    func take(_ loop: inout TaskLoop, _ offset: Int64, now: Int64 = 0) {
        #expect(loop.admit(a, offset: offset) == .speak)
        loop.received(a, offset: offset, inputBytes: 10, outputBytesPending: 100, now: now)
    }

    @Test("Before anything is assigned the loop polls")
    func idle() {
        var loop = TaskLoop()
        #expect(loop.next(now: 0) == .poll(timeoutMilliseconds: 100))
    }

    @Test("A commit follows a flush, and only when something was taken")
    func commit() {
        var loop = running()
        take(&loop, 10)
        #expect(loop.next(now: 50) == .poll(timeoutMilliseconds: 50))
        #expect(loop.next(now: 100) == .flush(timeoutMilliseconds: 30_000))
        loop.flushed(nil)
        #expect(loop.next(now: 101) == .commit([StartOffset(a, 11)], timeoutMilliseconds: 30_000))
        loop.committed(nil, now: 102)
        #expect(loop.next(now: 300) == .poll(timeoutMilliseconds: 100))
        #expect(loop.partitions[0].committed == 11)
    }

    @Test("Records, bytes and time each bring a commit on", arguments: [0, 1, 2])
    func due(_ which: Int) {
        var loop = running { settings in
            if which == 0 { settings.commitRecordsMax = 2 }
            if which == 1 { settings.commitBytesMax = 100 }
        }
        take(&loop, 10)
        if which == 0 { take(&loop, 11) }
        #expect(loop.mustCommit(now: which == 2 ? 100 : 0))
    }

    @Test("Holes in the offsets are nothing special")
    func holes() {
        var loop = running()
        take(&loop, 15)
        #expect(loop.partitions[0].next == 16)
        loop.reachedEnd(a, position: 20, now: 0)
        #expect(loop.partitions[0].next == 20)
        #expect(loop.partitions[0].isAtEnd)
    }

    @Test("Records below the expected offset and of strangers are dropped")
    func drops() {
        var loop = running()
        #expect(loop.admit(a, offset: 9) == .drop)
        #expect(loop.admit(b, offset: 10) == .drop)
        #expect(loop.recordsDropped == 2)
    }

    @Test("Replay ends at a record beyond its end, and at a position there")
    func replayEnds() {
        for byPosition in [false, true] {
            var loop = TaskLoop()
            loop.assigned([a], now: 0)
            _ = loop.next(now: 0)
            loop.recovered(a, from: 0, speakFrom: 5, committed: 5)
            loop.assigned()
            #expect(loop.admit(a, offset: 0) == .replay)
            loop.received(a, offset: 0, inputBytes: 1, outputBytesPending: 0, now: 0)
            #expect(!loop.isReady)
            if byPosition {
                loop.reachedEnd(a, position: 6, now: 0)
            } else {
                #expect(loop.admit(a, offset: 7) == .speak)
            }
            #expect(loop.isReady)
        }
    }

    @Test("What is folded silently is not committed")
    func silentReplay() {
        var loop = TaskLoop()
        loop.assigned([a], now: 0)
        loop.recovered(a, from: 0, speakFrom: 5, committed: 5)
        loop.assigned()
        _ = loop.admit(a, offset: 0)
        loop.received(a, offset: 0, inputBytes: 1, outputBytesPending: 0, now: 0)
        #expect(loop.next(now: 1_000) == .poll(timeoutMilliseconds: 100))
    }

    @Test("A revocation flushes, commits and lets go under one deadline")
    func revoke() {
        var loop = running()
        take(&loop, 10)
        loop.revoked([a], lost: false)
        #expect(loop.admit(a, offset: 11) == .drop, "nothing more is taken")
        #expect(loop.next(now: 1_000) == .flush(timeoutMilliseconds: 3_000))
        loop.flushed(nil)
        #expect(loop.next(now: 3_500) == .commit([StartOffset(a, 11)], timeoutMilliseconds: 500))
        loop.committed(nil, now: 3_600)
        #expect(loop.next(now: 3_600) == .release([a]))
        loop.released()
        #expect(loop.partitions.isEmpty)
    }

    @Test("Lost partitions, and those whose flush fails, are let go without a commit")
    func lost() {
        var loop = running()
        take(&loop, 10)
        loop.revoked([a], lost: true)
        #expect(loop.next(now: 0) == .release([a]))
        var other = running()
        take(&other, 10)
        other.revoked([a], lost: false)
        _ = other.next(now: 0)
        other.flushed((.restoreAndReplay, "no"))
        #expect(other.next(now: 0) == .release([a]))
    }

    @Test("An empty revocation is answered too")
    func emptyRevocation() {
        var loop = TaskLoop()
        loop.revoked([], lost: true)
        #expect(loop.next(now: 0) == .release([]))
    }

    @Test("While records are dropped, an end of partition moves nothing")
    func endWhileDropping() {
        var loop = running()
        loop.revoked([a], lost: false)
        _ = loop.admit(a, offset: 10)
        loop.reachedEnd(a, position: 11, now: 0)
        #expect(loop.partitions[0].next == 10)
    }

    @Test("An unacknowledged frame rebuilds the worker, a fence and a break stop it")
    func failures() {
        var loop = running()
        take(&loop, 10)
        _ = loop.next(now: 100)
        loop.flushed((.restoreAndReplay, "not acknowledged"))
        #expect(loop.next(now: 100) == .rebuild(afterMilliseconds: 200))
        loop.rebuilt(now: 400)
        #expect(loop.next(now: 400) == .poll(timeoutMilliseconds: 0), "the group may have news")
        loop.polled()
        #expect(loop.next(now: 400) == .recover(a))
        for (disposition, reason) in [(Disposition.stopFenced, StopReason.fenced("x")), (.stopBroken, .broken("x"))] {
            var stopping = running()
            stopping.failed(disposition, "x")
            #expect(stopping.next(now: 0) == .stop(reason))
        }
    }

    @Test("A refused commit is tried again after a poll, which may say why, and is given up in the end")
    func commitRetry() {
        var loop = running { $0.commitRetriesMax = 2 }
        take(&loop, 10)
        for _ in 0..<2 {
            _ = loop.next(now: 100)
            loop.flushed(nil)
            #expect(loop.next(now: 100) == .commit([StartOffset(a, 11)], timeoutMilliseconds: 30_000))
            loop.committed((.retry, "rebalance in progress"), now: 100)
            #expect(loop.next(now: 100) == .poll(timeoutMilliseconds: 0))
            #expect(loop.next(now: 100) == .poll(timeoutMilliseconds: 0))
            loop.polled()
        }
        _ = loop.next(now: 100)
        loop.flushed(nil)
        _ = loop.next(now: 100)
        loop.committed((.retry, "still"), now: 100)
        #expect(loop.next(now: 100) == .rebuild(afterMilliseconds: 200))
    }

    @Test("A partition that is revoked while its commit is refused is let go without a rebuild")
    func commitRefusedByRebalance() {
        var loop = running()
        take(&loop, 10)
        _ = loop.next(now: 100)
        loop.flushed(nil)
        _ = loop.next(now: 100)
        loop.committed((.retry, "rebalance in progress"), now: 100)
        #expect(loop.next(now: 100) == .poll(timeoutMilliseconds: 0))
        loop.revoked([a], lost: false)
        loop.polled()
        guard case .flush = loop.next(now: 100) else {
            Issue.record("nothing was flushed")
            return
        }
        loop.flushed(nil)
        _ = loop.next(now: 100)
        loop.committed((.retry, "rebalance in progress"), now: 100)
        #expect(loop.next(now: 100) == .release([a]))
        loop.released()
        #expect(loop.rebuildsTotal == 0)
    }

    @Test("Rebuilds back off, and too many in a row break the worker")
    func backoff() {
        var loop = running { $0.rebuildsMax = 8 }
        var waits: [Int64] = []
        for _ in 0..<8 {
            loop.failed(.restoreAndReplay, "again")
            if case .rebuild(let wait) = loop.next(now: 0) { waits.append(wait) }
            loop.rebuilt(now: 0)
        }
        #expect(waits == waits.sorted() && waits.count == 8)
        #expect((waits.last ?? 0) <= 10_000)
        loop.failed(.restoreAndReplay, "again")
        guard case .stop(.broken) = loop.next(now: 0) else {
            Issue.record("the worker went on")
            return
        }
    }

    @Test("Snapshots are taken at commits only, of what changed")
    func snapshots() {
        var loop = running { $0.snapshotIntervalMilliseconds = 50 }
        take(&loop, 10)
        _ = loop.next(now: 100)
        loop.flushed(nil)
        loop.committed(nil, now: 100)
        #expect(loop.next(now: 100) == .snapshot([StartOffset(a, 11)]))
        loop.snapshotTaken([StartOffset(a, 11)], now: 100)
        #expect(loop.next(now: 500) == .poll(timeoutMilliseconds: 100))
    }

    @Test("Of several tasks that are due one is frozen at a time, and the others some time later; at a stop all")
    func staggered() {
        func take(_ loop: inout TaskLoop, _ offset: Int64, now: Int64) {
            for id in [a, b] where loop.admit(id, offset: offset) == .speak {
                loop.received(id, offset: offset, inputBytes: 1, outputBytesPending: 1, now: now)
            }
            _ = loop.next(now: now + 100)
            loop.flushed(nil)
            loop.committed(nil, now: now)
        }
        var settings = LoopSettings()
        settings.snapshotIntervalMilliseconds = 800
        settings.heartbeatIntervalMilliseconds = .max
        var loop = TaskLoop(settings: settings)
        loop.assigned([a, b], now: 0)
        for id in [a, b] { loop.recovered(id, from: 10, speakFrom: 10, committed: 10) }
        loop.assigned()
        take(&loop, 10, now: 1_200)
        #expect(loop.next(now: 1_200) == .snapshot([StartOffset(a, 11)]))
        loop.snapshotTaken([StartOffset(a, 11)], now: 1_200)
        take(&loop, 11, now: 1_201)
        #expect(loop.next(now: 1_299) == .poll(timeoutMilliseconds: 100), "a tenth of a second apart")
        #expect(loop.next(now: 1_300) == .snapshot([StartOffset(b, 12)]))
        loop.snapshotTaken([StartOffset(b, 12)], now: 1_300)
        take(&loop, 12, now: 1_301)
        loop.requestStop()
        #expect(loop.next(now: 1_302) == .snapshot([StartOffset(a, 13), StartOffset(b, 13)]))
    }

    @Test("A stop commits what is pending first")
    func stop() {
        var loop = running()
        take(&loop, 10)
        loop.requestStop()
        #expect(loop.next(now: 0) == .flush(timeoutMilliseconds: 30_000))
        loop.flushed(nil)
        _ = loop.next(now: 0)
        loop.committed(nil, now: 0)
        #expect(loop.next(now: 0) == .snapshot([StartOffset(a, 11)]))
        loop.snapshotTaken([StartOffset(a, 11)], now: 0)
        #expect(loop.next(now: 0) == .stop(.requested))
    }
}

@Suite("The rules of starting")
struct RecoveryTests {
    let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)

    func decide(
        committed: Int64? = nil, before: Int64? = nil, start: Int64 = 0, end: Int64? = 100, incarnation: UInt64 = 1,
        rebuild: Bool = false, snapshot: SnapshotFacts? = nil
    ) -> RecoveryPlan {
        RecoveryPlan.decide(
            RecoveryFacts(
                committed: committed, committedBefore: before, logStart: start, logEnd: end, incarnation: incarnation,
                fingerprint: 7, rebuildFromStart: rebuild),
            snapshot: snapshot, task: task)
    }

    func refuses(_ plan: RecoveryPlan, naming word: String) -> Bool {
        if case .refuse(let text) = plan { return text.contains(word) }
        return false
    }

    @Test("Nothing known: from the log's start, speaking")
    func fresh() { #expect(decide() == .start(usesSnapshot: false, from: 0, speakFrom: 0)) }

    @Test("A commit without a snapshot: everything again, silently up to the commit")
    func commitOnly() { #expect(decide(committed: 40) == .start(usesSnapshot: false, from: 0, speakFrom: 40)) }

    @Test("A snapshot below the commit: silently from the one to the other")
    func snapshot() {
        #expect(
            decide(committed: 40, snapshot: SnapshotFacts(offset: 30, fingerprint: 7))
                == .start(usesSnapshot: true, from: 30, speakFrom: 40))
    }

    @Test("A snapshot beyond the commit proves a commit whose trace is lost")
    func snapshotBeyond() {
        #expect(
            decide(committed: 10, snapshot: SnapshotFacts(offset: 30, fingerprint: 7))
                == .start(usesSnapshot: true, from: 30, speakFrom: 30))
    }

    @Test("A new incarnation is silent up to where the old one had committed")
    func newIncarnation() {
        #expect(
            decide(before: 60, incarnation: 2) == .start(usesSnapshot: false, from: 0, speakFrom: 60, settles: true))
    }

    @Test("Where a new incarnation begins is committed first, be it the log's start; only once, and by no first one")
    func settling() {
        #expect(decide(incarnation: 2) == .start(usesSnapshot: false, from: 0, speakFrom: 0, settles: true))
        #expect(
            decide(committed: 60, incarnation: 2) == .start(usesSnapshot: false, from: 0, speakFrom: 60))
        #expect(
            decide(committed: 40, before: 60, incarnation: 2, rebuild: true)
                == .start(usesSnapshot: false, from: 0, speakFrom: 60, settles: true))
        #expect(decide(incarnation: 1) == .start(usesSnapshot: false, from: 0, speakFrom: 0))
    }

    @Test("Other logic, lost history, a truncated log: refused, with the choices named")
    func refusals() {
        #expect(refuses(decide(snapshot: SnapshotFacts(offset: 5, fingerprint: 8)), naming: "--incarnation"))
        #expect(refuses(decide(start: 20), naming: "--rebuild-from-start"))
        #expect(refuses(decide(start: 20, snapshot: SnapshotFacts(offset: 5, fingerprint: 7)), naming: "retention"))
        #expect(refuses(decide(end: 100, snapshot: SnapshotFacts(offset: 101, fingerprint: 7)), naming: "recreated"))
        #expect(refuses(decide(committed: 101, end: 100), naming: "recreated"))
        #expect(refuses(decide(start: 20, rebuild: true), naming: "new incarnation"))
    }

    @Test("Rebuilding from what is left needs a new incarnation, and then starts at the log's start")
    func rebuild() {
        #expect(
            decide(start: 20, incarnation: 2, rebuild: true)
                == .start(usesSnapshot: false, from: 20, speakFrom: 20, settles: true))
    }
}

extension TaskLoopTests {
    /// Takes offset 10 and commits it.
    func settle(_ loop: inout TaskLoop, now: Int64) {
        take(&loop, 10, now: now)
        loop.flushed(nil)
        loop.committed(nil, now: now)
    }

    @Test("A quiet partition is frozen after the interval, once, and before a clean stop what came since")
    func quietSnapshots() {
        var loop = running { $0.snapshotIntervalMilliseconds = 1_000 }
        settle(&loop, now: 100)
        #expect(loop.next(now: 999) == .poll(timeoutMilliseconds: 100))
        #expect(loop.next(now: 1_000) == .snapshot([StartOffset(a, 11)]))
        loop.snapshotTaken([StartOffset(a, 11)], now: 1_000)
        #expect(loop.next(now: 9_000) == .poll(timeoutMilliseconds: 100), "nothing came since")
        loop.requestStop()
        #expect(loop.next(now: 9_000) == .stop(.requested))
        var stopping = running { $0.snapshotIntervalMilliseconds = 1_000_000 }
        settle(&stopping, now: 100)
        stopping.requestStop()
        #expect(stopping.next(now: 101) == .snapshot([StartOffset(a, 11)]))
        stopping.snapshotTaken([StartOffset(a, 11)], now: 102)
        #expect(stopping.next(now: 103) == .stop(.requested))
    }

    @Test("A hole behind the last record does not keep a quiet partition from being frozen")
    func quietBeforeHole() {
        var loop = running { $0.snapshotIntervalMilliseconds = 1_000 }
        settle(&loop, now: 100)
        loop.reachedEnd(a, position: 15, now: 200)
        #expect(loop.next(now: 1_000) == .snapshot([StartOffset(a, 11)]))
    }

    @Test("What a new incarnation folded in silence is committed, although nothing new comes")
    func silentCommit() {
        var loop = TaskLoop(settings: LoopSettings())
        loop.assigned([a], now: 0)
        loop.recovered(a, from: 0, speakFrom: 2, committed: nil)
        loop.assigned()
        for offset in Int64(0)...0 {
            #expect(loop.admit(a, offset: offset) == .replay)
            loop.received(a, offset: offset, inputBytes: 1, outputBytesPending: 0, now: 0)
        }
        loop.reachedEnd(a, position: 2, now: 0)
        #expect(loop.next(now: 0) == .flush(timeoutMilliseconds: 30_000))
        loop.flushed(nil)
        #expect(loop.next(now: 0) == .commit([StartOffset(a, 2)], timeoutMilliseconds: 30_000))
        loop.committed(nil, now: 0)
        #expect(loop.partitions[0].committed == 2)
    }

    @Test("Caught up is what the broker said not long ago")
    func caughtUp() {
        var loop = running { $0.endSeenMillisecondsMax = 100 }
        loop.reachedEnd(a, position: 10, now: 50)
        #expect(loop.isCaughtUp(loop.partitions[0], now: 150) && loop.isEndInDoubt(loop.partitions[0], now: 101))
        #expect(!loop.isCaughtUp(loop.partitions[0], now: 151))
        loop.reachedEnd(a, position: 10, now: 151)
        #expect(loop.isCaughtUp(loop.partitions[0], now: 152) && !loop.isEndInDoubt(loop.partitions[0], now: 152))
        take(&loop, 10)
        #expect(!loop.isCaughtUp(loop.partitions[0], now: 152))
    }

    @Test("Only a commit that moved something ends a row of rebuilds")
    func rebuildsInARow() {
        var loop = running { $0.rebuildsMax = 2 }
        for _ in 0..<2 {
            loop.failed(.restoreAndReplay, "again")
            loop.rebuilt(now: 0)
            loop.polled()
            loop.recovered(a, from: 10, speakFrom: 10, committed: 10)
            loop.assigned()
            loop.flushed(nil)
            loop.committed(nil, now: 0)
        }
        loop.failed(.restoreAndReplay, "again")
        guard case .stop(.broken) = loop.next(now: 0) else {
            Issue.record("an empty commit counted as progress")
            return
        }
    }
}
