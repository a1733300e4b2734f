import Foundation
import Glibc
import Testing
import TwinCore

@testable import Runtime

@Suite("Time zones by name")
struct TimeZoneFileTests {
    private static let berlin = "CET-1CEST,M3.5.0,M10.5.0/3"

    /// A directory of zones that goes away with the test.
    private final class Zones {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("zones-\(UUID().uuidString)").path

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        }

        func read(_ name: String) throws(TimeZoneError) -> LocalTime { try LocalTime(zone: name, directory: path) }
    }

    /// A file of RFC 8536, version 2: both blocks know one transition between two types, then comes the rule.
    private static func file(rule: String) -> [UInt8] {
        func word(_ value: Int, _ count: Int = 4) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        func block(_ timeBytes: Int) -> [UInt8] {
            var bytes = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
            for count in [0, 0, 0, 1, 2, 9] { bytes += word(count) }
            bytes += word(1_774_746_000, timeBytes) + [1]
            bytes += word(3_600) + [0, 0] + word(7_200) + [1, 4]
            return bytes + Array("CET\0CEST\0".utf8)
        }
        return block(4) + block(8) + Array("\n\(rule)\n".utf8)
    }

    @Test("A file's last line is the rule, and the clock turns when it says")
    func rule() throws {
        let zones = try Zones()
        try zones.write("Berlin", Self.file(rule: Self.berlin))
        let zone = try zones.read(" Berlin ")
        #expect(zone == LocalTime(posix: Self.berlin))
        // 2026-03-29T01:00:00Z and 2026-10-25T01:00:00Z.
        for (moment, before, after) in [(1_774_746_000, 1, 2), (1_792_890_000, 2, 1)] as [(Int64, Int64, Int64)] {
            #expect(zone.offset(at: moment * 1_000 - 1) == before * 3_600_000)
            #expect(zone.offset(at: moment * 1_000) == after * 3_600_000)
        }
    }

    @Test("A rule needs no file, and nothing is UTC", arguments: ["", "UTC", berlin, "<+0330>-3:30", "EST5"])
    func withoutFile(text: String) throws {
        let zone = try LocalTime(zone: text, directory: "/nowhere")
        #expect(zone == (text.contains(where: \.isNumber) ? LocalTime(posix: text) : .utc))
    }

    @Test("A file that is cut off is refused wherever it ends, and a byte that is wrong never crashes")
    func damaged() throws {
        let zones = try Zones()
        let whole = Self.file(rule: Self.berlin)
        for count in 0..<whole.count {
            try zones.write("cut", Array(whole[..<count]))
            #expect(throws: TimeZoneError.self, "\(count) bytes") { try zones.read("cut") }
        }
        for index in whole.indices {
            for byte in [0, 10, 44, 57, 255] as [UInt8] {
                var wrong = whole
                wrong[index] = byte
                try zones.write("wrong", wrong)
                let zone = try? zones.read("wrong")
                #expect(zone != nil || index < 4 || index > whole.count - Self.berlin.utf8.count - 3)
            }
        }
    }

    @Test(
        "A file without a rule that is understood is refused",
        arguments: ["", "CET-1CEST,J60,J300", "CET", "\0\0\0", "CET-1CEST,M3.5.0,M10.5.0/3\n"])
    func withoutRule(rule: String) throws {
        let zones = try Zones()
        try zones.write("zone", Self.file(rule: rule))
        #expect(throws: TimeZoneError.self) { try zones.read("zone") }
    }

    @Test("A file larger than any of the database is not read to its end for a rule")
    func large() throws {
        let zones = try Zones()
        try zones.write("large", Self.file(rule: Self.berlin) + [UInt8](repeating: 0, count: 1 << 20))
        #expect(throws: TimeZoneError.self) { try zones.read("large") }
    }

    @Test(
        "What is no name of a zone reaches no file",
        arguments: ["../zone", "/etc/passwd", "zone\0", "Europe/Nowhere", "zone name", "Europe", "CET-1CEST,M3.5.0"])
    func refused(name: String) throws {
        let zones = try Zones()
        try zones.write("zone", Self.file(rule: Self.berlin))
        #expect(throws: TimeZoneError.self) { try zones.read(name) }
    }

    @Test("The machine's database knows the rules of today", .enabled(if: access("/usr/share/zoneinfo/UTC", R_OK) == 0))
    func database() throws {
        #expect(try LocalTime(zone: "Europe/Berlin") == LocalTime(posix: Self.berlin))
        #expect(try LocalTime(zone: "America/New_York") == LocalTime(posix: "EST5EDT,M3.2.0,M11.1.0"))
        #expect(try LocalTime(zone: "Etc/GMT+5").offset(at: 0) == -5 * 3_600_000)
    }
}
