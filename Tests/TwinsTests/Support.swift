import Messages
import StageKit
import TwinCore
import Twins

/// One input entry, with names as text.
struct Input {
    var kind: EntryKind
    var code: UInt32 = 0
    var resource = ""
    var object = ""
    var seconds: Double = 0
    var value: Double = 0
    var text = ""
    /// A watermark rather than an entry, in seconds.
    var watermark: Double?

    static func sample(
        _ resource: String, _ metric: String, _ seconds: Double, _ value: Double, _ role: MetricRole = .demand,
        isCounter: Bool = false
    ) -> Input {
        Input(
            kind: .sample, code: SampleCode(role: role, isCounter: isCounter).raw, resource: resource, object: metric,
            seconds: seconds, value: value)
    }

    static func outcome(_ resource: String, _ seconds: Double, _ ready: Double) -> Input {
        Input(
            kind: .outcome, resource: resource, seconds: seconds, value: ready,
            text: #"{"action":"scaling-decider-outlooks-1-0-7-0-a0","status":"ready"}"#)
    }

    static func watermark(_ seconds: Double) -> Input { Input(kind: .watermark, watermark: seconds) }
}

/// One output entry, copied out of its frame.
struct Output: Equatable {
    var kind: EntryKind
    var code: UInt32
    var resource: String
    var object: String
    var milliseconds: Int64
    var value: UInt64
    var numbers: [UInt32]
    var text: String

    var level: Double { Double(bitPattern: value) }
    func number(_ index: Int) -> Float { Float(bitPattern: numbers[index]) }
    func mean(_ horizon: Int) -> Float { number(ForecastNumbers.block(horizon) + 1) }
    func quantile(_ horizon: Int, _ level: Int) -> Float { number(ForecastNumbers.block(horizon) + 2 + level) }
    var quality: DataQuality { ForecastCode(raw: code).quality }
}

/// A record of `twins`.
struct Summary: Equatable {
    var key: String
    var json: String?
}

/// Drives one task of the twin-updater with frames and reads what it writes.
final class Harness {
    /// Noon-free start: 2023-11-14T22:13:20Z is no boundary of anything.
    static let start: Double = 1_700_000_000

    let task: FrameTask<TwinStage>
    private(set) var entries: [Output] = []
    private(set) var summaries: [Summary] = []
    private let names = NameTable(namesMax: 100_000)
    private let sender = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0)
    private var writer = FrameWriter()
    private var offset: Int64 = 0
    private var previous = Sequence.none
    private var sequence = Sequence.none

    init(
        _ settings: TwinSettings = TwinSettings(), restoring frozen: StateWriter? = nil, like other: Harness? = nil
    )
        throws
    {
        let id = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 1)
        let setting = TaskSetting(task: id, layout: TopicLayout(partitions: 4))
        if let frozen {
            let flat = frozen.flattened
            let room = flat.map { section in
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: section.bytes.count, alignment: 64)
                copy.copyBytes(from: section.bytes)
                return (tag: section.tag, bytes: UnsafeRawBufferPointer(copy))
            }
            defer { for section in room { section.bytes.deallocate() } }
            task = try FrameTask(setting, settings: settings, restoring: StateReader(sections: room))
        } else {
            task = try FrameTask(setting, settings: settings)
        }
        if let other {
            offset = other.offset
            previous = other.previous
            sequence = other.sequence
        }
    }

    /// Feeds inputs, `cut` of them per frame at most.
    func feed(_ inputs: [Input], cut: () -> Int = { 1_000_000 }) throws {
        var left = cut()
        for input in inputs {
            append(input)
            left -= 1
            if left <= 0 || writer.count > 5_000 {
                try send()
                left = cut()
            }
        }
        try send()
    }

    private func append(_ input: Input) {
        var entry = Entry(
            kind: input.kind, code: input.code,
            time: EventTime(milliseconds: Int64(((input.watermark ?? input.seconds) * 1_000).rounded())),
            value: input.value)
        entry.resource = names.intern(input.resource) ?? 0
        entry.object = names.intern(input.object) ?? 0
        let before = writer.count == 0 ? sequence : previous
        sequence = Sequence(offset: sequence.offset + 1, index: 0)
        var text = input.text
        text.withUTF8 { bytes in
            entry.text = UnsafeRawBufferPointer(bytes)
            writer.append(entry, sequence: sequence, previous: before) { self.names.bytes(of: $0) }
        }
        previous = before
    }

    private func send() throws {
        guard writer.count > 0 else { return }
        let bytes = writer.finish(sender: sender, incarnation: 1)
        try bytes.withUnsafeBytes { value in
            try task.receive(InboxRecord(offset: offset, key: nil, value: value), muted: false)
        }
        offset += 1
        collect()
    }

    private func collect() {
        task.emitter.cutAll()
        let reader = FrameReader()
        for record in task.emitter.takeOutgoing() {
            if record.topic == .twins {
                summaries.append(
                    Summary(
                        key: String(decoding: record.key ?? [], as: UTF8.self),
                        json: record.value.map { String(decoding: $0, as: UTF8.self) }))
                continue
            }
            guard let value = record.value else { continue }
            value.withUnsafeBytes { bytes in
                do { try reader.decode(bytes) } catch { preconditionFailure("frame: \(error)") }
                for entry in reader.entries { entries.append(copy(entry, reader)) }
            }
        }
    }

    private func copy(_ entry: Entry, _ reader: FrameReader) -> Output {
        func name(_ index: UInt32) -> String {
            index == 0 ? "" : String(decoding: reader.names[Int(index) - 1], as: UTF8.self)
        }
        return Output(
            kind: entry.kind, code: entry.code, resource: name(entry.resource), object: name(entry.object),
            milliseconds: entry.time.milliseconds, value: entry.value.bitPattern,
            numbers: (0..<entry.numbers.count).map { entry.numbers[$0].bitPattern },
            text: String(decoding: entry.text, as: UTF8.self))
    }

    func forget() {
        entries = []
        summaries = []
    }

    var forecasts: [Output] { entries.filter { $0.kind == .forecast } }

    func count(_ name: String) -> UInt64 { task.stageCounters.first { $0.name == name }?.value ?? .max }
}
