import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Propagation

@Suite struct InfluenceTests {
    /// Full confidence from the first observation, no ε: what the formulas say to the last digit.
    static var exact: PropagationSettings {
        var settings = PropagationSettings()
        settings.epsilon = 1e-6
        settings.refreshShare = 1e-4
        settings.observationsHalf = 0
        return settings
    }

    @Test(arguments: [Int32(1), 2, 3])
    func `a change reaches the neighbours of neighbours before their own telemetry moves`(_ count: Int32) throws {
        let wiring = try Wiring(partitions: count, settings: Self.exact)
        let homes: [Int32] = [0, min(1, count - 1), count - 1]
        for (index, name) in ["a", "b", "c"].enumerated() {
            try wiring.feed(.forecast(name, value: 100), to: homes[index])
        }
        try wiring.interact("a", homes[0], "b", homes[1], 50)
        try wiring.interact("b", homes[1], "c", homes[2], 20)
        #expect(wiring.outlooks(of: "c").count == 1)
        try wiring.feed(.forecast("a", time: 60_000, value: 100, change: 0.5), to: homes[0])
        let b = try #require(wiring.outlooks(of: "b").last)
        let c = try #require(wiring.outlooks(of: "c").last)
        #expect(abs(b.mean(4) - 140) < 0.01)
        #expect(abs(b.influence(4) - 40) < 0.01)
        #expect(abs(c.mean(4) - 132) < 0.01)
        #expect(abs(c.mean(3) - 116) < 0.01)
        #expect(b.time == 0)
        // The quantiles move with the mean.
        let own = TestEntry.forecast("b", value: 100)
        let block = ForecastNumbers.block(4)
        for index in (block + 1)..<(block + 8) { #expect(abs(b.numbers[index] - own.numbers[index] - 40) < 0.01) }
        // Withdrawn when the cause is.
        try wiring.feed(.forecast("a", time: 120_000, value: 100), to: homes[0])
        let last = try #require(wiring.outlooks(of: "c").last)
        #expect(abs(last.mean(4) - 100) < 0.01)
    }

    @Test func `what the own forecast expects already is not added, and nothing is lowered`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "b", 0, 50)
        try wiring.feed(.forecast("a", value: 10, change: 0.5), to: 0)
        try wiring.feed(.forecast("b", value: 100, change: 0.5), to: 0)
        let same = try #require(wiring.outlooks(of: "b").last)
        for horizon in 0..<5 { #expect(same.influence(horizon) == 0) }
        try wiring.feed(.forecast("a", value: 10, change: -0.9), to: 0)
        try wiring.feed(.forecast("b", value: 100), to: 0)
        let lower = try #require(wiring.outlooks(of: "b").last)
        for horizon in 0..<5 { #expect(abs(lower.mean(horizon) - 100) < 1e-3) }
    }

    /// A forecast of ever the same, of a series that is noise around 2 with outer deciles 0.5 and 4.
    private func noisy(_ resource: String, level: Double, time: Int64) -> TestEntry {
        var entry = TestEntry.forecast(resource, time: time, value: level)
        entry.numbers[ForecastNumbers.stepSeconds] = 60
        for horizon in 0..<5 {
            let block = ForecastNumbers.block(horizon)
            for (index, number) in [2, 0.5, 2, 4, 5, 7, 9].enumerated() {
                entry.numbers[block + 1 + index] = Float(number)
            }
        }
        return entry
    }

    @Test func `noise that goes by is no change that is to come, a rise from far below is`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "b", 0, 50)
        try wiring.feed(.forecast("b", value: 100), to: 0)
        // A tenth of what is usual now, or twice of it: what comes is as ever.
        for (minute, level) in [0.2, 4, 0.1, 5.9].enumerated() {
            try wiring.feed(noisy("a", level: level, time: Int64(minute) * 60_000), to: 0)
            let b = try #require(wiring.outlooks(of: "b").last)
            for horizon in 0..<5 { #expect(abs(b.mean(horizon) - 100) < 1e-3) }
        }
        // The rise that is expected of what stands far below all that is usual is one.
        var low = noisy("a", level: 1, time: 300_000)
        for horizon in 0..<5 {
            for index in 1..<8 { low.numbers[ForecastNumbers.block(horizon) + index] += 10 }
        }
        try wiring.feed(low, to: 0)
        let risen = try #require(wiring.outlooks(of: "b").last)
        #expect(risen.mean(4) > 150)
    }

