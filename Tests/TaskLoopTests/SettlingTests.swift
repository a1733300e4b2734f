import TaskLoop
import Testing
import TwinCore

@Suite("A task that takes over commits where it begins before it speaks")
struct SettlingTests {
    private let a = TopicPartition(.observations, 0)
    private let b = TopicPartition(.observations, 1)

    /// Partition `a` is to be folded silently up to 5, which the incarnation before had committed.
    private func replaying(_ change: (inout LoopSettings) -> Void = { _ in }) -> TaskLoop {
        var settings = LoopSettings()
        settings.heartbeatIntervalMilliseconds = 0
        change(&settings)
        var loop = TaskLoop(settings: settings)
        loop.assigned([a], now: 0)
        #expect(loop.next(now: 0) == .recover(a))
        loop.recovered(a, from: 0, speakFrom: 5, committed: nil, settles: true)
        loop.assigned()
        return loop
    }

    private func fold(_ loop: inout TaskLoop, _ offsets: ClosedRange<Int64>) {
        for offset in offsets {
            #expect(loop.admit(a, offset: offset) == .replay)
            loop.received(a, offset: offset, inputBytes: 1, outputBytesPending: 0, now: 0)
        }
    }

    private func settle(_ loop: inout TaskLoop) {
        #expect(loop.next(now: 0) == .flush(timeoutMilliseconds: 30_000), "and no heartbeat")
        loop.flushed(nil)
        #expect(loop.next(now: 0) == .commit([StartOffset(a, 5)], timeoutMilliseconds: 30_000))
        loop.committed(nil, now: 0)
        #expect(loop.isReady && loop.partitions[0].committed == 5)
    }

    @Test("At the end of replay the poll is left, and nothing is said before the commit")
    func endOfReplay() {
        var loop = replaying()
        fold(&loop, 0...3)
        #expect(!loop.mustCommit(now: 0))
        fold(&loop, 4...4)
        #expect(loop.mustCommit(now: 0) && !loop.isReady)
        settle(&loop)
        #expect(loop.next(now: 0) == .heartbeat)
        #expect(loop.admit(a, offset: 5) == .speak)
    }

    @Test("A record that comes before the commit comes again after it")
    func early() {
        var loop = replaying()
        fold(&loop, 0...4)
        #expect(loop.admit(a, offset: 5) == .drop)
        #expect(loop.next(now: 0) == .assign([StartOffset(a, 5)]))
        #expect(loop.admit(a, offset: 6) == .drop, "5 would be passed over")
        loop.assigned()
        settle(&loop)
        #expect(loop.admit(a, offset: 5) == .speak)
    }

    @Test("So does one behind a hole that hides the end of replay")
    func hole() {
        var loop = replaying()
        fold(&loop, 0...2)
        #expect(loop.admit(a, offset: 7) == .drop)
        #expect(loop.next(now: 0) == .assign([StartOffset(a, 5)]))
        loop.assigned()
        settle(&loop)
        #expect(loop.admit(a, offset: 7) == .speak)
    }

    @Test("An empty log is settled as well, and a position at the end of replay")
    func positions() {
        var loop = replaying()
        loop.reachedEnd(a, position: 5, now: 0)
        #expect(loop.mustCommit(now: 0))
        settle(&loop)
        var empty = TaskLoop()
        empty.assigned([a], now: 0)
        empty.recovered(a, from: 0, speakFrom: 0, committed: nil, settles: true)
        #expect(empty.next(now: 0) == .assign([StartOffset(a, 0)]))
        empty.assigned()
        #expect(empty.next(now: 0) == .flush(timeoutMilliseconds: 30_000))
        empty.flushed(nil)
        #expect(empty.next(now: 0) == .commit([StartOffset(a, 0)], timeoutMilliseconds: 30_000))
    }

    @Test("A refused commit is tried again, in silence; a rebuild begins anew, and a release leaves nothing behind")
    func refused() {
        var loop = replaying()
        fold(&loop, 0...4)
        _ = loop.next(now: 0)
        loop.flushed(nil)
        loop.committed((.retry, "rebalance in progress"), now: 0)
        #expect(loop.next(now: 0) == .poll(timeoutMilliseconds: 0))
        loop.polled()
        settle(&loop)
        var lost = replaying()
        fold(&lost, 0...4)
        lost.failed(.restoreAndReplay, "x")
        lost.rebuilt(now: 0)
        #expect(!lost.mustCommit(now: 0))
        var left = replaying()
        fold(&left, 0...4)
        left.revoked([a], lost: false)
        #expect(left.next(now: 0) == .release([a]), "nothing was said, nothing is committed")
        left.released()
        #expect(!left.mustCommit(now: 0))
    }

    @Test("One partition that settles takes the others' commits along")
    func beside() {
        var loop = replaying()
        loop.assigned([b], now: 0)
        loop.recovered(b, from: 8, speakFrom: 8, committed: 8)
        loop.assigned()
        #expect(loop.admit(b, offset: 8) == .speak)
        loop.received(b, offset: 8, inputBytes: 1, outputBytesPending: 1, now: 0)
        fold(&loop, 0...4)
        #expect(loop.next(now: 0) == .flush(timeoutMilliseconds: 30_000))
        loop.flushed(nil)
        #expect(
            loop.next(now: 0) == .commit([StartOffset(a, 5), StartOffset(b, 9)], timeoutMilliseconds: 30_000))
        loop.committed(nil, now: 0)
        #expect(loop.isReady)
    }
}
