import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Twins

@Suite("The twin-updater")
struct TwinStageTests {
    let t0 = Harness.start

    @Test("gives one forecast for each accepted sample")
    func forecasts() throws {
        let harness = try Harness()
        try harness.feed((0..<100).map { .sample("web", "rps", t0 + Double($0) * 60, 50) })
        #expect(harness.forecasts.count == 100)
        let last = try #require(harness.forecasts.last)
        #expect(last.resource == "web" && last.object == "rps" && last.level == 50)
        #expect(last.milliseconds == Int64(t0 + 99 * 60) * 1_000)
        #expect(last.number(ForecastNumbers.stepSeconds) == 60)
        #expect(last.number(ForecastNumbers.sampleCount) == 100)
        #expect(last.number(ForecastNumbers.readyUnits).isNaN)
        #expect((last.mean(4) - 50).magnitude < 0.1)
        #expect(last.quality == .fresh && ForecastCode(raw: last.code).role == .demand)
    }

    @Test("drops exact repeats, merges what is late but allowed, counts what is too late")
    func order() throws {
        let harness = try Harness()
        try harness.feed((0..<60).filter { $0 != 55 }.map { .sample("web", "rps", t0 + Double($0) * 60, 50) })
        harness.forget()
        try harness.feed([
            .sample("web", "rps", t0 + 59 * 60, 50), .sample("web", "rps", t0 + 52 * 60, 50),
            .sample("web", "rps", t0 + 55 * 60, 70), .sample("web", "rps", t0 + 55 * 60, 70),
            .sample("web", "rps", t0 + 10 * 60 + 1, 50),
        ])
        #expect(harness.forecasts.isEmpty)
        #expect(harness.count("duplicates") == 3)
        #expect(harness.count("mergedLate") == 1)
        #expect(harness.count("late") == 1)
        try harness.feed([.sample("web", "rps", t0 + 60 * 60, 50)])
        #expect(harness.forecasts.count == 1)
    }

    @Test("turns counters into rates and survives their resets")
    func counters() throws {
        let harness = try Harness()
        var inputs: [Input] = []
        var reading = 1_000.0
        for minute in 0..<30 {
            if minute == 20 { reading = 0 }
            reading += 600
            inputs.append(.sample("web", "requests", t0 + Double(minute) * 60, reading, isCounter: true))
        }
        try harness.feed(inputs)
        #expect(harness.forecasts.count == 29)
        #expect(harness.forecasts.allSatisfy { $0.level == 10 })
        #expect(harness.count("counterResets") == 1)
    }

    @Test("counts utilisation as demand once ready units are known")
    func utilisation() throws {
        let harness = try Harness()
        try harness.feed((0..<50).map { .sample("web", "cpu", t0 + Double($0) * 60, 0.5, .utilisation) })
        try harness.feed([.sample("web", "replicas", t0 + 50 * 60, 8, .supply)])
        harness.forget()
        try harness.feed([.sample("web", "cpu", t0 + 50 * 60, 0.5, .utilisation)])
        let forecast = try #require(harness.forecasts.first)
        #expect(forecast.level == 4)
        #expect((forecast.mean(2) - 4).magnitude < 0.01)
        #expect(forecast.number(ForecastNumbers.residual).magnitude < 3)
        #expect(forecast.number(ForecastNumbers.readyUnits) == 8)
        try harness.feed([
            Input.outcome("web", t0 + 51 * 60, 10),
            .sample("web", "cpu", t0 + 51 * 60, 0.4, .utilisation),
        ])
        let moved = try #require(harness.forecasts.last)
        #expect((moved.level - 4).magnitude < 1e-6)
        #expect(moved.code & 32 != 0)
        #expect(moved.number(ForecastNumbers.unitsAgeSeconds).isNaN, "said by an actuator, counted by nobody")
        var foreign = Input.outcome("web", t0 + 52 * 60, 0)
        foreign.text = #"{"action":"nope","status":"ready"}"#
        try harness.feed([foreign, .sample("web", "cpu", t0 + 52 * 60, 0.4, .utilisation)])
        #expect(harness.forecasts.last?.number(ForecastNumbers.readyUnits) == 10)
    }

