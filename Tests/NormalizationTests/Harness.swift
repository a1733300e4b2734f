import Messages
import Normalization
import StageKit
import TwinCore

/// An output entry with its names as text, comparable.
struct Output: Equatable, CustomStringConvertible {
    var topic: TopicName
    var partition: Int32
    var sequence: Sequence
    var kind: EntryKind
    var code: UInt32
    var resource: String
    var object: String
    var time: Int64
    /// By its bits, so that NaN equals NaN.
    var valueBits: UInt64
    var numbers: [UInt32]
    var text: String

    var value: Double { Double(bitPattern: valueBits) }

    var description: String {
        "\(topic.text)[\(partition)] \(sequence) \(kind) code \(code) \(resource) \(object) \(time) \(value) \(text)"
    }
}

/// One normalizer task with what it wrote, decoded.
final class Harness {
    let task: NormalizerTask
    let inbox: TopicName
    let layout: TopicLayout
    var offset: Int64 = 0
    private(set) var outputs: [Output] = []
    private(set) var heartbeats: [(topic: TopicName, partition: Int32, heartbeat: Heartbeat)] = []
    private(set) var letters: [String] = []
    private let reader = FrameReader()

    init(
        _ inbox: TopicName, partitions: Int32 = 4, settings: NormalizerSettings = NormalizerSettings(),
        namesMax: Int = 1_000_000, restoring frozen: StateWriter? = nil
    ) throws {
        self.inbox = inbox
        layout = TopicLayout(partitions: partitions)
        var setting = TaskSetting(
            task: TaskID(stage: .normalizer, inbox: inbox, epoch: 1, partition: 0), layout: layout)
        setting.namesMax = namesMax
        if let frozen {
            task = try Self.restore(setting, settings, frozen.flattened)
        } else {
            task = try NormalizerTask(setting, settings: settings)
        }
    }

    static func restore(
        _ setting: TaskSetting, _ settings: NormalizerSettings, _ sections: [(tag: UInt32, bytes: [UInt8])]
    ) throws -> NormalizerTask {
        let held = sections.map { section in
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: section.bytes.count, alignment: 64)
            room.copyBytes(from: section.bytes)
            return (tag: section.tag, bytes: UnsafeRawBufferPointer(room))
        }
        defer { for section in held { section.bytes.deallocate() } }
        return try NormalizerTask(setting, settings: settings, restoring: StateReader(sections: held))
    }

    func send(_ value: String?, key: String? = nil, contentType: String? = nil, muted: Bool = false) {
        send(value.map { [UInt8]($0.utf8) }, key: key.map { [UInt8]($0.utf8) }, contentType: contentType, muted: muted)
    }

    func send(_ value: [UInt8]?, key: [UInt8]? = nil, contentType: String? = nil, muted: Bool = false) {
        let header = contentType.map { [UInt8]($0.utf8) }
        Self.borrow(value) { value in
            Self.borrow(key) { key in
                Self.borrow(header) { header in
                    let record = InboxRecord(offset: offset, key: key, value: value, contentType: header)
                    // A normalizer has no fault to throw.
                    try? task.receive(record, muted: muted)
                }
            }
        }
        offset += 1
    }

    private static func borrow(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
        guard let bytes else { return body(nil) }
        // A copy of exactly this size, so that a read beyond it is found by a sanitizer.
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { room.deallocate() }
        room.copyBytes(from: bytes)
        body(UnsafeRawBufferPointer(room))
    }

    /// Cuts all frames and decodes what has been written.
    func collect() throws {
        task.emitter.cutAll()
        for record in task.emitter.takeOutgoing() {
            let value = record.value ?? []
            if record.topic == .deadletters {
                letters.append(String(decoding: value, as: UTF8.self))
                continue
            }
            try value.withUnsafeBytes { bytes in
                try reader.decode(bytes)
                if let heartbeat = reader.heartbeat { heartbeats.append((record.topic, record.partition, heartbeat)) }
                for (entry, sequence) in zip(reader.entries, reader.sequences) {
                    outputs.append(output(entry, sequence, record))
                }
            }
        }
    }

    private func output(_ entry: Entry, _ sequence: Sequence, _ record: OutgoingRecord) -> Output {
        func name(_ index: UInt32) -> String {
            index == 0 ? "" : String(decoding: reader.names[Int(index) - 1], as: UTF8.self)
        }
        return Output(
            topic: record.topic, partition: record.partition, sequence: sequence, kind: entry.kind, code: entry.code,
            resource: name(entry.resource), object: name(entry.object), time: entry.time.milliseconds,
            valueBits: entry.value.bitPattern, numbers: (0..<entry.numbers.count).map { entry.numbers[$0].bitPattern },
            text: String(decoding: entry.text, as: UTF8.self))
    }

    /// The outputs since the last call.
    func take() throws -> [Output] {
        try collect()
        defer { outputs = [] }
        return outputs
    }

    /// What is said to those partitions where the resources live.
    func takeHome() throws -> [Output] { try take().filter { $0.kind != .gone } }

    func takeLetters() throws -> [String] {
        try collect()
        defer { letters = [] }
        return letters
    }

    func takeHeartbeats() throws -> [(topic: TopicName, partition: Int32, heartbeat: Heartbeat)] {
        try collect()
        defer { heartbeats = [] }
        return heartbeats
    }

    func count(_ name: String) -> UInt64 { task.stageCounters.first { $0.name == name }?.value ?? .max }

    func partition(of locality: String) -> Int32 {
        Array(locality.utf8).withUnsafeBytes { TwinCore.partition(of: $0, among: layout[.observations]) }
    }
}

/// Outputs by destination, as a receiver sees them: how frames interleave between destinations does not matter.
func byDestination(_ outputs: [Output]) -> [Output] {
    outputs.enumerated().sorted { a, b in
        (a.element.topic.rawValue, a.element.partition, a.offset)
            < (b.element.topic.rawValue, b.element.partition, b.offset)
    }.map(\.element)
}
