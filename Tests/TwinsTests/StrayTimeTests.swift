import Messages
import Testing
import Twins

/// One wrong clock must not silence a series.
@Suite("Times far ahead")
struct StrayTimeTests {
    let t0 = Harness.start

    @Test("After one sample from tomorrow, the third of today is taken again, and the series goes on")
    func tomorrow() throws {
        let harness = try Harness()
        try harness.feed((0..<30).map { .sample("web", "rps", t0 + Double($0) * 60, 50) } + [.watermark(t0 + 1_700)])
        try harness.feed([.sample("web", "rps", t0 + 90_000, 50)])
        harness.forget()
        try harness.feed((30..<60).map { .sample("web", "rps", t0 + Double($0) * 60, 50) })
        #expect(harness.count("late") == 2 && harness.count("turnedBack") == 1)
        #expect(harness.forecasts.count == 28)
        let last = try #require(harness.forecasts.last)
        #expect(last.milliseconds == Int64((t0 + 59 * 60) * 1_000) && abs(last.mean(0) - 50) < 5)
    }

    @Test("Two samples that are some minutes further ahead than may be are overcome by the third real one")
    func minutes() throws {
        let harness = try Harness()
        try harness.feed((0..<30).map { .sample("web", "rps", t0 + Double($0) * 3, 50) } + [.watermark(t0)])
        try harness.feed([.sample("web", "rps", t0 + 3_000, 70), .sample("web", "rps", t0 + 3_003, 70)])
        harness.forget()
        try harness.feed((30..<40).map { .sample("web", "rps", t0 + Double($0) * 3, 500) })
        #expect(harness.count("late") == 2 && harness.count("turnedBack") == 1)
        #expect(harness.forecasts.count == 8 && harness.forecasts.last?.level == 500)
    }

    @Test("What a series has come to step by step is not doubted while the watermark waits for others")
    func steady() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "rps", t0, 50), .watermark(t0)])
        try harness.feed((0..<50).map { .sample("web", "rps", t0 + Double($0) * 60, 50) })
        try harness.feed((0..<10).map { .sample("web", "rps", t0 + Double($0) * 60 + 1, 50) })
        #expect(harness.count("turnedBack") == 0 && harness.count("late") == 10)
    }

    @Test("Late samples between good ones are late, however far behind the watermark is")
    func backlog() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "rps", t0, 50), .watermark(t0)])
        for index in 0..<20 {
            let live = t0 + 20_000 + Double(index) * 60
            try harness.feed([.sample("web", "rps", live, 50), .sample("web", "rps", t0 + 60 * Double(index + 1), 50)])
        }
        #expect(harness.count("turnedBack") == 0 && harness.count("late") == 20)
    }

    @Test("Ready units of tomorrow give way to those of today")
    func supply() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "replicas", t0, 2, .supply), .watermark(t0)])
        try harness.feed([.sample("web", "replicas", t0 + 90_000, 9, .supply)])
        try harness.feed([.sample("web", "replicas", t0 + 60, 3, .supply), .sample("web", "rps", t0 + 61, 50)])
        let units = try #require(harness.forecasts.last).number(ForecastNumbers.readyUnits)
        #expect(units == 3)
    }

    @Test("Nor do ready units of half an hour ahead, or an actuator's word from there")
    func supplyMinutes() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "replicas", t0, 7, .supply), .watermark(t0)])
        try harness.feed([.sample("web", "rps", t0, 50), .outcome("web", t0 + 3_000, 9)])
        try harness.feed([.sample("web", "rps", t0 + 1, 50)])
        #expect(harness.forecasts.last?.number(ForecastNumbers.readyUnits) == 7)
        try harness.feed([.sample("web", "replicas", t0 + 3_000, 2, .supply)])
        try harness.feed([.sample("web", "replicas", t0 + 3, 8, .supply), .sample("web", "rps", t0 + 3, 50)])
        #expect(harness.forecasts.last?.number(ForecastNumbers.readyUnits) == 8)
    }

    @Test("A twin that spoke of tomorrow only expires all the same")
    func expires() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "rps", t0, 5), .watermark(t0), .sample("web", "rps", t0 + 9_000_000, 5)])
        try harness.feed([.watermark(t0 + 8_000), .watermark(t0 + 700_000)])
        #expect(harness.count("expired") == 1)
    }

    @Test("A watermark that lags by hours lets no twin be forgotten before its time, so a repeat is known as one")
    func laggingWatermark() throws {
        var settings = TwinSettings()
        settings.expireSeconds = 3_600
        let harness = try Harness(settings)
        try harness.feed([.sample("web", "rps", t0, 5), .watermark(t0), .sample("web", "rps", t0 + 36_000, 5)])
        try harness.feed([.watermark(t0 + 7_000), .watermark(t0 + 20_000), .sample("web", "rps", t0 + 36_000, 5)])
        #expect(harness.count("expired") == 0 && harness.count("duplicates") == 1)
    }
}
