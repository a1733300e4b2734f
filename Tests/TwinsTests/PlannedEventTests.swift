import Messages
import StageKit
import TestKit
import Testing
import TwinCore
import Twins

@Suite("Planned events")
struct PlannedEventTests {
    let t0 = Harness.start

    private func warm(_ harness: Harness, _ random: inout SeededRandom, minutes: Int) throws {
        try harness.feed([
            Input(
                kind: .tags, resource: "web", object: "eu-1", seconds: t0,
                text: #"{"class":"service","tags":{"cluster":"eu-1"}}"#)
        ])
        try harness.feed((0..<minutes).map { .sample("web", "rps", t0 + Double($0) * 60, 100 + random.uniform()) })
        harness.forget()
    }

    @Test(
        "lift the horizons that they overlap",
        arguments: [("cluster", "eu-1"), ("locality", "eu-1"), ("class", "service"), ("resource", "web")])
    func lift(key: String, value: String) throws {
        let harness = try Harness()
        var random = SeededRandom(seed: 1)
        try warm(harness, &random, minutes: 300)
        let now = t0 + 300 * 60
        try harness.feed([
            event("sale", start: now + 600, end: now + 2_400, key, value, 3),
            event("elsewhere", start: now, end: now + 9_000, key, "us-9", 9), .sample("web", "rps", now, 100),
        ])
        let forecast = try #require(harness.forecasts.last)
        #expect(ForecastCode(raw: forecast.code).expectsEvent && !ForecastCode(raw: forecast.code).hasEvent)
        // 60, 300 before; 900, 1800 within; 3600 after.
        for (horizon, want) in [100, 100, 300, 300, 100].enumerated() {
            #expect((forecast.mean(horizon) - Float(want)).magnitude < 0.05 * Float(want), "horizon \(horizon)")
            #expect(forecast.quantile(horizon, 4) >= forecast.mean(horizon))
        }
        try harness.feed([
            event("sale", start: now + 600, end: now + 2_400, key, value, 3, isCancelled: true),
            .sample("web", "rps", now + 60, 100),
        ])
        #expect((try #require(harness.forecasts.last).mean(2) - 100).magnitude < 5)
    }

    @Test(
        "are forgotten within minutes when they do not come, and followed when they are larger",
        arguments: [1.0, 5.0])
    func measured(truth: Double) throws {
        let harness = try Harness()
        var random = SeededRandom(seed: 2)
        try warm(harness, &random, minutes: 300)
        let now = t0 + 300 * 60
        try harness.feed([event("sale", start: now, end: now + 7_200, "cluster", "eu-1", 2)])
        var inputs: [Input] = []
        for minute in 0..<8 {
            inputs.append(.sample("web", "rps", now + Double(minute) * 60, truth * (100 + random.uniform())))
        }
        try harness.feed(inputs)
        let during = try #require(harness.forecasts.last)
        for horizon in 0..<5 {
            #expect((during.mean(horizon) - Float(100 * truth)).magnitude < Float(8 * truth), "horizon \(horizon)")
        }
        // After its end all is as before, though the model saw nothing else for two hours.
        try harness.feed(
            (8..<125).map { minute in
                let factor = minute < 120 ? truth : 1
                return .sample("web", "rps", now + Double(minute) * 60, factor * (100 + random.uniform()))
            })
        let after = try #require(harness.forecasts.last)
        #expect((after.mean(2) - 100).magnitude < 8)
    }

    @Test("are believed by what events of their kind did to the twin before, and at their word where none was")
    func learned() throws {
        let harness = try Harness()
        var random = SeededRandom(seed: 4)
        try warm(harness, &random, minutes: 300)
        var start = t0 + 400 * 60
        var minute = 300
        var lifts: [Float] = []
        /// Feeds minutes up to a moment, with `truth` times the demand from `start` on.
        func pass(until end: Double, truth: Double) throws {
            var inputs: [Input] = []
            while t0 + Double(minute) * 60 < end {
                let now = t0 + Double(minute) * 60
                let factor = now >= start && now < start + 1_800 ? truth : 1
                inputs.append(.sample("web", "rps", now, factor * (100 + random.uniform())))
                minute += 1
            }
            try harness.feed(inputs)
        }
        for (index, kind) in ["sale", "sale", "sale", "sale", "match"].enumerated() {
            try harness.feed([
                event("e\(index)", start: start, end: start + 1_800, "cluster", "eu-1", 3, kind: kind)
            ])
            try pass(until: start - 540, truth: 1.3)
            lifts.append(try #require(harness.forecasts.last).mean(2) / 100)
            try pass(until: start + 5_400, truth: 1.3)
            start += 9_000
        }
        #expect((lifts[0] - 3).magnitude < 0.2, "at its word: \(lifts)")
        #expect(lifts[1] < 2 && lifts[1] > 1.4, "\(lifts)")
        #expect(lifts[3] < lifts[1] && (lifts[3] - 1.3).magnitude < 0.35, "\(lifts)")
        #expect((lifts[4] - 3).magnitude < 0.2, "another kind: \(lifts)")
        // What was learned is part of the state.
        let restored = try Harness(restoring: harness.task.freeze(), like: harness)
        #expect(restored.task.freeze().digest == harness.task.freeze().digest)
        let last = event("e9", start: start, end: start + 1_800, "cluster", "eu-1", 3, kind: "sale")
        for one in [harness, restored] {
            one.forget()
            try one.feed([last, .sample("web", "rps", start - 540, 100)])
        }
        #expect(restored.entries == harness.entries && !harness.forecasts.isEmpty)
    }
}
