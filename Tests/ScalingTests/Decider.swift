import Foundation
import Messages
import StageKit
import TwinCore

@testable import Scaling

/// One entry as a test writes it.
struct Said {
    var kind: EntryKind
    var code: UInt32 = 0
    var resource = ""
    var object = ""
    var seconds: Int64 = 0
    var value = 0.0
    var numbers: [Float] = []
    var text = ""
}

/// An outlook as a test writes it: every horizon is mean, six quantiles and the tail's count,
/// `influence` beside it.
struct Outlook {
    var resource = "web"
    var metric = "requests"
    var role = MetricRole.demand
    var level = 100.0
    var ready: Float = .nan
    /// How old the word on ready units is.
    var unitsAge: Float = 0
    var quality = DataQuality.fresh
    var distrusted = false
    var young = false
    /// horizon seconds, mean, q50…: spread around the mean
    var horizons: [(seconds: Float, mean: Float, influence: Float)] = []
    /// Distance from the mean to each quantile, as a share of the mean.
    var spread: [Float] = [-0.1, 0, 0.1, 0.12, 0.2, 0.3]
    /// Rare values that the tail rests on.
    var tailCount: Float = 300

    /// The same value at all horizons.
    static func flat(_ level: Double, forecast: Double, ready: Float = .nan, influence: Float = 0) -> Outlook {
        var outlook = Outlook()
        outlook.level = level
        outlook.ready = ready
        outlook.horizons = [60, 300, 900].map { ($0, Float(forecast), influence) }
        outlook.spread = [0, 0, 0, 0, 0, 0]
        return outlook
    }

    func at(_ seconds: Int64) -> Said {
        var numbers: [Float] = [0, 0, 60, Float(horizons.count), ready, 1_000, unitsAge]
        for horizon in horizons {
            numbers += [horizon.seconds, horizon.mean]
            numbers += spread.map { horizon.mean * (1 + $0) }
            numbers.append(tailCount)
        }
        numbers += horizons.map(\.influence)
        let code = ForecastCode(quality: quality, role: role, isDistrusted: distrusted, isYoung: young)
        return Said(
            kind: .outlook, code: code.raw, resource: resource, object: metric, seconds: seconds, value: level,
            numbers: numbers)
    }
}

func policy(_ name: String, version: Double = 1, _ json: String) -> Said {
    Said(kind: .policy, object: name, seconds: 1_000, value: version, text: json)
}

func command(_ json: String, at seconds: Int64 = 0) -> Said { Said(kind: .command, seconds: seconds, text: json) }

func outcome(
    _ resource: String, action: String, _ status: String, ready: Double = .nan, at seconds: Int64
) -> Said {
    let words: [String: OutcomeSample.Status] = [
        "accepted": .accepted, "applied": .applied, "ready": .ready, "failed": .failed,
        "unschedulable": .unschedulable, "timeout": .timeout,
    ]
    let code = words[status].map { OutcomeCode(status: $0, isUnrouted: false).raw } ?? 0
    return Said(
        kind: .outcome, code: code, resource: resource, seconds: seconds, value: ready,
        text: "{\"action\":\"\(action)\",\"status\":\"\(status)\"}")
}

func tags(_ resource: String, locality: String, _ json: String) -> Said {
    Said(kind: .tags, resource: resource, object: locality, text: json)
}

/// A JSON record that the decider wrote.
struct Written: Equatable {
    var topic: TopicName
    var partition: Int32
    var key: String
    var bytes: [UInt8]

