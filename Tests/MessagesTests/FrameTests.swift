import Messages
import Testing
import TwinCore

@Suite("Frames")
struct FrameTests {
    struct Row: Equatable {
        var kind: EntryKind
        var code: UInt32
        var resource: String
        var object: String
        var time: Int64
        var value: UInt64
        var numbers: [Float]
        var text: [UInt8]
        var sequence: Sequence
    }

    struct Chance {
        var state: UInt64
        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
    }

    let sender = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 2, partition: 5)

    func rows(_ chance: inout Chance, count: Int) -> [Row] {
        var sequence = Sequence(offset: Int64(chance.next(1_000)), index: Int64(chance.next(3)))
        return (0..<count).map { _ in
            let kind = EntryKind.allCases[chance.next(EntryKind.allCases.count)]
            let width = [0, 2, 0, 3][Int(kind.rawValue) % 4]
            let row = Row(
                kind: kind, code: UInt32(chance.next(2) * chance.next(1 << 30)),
                resource: chance.next(5) == 0 ? "" : "r\(chance.next(40))",
                object: chance.next(3) == 0 ? "" : "m\(chance.next(5))",
                time: Int64(chance.next(1 << 30)) - (1 << 29),
                value: UInt64(chance.next(1 << 30)) << UInt64(chance.next(33)),
                numbers: (0..<width).map { _ in Float(bitPattern: UInt32(chance.next(1 << 30))) },
                text: (0..<(chance.next(3) * chance.next(20))).map { _ in UInt8(chance.next(256)) }, sequence: sequence)
            if chance.next(2) == 0 {
                sequence.index += 1
            } else {
                sequence = Sequence(offset: sequence.offset + Int64(1 + chance.next(1_000)), index: 0)
            }
            return row
        }
    }

    /// Writes rows into one frame, with a table of names of its own.
    func write(_ rows: [Row], previous: Sequence = .none, heartbeat: Heartbeat? = nil) -> [UInt8] {
        var names: [[UInt8]] = [[]]
        func number(_ name: String) -> UInt32 {
            if name.isEmpty { return 0 }
            let bytes = Array(name.utf8)
            if let found = names.firstIndex(of: bytes) { return UInt32(found) }
            names.append(bytes)
            return UInt32(names.count - 1)
        }
        for row in rows {
            _ = number(row.resource)
            _ = number(row.object)
        }
        var writer = FrameWriter()
        var last = previous
        for row in rows {
            row.numbers.withUnsafeBytes { numbers in
                row.text.withUnsafeBytes { text in
                    let entry = Entry(
                        kind: row.kind, code: row.code, resource: number(row.resource), object: number(row.object),
                        time: EventTime(milliseconds: row.time), value: Double(bitPattern: row.value),
                        numbers: FloatSlice(start: numbers.baseAddress, count: row.numbers.count), text: text)
                    writer.append(entry, sequence: row.sequence, previous: last) { name in
                        names[Int(name)].withUnsafeBytes { UnsafeRawBufferPointer($0) }
                    }
                }
            }
            last = row.sequence
        }
        return writer.finish(sender: sender, incarnation: 3, heartbeat: heartbeat)
    }

    func read(_ reader: FrameReader, _ bytes: [UInt8]) throws -> [Row] {
        try bytes.withUnsafeBytes { buffer in
            try reader.decode(buffer)
            func name(_ reference: UInt32) -> String {
                reference == 0 ? "" : String(decoding: reader.names[Int(reference) - 1], as: UTF8.self)
            }
            return zip(reader.entries, reader.sequences).map { entry, sequence in
                Row(
                    kind: entry.kind, code: entry.code, resource: name(entry.resource), object: name(entry.object),
                    time: entry.time.milliseconds, value: entry.value.bitPattern,
                    numbers: (0..<entry.numbers.count).map { entry.numbers[$0] }, text: Array(entry.text),
                    sequence: sequence)
            }
        }
    }

    @Test("Rows come out as they went in, whatever their kinds", arguments: 1...60 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var chance = Chance(state: seed)
        let rows = rows(&chance, count: 1 + chance.next(200))
        let previous = Sequence(offset: -1, index: 0)
        let reader = FrameReader()
        let bytes = write(rows, previous: previous)
        #expect(try read(reader, bytes) == rows, "seed \(seed)")
        #expect(reader.header.sender == sender && reader.header.incarnation == 3)
        #expect(reader.header.first == rows[0].sequence && reader.header.last == rows[rows.count - 1].sequence)
        #expect(try read(reader, bytes) == rows, "a reader is reused")
    }

    @Test("A pure heartbeat carries no entries")
    func heartbeat() throws {
        let beat = Heartbeat(watermark: EventTime(milliseconds: -5), isIdle: true, senders: [sender, sender])
        let reader = FrameReader()
        #expect(try read(reader, write([], heartbeat: beat)).isEmpty)
        #expect(reader.heartbeat == beat)
    }

    @Test("Damaged frames are refused or read as something, and never crash", arguments: 1...40 as ClosedRange<UInt64>)
    func damaged(seed: UInt64) {
        var chance = Chance(state: seed)
        let whole = write(rows(&chance, count: 30))
        let reader = FrameReader()
        for _ in 0..<400 {
            var bytes = whole
            for _ in 0...chance.next(4) {
                switch chance.next(4) {
                case 0: bytes[chance.next(bytes.count)] ^= UInt8(1 << chance.next(8))
                case 1: bytes.removeLast(min(bytes.count - 1, chance.next(20)))
                case 2: bytes.insert(UInt8(chance.next(256)), at: chance.next(bytes.count))
                default: bytes[chance.next(bytes.count)] = 0xff
                }
            }
            _ = try? read(reader, bytes)
        }
        #expect(throws: WireError.self) { _ = try read(reader, Array("not a frame".utf8)) }
        #expect(throws: WireError.self) { _ = try read(reader, []) }
    }
}