    @Test("tells fresh, stale and missing apart, and zero from all of them")
    func quality() throws {
        let harness = try Harness()
        try harness.feed((0..<50).map { .sample("web", "rps", t0 + Double($0) * 60, 0) })
        #expect(harness.forecasts.allSatisfy { $0.quality == .fresh && $0.level == 0 })
        harness.forget()
        let last = t0 + 49 * 60
        try harness.feed([.watermark(last + 120)])
        #expect(harness.forecasts.isEmpty)
        try harness.feed([.watermark(last + 240)])
        #expect(harness.forecasts.map(\.quality) == [.stale])
        #expect(harness.forecasts.first?.number(ForecastNumbers.residual).isNaN == true)
        try harness.feed([.watermark(last + 600), .watermark(last + 1_300), .watermark(last + 9_000)])
        #expect(harness.forecasts.map(\.quality) == [.stale, .missing])
        #expect(harness.summaries.count == 2)
        try harness.feed([.sample("web", "rps", last + 9_060, 3)])
        #expect(harness.forecasts.map(\.quality) == [.stale, .missing, .fresh])
        #expect(harness.summaries.count == 3)
    }

    @Test("hands interactions and tags on as they came")
    func forwarding() throws {
        let harness = try Harness()
        let text = #"{"class":"service","tags":{"cluster":"eu-1","criticality":"high"}}"#
        try harness.feed([
            Input(kind: .tags, resource: "web", object: "eu-1", seconds: t0, text: text),
            Input(kind: .interaction, code: 3, resource: "web", object: "db", seconds: t0, value: 7),
            .watermark(t0),
        ])
        #expect(harness.entries.map(\.kind) == [.tags, .interaction, .watermark])
        #expect(harness.entries[0].text == text && harness.entries[0].object == "eu-1")
        #expect(harness.entries[1].level == 7 && harness.entries[1].code == 3)
    }

    @Test("answers a retrain request with distrust, and trusts again later")
    func retraining() throws {
        let harness = try Harness()
        var random = SeededRandom(seed: 3)
        try harness.feed((0..<500).map { .sample("web", "rps", t0 + Double($0) * 60, 100 + random.uniform()) })
        try harness.feed((500..<520).map { .sample("web", "rps", t0 + Double($0) * 60, 300 + random.uniform()) })
        harness.forget()
        try harness.feed([
            Input(kind: .retrain, code: DriftKind.level.code, resource: "web", object: "rps", seconds: t0 + 500 * 60)
        ])
        #expect(harness.forecasts.count == 1)
        #expect(ForecastCode(raw: harness.forecasts[0].code).isDistrusted)
        // The next minute is known at once; that the half hour is different too shows when half hours have passed.
        #expect((harness.forecasts[0].mean(0) - 300).magnitude < 5)
        #expect(harness.summaries.last?.json?.contains(#""distrusted":true"#) == true)
        try harness.feed((520..<800).map { .sample("web", "rps", t0 + Double($0) * 60, 300 + random.uniform()) })
        #expect((try #require(harness.forecasts.last).mean(3) - 300).magnitude < 5)
        #expect(ForecastCode(raw: harness.forecasts[harness.forecasts.count - 1].code).isDistrusted == false)
        #expect(harness.summaries.contains { $0.json?.contains(#""distrusted":false"#) == true })
    }