    var event: [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]) ?? [:]
    }
    var data: [String: Any] { event["data"] as? [String: Any] ?? [:] }
    var kind: String { data["kind"] as? String ?? "" }
    func int(_ key: String) -> Int? { (data[key] as? NSNumber)?.intValue }
    func text(_ key: String) -> String? { data[key] as? String }
    func nested(_ path: String...) -> Any? {
        var value: Any? = data
        for part in path { value = (value as? [String: Any])?[part] }
        return value
    }
    var constraints: [String] {
        (data["constraints"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }
    }
    /// The record without its number, which depends on where frames were cut.
    var content: String {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.replacing(#/scaling-decider-outlooks-\d+-\d+-\d+-\d+/#, with: "ID")
    }
}

/// The decider's task with a pen for frames.
final class Decider {
    var task: FrameTask<ScalingStage>
    private let names = NameTable(namesMax: 10_000)
    private var writer = FrameWriter()
    private var offset: Int64 = 0
    private var last = Sequence.none
    private let sender = TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: 0)
    let setting: TaskSetting
    let settings: ScalingSettings
    var everything: [Written] = []
    var muted = false

    init(
        _ settings: ScalingSettings = ScalingSettings(), partitions: Int32 = 1, partition: Int32 = 0,
        rebuilds: Bool = false
    ) throws {
        self.settings = settings
        setting = TaskSetting(
            task: TaskID(stage: .scalingDecider, inbox: .outlooks, epoch: 1, partition: partition),
            layout: TopicLayout(partitions: partitions), rebuildsFromStart: rebuilds)
        task = try FrameTask<ScalingStage>(setting, settings: settings)
    }

    /// Sends entries in frames of the given sizes (the last size repeats), and returns what was written.
    @discardableResult
    func feed(_ said: [Said], cuts: [Int] = [.max], watermark: Int64? = nil) throws -> [Written] {
        var cut = 0
        var open = 0
        for entry in said {
            append(entry, ordinal: Int64(open))
            open += 1
            if open >= cuts[min(cut, cuts.count - 1)] {
                try send(nil)
                open = 0
                cut += 1
            }
        }
        if open > 0 || watermark != nil {
            try send(
                watermark.map {
                    Heartbeat(watermark: EventTime(seconds: $0), isIdle: false, senders: [sender])
                })
        }
        return take()
    }

    private func append(_ said: Said, ordinal: Int64) {
        let sequence = Sequence(offset: offset, index: ordinal)
        let resource = said.resource.isEmpty ? 0 : names.intern(said.resource) ?? 0
        let object = said.object.isEmpty ? 0 : names.intern(said.object) ?? 0
        let text = Array(said.text.utf8)
        said.numbers.withUnsafeBytes { floats in
            text.withUnsafeBytes { bytes in
                let entry = Entry(
                    kind: said.kind, code: said.code, resource: resource, object: object,
                    time: EventTime(seconds: said.seconds), value: said.value,
                    numbers: FloatSlice(start: floats.baseAddress, count: said.numbers.count), text: bytes)
                if !writer.accepts(said.kind, width: said.numbers.count) { try? send(nil) }
                writer.append(entry, sequence: sequence, previous: last) { self.names.bytes(of: $0) }
            }
        }
        last = sequence
    }

    private func send(_ heartbeat: Heartbeat?) throws {
        let bytes = writer.finish(sender: sender, incarnation: 1, heartbeat: heartbeat)
        try bytes.withUnsafeBytes { try task.receive(InboxRecord(offset: offset, key: nil, value: $0), muted: muted) }
        offset += 1
    }

    /// Delivers frames that a decider wrote into its own inbox.
    func deliver(_ frames: [[UInt8]]) throws {
        for bytes in frames {
            try bytes.withUnsafeBytes {
                try task.receive(InboxRecord(offset: offset, key: nil, value: $0), muted: muted)
            }
            offset += 1
        }
    }

    private func take() -> [Written] {
        task.emitter.cutAll()
        let written = task.emitter.takeOutgoing().map {
            Written(
                topic: $0.topic, partition: $0.partition, key: String(decoding: $0.key ?? [], as: UTF8.self),
                bytes: $0.value ?? [])
        }
        everything += written
        return written
    }

    /// Freezes the task and goes on with one that was restored from the bytes.
    func restart() throws {
        let frozen = task.freeze()
        let sections = frozen.flattened
        task = try Self.restored(sections, setting, settings)
    }

    static func restored(
        _ sections: [(tag: UInt32, bytes: [UInt8])], _ setting: TaskSetting, _ settings: ScalingSettings
    ) throws -> FrameTask<ScalingStage> {
        var copies: [UnsafeMutableRawBufferPointer] = []
        defer { copies.forEach { $0.deallocate() } }
        for section in sections {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(section.bytes.count, 1), alignment: 16)
            copy.copyBytes(from: section.bytes)
            copies.append(copy)
        }
        let reader = StateReader(
            sections: zip(sections, copies).map {
                ($0.tag, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer($1)[..<$0.bytes.count]))
            })
        return try FrameTask<ScalingStage>(setting, settings: settings, restoring: reader)
    }

    var digest: UInt64 { task.freeze().digest }
}

extension [Written] {
    var actions: [Written] { filter { $0.topic == .actions } }
    var decisions: [Written] { filter { $0.kind == "decision" } }
    var results: [Written] { filter { $0.kind == "result" } }
    var desired: [Int] { decisions.compactMap { $0.int("desired") } }
}
