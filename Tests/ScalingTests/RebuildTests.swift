import Testing
import TwinCore

@testable import Scaling

/// Policies come from a topic that keeps them for ever into an inbox that does not.
@Suite struct RebuildTests {
    private static func terms(_ capacity: Int, _ resource: String) -> String {
        """
        {"mode":"recommend","match":{"resource":"\(resource)"},"capacityPerReplica":\(capacity),"targetUtilisation":1,
         "tolerance":0}
        """
    }

    /// Lets a day pass, delivering what the decider says to itself; returns that, hour by hour.
    private static func live(_ decider: Decider, from start: Int64, hours: Int64) throws -> [[[UInt8]]] {
        try (1...hours).map { hour in
            let said = try decider.feed([], watermark: start + hour * 3_600).filter { $0.topic == .outlooks }
            try decider.deliver(said.map(\.bytes))
            return said.map(\.bytes)
        }
    }

    private static func advice(_ decider: Decider, at time: Int64) throws -> [String: Int] {
        let outlooks = ["web", "cart", "gone", "late"].map { name in
            var outlook = Outlook.flat(1_000, forecast: 1_000, ready: 1)
            outlook.resource = name
            return outlook.at(time)
        }
        let decisions = try decider.feed(outlooks).decisions.filter { $0.text("mode") == "recommend" }
        return Dictionary(uniqueKeysWithValues: decisions.map { ($0.key, $0.int("desired") ?? 0) })
    }

    @Test func `a task that is rebuilt from a trimmed log has every policy again`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("a", Self.terms(100, "web")), policy("b", version: 0, Self.terms(50, "cart")),
            policy("c", Self.terms(10, "gone")), policy("c", version: 2, ""), policy("d", Self.terms(10, "late")),
        ])
        try decider.feed([], watermark: 1_000)
        let first = try Self.live(decider, from: 1_000, hours: 13)
        try decider.feed([
            policy("b", version: 0, Self.terms(200, "cart")), policy("d", version: 2, Self.terms(20, "late")),
        ])
        let second = try Self.live(decider, from: 1_000 + 13 * 3_600, hours: 13)
        #expect(first.joined().count > 0 && second.joined().count > 0)

        // All that the log still has is what came last.
        let rebuilt = try Decider(rebuilds: true)
        try rebuilt.deliver(second.suffix(13).flatMap(\.self))
        let expected = ["web": 10, "cart": 5, "late": 50]
        #expect(try Self.advice(decider, at: 200_000) == expected)
        #expect(try Self.advice(rebuilt, at: 200_000) == expected)
    }

    @Test func `what is said again never undoes an order, and an order undoes what was said again`() throws {
        let decider = try Decider()
        try decider.feed([policy("b", version: 0, Self.terms(50, "cart"))])
        try decider.feed([], watermark: 1_000)
        let old = try decider.feed([], watermark: 1_000 + 50_000).filter { $0.topic == .outlooks }.map(\.bytes)
        #expect(!old.isEmpty)
        // Said before the new policy came, delivered after it.
        try decider.feed([policy("b", version: 0, Self.terms(200, "cart"))])
        try decider.deliver(old)
        #expect(try Self.advice(decider, at: 60_000) == ["cart": 5])
        let rebuilt = try Decider(rebuilds: true)
        try rebuilt.deliver(old)
        try rebuilt.restart()
        #expect(try Self.advice(rebuilt, at: 60_000) == ["cart": 20])
        try rebuilt.feed([policy("b", version: 0, Self.terms(200, "cart"))])
        #expect(try Self.advice(rebuilt, at: 60_060) == ["cart": 5])
        try rebuilt.feed([policy("b", version: 0, "")])
        try rebuilt.deliver(old)
        #expect(try Self.advice(rebuilt, at: 60_120).isEmpty)
    }

    @Test func `a task that is rebuilt from a trimmed log has the orders that are in force`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("a", Self.terms(100, "web")), policy("b", Self.terms(50, "cart")),
            policy("d", Self.terms(100, "late")), policy("g", Self.terms(100, "gone")),
        ])
        #expect(try Self.advice(decider, at: 1_000) == ["web": 10, "cart": 20, "late": 10, "gone": 10])
        try decider.feed([
            command(#"{"id":"1","verb":"set","resource":"web","value":7,"owner":"ann","reason":"fair"}"#),
            command(#"{"id":"2","verb":"floor","policy":"b","value":30,"until":5000000}"#),
            command(#"{"id":"3","verb":"set","resource":"late","value":3,"until":150000}"#),
            command(#"{"id":"4","verb":"pause","resource":"gone"}"#),
            command(#"{"id":"5","verb":"resume","resource":"gone"}"#),
            command(#"{"id":"6","verb":"ceiling","resource":"gone","value":8}"#),
        ])
        try decider.feed([], watermark: 1_000)
        // Longer than the id of an order without an end is remembered by itself.
        let said = try Self.live(decider, from: 1_000, hours: 24 * 40)
        let rebuilt = try Decider(rebuilds: true)
        let expected = ["web": 7, "cart": 30, "late": 10, "gone": 8]
        for task in [decider, rebuilt] {
            _ = try Self.advice(task, at: 3_460_000)
            try task.deliver(said.suffix(13).flatMap(\.self))
            #expect(try Self.advice(task, at: 3_463_600) == expected)
        }
        try rebuilt.restart()
        let last = try rebuilt.feed([Outlook.flat(1_000, forecast: 1_000, ready: 1).at(3_470_000)]).decisions.last
        #expect(last?.text("mode") == "recommend" && last?.int("desired") == 7)
    }

    @Test func `an order that is said again never undoes what an operator ordered since`() throws {
        let decider = try Decider()
        let policies = [policy("a", Self.terms(100, "web")), policy("b", Self.terms(50, "cart"))]
        try decider.feed(policies)
        _ = try Self.advice(decider, at: 1_000)
        try decider.feed([
            command(#"{"id":"1","verb":"floor","resource":"web","value":20}"#),
            command(#"{"id":"2","verb":"floor","resource":"cart","value":40}"#),
            command(#"{"id":"3","verb":"ceiling","resource":"cart","value":60}"#),
        ])
        try decider.feed([], watermark: 1_000)
        let old = try decider.feed([], watermark: 1_000 + 50_000).filter { $0.topic == .outlooks }.map(\.bytes)
        let since = [
            command(#"{"id":"4","verb":"resume","resource":"web"}"#),
            command(#"{"id":"5","verb":"floor","resource":"cart","value":70}"#),
        ]
        let rebuilt = try Decider(rebuilds: true)
        try rebuilt.feed(policies)
        _ = try Self.advice(rebuilt, at: 51_000)
        for task in [decider, rebuilt] {
            try task.feed(since)
            try task.deliver(old)
            #expect(try Self.advice(task, at: 60_000) == ["web": 10, "cart": 60])
        }
    }
}
