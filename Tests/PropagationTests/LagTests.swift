import Messages
import TestKit
import Testing

@testable import Propagation

@Suite struct LagTests {
    /// Demand that rises by half within some minutes now and then.
    private static func demand(_ minute: Int) -> Double {
        let phase = minute % 90
        let up = min(max(Double(phase - 40) / 6, 0), 1)
        let down = min(max(Double(phase - 70) / 8, 0), 1)
        let rise = up - down
        return 100 * (1 + 0.5 * rise)
    }

    private static func noise(_ random: inout SeededRandom) -> Double { 1 + 0.01 * (random.uniform() * 2 - 1) }

    /// Lives through some hours of a and b, where b follows a by `lag` minutes; no forecast expects anything.
    private static func live(
        _ wiring: Wiring, homes: (Int32, Int32), lag: Int, minutes: Range<Int>, seed: UInt64
    ) throws {
        var random = SeededRandom(seed: seed)
        for minute in minutes {
            let time = Int64(minute) * 60_000
            try wiring.interact("a", homes.0, "b", homes.1, 50, time: time)
            try wiring.heartbeat(time)
            try wiring.feed(
                .forecast("a", time: time, value: demand(minute) * noise(&random)), to: homes.0)
            try wiring.feed(
                .forecast("b", time: time, value: demand(max(minute - lag, 0)) * noise(&random)), to: homes.1)
        }
    }

    @Test(arguments: [(0, Int32(1)), (4, 1), (4, 2), (10, 2)])
    func `what has happened upstream is felt for as long as it takes to arrive`(
        _ lag: Int, _ partitions: Int32
    ) throws {
        let seed: UInt64 = 11
        let wiring = try Wiring(partitions: partitions, settings: PropagationSettings())
        let homes: (Int32, Int32) = (0, partitions - 1)
        // The next rise has just reached a, and not yet b.
        let now = 90 * 6 + 46
        try Self.live(wiring, homes: homes, lag: lag, minutes: 0..<(now + 1), seed: seed)
        let outlook = try #require(wiring.outlooks(of: "b").last)
        let b = Self.demand(now - lag)
        let expected = Self.demand(now)
        // Fifteen minutes ahead: all that is under way, less damping and doubt.
        let added = outlook.influence(2)
        if lag == 0 {
            #expect(added < 0.02 * b, "seed \(seed): \(added)")
        } else {
            #expect(added > 0.5 * (expected - b), "seed \(seed): \(added) for \(expected - b)")
            #expect(added < 1.05 * (expected - b), "seed \(seed): \(added) for \(expected - b)")
        }
        // Once it has arrived nothing is added any more.
        try Self.live(wiring, homes: homes, lag: lag, minutes: (now + 1)..<(now + 16), seed: seed + 1)
        let later = try #require(wiring.outlooks(of: "b").last)
        #expect(later.influence(2) < 0.04 * Self.demand(now + 15 - lag), "seed \(seed): \(later.influence(2))")
    }

    @Test func `noise alone teaches no lag`() throws {
        let seed: UInt64 = 5
        var random = SeededRandom(seed: seed)
        var source = PastLevels()
        var target = PastLevels()
        var edge = EdgeLag()
        var misled = 0
        for minute in 0..<20_000 {
            _ = source.note(Float(100 * (1 + 0.3 * (random.uniform() - 0.5))), at: Int64(minute) * 60_000)
            _ = target.note(Float(100 * (1 + 0.3 * (random.uniform() - 0.5))), at: Int64(minute) * 60_000)
            edge.learn(source: source, target: target)
            misled += edge.minutes == 0 ? 0 : 1
        }
        #expect(misled == 0, "seed \(seed)")
    }