    @Test("writes a summary at first sight and restates it now and then")
    func summaries() throws {
        let harness = try Harness()
        try harness.feed([
            Input(
                kind: .tags, resource: "web", object: "eu-1", seconds: t0,
                text: #"{"class":"service","tags":{"cluster":"eu-1","tier":"a\"b"}}"#)
        ])
        #expect(harness.summaries.isEmpty)
        try harness.feed((0..<60).map { .sample("web", "rps", t0 + Double($0) * 60, 12.5) })
        #expect(harness.summaries.count == 4, "at first sight, then every 15 minutes")
        let json = try #require(harness.summaries.last?.json)
        #expect(harness.summaries.allSatisfy { $0.key == "web" })
        #expect(json.contains(#""resource":"web","sequence":{"offset":"#))
        #expect(json.contains(#""locality":"eu-1","class":"service","tags":{"cluster":"eu-1","tier":"a\"b"}"#))
        #expect(json.contains(#""rps":{"level":12.5,"quality":"fresh","role":"demand","step_s":60,"distrusted":false"#))
        #expect(json.contains(#""forecast":[{"horizon_s":60,"mean":12.5"#))
    }

    @Test("forgets a twin that has been silent for a week, with a tombstone, and uses its cells again")
    func expiry() throws {
        let harness = try Harness()
        try harness.feed((0..<5).map { .sample("web", "rps", t0 + Double($0) * 60, 1) })
        try harness.feed([.watermark(t0 + 3_600)])
        harness.forget()
        try harness.feed([.watermark(t0 + 8 * 86_400)])
        #expect(harness.summaries == [Summary(key: "web", json: nil)])
        try harness.feed([
            .sample("other", "rps", t0 + 8 * 86_400, 1), .sample("web", "rps", t0 + 8 * 86_400, 1),
        ])
        #expect(harness.forecasts.count == 2)
        #expect(harness.task.withStage { $0.tableCounts.resources } == 2)
        #expect(harness.forecasts.allSatisfy { $0.number(ForecastNumbers.sampleCount) == 1 })
    }

    @Test("keeps within its limits and counts what it refuses")
    func limits() throws {
        var settings = TwinSettings()
        settings.resourcesMax = 3
        settings.seriesMax = 5
        settings.seriesPerResourceMax = 2
        settings.eventsMax = 1
        let harness = try Harness(settings)
        var inputs: [Input] = []
        for resource in 0..<5 {
            for metric in 0..<3 { inputs.append(.sample("r\(resource)", "m\(metric)", t0, 1)) }
        }
        inputs.append(event("a", start: t0, end: t0 + 60, "cluster", "x", 2))
        inputs.append(event("b", start: t0, end: t0 + 60, "cluster", "x", 2))
        try harness.feed(inputs)
        #expect(harness.forecasts.count == 5)
        #expect(harness.count("resourcesRefused") == 6)
        #expect(harness.count("seriesRefused") == 4)
        #expect(harness.count("eventsRefused") == 1)
    }

    @Test("refuses values that are none, and times out of this world")
    func invalid() throws {
        let harness = try Harness()
        try harness.feed([
            .sample("web", "rps", t0, .nan), .sample("web", "rps", t0, .infinity),
            .sample("web", "rps", t0, -.infinity), .sample("web", "rps", t0, 1e300), .sample("web", "rps", -5, 1),
            .sample("web", "rps", 9e12, 1), .sample("", "rps", t0, 1), .sample("web", "", t0, 1),
        ])
        #expect(harness.entries.isEmpty)
        #expect(harness.count("invalid") == 8)
    }
}

extension DriftKind {
    var code: UInt32 { UInt32(rawValue) }
}

func event(
    _ id: String, start: Double, end: Double, _ key: String, _ value: String, _ uplift: Double,
    isCancelled: Bool = false, kind: String = "campaign"
) -> Input {
    let text = """
        {"id":"\(id)","start":\(Int64(start)),"end":\(Int64(end)),"scope":{"key":"\(key)","value":"\(value)"},\
        "kind":"\(kind)","uplift":\(uplift),"cancelled":\(isCancelled)}
        """
    return Input(kind: .event, object: id, seconds: start, value: isCancelled ? 0 : uplift, text: text)
}
