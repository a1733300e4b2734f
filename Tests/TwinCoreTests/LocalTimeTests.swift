import Foundation
import TestKit
import Testing

@testable import TwinCore

@Suite("Local time")
struct LocalTimeTests {
    @Test(
        "agrees with the system's time zones, in both hemispheres and at any moment",
        arguments: [
            ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"), ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
            ("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3"), ("Europe/Dublin", "IST-1GMT0,M10.5.0,M3.5.0/1"),
            ("Asia/Kolkata", "IST-5:30"), ("Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"),
        ])
    func agrees(name: String, rule: String) throws {
        guard let zone = TimeZone(identifier: name) else { return }
        let local = try #require(LocalTime(posix: rule))
        var random = SeededRandom(seed: 5)
        for _ in 0..<4_000 {
            // 2012 to 2037: what the rules say now, they said then.
            let seconds = Int64(1_325_376_000) + Int64(random.uniform() * 800_000_000)
            let want = zone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(seconds)))
            #expect(local.offset(at: seconds * 1_000) == Int64(want) * 1_000, "\(name) at \(seconds)")
        }
    }

    @Test("turns at the second that the rule names")
    func turns() throws {
        let berlin = try #require(LocalTime(posix: "CET-1CEST,M3.5.0,M10.5.0/3"))
        // 2024-03-31T01:00:00Z and 2024-10-27T01:00:00Z.
        for (moment, before, after) in [(1_711_846_800, 1, 2), (1_729_990_800, 2, 1)] as [(Int64, Int64, Int64)] {
            #expect(berlin.offset(at: moment * 1_000 - 1) == before * 3_600_000)
            #expect(berlin.offset(at: moment * 1_000) == after * 3_600_000)
        }
        #expect(LocalTime.utc.offset(at: 1_711_846_800_000) == 0)
    }

    @Test(
        "refuses what is no rule",
        arguments: [
            "", "C", "CET", "CET-25", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.5.0", "CET-1CEST,J60,J300",
            "CET-1CEST,M3.5.0,M10.5.0/3x", "CET-1CEST,M3.5.0,M3.5.0", "Europe/Berlin",
        ])
    func refuses(text: String) { #expect(LocalTime(posix: text) == nil) }
}
