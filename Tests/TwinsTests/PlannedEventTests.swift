import Messages
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
}
