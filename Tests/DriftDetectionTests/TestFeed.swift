import Messages
import StageKit
import TwinCore

/// A small seeded generator (SplitMix64) with the distributions that the tests need.
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

    /// Standard normal, by the polar method (Marsaglia): no tables, only a logarithm and a root.
    mutating func normal() -> Double {
        while true {
            let a = 2 * uniform() - 1
            let b = 2 * uniform() - 1
            let square = a * a + b * b
            if square > 0 && square < 1 { return a * (-2 * naturalLogarithm(square) / square).squareRoot() }
        }
    }

    /// Student t.
    mutating func student(_ degrees: Int) -> Double {
        let top = normal()
        var squares = 0.0
        for _ in 0..<degrees {
            let x = normal()
            squares += x * x
        }
        return top / (squares / Double(degrees)).squareRoot()
    }
}

/// ln x for x > 0: exponent, and the series of artanh for the significand.
func naturalLogarithm(_ x: Double) -> Double {
    let significand = x.significand
    let t = (significand - 1) / (significand + 1)
    let square = t * t
    var term = t
    var sum = 0.0
    var odd = 1.0
    for _ in 0..<30 {
        sum += term / odd
        term *= square
        odd += 2
    }
    return 2 * sum + Double(x.exponent) * 0.693_147_180_559_945_3
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

    static func forecast(
        _ resource: String, _ metric: String = "rps", time: Int64, value: Double, residual: Float, samples: Float,
        quality: DataQuality = .fresh, distrusted: Bool = false, young: Bool = false
    ) -> TestEntry {
        TestEntry(
            kind: .forecast,
            code: ForecastCode(quality: quality, role: .demand, isDistrusted: distrusted, isYoung: young).raw,
            resource: resource, object: metric, time: time, value: value,
            numbers: [residual, residual, 60, 0, .nan, samples, .nan])
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
    private(set) var json: [(topic: TopicName, partition: Int32, key: String, text: String)] = []
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
            if record.topic == .drift || record.topic == .deadletters {
                json.append((
                    record.topic, record.partition, String(decoding: record.key ?? [], as: UTF8.self),
                    String(decoding: value, as: UTF8.self)))
                continue
            }
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
