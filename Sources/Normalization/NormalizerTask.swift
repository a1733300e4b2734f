import Messages
import StageKit
import TwinCore

/// The normalizer over one partition of one raw topic: decodes, identifies, converts units and routes. It does not
/// look for duplicates or late samples; that is done where all samples of a series meet.
///
/// Its state is the directory (resource → locality), the watermark, its names and its chains of numbers. The inbox
/// decides what a record is:
///
/// | inbox | entries | to |
/// |---|---|---|
/// | telemetry | `sample`, and about its resource `tags`, `gone` | observations, by locality |
/// | interactions | `interaction` | observations, partitions of both ends |
/// | both, from OpenTelemetry | either, by the metric | the same |
/// | environment | `event` | observations, partitions in scope |
/// | outcomes | `outcome` | observations and outlooks, by locality |
/// | policies, commands | `policy`, `command` | outlooks, all partitions |
///
/// `tags` is written when a resource is first seen, when its description changes, and now and then. Where a locality is
/// neither in the record nor in the directory, the entry goes to all partitions, and the one that the resource's name
/// hashes to keeps it. `gone` tells that one that the resource lives elsewhere, and the one that a resource leaves.
package final class NormalizerTask: TaskLogic {
    /// Raised with every change of logic that changes outputs.
    package static let logicVersion: UInt32 = 4

    package let emitter: Emitter
    private let task: TaskID
    private let names: NameTable
    @exclusivity(unchecked) private var core: NormalizerCore
    private let pulse: HeartbeatRule
    /// The heartbeat that was sent last, and how many like it were held back since.
    private var lastHeartbeat: Heartbeat?
    private var heartbeatsSkipped = 0

    /// What is not needed any more is looked for at these boundaries of event time, milliseconds.
    private static let forgetMilliseconds: Int64 = 3_600_000

    private static let namesTag = StateSection.names.tag
    private static let inboxTag = StateSection.rawTopic.tag

    /// A fresh task, or one restored from a snapshot's sections. Throws if the inbox is no raw topic, if the layout
    /// does not fit, or if the sections are damaged.
    package init(
        _ setting: TaskSetting, settings: NormalizerSettings, restoring reader: StateReader? = nil
    ) throws(StateError) {
        guard NormalizerSettings.rawTopics.contains(setting.task.inbox) else {
            throw .invalid("the normalizer does not read \(setting.task.inbox.text)")
        }
        guard setting.layout[.observations] == setting.layout[.outlooks] else {
            throw .invalid("observations and outlooks differ in the number of partitions")
        }
        task = setting.task
        names = NameTable(namesMax: setting.namesMax)
        emitter = Emitter(
            task: setting.task, incarnation: setting.incarnation, layout: setting.layout,
            outputs: [.observations, .outlooks, .deadletters], names: names, limits: setting.emitterLimits)
        core = NormalizerCore(setting, settings: settings, names: names)
        pulse = HeartbeatRule(settings, layout: setting.layout, inbox: setting.task.inbox)
        guard let reader else { return }
        var decoder = try reader.decoder(tag: Self.inboxTag)
        guard try decoder.readWord() == UInt64(task.inbox.rawValue) else {
            throw .invalid("the snapshot belongs to another inbox")
        }
        try names.restore(tag: Self.namesTag, from: reader)
        try emitter.restore(from: reader)
        try core.restore(from: reader)
    }

    package func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        emitter.begin(inputOffset: record.offset, muted: muted)
        let before = core.clock.largest.milliseconds / Self.forgetMilliseconds
        core.receive(record, into: emitter)
        if core.clock.largest.milliseconds / Self.forgetMilliseconds > before { core.forget(into: emitter) }
    }

    package var isSourceOfTime: Bool { true }

    /// Sends a heartbeat to every observations and outlooks partition, if it says something new or enough were held
    /// back (`heartbeatsSkippedMax`); how often it is asked for is the shell's business. Changes nothing that entries
    /// depend on.
    package func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {
        let heartbeat = pulse.heartbeat(core.clock, isCaughtUp: isCaughtUp, wallClock: wallClock)
        if heartbeat == lastHeartbeat, heartbeatsSkipped < pulse.skippedMax {
            heartbeatsSkipped += 1
            return
        }
        heartbeatsSkipped = 0
        lastHeartbeat = heartbeat
        emitter.heartbeat(heartbeat, topic: .observations)
        emitter.heartbeat(heartbeat, topic: .outlooks)
    }

    package func freeze() -> StateWriter {
        var writer = StateWriter()
        var coder = StateCoder()
        coder.write(UInt64(task.inbox.rawValue))
        writer.add(tag: Self.inboxTag, bytes: coder.bytes)
        names.freeze(tag: Self.namesTag, into: &writer)
        emitter.freeze(into: &writer)
        core.freeze(into: &writer)
        return writer
    }

    package var watermark: EventTime? { core.clock.watermark }

    package var stageCounters: [StageCounter] {
        core.counterList + [
            StageCounter("deadLetters", emitter.counters.deadLetters),
            StageCounter("oversize", emitter.counters.oversize),
        ]
    }
}

/// What a heartbeat of a normalizer task says.
struct HeartbeatRule {
    /// Every task that is a source of event time: each partition of each raw topic.
    let senders: [TaskID]
    let skippedMax: Int
    private let inbox: TopicName

    init(_ settings: NormalizerSettings, layout: TopicLayout, inbox: TopicName) {
        self.inbox = inbox
        skippedMax = max(settings.heartbeatsSkippedMax, 0)
        var senders: [TaskID] = []
        for topic in NormalizerSettings.rawTopics {
            for partition in 0..<layout[topic] {
                senders.append(
                    TaskID(
                        stage: .normalizer, inbox: topic, epoch: settings.epoch(of: topic), partition: partition))
            }
        }
        self.senders = senders
    }

    /// - Not caught up: event time only, and it holds the others back; with a wall clock never beyond that.
    /// - Caught up, wall clock given: the later of event time and the wall clock less the lateness, but never beyond
    ///   the wall clock itself.
    /// - Caught up without wall clock: telemetry goes by its event time once it has one; everything else has nothing
    ///   to say about time that telemetry would not say, and is idle.
    func heartbeat(_ clock: EventClock, isCaughtUp: Bool, wallClock: EventTime?) -> Heartbeat {
        let event = min(clock.watermark ?? .distantPast, wallClock ?? .distantFuture)
        guard isCaughtUp else { return Heartbeat(watermark: event, isIdle: false, senders: senders) }
        if let wallClock {
            let watermark = min(max(event, clock.watermark(wallClock: wallClock)), wallClock)
            return Heartbeat(watermark: watermark, isIdle: false, senders: senders)
        }
        let isIdle = inbox != .telemetry || clock.watermark == nil
        return Heartbeat(watermark: event, isIdle: isIdle, senders: senders)
    }
}
