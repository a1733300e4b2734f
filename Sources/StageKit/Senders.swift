import Messages
import TwinCore

/// What a receiver remembers of each sender: how far its chain has come, which incarnation it is, its watermark.
/// Few (tasks of the stages before), so a list in order of first appearance.
package struct Senders {
    /// What is remembered of one sender.
    package struct Sender: Equatable, Sendable {
        package var task: TaskID
        package var incarnation: UInt64 = 0
        package var last = Sequence.none
        /// Frames dropped since a gap opened; 0 when none is open.
        package var gapFrames: UInt64 = 0
        package var watermark = EventTime.distantPast
        package var isIdle = false
        /// True once it has said anything about time.
        package var speaksOfTime = false
    }

    /// What to do with a frame.
    package enum Verdict: Equatable {
        /// Take the entries from this position on.
        case accept(from: Int)
        /// Nothing in it is new.
        case repeated
        /// From an incarnation that has been replaced.
        case fenced
        /// Ahead of the chain: dropped, a resend will fill it.
        case ahead
    }

    package private(set) var all: [Sender] = []
    /// The senders whose watermarks are waited for, as the newest heartbeat lists them.
    package private(set) var expected: [TaskID] = []
    package private(set) var counters = Counters()

    /// What was refused, and why, since the task started.
    package struct Counters: Equatable, Sendable {
        package var repeatedEntries: UInt64 = 0
        package var fencedFrames: UInt64 = 0
        package var framesAhead: UInt64 = 0
        package var acceptedGaps: UInt64 = 0
    }

    /// Frames of a sender that may be dropped while a gap is open before the task stops.
    package let gapFramesMax: UInt64
    /// The operator's word that a gap is to be passed over.
    package let acceptsGaps: Bool
    /// True if the state is rebuilt from what the log still has: a sender's first frame then has lost predecessors.
    package let acceptsStrangers: Bool
    /// The most senders that are remembered.
    package static let sendersMax = 65_536

    private var recent = 0

    package init(gapFramesMax: UInt64 = 300, acceptsGaps: Bool = false, acceptsStrangers: Bool = false) {
        self.gapFramesMax = gapFramesMax
        self.acceptsGaps = acceptsGaps
        self.acceptsStrangers = acceptsStrangers
    }

    private mutating func index(of task: TaskID) -> Int {
        if recent < all.count, all[recent].task == task { return recent }
        if let found = all.firstIndex(where: { $0.task == task }) {
            recent = found
        } else {
            recent = all.count
            all.append(Sender(task: task))
        }
        return recent
    }

    /// Compares a frame with the sender's chain and moves the chain on if it fits.
    /// - Parameter sequences: of the frame's entries, ascending.
    package mutating func admit(_ header: FrameHeader, sequences: [Sequence]) throws(TaskFault) -> Verdict {
        let index = index(of: header.sender)
        if header.incarnation < all[index].incarnation {
            counters.fencedFrames += 1
            return .fenced
        }
        let isNewIncarnation =
            all[index].incarnation == 0
            ? header.incarnation > 1 || acceptsStrangers : header.incarnation > all[index].incarnation
        let last = all[index].last
        if !sequences.isEmpty && header.last <= last {
            all[index].incarnation = header.incarnation
            counters.repeatedEntries += UInt64(sequences.count)
            return .repeated
        }
        if header.previous > last && !isNewIncarnation {
            guard acceptsGaps else {
                all[index].gapFrames += 1
                counters.framesAhead += 1
                if all[index].gapFrames > gapFramesMax {
                    throw .gap(sender: header.sender, last: last, found: max(header.first, header.previous))
                }
                return .ahead
            }
            counters.acceptedGaps += 1
            all[index].last = header.previous
        }
        if sequences.isEmpty {
            all[index].incarnation = header.incarnation
            return .repeated
        }
        all[index].incarnation = header.incarnation
        all[index].last = header.last
        all[index].gapFrames = 0
        var from = 0
        while sequences[from] <= last { from += 1 }
        counters.repeatedEntries += UInt64(from)
        return .accept(from: from)
    }

    /// Takes a heartbeat: watermarks only rise.
    package mutating func hear(_ heartbeat: Heartbeat, from task: TaskID) {
        if !heartbeat.senders.isEmpty && heartbeat.senders != expected { expected = heartbeat.senders }
        note(watermark: heartbeat.watermark, isIdle: heartbeat.isIdle, from: task)
    }

    /// Takes a watermark that a sender forwards.
    package mutating func note(watermark: EventTime, isIdle: Bool, from task: TaskID) {
        let index = index(of: task)
        all[index].speaksOfTime = true
        all[index].watermark = max(all[index].watermark, watermark)
        all[index].isIdle = isIdle
    }

    /// The smallest watermark of all that are waited for; nil while one of them is silent, or all are idle.
    package var minimum: EventTime? {
        var minimum = EventTime.distantFuture
        for task in expected where !all.contains(where: { $0.task == task && $0.speaksOfTime }) { return nil }
        for sender in all where sender.speaksOfTime && !sender.isIdle {
            minimum = min(minimum, sender.watermark)
        }
        return minimum == .distantFuture || minimum == .distantPast ? nil : minimum
    }

    private static let tag = sectionTag("send")

    package func freeze(watermark: EventTime, into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(watermark.milliseconds)
        coder.write(UInt64(expected.count))
        for task in expected { coder.write(task.packed) }
        coder.write(UInt64(all.count))
        for sender in all {
            coder.write(sender.task.packed)
            coder.write(sender.incarnation)
            coder.write(sender.last.offset)
            coder.write(sender.last.index)
            coder.write(sender.gapFrames)
            coder.write(sender.watermark.milliseconds)
            coder.write(UInt64((sender.isIdle ? 1 : 0) | (sender.speaksOfTime ? 2 : 0)))
        }
        writer.add(tag: Self.tag, bytes: coder.bytes)
    }

    /// Reads the senders back and returns the watermark that was reached.
    package mutating func restore(from reader: StateReader) throws(StateError) -> EventTime {
        var decoder = try reader.decoder(tag: Self.tag)
        let watermark = EventTime(milliseconds: try decoder.readInt64())
        for _ in 0..<(try decoder.readCount(max: Self.sendersMax)) {
            guard let task = TaskID(packed: try decoder.readWord()) else { throw .invalid("unknown sender") }
            expected.append(task)
        }
        for _ in 0..<(try decoder.readCount(max: Self.sendersMax)) {
            guard let task = TaskID(packed: try decoder.readWord()) else { throw .invalid("unknown sender") }
            var sender = Sender(task: task)
            sender.incarnation = try decoder.readWord()
            sender.last = Sequence(offset: try decoder.readInt64(), index: try decoder.readInt64())
            sender.gapFrames = try decoder.readWord()
            sender.watermark = EventTime(milliseconds: try decoder.readInt64())
            let flags = try decoder.readWord()
            sender.isIdle = flags & 1 != 0
            sender.speaksOfTime = flags & 2 != 0
            all.append(sender)
        }
        return watermark
    }
}
