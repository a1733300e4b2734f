import Messages
import StageKit
import TwinCore

/// An entry with names and numbers of its own, as tests make and compare them.
package struct TestEntry: Equatable {
    package var kind: EntryKind
    package var code: UInt32 = 0
    package var resource = ""
    package var object = ""
    package var time: Int64 = 0
    package var value = 0.0
    package var numbers: [Float] = []
    package var text = ""

    package init(
        kind: EntryKind, code: UInt32 = 0, resource: String = "", object: String = "", time: Int64 = 0,
        value: Double = 0,
        numbers: [Float] = [], text: String = ""
    ) {
        self.kind = kind
        self.code = code
        self.resource = resource
        self.object = object
        self.time = time
        self.value = value
        self.numbers = numbers
        self.text = text
    }
}

/// Cuts entries into frames as one sender would.
package struct TestSender {
    package let task: TaskID
    private let names = NameTable(namesMax: 100_000)
    private var previous = Sequence.none
    private var offset: Int64 = 0

    package init(task: TaskID) { self.task = task }

    package mutating func frame(_ entries: [TestEntry], heartbeat: EventTime? = nil) -> [UInt8] {
        var writer = FrameWriter()
        for entry in entries {
            let sequence = Sequence(offset: offset, index: 0)
            offset += 1
            let names = self.names
            entry.numbers.withUnsafeBytes { floats in
                entry.text.utf8CString.withUnsafeBytes { text in
                    let made = Entry(
                        kind: entry.kind, code: entry.code,
                        resource: entry.resource.isEmpty ? 0 : names.intern(entry.resource) ?? 0,
                        object: entry.object.isEmpty ? 0 : names.intern(entry.object) ?? 0,
                        time: EventTime(milliseconds: entry.time), value: entry.value,
                        numbers: FloatSlice(start: floats.baseAddress, count: entry.numbers.count),
                        text: UnsafeRawBufferPointer(rebasing: text[..<entry.text.utf8.count]))
                    writer.append(made, sequence: sequence, previous: previous) { names.bytes(of: $0) }
                }
            }
            previous = sequence
        }
        let heard = heartbeat.map { Heartbeat(watermark: $0, isIdle: false, senders: [task]) }
        return writer.finish(sender: task, incarnation: 1, heartbeat: heard)
    }

    /// Frames cut so that the entries of a kind in one frame have equally many numbers, at most `most` entries each.
    package mutating func frames(_ entries: [TestEntry], most: (Int) -> Int) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var open: [TestEntry] = []
        var limit = most(0)
        for entry in entries {
            let fits = open.allSatisfy { $0.kind != entry.kind || $0.numbers.count == entry.numbers.count }
            if !open.isEmpty && (open.count >= limit || !fits) {
                frames.append(frame(open))
                open = []
                limit = max(most(frames.count), 1)
            }
            open.append(entry)
        }
        if !open.isEmpty { frames.append(frame(open)) }
        return frames
    }
}

/// Runs a stage as the worker does and collects what it writes.
package final class TestRun<S: Stage & ~Copyable> {
    package let task: FrameTask<S>
    private var offset: Int64 = 0
    /// Frames to other partitions of the inbox, as they would be produced.
    package var outgoing: [(partition: Int32, bytes: [UInt8])] = []
    /// Documents for those outside.
    package private(set) var json: [(topic: TopicName, partition: Int32, key: String, text: String)] = []
    package private(set) var entries: [(topic: TopicName, partition: Int32, entry: TestEntry)] = []

    package init(
        _ setting: TaskSetting, settings: S.Settings, from writer: StateWriter? = nil, offset: Int64 = 0
    ) throws {
        guard let writer else {
            task = try FrameTask(setting, settings: settings)
            return
        }
        self.offset = offset
        task = try Self.restored(setting, settings: settings, sections: writer.flattened)
    }

    package static func restored(
        _ setting: TaskSetting, settings: S.Settings, sections: [(tag: UInt32, bytes: [UInt8])]
    ) throws -> FrameTask<S> {
        let joined = sections.flatMap(\.bytes)
        return try joined.withUnsafeBytes { all in
            var start = 0
            var parts: [(tag: UInt32, bytes: UnsafeRawBufferPointer)] = []
            for section in sections {
                parts.append(
                    (
                        section.tag, UnsafeRawBufferPointer(rebasing: all[start..<(start + section.bytes.count)])
                    ))
                start += section.bytes.count
            }
            return try FrameTask<S>(setting, settings: settings, restoring: StateReader(sections: parts))
        }
    }

    package var nextOffset: Int64 { offset }

    package func receive(_ frames: [[UInt8]]) throws {
        for frame in frames {
            try frame.withUnsafeBytes {
                try task.receive(InboxRecord(offset: offset, key: nil, value: $0), muted: false)
            }
            offset += 1
        }
        collect()
    }

    private func collect() {
        task.emitter.cutAll()
        for record in task.emitter.takeOutgoing() {
            guard let value = record.value else { continue }
            if record.topic == .drift || record.topic == .deadletters {
                json.append(
                    (
                        record.topic, record.partition, String(decoding: record.key ?? [], as: UTF8.self),
                        String(decoding: value, as: UTF8.self)
                    ))
                continue
            }
            if record.topic == .forecasts { outgoing.append((record.partition, value)) }
            let reader = FrameReader()
            value.withUnsafeBytes { bytes in
                guard (try? reader.decode(bytes)) != nil else { return }
                for entry in reader.entries {
                    entries.append((record.topic, record.partition, Self.copy(entry, reader.names)))
                }
            }
        }
    }

    private static func copy(_ entry: Entry, _ names: [UnsafeRawBufferPointer]) -> TestEntry {
        func name(_ reference: UInt32) -> String {
            reference == 0 ? "" : String(decoding: names[Int(reference) - 1], as: UTF8.self)
        }
        return TestEntry(
            kind: entry.kind, code: entry.code, resource: name(entry.resource), object: name(entry.object),
            time: entry.time.milliseconds, value: entry.value,
            numbers: (0..<entry.numbers.count).map { entry.numbers[$0] },
            text: String(decoding: entry.text, as: UTF8.self))
    }

    package func counter(_ name: String) -> UInt64 { task.stageCounters.first { $0.name == name }?.value ?? 0 }
}
