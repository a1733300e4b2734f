import Messages
import TwinCore

/// What every task needs to know about itself and its surroundings.
package struct TaskSetting: Sendable {
    package var task: TaskID
    package var incarnation: UInt64
    package var layout: TopicLayout
    package var namesMax: Int
    package var gapFramesMax: UInt64
    /// The state is built anew from what the log still has.
    package var rebuildsFromStart: Bool
    package var emitterLimits: Emitter.Limits

    package init(
        task: TaskID, incarnation: UInt64 = 1, layout: TopicLayout, namesMax: Int = 1_000_000,
        gapFramesMax: UInt64 = 300, rebuildsFromStart: Bool = false,
        emitterLimits: Emitter.Limits = Emitter.Limits()
    ) {
        self.task = task
        self.incarnation = incarnation
        self.layout = layout
        self.namesMax = namesMax
        self.gapFramesMax = gapFramesMax
        self.rebuildsFromStart = rebuildsFromStart
        self.emitterLimits = emitterLimits
    }
}

/// A task over an inbox of frames: decodes, compares each frame with its sender's chain, hands the new entries to the
/// stage one by one, and moves the watermark.
///
/// Its parts are confined to the worker's thread and never call back into the task, so the compiler need not check
/// at run time that nobody else is at them: those checks cost as much as decoding.
package final class FrameTask<S: Stage & ~Copyable>: TaskLogic {
    package let emitter: Emitter
    private let task: TaskID
    private let names: NameTable
    private let reader = FrameReader()
    @exclusivity(unchecked) private var senders: Senders
    @exclusivity(unchecked) private var stage: S
    @exclusivity(unchecked) private var reached = EventTime.distantPast
    /// Names of the frame at hand, resolved when first used: frame index to name number, 0 = not yet.
    @exclusivity(unchecked) private var resolved: [NameID] = []
    @exclusivity(unchecked) private var namesRefused: UInt64 = 0

    /// Unneeded names are looked for at these boundaries of event time, milliseconds.
    private static var namesInterval: Int64 { 3_600_000 }

    private static var namesTag: UInt32 { StateSection.names.tag }

    /// A fresh task, or one restored from a snapshot's sections.
    package init(
        _ setting: TaskSetting, settings: S.Settings, restoring reader: StateReader? = nil
    ) throws(StateError) {
        task = setting.task
        names = NameTable(namesMax: setting.namesMax)
        emitter = Emitter(
            task: setting.task, incarnation: setting.incarnation, layout: setting.layout,
            outputs: S.outputs + [.deadletters], names: names, limits: setting.emitterLimits)
        senders = Senders(gapFramesMax: setting.gapFramesMax, acceptsStrangers: setting.rebuildsFromStart)
        stage = S(settings: settings, task: setting.task, layout: setting.layout, names: names)
        guard let reader else { return }
        try names.restore(tag: Self.namesTag, from: reader)
        try emitter.restore(from: reader)
        reached = try senders.restore(from: reader)
        try stage.restore(from: reader)
    }

    package func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        emitter.begin(inputOffset: record.offset, muted: muted)
        // A tombstone has no place in an inbox of frames and says nothing.
        guard let value = record.value else { return }
        do {
            try reader.decode(value)
        } catch {
            return refuse(record, "not a frame: \(error)")
        }
        if reader.acceptsGap { return senders.acceptGap(of: reader.header.sender, after: reader.header.previous) }
        switch senders.admit(reader.header, sequences: reader.sequences) {
        case .accept(let from):
            receiveEntries(from: from)
            hear()
        case .repeated: hear()
        case .fenced, .ahead: break
        case .unknown: refuse(record, "from one sender more than the \(Senders.sendersMax) that are remembered")
        case .lost(let fault):
            // In a replay this has been passed before, and how stands further on in the log.
            if !muted { throw fault }
        }
    }

    /// A heartbeat counts where the frame does: one that is ahead of its chain speaks for entries that are not here.
    private func hear() {
        guard let heartbeat = reader.heartbeat else { return }
        senders.hear(heartbeat, from: reader.header.sender)
        advance()
    }

    private func refuse(_ record: InboxRecord, _ reason: String) {
        emitter.deadLetter(
            DeadLetter(
                topic: task.inbox, partition: task.partition, offset: record.offset, key: record.key,
                value: record.value,
                reason: reason))
    }

    private func receiveEntries(from: Int) {
        resolved.removeAll(keepingCapacity: true)
        for _ in 0..<reader.names.count { resolved.append(0) }
        let entries = reader.entries
        for index in from..<entries.count {
            var entry = entries[index]
            if entry.kind == .watermark {
                senders.note(watermark: entry.time, isIdle: false, from: reader.header.sender)
                advance()
                continue
            }
            guard resolve(&entry.resource), resolve(&entry.object) else {
                namesRefused &+= 1
                continue
            }
            stage.receive(entry, into: emitter)
        }
    }

    /// Turns a frame's index into the task's name number; false when the name is refused.
    private func resolve(_ reference: inout UInt32) -> Bool {
        guard reference != 0 else { return true }
        let index = Int(reference) &- 1
        if resolved[index] == 0 {
            guard let name = names.intern(reader.names[index]) else { return false }
            resolved[index] = name
        }
        reference = resolved[index]
        return true
    }

    private func advance() {
        guard let minimum = senders.minimum, minimum > reached else { return }
        let isDue = minimum.milliseconds / Self.namesInterval > reached.milliseconds / Self.namesInterval
        reached = minimum
        stage.advance(to: minimum, into: emitter)
        if let output = S.watermarkOutput {
            emitter.emit(Entry(kind: .watermark, time: minimum), to: output, partition: task.partition)
        }
        if isDue, names.isCrowded { forgetNames() }
    }

    /// Open frames know names by their numbers, so they are closed before a number can mean another name.
    private func forgetNames() {
        emitter.cutAll()
        names.keep { stage.mark(&$0) }
        for index in resolved.indices { resolved[index] = 0 }
    }

    package func freeze() -> StateWriter {
        var writer = StateWriter()
        names.freeze(tag: Self.namesTag, into: &writer)
        emitter.freeze(into: &writer)
        senders.freeze(watermark: reached, into: &writer)
        stage.freeze(into: &writer)
        return writer
    }

    package var watermark: EventTime? { reached == .distantPast ? nil : reached }

    package var stageCounters: [StageCounter] {
        let chain = senders.counters
        return stage.counters + [
            StageCounter("repeatedEntries", chain.repeatedEntries), StageCounter("fencedFrames", chain.fencedFrames),
            StageCounter("framesAhead", chain.framesAhead), StageCounter("acceptedGaps", chain.acceptedGaps),
            StageCounter("namesRefused", namesRefused), StageCounter("deadLetters", emitter.counters.deadLetters),
            StageCounter("oversize", emitter.counters.oversize),
        ]
    }

    package var upstream: Senders? { senders }

    /// For tests and the backtest: the stage itself, borrowed.
    package func withStage<R>(_ body: (borrowing S) -> R) -> R { body(stage) }
}
