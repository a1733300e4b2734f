import Foundation
import TestKit
import Testing
import TwinCore

@testable import Messages

/// The format read the slow way: fields by position, days by counting years and months.
func naiveISO8601(_ text: String) -> EventTime? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 19, bytes.count <= 64 else { return nil }
    func digits(_ range: Range<Int>) -> Int? {
        guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(String(decoding: bytes[range], as: UTF8.self))
    }
    guard let year = digits(0..<4), bytes[4] == 0x2d, let month = digits(5..<7), bytes[7] == 0x2d,
        let day = digits(8..<10), "Tt ".utf8.contains(bytes[10]), let hour = digits(11..<13), bytes[13] == 0x3a,
        let minute = digits(14..<16), bytes[16] == 0x3a, let second = digits(17..<19)
    else { return nil }
    func isLeap(_ year: Int) -> Bool { year % 400 == 0 || year % 4 == 0 && year % 100 != 0 }
    func length(_ month: Int) -> Int {
        [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }
    guard (1...12).contains(month), (1...length(month)).contains(day), hour < 24, minute < 60, second < 60 else {
        return nil
    }
    var days = 0
    if year >= 1970 {
        for past in 1970..<year { days += isLeap(past) ? 366 : 365 }
    } else {
        for past in year..<1970 { days -= isLeap(past) ? 366 : 365 }
    }
    for past in 1..<month { days += length(past) }
    days += day - 1
    var rest = bytes[19...]
    var milliseconds = 0
    if rest.first == 0x2e {
        let fraction = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
        guard !fraction.isEmpty else { return nil }
        milliseconds = Int(String(decoding: (Array(fraction) + [0x30, 0x30, 0x30]).prefix(3), as: UTF8.self)) ?? 0
        rest = rest.dropFirst(1 + fraction.count)
    }
    var offset = 0
    let zone = Array(rest)
    if zone.count == 6, zone[0] == 0x2b || zone[0] == 0x2d, zone[3] == 0x3a {
        let start = bytes.count - 6
        guard let hours = digits(start + 1..<start + 3), let minutes = digits(start + 4..<start + 6), hours < 24,
            minutes < 60
        else { return nil }
        offset = (hours * 60 + minutes) * (zone[0] == 0x2d ? -1 : 1)
    } else if !zone.isEmpty, zone != [0x5a], zone != [0x7a] {
        return nil
    }
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second
    return EventTime(milliseconds: Int64(seconds * 1_000 + milliseconds))
}

@Suite struct ISO8601Tests {
    private func parse(_ text: String) -> EventTime? { Array(text.utf8).withUnsafeBytes { ISO8601.parse($0) } }

    @Test func `known moments are read`() {
        #expect(parse("1970-01-01T00:00:00Z")?.milliseconds == 0)
        #expect(parse("2026-11-24T12:00:00Z")?.milliseconds == 1_795_521_600_000)
        #expect(parse("2026-11-24T12:00:00.123456789Z")?.milliseconds == 1_795_521_600_123)
        #expect(parse("2026-11-24T12:00:00.5+01:30")?.milliseconds == 1_795_516_200_500)
        #expect(parse("2024-02-29T00:00:00Z") != nil)
        #expect(parse("1969-12-31T23:59:59.999Z")?.milliseconds == -1)
        for refused in [
            "", "2026-11-24", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T23:60:00Z",
            "2026-11-24T23:59:60Z", "2026-11-24T12:00:00.Z", "2026-11-24T12:00:00+1:00", "2026-11-24T12:00:00Z ",
            "2026-11-24T12:00:00+24:00", "2026-11-24X12:00:00Z", "2O26-11-24T12:00:00Z", "-026-11-24T12:00:00Z",
        ] {
            #expect(parse(refused) == nil, "\(refused)")
        }
    }

    @Test(arguments: [UInt64(31)])
    func `reading agrees with the naive reference and undoes writing`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<20_000 {
            let span = -62_167_219_200_000...253_402_300_799_999
            var time = EventTime(milliseconds: Int64(Int.random(in: span, using: &random)))
            if round % 3 == 0 { time = EventTime(seconds: time.milliseconds / 1_000) }
            var bytes: [UInt8] = []
            #expect(ISO8601.write(time, to: &bytes))
            #expect(bytes.withUnsafeBytes { ISO8601.parse($0) } == time, "seed \(seed), round \(round)")
            #expect(naiveISO8601(String(decoding: bytes, as: UTF8.self)) == time, "seed \(seed), round \(round)")
            let index = random.below(bytes.count)
            bytes[index] = random.pick(Array("0123456789-:TZ.+ ".utf8))
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(parse(text) == naiveISO8601(text), "seed \(seed), round \(round): \(text)")
        }
        var bytes: [UInt8] = []
        #expect(!ISO8601.write(.distantPast, to: &bytes) && !ISO8601.write(.distantFuture, to: &bytes) && bytes.isEmpty)
    }
}
