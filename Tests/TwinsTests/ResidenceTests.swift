import Messages
import Testing
import TwinCore
import Twins

/// A resource has one twin, in the partition where it lives.
@Suite("A resource lives in one partition")
struct ResidenceTests {
    let t0 = Harness.start

    /// Names that lead to the harness's partition (1 of 4), or to another one.
    func name(leadingHere: Bool) throws -> String {
        let found = (0..<50).map { "svc-\($0)" }.first { name in
            Array(name.utf8).withUnsafeBytes { TwinCore.partition(of: $0, among: 4) == 1 } == leadingHere
        }
        return try #require(found)
    }

    func unrouted(_ resource: String, _ seconds: Double, _ role: MetricRole = .demand) -> Input {
        var input = Input.sample(resource, "rps", seconds, 5, role)
        var code = SampleCode(raw: input.code)
        code.isUnrouted = true
        input.code = code.raw
        return input
    }

    func gone(_ resource: String, _ seconds: Double) -> Input {
        Input(kind: .gone, code: 3, resource: resource, object: "far", seconds: seconds)
    }

    func tags(_ resource: String, _ seconds: Double) -> Input {
        Input(kind: .tags, resource: resource, object: "near", seconds: seconds, text: "{}")
    }

    @Test("What went to all partitions is kept where the resource's name leads, and only there")
    func fallback() throws {
        let (here, there) = (try name(leadingHere: true), try name(leadingHere: false))
        let harness = try Harness()
        try harness.feed([unrouted(here, t0), unrouted(there, t0), unrouted(there, t0, .supply)])
        #expect(harness.forecasts.map(\.resource) == [here])
        #expect(harness.count("strangers") == 2)
    }

    @Test("A twin that lives here keeps what went to all partitions; one that lives elsewhere does not")
    func known() throws {
        let (here, there) = (try name(leadingHere: true), try name(leadingHere: false))
        let harness = try Harness()
        try harness.feed([tags(there, t0), unrouted(there, t0 + 1), gone(here, t0 + 1), unrouted(here, t0 + 2)])
        #expect(harness.forecasts.map(\.resource) == [there])
        #expect(harness.entries.filter { $0.kind == .gone }.map(\.resource) == [here], "deciders are to know")
    }

    @Test("A twin that left is gone downstream, and only newer word brings it back")
    func leaves() throws {
        let there = try name(leadingHere: false)
        let harness = try Harness()
        try harness.feed([tags(there, t0), .sample(there, "rps", t0, 5), gone(there, t0 - 1)])
        #expect(harness.entries.map(\.kind) == [.tags, .forecast], "older word is outdated")
        try harness.feed([gone(there, t0 + 60), gone(there, t0 + 61), .sample(there, "rps", t0 + 62, 5)])
        #expect(harness.entries.map(\.kind) == [.tags, .forecast, .gone, .gone])
        #expect(harness.count("elsewhere") == 1)
        try harness.feed([tags(there, t0 + 30), .sample(there, "rps", t0 + 63, 5)])
        #expect(harness.count("elsewhere") == 2 && harness.count("outdated") == 2)
        try harness.feed([tags(there, t0 + 70), .sample(there, "rps", t0 + 71, 5)])
        #expect(harness.entries.map(\.kind) == [.tags, .forecast, .gone, .gone, .tags, .forecast])
    }

    @Test("An expired twin is gone downstream as well")
    func expires() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "rps", t0, 5), .watermark(t0), .watermark(t0 + 700_000)])
        let gone = harness.entries.filter { $0.kind == .gone }
        #expect(gone.map(\.resource) == ["web"] && gone.map(\.object) == [""])
    }

    @Test("A repeat that is older than the memory of its twin is late, and not folded again")
    func repeatsOfTheForgotten() throws {
        let harness = try Harness()
        try harness.feed([.sample("web", "rps", t0, 5), .watermark(t0), .watermark(t0 + 700_000)])
        try harness.feed([.sample("web", "rps", t0, 5)])
        #expect(harness.count("accepted") == 1 && harness.count("late") == 1)
        try harness.feed([.sample("web", "rps", t0 + 700_000, 5)])
        #expect(harness.count("accepted") == 2)
    }

    @Test("Traffic between two strangers is not for the graph of this partition")
    func traffic() throws {
        let (here, there) = (try name(leadingHere: true), try name(leadingHere: false))
        let harness = try Harness()
        let code = InteractionCode(otherEnd: nil, isUnrouted: true).raw
        try harness.feed([
            Input(kind: .interaction, code: code, resource: there, object: there, seconds: t0),
            Input(kind: .interaction, code: code, resource: there, object: here, seconds: t0),
            Input(kind: .interaction, code: 2, resource: there, object: there, seconds: t0),
        ])
        #expect(harness.entries.map(\.object) == [here, there])
    }
}
