import Messages
import StageKit
import TwinCore

/// A small seeded generator (SplitMix64) for the tests.
struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// In 0..<1.
    mutating func uniform() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
}

/// An entry with names and numbers of its own, as tests make and compare them.
struct TestEntry: Equatable {
    var kind: EntryKind
    var code: UInt32 = 0
    var resource = ""
    var object = ""
    var time: Int64 = 0
    var value = 0.0
    var numbers: [Float] = []
    var text = ""

    /// A forecast whose mean goes from `value` now by `change` (relative) over the hour, in a straight line.
    static func forecast(
        _ resource: String, _ metric: String = "rps", time: Int64 = 0, value: Double, change: Double = 0,
        horizons: [Int] = [60, 300, 900, 1_800, 3_600], role: MetricRole = .demand, quality: DataQuality = .fresh,
        young: Bool = false
    ) -> TestEntry {
        var numbers: [Float] = [0, 0, 60, Float(horizons.count), .nan, 1_000, .nan]
        for horizon in horizons {
            let mean = value * (1 + change * Double(horizon) / 3_600)
            numbers.append(Float(horizon))
            numbers.append(Float(mean))
            for step in 0..<6 { numbers.append(Float(mean * (0.9 + 0.05 * Double(step)))) }
        }
        return TestEntry(
            kind: .forecast,
            code: ForecastCode(quality: quality, role: role, isDistrusted: false, isYoung: young).raw,
            resource: resource, object: metric, time: time, value: value, numbers: numbers)
    }

    static func interaction(
        _ source: String, _ target: String, _ rate: Double, time: Int64 = 0, otherEnd: Int32 = 0
    ) -> TestEntry {
        TestEntry(
            kind: .interaction, code: UInt32(bitPattern: otherEnd), resource: source, object: target, time: time,
            value: rate, numbers: [.nan, .nan])
    }

    /// Horizons, means and influence of an outlook.
    var horizonCount: Int { numbers.count > 3 ? Int(numbers[3]) : 0 }
    func mean(_ horizon: Int) -> Double { Double(numbers[ForecastNumbers.block(horizon) + 1]) }
    func influence(_ horizon: Int) -> Double {
        Double(numbers[ForecastNumbers.influence(horizon, of: horizonCount)])
    }
}

/// Cuts entries into frames as one sender would.
struct TestSender {
    let task: TaskID
    private let names = NameTable(namesMax: 100_000)
    private var previous = Sequence.none
    private var offset: Int64 = 0

    init(task: TaskID) { self.task = task }

    mutating func frame(_ entries: [TestEntry], heartbeat: EventTime? = nil) -> [UInt8] {
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
    mutating func frames(_ entries: [TestEntry], most: (Int) -> Int) -> [[UInt8]] {
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
final class TestRun<S: Stage & ~Copyable> {
    let task: FrameTask<S>
    private var offset: Int64 = 0
    /// Frames to other partitions of the inbox, as they would be produced.
    var outgoing: [(partition: Int32, bytes: [UInt8])] = []
    private(set) var entries: [(topic: TopicName, partition: Int32, entry: TestEntry)] = []

    init(_ setting: TaskSetting, settings: S.Settings, from writer: StateWriter? = nil, offset: Int64 = 0) throws {
        guard let writer else {
            task = try FrameTask(setting, settings: settings)
            return
        }
        self.offset = offset
        task = try Self.restored(setting, settings: settings, sections: writer.flattened)
    }

    static func restored(
        _ setting: TaskSetting, settings: S.Settings, sections: [(tag: UInt32, bytes: [UInt8])]
    ) throws -> FrameTask<S> {
        let joined = sections.flatMap(\.bytes)
        return try joined.withUnsafeBytes { all in
            var start = 0
            var parts: [(tag: UInt32, bytes: UnsafeRawBufferPointer)] = []
            for section in sections {
                parts.append((
                    section.tag, UnsafeRawBufferPointer(rebasing: all[start..<(start + section.bytes.count)])))
                start += section.bytes.count
            }
            return try FrameTask<S>(setting, settings: settings, restoring: StateReader(sections: parts))
        }
    }

    var nextOffset: Int64 { offset }

    func receive(_ frames: [[UInt8]]) throws {
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
            if record.topic == .deadletters { continue }
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

    func counter(_ name: String) -> UInt64 { task.stageCounters.first { $0.name == name }?.value ?? 0 }
}
