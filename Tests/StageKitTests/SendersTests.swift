import Messages
import StageKit
import Testing
import TwinCore

@Suite("The receiving side of numbered outputs")
struct SendersTests {
    let sender = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 3)

    /// A frame with entries (offset, 0) for the given offsets, chained to `previous`.
    func frame(
        _ offsets: ClosedRange<Int64>, after previous: Int64, incarnation: UInt64 = 1
    ) -> (FrameHeader, [Sequence]) {
        let sequences = offsets.map { Sequence(offset: $0, index: 0) }
        let before = previous < 0 ? Sequence.none : Sequence(offset: previous, index: 0)
        return (
            FrameHeader(
                sender: sender, incarnation: incarnation, first: sequences[0], last: sequences[sequences.count - 1],
                previous: before), sequences
        )
    }

    func admit(_ senders: inout Senders, _ frame: (FrameHeader, [Sequence])) -> Senders.Verdict {
        senders.admit(frame.0, sequences: frame.1)
    }

    /// A pure heartbeat that says what was sent last.
    func beat(after previous: Int64, incarnation: UInt64 = 1) -> FrameHeader {
        FrameHeader(
            sender: sender, incarnation: incarnation, first: .none, last: .none,
            previous: Sequence(offset: previous, index: 0))
    }

    @Test("A chain is taken, a repeat is not, an overlap is trimmed")
    func chain() {
        var senders = Senders()
        #expect(admit(&senders, frame(0...4, after: -1)) == .accept(from: 0))
        #expect(admit(&senders, frame(0...4, after: -1)) == .repeated)
        #expect(admit(&senders, frame(3...6, after: 2)) == .accept(from: 2))
        #expect(senders.counters.repeatedEntries == 7)
    }

    @Test("A frame ahead of the chain waits for the resend, which fills the gap")
    func goBackN() {
        var senders = Senders()
        _ = admit(&senders, frame(0...4, after: -1))
        #expect(admit(&senders, frame(8...9, after: 7)) == .ahead)
        #expect(admit(&senders, frame(5...9, after: 4)) == .accept(from: 0))
        #expect(senders.all[0].gapFrames == 0)
    }

    @Test("A gap that stays open is a loss; an acceptance of just that gap lets the next frame pass, and only that")
    func gap() {
        var senders = Senders(gapFramesMax: 3)
        _ = admit(&senders, frame(0...0, after: -1))
        for offset in Int64(5)...7 { #expect(admit(&senders, frame(offset...offset, after: offset - 1)) == .ahead) }
        let zero = Sequence(offset: 0, index: 0)
        let fault = TaskFault.gap(sender: sender, last: zero, found: Sequence(offset: 8, index: 0))
        #expect(admit(&senders, frame(8...8, after: 7)) == .lost(fault))
        senders.acceptGap(of: sender, after: .none)
        #expect(admit(&senders, frame(9...9, after: 8)) != .accept(from: 0), "another gap was meant")
        senders.acceptGap(of: sender, after: zero)
        senders.acceptGap(of: sender, after: zero)
        #expect(senders.counters.acceptedGaps == 1)
        #expect(admit(&senders, frame(10...11, after: 9)) == .accept(from: 0))
        senders.acceptGap(of: sender, after: Sequence(offset: 11, index: 0))
        #expect(admit(&senders, frame(15...16, after: 14)) == .ahead, "nothing was missing when it was said")
    }

    @Test("A new incarnation that begins with a heartbeat goes on from what that says")
    func heartbeatFirst() {
        var senders = Senders()
        _ = admit(&senders, frame(0...4, after: -1))
        var first = beat(after: 9, incarnation: 2)
        #expect(senders.admit(first, sequences: []) == .ahead, "it has said something that is not here yet")
        first.settled = first.previous
        #expect(senders.admit(first, sequences: []) == .repeated)
        #expect(admit(&senders, frame(10...11, after: 9, incarnation: 2)) == .accept(from: 0))
        var rebuilt = Senders(acceptsStrangers: true)
        #expect(rebuilt.admit(beat(after: 9), sequences: []) == .repeated)
        #expect(admit(&rebuilt, frame(10...11, after: 9)) == .accept(from: 0))
        #expect(admit(&rebuilt, frame(14...15, after: 13)) == .ahead, "known by now")
    }

    @Test("A new incarnation's second frame waits for its first")
    func secondFrameFirst() {
        var senders = Senders()
        _ = admit(&senders, frame(0...4, after: -1))
        var (one, two) = (frame(7...8, after: 6, incarnation: 2), frame(9...9, after: 8, incarnation: 2))
        one.0.settled = Sequence(offset: 6, index: 0)
        two.0.settled = one.0.settled
        #expect(admit(&senders, two) == .ahead)
        #expect(admit(&senders, one) == .accept(from: 0))
        #expect(admit(&senders, two) == .accept(from: 0))
    }

    @Test("Senders of a topic that was recreated are waited for no more, whoever is heard first")
    func recreated() {
        var senders = Senders()
        let newer = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 2, partition: 0)
        let graph = TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: 0)
        senders.note(watermark: EventTime(milliseconds: 10), isIdle: false, from: sender)
        senders.note(watermark: EventTime(milliseconds: 90), isIdle: false, from: graph)
        #expect(senders.minimum == EventTime(milliseconds: 10))
        senders.note(watermark: EventTime(milliseconds: 50), isIdle: false, from: newer)
        #expect(senders.minimum == EventTime(milliseconds: 50))
        senders.note(watermark: EventTime(milliseconds: 11), isIdle: false, from: sender)
        let late = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 7)
        senders.note(watermark: EventTime(milliseconds: 1), isIdle: false, from: late)
        #expect(senders.minimum == EventTime(milliseconds: 50))
    }

    @Test("A first frame that has predecessors is a gap as well")
    func firstFrameIsLate() {
        var senders = Senders()
        #expect(admit(&senders, frame(5...6, after: 4)) == .ahead)
        var rebuilt = Senders(acceptsStrangers: true)
        #expect(admit(&rebuilt, frame(5...6, after: 4)) == .accept(from: 0))
    }

    @Test("Even the loss of a sender's last frame shows, by its next heartbeat")
    func lastFrameLost() {
        var senders = Senders(gapFramesMax: 1)
        _ = admit(&senders, frame(0...4, after: -1))
        #expect(senders.admit(beat(after: 4), sequences: []) == .repeated)
        #expect(senders.admit(beat(after: 9), sequences: []) == .ahead)
        let nine = Sequence(offset: 9, index: 0)
        #expect(
            senders.admit(beat(after: 9), sequences: [])
                == .lost(.gap(sender: sender, last: Sequence(offset: 4, index: 0), found: nine)))
    }

    @Test("A higher incarnation fences the lower and needs no predecessor, but repeats nothing")
    func incarnations() {
        var senders = Senders()
        _ = admit(&senders, frame(0...4, after: -1))
        #expect(admit(&senders, frame(3...7, after: -1, incarnation: 2)) == .accept(from: 2))
        #expect(admit(&senders, frame(5...9, after: 4, incarnation: 1)) == .fenced)
        #expect(admit(&senders, frame(8...8, after: 7, incarnation: 2)) == .accept(from: 0))
    }

    @Test("A higher incarnation starts its time anew")
    func timeAnew() {
        var senders = Senders()
        func hear(_ seconds: Int64, incarnation: UInt64) {
            let header = beat(after: -1, incarnation: incarnation)
            guard senders.admit(header, sequences: []) == .repeated else { return }
            senders.hear(
                Heartbeat(watermark: EventTime(seconds: seconds), isIdle: false, senders: [sender]), from: sender)
        }
        hear(4_102_444_790, incarnation: 1)
        hear(1_795_521_600, incarnation: 1)
        #expect(senders.minimum == EventTime(seconds: 4_102_444_790))
        hear(1_795_521_600, incarnation: 2)
        #expect(senders.minimum == EventTime(seconds: 1_795_521_600))
        hear(1_795_521_500, incarnation: 2)
        hear(1_795_521_700, incarnation: 1)
        #expect(senders.minimum == EventTime(seconds: 1_795_521_600))
    }

    @Test("The watermark waits for every sender that is listed, and passes over the idle ones")
    func watermark() {
        var senders = Senders()
        let other = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 4)
        let list = [sender, other]
        func beat(_ time: Int64, idle: Bool = false) -> Heartbeat {
            Heartbeat(watermark: EventTime(milliseconds: time), isIdle: idle, senders: list)
        }
        senders.hear(beat(100), from: sender)
        #expect(senders.minimum == nil, "the other one is silent")
        senders.hear(beat(50), from: other)
        #expect(senders.minimum == EventTime(milliseconds: 50))
        senders.hear(beat(20), from: other)
        #expect(senders.minimum == EventTime(milliseconds: 50), "watermarks only rise")
        senders.hear(beat(50, idle: true), from: other)
        #expect(senders.minimum == EventTime(milliseconds: 100))
    }

    @Test("Frozen and restored, it goes on as before")
    func restore() throws {
        var senders = Senders()
        _ = admit(&senders, frame(0...4, after: -1))
        _ = admit(&senders, frame(8...9, after: 7))
        senders.hear(
            Heartbeat(watermark: EventTime(milliseconds: 5), isIdle: false, senders: [sender]), from: sender)
        var writer = StateWriter()
        senders.freeze(watermark: EventTime(milliseconds: 3), into: &writer)
        let flat = writer.flattened
        try flat[0].bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws in
            var again = Senders()
            let reached = try again.restore(from: StateReader(sections: [(flat[0].tag, bytes)]))
            #expect(reached == EventTime(milliseconds: 3))
            #expect(again.all == senders.all)
            #expect(again.expected == senders.expected)
        }
    }
}