    @Test func `a source counts by its share of the traffic`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "c", 0, 30)
        try wiring.interact("b", 0, "c", 0, 10)
        try wiring.feed(.forecast("a", value: 10), to: 0)
        try wiring.feed(.forecast("b", value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("c", value: 100), to: 0)
        let c = try #require(wiring.outlooks(of: "c").last)
        #expect(abs(c.mean(4) - 120) < 0.01)
    }

    @Test func `declared weights count as they are`() throws {
        var settings = Self.exact
        settings.takesDeclaredWeights = true
        let wiring = try Wiring(partitions: 1, settings: settings)
        try wiring.interact("a", 0, "c", 0, 0.5)
        try wiring.feed(.forecast("a", value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("c", value: 100), to: 0)
        let c = try #require(wiring.outlooks(of: "c").last)
        #expect(abs(c.mean(4) - 140) < 0.01)
    }

    @Test func `young and missing forecasts, and roles that are no demand, tell the neighbours nothing`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "b", 0, 30)
        try wiring.feed(.forecast("a", value: 10, change: 1, young: true), to: 0)
        try wiring.feed(.forecast("a", "latency", value: 10, change: 1, role: .slo), to: 0)
        try wiring.feed(.forecast("a", value: 10, change: 1, quality: .missing), to: 0)
        try wiring.feed(.forecast("b", value: 100), to: 0)
        let b = try #require(wiring.outlooks(of: "b").last)
        #expect(abs(b.mean(4) - 100) < 0.01)
        // Demand takes over from an unknown role, and a target's latency is not raised.
        try wiring.feed(.forecast("a", value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("b", "latency", value: 100, role: .slo), to: 0)
        #expect(wiring.outlooks(of: "b").last?.influence(4) == 0)
    }

    @Test func `other horizons are read and written by interpolation`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "b", 0, 30)
        try wiring.feed(.forecast("a", value: 10, change: 1, horizons: [1_200, 3_600]), to: 0)
        try wiring.feed(.forecast("b", value: 100, horizons: [600, 2_400, 7_200]), to: 0)
        let b = try #require(wiring.outlooks(of: "b").last)
        #expect(abs(b.mean(0) - (100 + 80 * 600.0 / 3_600)) < 0.01)
        #expect(abs(b.mean(1) - (100 + 80 * 2_400.0 / 3_600)) < 0.01)
        #expect(abs(b.mean(2) - 180) < 0.01)
    }

    @Test func `influence expires with its forecast, and an edge fades when it is not seen`() throws {
        let wiring = try Wiring(partitions: 2, settings: Self.exact)
        try wiring.interact("a", 0, "b", 1, 30)
        try wiring.feed(.forecast("a", value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("b", value: 100), to: 1)
        #expect(abs((wiring.outlooks(of: "b").last?.mean(4) ?? 0) - 180) < 0.01)
        try wiring.heartbeat(901_000)
        try wiring.feed(.forecast("b", time: 901_000, value: 100), to: 1)
        #expect(abs((wiring.outlooks(of: "b").last?.mean(4) ?? 0) - 100) < 0.01)
        // Six hours without a call: half the confidence.
        let later: Int64 = 21_600_000
        try wiring.heartbeat(later)
        try wiring.feed(.forecast("a", time: later, value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("b", time: later, value: 100), to: 1)
        #expect(abs((wiring.outlooks(of: "b").last?.mean(4) ?? 0) - 140) < 0.01)
        try wiring.heartbeat(8 * 86_400_000)
        try wiring.feed(.forecast("a", time: 8 * 86_400_000, value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("b", time: 8 * 86_400_000, value: 100), to: 1)
        #expect(abs((wiring.outlooks(of: "b").last?.mean(4) ?? 0) - 100) < 0.01)
    }

    @Test func `a steady influence is told again before it expires`() throws {
        let wiring = try Wiring(partitions: 2, settings: PropagationSettings())
        try wiring.interact("a", 0, "b", 1, 30)
        for minute in 0..<Int64(120) {
            try wiring.heartbeat(minute * 60_000)
            try wiring.feed(.forecast("a", time: minute * 60_000, value: 10, change: 1), to: 0)
            try wiring.feed(.forecast("b", time: minute * 60_000, value: 100), to: 1)
        }
        let means = wiring.outlooks(of: "b").map { $0.mean(4) }
        #expect(means.dropFirst().allSatisfy { $0 > 130 })
        #expect(wiring.deliveries <= 40)
    }

    @Test func `rings, self loops and complete graphs end, and a change never exceeds its cause`() throws {
        var shapes: [[(Int, Int)]] = [
            [(0, 1), (1, 2), (2, 3), (3, 0)], [(0, 0), (0, 1), (1, 1)],
            (0..<12).flatMap { a in (0..<12).map { (a, $0) } },
        ]
        shapes.append((0..<12).flatMap { a in (0..<12).filter { $0 != a }.map { (a, $0) } })
        for partitions in Int32(1)...3 {
            for shape in shapes {
                let wiring = try Wiring(partitions: partitions, settings: Self.exact)
                func home(_ node: Int) -> Int32 { Int32(node) % partitions }
                let count = (shape.map { max($0.0, $0.1) }.max() ?? 0) + 1
                for (a, b) in shape { try wiring.interact("n\(a)", home(a), "n\(b)", home(b), 10) }
                for node in 0..<count { try wiring.feed(.forecast("n\(node)", value: 100), to: home(node)) }
                try wiring.feed(.forecast("n0", value: 100, change: 1), to: home(0))
                for node in 0..<count where node != 0 {
                    let last = try #require(wiring.outlooks(of: "n\(node)").last)
                    #expect(last.mean(4) <= 180.01)
                }
                // Nobody is raised above what it expects itself by its own echo.
                #expect(wiring.outlooks(of: "n0").allSatisfy { $0.influence(4) < 0.01 })
                let work = wiring.runs.reduce(UInt64(0)) { $0 + $1.counter("recomputations") }
                #expect(work < 40 * UInt64(shape.count) * 3)
            }
        }
    }

    @Test func `a resource that left is withdrawn`() throws {
        let wiring = try Wiring(partitions: 1, settings: Self.exact)
        try wiring.interact("a", 0, "b", 0, 30)
        try wiring.feed(.forecast("a", value: 10, change: 1), to: 0)
        try wiring.feed(.forecast("b", value: 100), to: 0)
        try wiring.feed(TestEntry(kind: .gone, resource: "a", object: "elsewhere", time: 5), to: 0)
        #expect(abs((wiring.outlooks(of: "b").last?.mean(4) ?? 0) - 100) < 0.01)
        #expect(wiring.runs[0].entries.contains { $0.topic == .outlooks && $0.entry.kind == .gone })
    }

    @Test func `neighbours by locality count only when given a weight`() throws {
        for weight in [Float(0), 0.5] {
            var settings = Self.exact
            settings.proximityWeight = weight
            let wiring = try Wiring(partitions: 1, settings: settings)
            for name in ["a", "b"] {
                try wiring.feed(TestEntry(kind: .tags, resource: name, object: "zone-1", text: "{}"), to: 0)
            }
            try wiring.feed(.forecast("a", value: 10, change: 1), to: 0)
            try wiring.feed(.forecast("b", value: 100), to: 0)
            let mean = wiring.outlooks(of: "b").last?.mean(4) ?? 0
            #expect(abs(mean - (100 + 80 * Double(weight))) < 0.01)
            #expect(wiring.runs[0].counter("edges") == 2)
            let tags = wiring.runs[0].entries.filter { $0.entry.kind == .tags }
            #expect(tags.map(\.entry.text) == ["{}", "{}"])
        }
    }
}
