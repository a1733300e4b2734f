import Foundation
import TestKit
import Testing
import TwinCore

@testable import Messages

@Suite struct JSONWriterTests {
    @Test func `a document is written with its commas`() {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("a")
        writer.beginArray()
        writer.int(-1)
        writer.double(0.5)
        writer.double(.nan)
        writer.bool(true)
        writer.null()
        writer.beginObject()
        writer.endObject()
        writer.endArray()
        writer.key("é\"")
        writer.string("\u{1}\n\t\\\"/é😀\u{7f}" as String)
        writer.key("t")
        writer.time(EventTime(milliseconds: 1_795_521_600_120))
        writer.key("raw")
        Array("[1, 2]".utf8).withUnsafeBytes { writer.raw($0) }
        writer.key("u")
        writer.unsigned(.max)
        writer.key("never")
        writer.time(.distantFuture)
        writer.endObject()
        writer.endLine()
        writer.beginArray()
        writer.endArray()
        let expected =
            #"{"a":[-1,0.5,null,true,null,{}],"é\"":"\u0001\n\t\\\"/é😀"# + "\u{7f}"
            + #"","t":"2026-11-24T12:00:00.120Z","raw":[1, 2],"u":18446744073709551615,"never":null}"# + "\n[]"
        #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
        writer.removeAll()
        #expect(writer.bytes.isEmpty && writer.byteCount == 0)
    }

    @Test(arguments: [UInt64(51)])
    func `any bytes become a string that Foundation reads as repaired UTF-8`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var writer = JSONWriter()
        for round in 0..<5_000 {
            var bytes = (0..<random.below(24)).map { _ in UInt8(random.below(256)) }
            if round % 2 == 0 {
                bytes = Array(String((0..<8).map { _ in random.pick(Array("aé漢😀\"\\\n\u{0}")) }).utf8)
            }
            writer.removeAll()
            writer.beginArray()
            bytes.withUnsafeBytes { writer.string($0) }
            writer.endArray()
            let read = try JSONDecoder().decode([String].self, from: Data(writer.bytes))[0]
            if let text = String(validating: bytes, as: UTF8.self) {
                #expect(read == text, "seed \(seed), round \(round)")
            } else {
                #expect(read.unicodeScalars.contains("\u{fffd}"), "seed \(seed), round \(round)")
            }
        }
    }

    @Test(arguments: [UInt64(61)])
    func `decimals are plain, shortest and read back as the same`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<40_000 {
            let value: Double
            switch round % 5 {
            case 0: value = Double(bitPattern: random.next())
            case 1: value = Double(random.below(1_000_000)) / [1, 10, 100, 1_000, 1e6, 1e9][random.below(6)]
            case 2: value = Double.random(in: -1e6...1e6, using: &random)
            case 3: value = Double(Int64(truncatingIfNeeded: random.next()) >> Int64(random.below(60)))
            default: value = Double.random(in: 0...1, using: &random) * 1e-12
            }
            var plain: [UInt8] = []
            PlainDecimal.append(value, to: &plain)
            let text = String(decoding: plain, as: UTF8.self)
            guard value.isFinite else {
                #expect(text == (value.isNaN ? "nan" : value < 0 ? "-inf" : "inf"))
                continue
            }
            #expect(Double(text)?.bitPattern == value.bitPattern, "seed \(seed), round \(round): \(value) \(text)")
            #expect(!text.contains("e"))
            func digits(_ text: String) -> String {
                let mantissa = text.prefix { $0 != "e" }.filter { $0.isNumber }
                let tail = mantissa.reversed().drop { $0 == "0" }
                return String(tail.reversed().drop { $0 == "0" })
            }
            #expect(digits(text) == digits(value.description), "seed \(seed), round \(round): \(value) \(text)")
            var buffer = ByteBuffer()
            let isWritten = PlainDecimal.appendJSON(value, to: &buffer)
            #expect(isWritten)
            let json = [UInt8](buffer.bytes)
            #expect(StrictJSON.accepts(json, depthMax: 1))
            #expect(Double(String(decoding: json, as: UTF8.self))?.bitPattern == value.bitPattern)
        }
        for (value, text) in [
            (0.0, "0"), (-0.0, "-0"), (1, "1"), (-2.5, "-2.5"), (1e21, "1000000000000000000000"), (1e-7, "0.0000001"),
            (5e15, "5000000000000000"), (1.5e-10, "0.00000000015"), (123456789.125, "123456789.125"),
        ] {
            var plain: [UInt8] = []
            PlainDecimal.append(value, to: &plain)
            #expect(String(decoding: plain, as: UTF8.self) == text)
        }
    }
}
