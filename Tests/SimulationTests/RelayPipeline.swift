import Messages
import Simulation
import StageKit
import TwinCore

/// Who a relay pretends to be.
protocol RelayRole {
    static var name: StageName { get }
    static var inbox: TopicName { get }
    static var outputs: [TopicName] { get }
    static var watermarkOutput: TopicName? { get }
}

enum TwinRole: RelayRole {
    static let name = StageName.twinUpdater, inbox = TopicName.observations
    static let outputs = [TopicName.forecasts, .twins], watermarkOutput: TopicName? = .forecasts
}

enum DriftRole: RelayRole {
    static let name = StageName.driftDetector, inbox = TopicName.forecasts
    static let outputs = [TopicName.drift, .observations], watermarkOutput: TopicName? = nil
}

enum GraphRole: RelayRole {
    static let name = StageName.graphPropagator, inbox = TopicName.forecasts
    static let outputs = [TopicName.outlooks, .forecasts], watermarkOutput: TopicName? = .outlooks
}

enum DeciderRole: RelayRole {
    static let name = StageName.scalingDecider, inbox = TopicName.outlooks
    static let outputs = [TopicName.actions, .decisions], watermarkOutput: TopicName? = nil
}

/// A stage with a state that depends on every entry and its order, and outputs that depend on the state: whatever goes
/// wrong below the stages shows in it. It counts per resource and mixes everything it sees into a running digest.
struct RelayStage<Role: RelayRole>: Stage, ~Copyable {
    struct Cell: BitwiseCopyable {
        var count: UInt64
        var digest: UInt64
    }

    static var name: StageName { Role.name }
    static var inbox: TopicName { Role.inbox }
    static var outputs: [TopicName] { Role.outputs }
    static var watermarkOutput: TopicName? { Role.watermarkOutput }
    static var logicVersion: UInt32 { 1 }

    private var cells = PagedTable<Cell>(cellsMax: 10_000)
    private var slots: [Int] = []
    private let task: TaskID
    private let layout: TopicLayout
    private let names: NameTable

    init(settings: Int, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.task = task
        self.layout = layout
        self.names = names
    }

    private mutating func slot(_ name: NameID) -> Int? {
        while slots.count <= Int(name) { slots.append(-1) }
        if slots[Int(name)] < 0 { slots[Int(name)] = cells.append(Cell(count: UInt64(name), digest: 0)) ?? -1 }
        return slots[Int(name)] < 0 ? nil : slots[Int(name)]
    }

    mutating func receive(_ entry: Entry, into out: Emitter) {
        guard let slot = slot(entry.resource == 0 ? 0 : entry.resource) else { return }
        var digest = Digest(seed: cells.read(slot).pointee.digest)
        digest.combine(entry.value.bitPattern)
        digest.combine(UInt64(entry.kind.rawValue))
        digest.combine(entry.numbers.bytes)
        digest.combine(entry.text)
        let cell = cells.write(slot)
        cell.pointee.count += 1
        cell.pointee.digest = digest.value
        var next = Entry(kind: .forecast, resource: entry.resource, object: entry.object, time: entry.time)
        next.value = Double(digest.value % 1_000_003)
        let count = cell.pointee.count
        for topic in Role.outputs where Oracle.frameTopics.contains(topic) {
            // Into the next inbox always; back across partitions only now and then, so that loops die out.
            let goesBack = topic == .observations || (topic == .forecasts && Role.name == .graphPropagator)
            if goesBack {
                guard entry.kind == .forecast, count % 7 == 0 else { continue }
                next.kind = .retrain
                out.emit(next, to: topic, partition: Int32(digest.value % UInt64(layout[topic])))
                next.kind = .forecast
            } else if entry.kind != .retrain {
                out.emit(next, to: topic, partition: task.partition)
            }
        }
        for topic in Role.outputs where Oracle.jsonTopics.contains(topic) && count % 5 == 0 {
            out.record(to: topic, partition: Int32(digest.value % UInt64(layout[topic])), key: entry.resource) {
                $0.beginObject()
                $0.key("id")
                $0.string(out.id($1))
                $0.key("count")
                $0.unsigned(count)
                $0.endObject()
            }
        }
    }

    mutating func advance(to watermark: EventTime, into out: Emitter) {
        guard let slot = slot(0) else { return }
        cells.write(slot).pointee.digest &+= UInt64(bitPattern: watermark.milliseconds)
    }

