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
        /// The gap that is open is accepted: the next frame needs no predecessor.
        package var passesGap = false
        /// Its inbox was recreated since: others speak in its place.
        package var isRetired = false
        /// Of frames refused as those of a replaced incarnation: how many since the task started, and the newest's.
        package var refusedFrames: UInt64 = 0
        package var refusedIncarnation: UInt64 = 0
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
        /// Ahead of the chain, and for so many frames that no resend is to be hoped for; dropped as well.
        case lost(TaskFault)
        /// From one sender more than can be remembered.
        case unknown
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

    /// Frames of a sender that may be dropped while a gap is open before it counts as lost.
    package let gapFramesMax: UInt64
    /// True if the state was begun in the middle of the log: a sender's first frame then has lost predecessors.
    package private(set) var acceptsStrangers: Bool
    /// The most senders that are remembered.
    package static let sendersMax = 65_536

    private var recent = 0

    package init(gapFramesMax: UInt64 = 300, acceptsStrangers: Bool = false) {
        self.gapFramesMax = gapFramesMax
        self.acceptsStrangers = acceptsStrangers
    }

    /// The place of a sender, made if it is new; nil where there is no room for one more.
    private mutating func index(of task: TaskID) -> Int? {
        if recent < all.count, all[recent].task == task { return recent }
        if let found = all.firstIndex(where: { $0.task == task }) {
            recent = found
            return found
        }
        guard all.count < Self.sendersMax else { return nil }
        append(Sender(task: task))
        recent = all.count - 1
        return recent
    }

    /// Adds a sender. Where a topic was recreated, the senders of its former epoch never speak again.
    private mutating func append(_ sender: Sender) {
        var sender = sender
        for index in all.indices where all[index].task.isSameStage(as: sender.task) {
            if all[index].task.epoch < sender.task.epoch { all[index].isRetired = true }
            if all[index].task.epoch > sender.task.epoch { sender.isRetired = true }
        }
        all.append(sender)
    }

    /// Compares a frame with the sender's chain and moves the chain on if it fits.
    /// - Parameter sequences: of the frame's entries, ascending; none in a pure heartbeat.
    package mutating func admit(_ header: FrameHeader, sequences: [Sequence]) -> Verdict {
        guard let index = index(of: header.sender) else { return .unknown }
        let known = all[index]
        guard header.incarnation >= known.incarnation else {
            counters.fencedFrames += 1
            all[index].refusedFrames += 1
            all[index].refusedIncarnation = header.incarnation
            return .fenced
        }
        let isFirst = known.incarnation == 0
        // What a new incarnation had not to say again was said before it. Its first frame follows that; a later one
        // must not be taken for the first.
        let isNewIncarnation = header.incarnation > max(known.incarnation, 1)
        let needsNoPredecessor =
            known.passesGap || isFirst && acceptsStrangers || isNewIncarnation && header.previous <= header.settled
        let isRepeat = !sequences.isEmpty && header.last <= known.last
        if header.previous > known.last && !isRepeat {
            guard needsNoPredecessor else { return wait(index, header) }
            all[index].last = header.previous
        }
        // What its former self said of time may be what it was replaced for.
        if header.incarnation > known.incarnation, !isFirst { all[index].watermark = .distantPast }
        all[index].incarnation = header.incarnation
        guard !sequences.isEmpty, !isRepeat else {
            counters.repeatedEntries += UInt64(sequences.count)
            return .repeated
        }
        all[index].last = header.last
        all[index].gapFrames = 0
        all[index].passesGap = false
        var from = 0
        while sequences[from] <= known.last { from += 1 }
        counters.repeatedEntries += UInt64(from)
        return .accept(from: from)
    }

    private mutating func wait(_ index: Int, _ header: FrameHeader) -> Verdict {
        all[index].gapFrames += 1
        counters.framesAhead += 1
        guard all[index].gapFrames > gapFramesMax else { return .ahead }
        return .lost(
            .gap(
                sender: header.sender, last: all[index].last, found: max(header.first, header.previous)))
    }

    /// The operator's word, as a record of the inbox, that what is missing of a sender is lost for good: its next frame
    /// needs no predecessor. Says nothing unless just that gap is open.
    package mutating func acceptGap(of task: TaskID, after last: Sequence) {
        guard let index = index(of: task), all[index].gapFrames > 0, all[index].last == last, !all[index].passesGap
        else { return }
        all[index].passesGap = true
        counters.acceptedGaps += 1
    }

    /// Takes a heartbeat: watermarks only rise, within an incarnation.
    package mutating func hear(_ heartbeat: Heartbeat, from task: TaskID) {
        if !heartbeat.senders.isEmpty && heartbeat.senders != expected { expected = heartbeat.senders }
        note(watermark: heartbeat.watermark, isIdle: heartbeat.isIdle, from: task)
    }

    /// Takes a watermark that a sender forwards.
    package mutating func note(watermark: EventTime, isIdle: Bool, from task: TaskID) {
        guard let index = index(of: task) else { return }
        all[index].speaksOfTime = true
        all[index].watermark = max(all[index].watermark, watermark)
        all[index].isIdle = isIdle
    }

    /// The smallest watermark of all that are waited for; nil while one of them is silent, or all are idle.
    package var minimum: EventTime? {
        var minimum = EventTime.distantFuture
        for task in expected where !all.contains(where: { $0.task == task && $0.speaksOfTime }) { return nil }
        for sender in all where sender.speaksOfTime && !sender.isIdle && !sender.isRetired {
            minimum = min(minimum, sender.watermark)
        }
        return minimum == .distantFuture || minimum == .distantPast ? nil : minimum
    }

    private static let tag = StateSection.senders.tag

    package func freeze(watermark: EventTime, into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(watermark.milliseconds)
        coder.write(acceptsStrangers ? 1 : UInt64(0))
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
            coder.write(sender.flags)
        }
        writer.add(tag: Self.tag, bytes: coder.bytes)
    }

    /// Reads the senders back and returns the watermark that was reached.
    package mutating func restore(from reader: StateReader) throws(StateError) -> EventTime {
        var decoder = try reader.decoder(tag: Self.tag)
        let watermark = EventTime(milliseconds: try decoder.readInt64())
        acceptsStrangers = try decoder.readWord() != 0
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
            sender.flags = try decoder.readWord()
            append(sender)
        }
        return watermark
    }
}

extension Senders.Sender {
    /// What is true of it, as bits of a snapshot. Whether it is retired follows from the others.
    fileprivate var flags: UInt64 {
        get { (isIdle ? 1 : 0) | (speaksOfTime ? 2 : 0) | (passesGap ? 4 : 0) }
        set {
            isIdle = newValue & 1 != 0
            speaksOfTime = newValue & 2 != 0
            passesGap = newValue & 4 != 0
        }
    }
}

extension TaskID {
    /// Whether both are tasks of one stage over one topic, whatever its epoch.
    fileprivate func isSameStage(as other: TaskID) -> Bool { stage == other.stage && inbox == other.inbox }
}
