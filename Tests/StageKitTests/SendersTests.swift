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

    func admit(_ senders: inout Senders, _ frame: (FrameHeader, [Sequence])) throws -> Senders.Verdict {
        try senders.admit(frame.0, sequences: frame.1)
    }

    @Test("A chain is taken, a repeat is not, an overlap is trimmed")
    func chain() throws {
        var senders = Senders()
        #expect(try admit(&senders, frame(0...4, after: -1)) == .accept(from: 0))
        #expect(try admit(&senders, frame(0...4, after: -1)) == .repeated)
        #expect(try admit(&senders, frame(3...6, after: 2)) == .accept(from: 2))
        #expect(senders.counters.repeatedEntries == 7)
    }

    @Test("A frame ahead of the chain waits for the resend, which fills the gap")
    func goBackN() throws {
        var senders = Senders()
        _ = try admit(&senders, frame(0...4, after: -1))
        #expect(try admit(&senders, frame(8...9, after: 7)) == .ahead)
        #expect(try admit(&senders, frame(5...9, after: 4)) == .accept(from: 0))
        #expect(senders.all[0].gapFrames == 0)
    }

    @Test("A gap that stays open stops the task; the operator may accept it")
    func gap() throws {
        var senders = Senders(gapFramesMax: 3)
        _ = try admit(&senders, frame(0...0, after: -1))
        for offset in Int64(5)...7 { #expect(try admit(&senders, frame(offset...offset, after: offset - 1)) == .ahead) }
        #expect(throws: TaskFault.self) { try admit(&senders, frame(8...8, after: 7)) }
        var lenient = Senders(gapFramesMax: 3, acceptsGaps: true)
        _ = try admit(&lenient, frame(0...0, after: -1))
        #expect(try admit(&lenient, frame(5...6, after: 4)) == .accept(from: 0))
        #expect(lenient.counters.acceptedGaps == 1)
    }

    @Test("A first frame that has predecessors is a gap as well")
    func firstFrameIsLate() throws {
        var senders = Senders()
        #expect(try admit(&senders, frame(5...6, after: 4)) == .ahead)
        var rebuilt = Senders(acceptsStrangers: true)
        #expect(try admit(&rebuilt, frame(5...6, after: 4)) == .accept(from: 0))
    }

    @Test("Even the loss of a sender's last frame shows, by its next heartbeat")
    func lastFrameLost() throws {
        var senders = Senders(gapFramesMax: 1)
        _ = try admit(&senders, frame(0...4, after: -1))
        var beat = frame(0...0, after: 4).0
        beat.first = .none
        beat.last = .none
        #expect(try senders.admit(beat, sequences: []) == .repeated)
        beat.previous = Sequence(offset: 9, index: 0)
        #expect(try senders.admit(beat, sequences: []) == .ahead)
        #expect(throws: TaskFault.self) { try senders.admit(beat, sequences: []) }
    }

    @Test("A higher incarnation fences the lower and needs no predecessor, but repeats nothing")
    func incarnations() throws {
        var senders = Senders()
        _ = try admit(&senders, frame(0...4, after: -1))
        #expect(try admit(&senders, frame(3...7, after: -1, incarnation: 2)) == .accept(from: 2))
        #expect(try admit(&senders, frame(5...9, after: 4, incarnation: 1)) == .fenced)
        #expect(try admit(&senders, frame(8...8, after: 7, incarnation: 2)) == .accept(from: 0))
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
        _ = try admit(&senders, frame(0...4, after: -1))
        _ = try admit(&senders, frame(8...9, after: 7))
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