    @Test func `levels of minutes that were not told are those of before`() {
        var past = PastLevels()
        #expect(past.newest == 0 && past.level(in: 7) == 0)
        let isFirst = past.note(5, at: 600_000)
        #expect(isFirst)
        #expect(past.level(in: 3) == 5 && past.level(in: 12) == 5)
        let opened = [(7, 780_000), (8, 790_000), (1, 700_000)].map { past.note($0.0, at: $0.1) }
        #expect(opened == [true, false, false])
        #expect([9, 10, 11, 12, 13].map { past.level(in: $0) } == [5, 5, 5, 5, 8])
        // Half an hour of silence leaves nothing but the last word.
        let isLater = past.note(3, at: 60_000 * 100)
        #expect(isLater)
        #expect(past.level(in: 99) == 8 && past.level(in: 100) == 3)
    }
}

@Suite struct SleepTests {
    private static func forecast(
        _ name: String, minute: Int, value: Double, change: Double = 0, ready: Float, quality: DataQuality = .fresh
    ) -> TestEntry {
        var entry = TestEntry.forecast(
            name, time: Int64(minute) * 60_000, value: value, change: change, quality: quality)
        entry.numbers[ForecastNumbers.readyUnits] = ready
        return entry
    }

    /// A caller and its target, which is busy for two hours and then sent to sleep.
    private static func asleep(_ partitions: Int32) throws -> Wiring {
        let wiring = try Wiring(partitions: partitions, settings: PropagationSettings())
        for minute in 0..<120 {
            let time = Int64(minute) * 60_000
            try wiring.interact("a", 0, "b", partitions - 1, 20, time: time)
            try wiring.heartbeat(time)
            try wiring.feed(forecast("a", minute: minute, value: 100, ready: 4), to: 0)
            try wiring.feed(forecast("b", minute: minute, value: 40, ready: 2), to: partitions - 1)
        }
        for minute in 120..<140 {
            try wiring.heartbeat(Int64(minute) * 60_000)
            try wiring.interact("a", 0, "b", partitions - 1, 0, time: Int64(minute) * 60_000)
            try wiring.feed(forecast("a", minute: minute, value: 2, ready: 1), to: 0)
            try wiring.feed(forecast("b", minute: minute, value: 0, ready: 1), to: partitions - 1)
        }
        try wiring.feed(forecast("b", minute: 142, value: 0, ready: 0, quality: .stale), to: partitions - 1)
        try wiring.feed(forecast("b", minute: 142, value: 0, ready: 0, quality: .missing), to: partitions - 1)
        return wiring
    }

    @Test(arguments: [Int32(1), 2])
    func `a resource without units is woken by what its caller expects`(_ partitions: Int32) throws {
        let wiring = try Self.asleep(partitions)
        let quiet = try #require(wiring.outlooks(of: "b").last)
        #expect((0..<5).allSatisfy { quiet.influence($0) == 0 })
        // The caller expects its usual demand within the hour: fifty times its present one.
        try wiring.heartbeat(143 * 60_000)
        try wiring.feed(Self.forecast("a", minute: 143, value: 2, change: 49, ready: 1), to: 0)
        let woken = try #require(wiring.outlooks(of: "b").last)
        #expect(woken.influence(4) > 4 && woken.influence(4) < 40, "\(woken.influence(4))")
        #expect(woken.mean(4) >= woken.influence(4))
        #expect(ForecastCode(raw: woken.code).quality == .missing)
    }

    @Test(arguments: [Int32(1), 2])
    func `calls in vain wake a resource, those of before it slept do not`(_ partitions: Int32) throws {
        let wiring = try Self.asleep(partitions)
        try wiring.heartbeat(150 * 60_000)
        try wiring.interact("a", 0, "b", partitions - 1, 0, time: 150 * 60_000)
        #expect(wiring.outlooks(of: "b").last?.influence(0) == 0)
        try wiring.interact("a", 0, "b", partitions - 1, 12, time: 151 * 60_000)
        let woken = try #require(wiring.outlooks(of: "b").last)
        #expect(abs(woken.influence(0) - 12) < 0.1, "\(woken.influence(0))")
    }
}
