import Foundation
import Messages
import Testing
import TwinCore

/// The published schema against our own codec, by somebody else's compiler.
@Suite("Frames are what topics/schemas/frame.proto says")
struct SchemaTests {
    static let protoc = ["/usr/bin/protoc", "/usr/local/bin/protoc"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    static let schemas = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("topics/schemas").path

    /// What protoc makes of some bytes.
    static func run(_ mode: String, _ input: Data) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(protoc))
        process.arguments = ["-I", schemas, "--\(mode)=twinscale.Frame", "frame.proto"]
        let (inward, outward) = (Pipe(), Pipe())
        process.standardInput = inward
        process.standardOutput = outward
        try process.run()
        try inward.fileHandleForWriting.write(contentsOf: input)
        try inward.fileHandleForWriting.close()
        let output = try outward.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "protoc --\(mode) failed")
        return output
    }

    /// A frame as it is read, in words.
    static func read(_ bytes: Data) throws -> [String] {
        let reader = FrameReader()
        return try bytes.withUnsafeBytes { raw in
            try reader.decode(raw)
            var words = ["\(reader.header)", "\(String(describing: reader.heartbeat))", "\(reader.acceptsGap)"]
            for (entry, sequence) in zip(reader.entries, reader.sequences) {
                let names = [entry.resource, entry.object].map { index in
                    index == 0 ? "-" : String(decoding: reader.names[Int(index) - 1], as: UTF8.self)
                }
                let numbers = [UInt8](entry.numbers.bytes)
                words.append(
                    "\(sequence) \(entry.kind) \(entry.code) \(names) \(entry.time.milliseconds) "
                        + "\(entry.value.bitPattern) \(numbers) \([UInt8](entry.text))")
            }
            return words
        }
    }

    /// A frame with entries of several kinds; the first of them, or the one before, has offset 0.
    static func frame(entries: Int, previous: Sequence) -> Data {
        let sender = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 3, partition: 2)
        var writer = FrameWriter()
        let names = (0..<5).map { index -> UnsafeRawBufferPointer in
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 6, alignment: 1)
            room.copyBytes(from: "name-\(index)".utf8)
            return UnsafeRawBufferPointer(room)
        }
        defer { for name in names { name.deallocate() } }
        var last = previous
        for index in 0..<entries {
            let kinds: [EntryKind] = [.sample, .forecast, .tags, .gone]
            var entry = Entry(kind: kinds[index % 4], code: UInt32(index), time: EventTime(seconds: Int64(index) - 9))
            entry.resource = UInt32(index % 5)
            entry.object = UInt32((index + 1) % 5)
            entry.value = index % 3 == 0 ? .nan : Double(index) / 7
            let sequence = Sequence(offset: last.offset + Int64(index == 0 || index % 2 == 1 ? 1 : 0), index: 0)
            let next = sequence.offset == last.offset ? Sequence(offset: last.offset, index: last.index + 1) : sequence
            let numbers: [Float] = entry.kind == .forecast ? [1.5, .infinity] : []
            numbers.withUnsafeBytes { floats in
                entry.numbers = FloatSlice(start: floats.baseAddress, count: numbers.count)
                let text = entry.kind == .tags ? Array("{\"a\":\(index)}".utf8) : []
                text.withUnsafeBytes { bytes in
                    entry.text = bytes
                    writer.append(entry, sequence: next, previous: last) { names[Int($0)] }
                }
            }
            last = next
        }
        let beat = Heartbeat(watermark: EventTime(milliseconds: -5), isIdle: entries == 0, senders: [sender, sender])
        return Data(writer.finish(sender: sender, incarnation: 2, heartbeat: beat, lastSent: last))
    }

    @Test(
        "protoc reads our frames, and what it writes of them we read as before",
        .enabled(if: SchemaTests.protoc != nil, "protoc is not installed (Debian: protobuf-compiler)"),
        arguments: [0, 1, 2, 50], [Sequence.none, Sequence(offset: 0, index: 0), Sequence(offset: 0, index: 4)])
    func roundTrip(entries: Int, previous: Sequence) throws {
        let ours = Self.frame(entries: entries, previous: previous)
        let text = try Self.run("decode", ours)
        let words = String(decoding: text, as: UTF8.self)
        #expect(words.contains("previous_offset: \(previous.offset)\n"))
        let unnamed = words.split(separator: "\n").filter { $0.drop { $0 == " " }.first?.isNumber == true }
        #expect(unnamed == [], "fields that the schema does not name")
        #expect(try Self.read(Self.run("encode", text)) == Self.read(ours))
    }

    @Test(
        "An acceptance of a gap as well", .enabled(if: SchemaTests.protoc != nil, "protoc is not installed"))
    func acceptance() throws {
        let sender = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)
        let ours = Data(FrameWriter.gapAcceptance(sender: sender, after: Sequence(offset: 0, index: 3)))
        let text = try Self.run("decode", ours)
        #expect(String(decoding: text, as: UTF8.self).contains("accepts_gap: true"))
        #expect(try Self.read(Self.run("encode", text)) == Self.read(ours))
    }
}