    mutating func freeze(into writer: inout StateWriter) {
        cells.freeze(tag: sectionTag("cell"), into: &writer)
        var coder = StateCoder()
        coder.write(UInt64(slots.count))
        for slot in slots { coder.write(Int64(slot)) }
        writer.add(tag: sectionTag("slot"), bytes: coder.bytes)
    }

    mutating func restore(from reader: StateReader) throws(StateError) {
        try cells.restore(tag: sectionTag("cell"), from: reader)
        var decoder = try reader.decoder(tag: sectionTag("slot"))
        for _ in 0..<(try decoder.readCount(max: 1 << 20)) { slots.append(Int(try decoder.readInt64())) }
    }

    var counters: [StageCounter] { [] }
}

/// The normalizer's stand-in: every record becomes an entry for the partition that its bytes name.
final class RelayNormalizer: TaskLogic {
    let emitter: Emitter
    private let task: TaskID
    private let names: NameTable
    private var seen: Int64 = 0

    init(_ setting: TaskSetting, restoring reader: StateReader?) throws(StateError) {
        task = setting.task
        names = NameTable(namesMax: 10_000)
        emitter = Emitter(
            task: setting.task, incarnation: setting.incarnation, layout: setting.layout,
            outputs: [.observations, .outlooks, .deadletters], names: names)
        guard let reader else { return }
        try names.restore(tag: sectionTag("name"), from: reader)
        try emitter.restore(from: reader)
        var decoder = try reader.decoder(tag: sectionTag("seen"))
        seen = try decoder.readInt64()
    }

    func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        emitter.begin(inputOffset: record.offset, muted: muted)
        guard let value = record.value else { return }
        // Not a count: where superseded records have gone, a replay must end where the first reading did.
        seen = record.offset + 1
        let hash = fnv1a64(value)
        var entry = Entry(kind: .sample, time: EventTime(milliseconds: seen), value: Double(hash % 1_000))
        entry.resource = names.intern("svc-\(hash % 20)") ?? 0
        emitter.emit(entry, to: .observations, partition: Int32(hash % UInt64(emitter.layout[.observations])))
        if task.inbox == .policies { emitter.emitToAll(entry, topic: .outlooks) }
        if hash % 13 == 0 {
            emitter.deadLetter(
                DeadLetter(
                    topic: task.inbox, partition: task.partition, offset: record.offset, key: nil, value: value,
                    reason: "unlucky"))
        }
    }

    var isSourceOfTime: Bool { true }

    func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {
        let beat = Heartbeat(watermark: EventTime(milliseconds: seen), isIdle: seen == 0, senders: [task])
        emitter.heartbeat(beat, topic: .observations)
        emitter.heartbeat(beat, topic: .outlooks)
    }

    func freeze() -> StateWriter {
        var writer = StateWriter()
        names.freeze(tag: sectionTag("name"), into: &writer)
        emitter.freeze(into: &writer)
        var coder = StateCoder()
        coder.write(seen)
        writer.add(tag: sectionTag("seen"), bytes: coder.bytes)
        return writer
    }

    var watermark: EventTime? { nil }
    var stageCounters: [StageCounter] { [] }
}

/// Five relays in the shape of the real topology.
func relayPipeline(layout: TopicLayout) -> SimulatedPipeline {
    SimulatedPipeline(
        layout: layout,
        inboxes: { stage in
            switch stage {
            case .normalizer: [.telemetry, .interactions, .environment, .outcomes, .policies, .commands]
            case .twinUpdater: [.observations]
            case .driftDetector, .graphPropagator: [.forecasts]
            case .scalingDecider: [.outlooks]
            }
        },
        outputs: { stage in
            switch stage {
            case .normalizer: [.observations, .outlooks, .deadletters]
            case .twinUpdater: TwinRole.outputs + [.deadletters]
            case .driftDetector: DriftRole.outputs + [.deadletters]
            case .graphPropagator: GraphRole.outputs + [.deadletters]
            case .scalingDecider: DeciderRole.outputs + [.deadletters]
            }
        },
        make: { (setting, reader) throws(StateError) -> any TaskLogic in
            switch setting.task.stage {
            case .normalizer: return try RelayNormalizer(setting, restoring: reader)
            case .twinUpdater: return try FrameTask<RelayStage<TwinRole>>(setting, settings: 0, restoring: reader)
            case .driftDetector: return try FrameTask<RelayStage<DriftRole>>(setting, settings: 0, restoring: reader)
            case .graphPropagator: return try FrameTask<RelayStage<GraphRole>>(setting, settings: 0, restoring: reader)
            case .scalingDecider: return try FrameTask<RelayStage<DeciderRole>>(setting, settings: 0, restoring: reader)
            }
        })
}
