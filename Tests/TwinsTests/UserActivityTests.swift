import Messages
import TestKit
import Testing

@testable import Twins

@Suite("What users do enters the forecasts of their resource")
struct UserActivityTests {
    private func forecasts(_ metric: String, resource: String = "shop", seed: UInt64) throws -> [Output] {
        let harness = try Harness()
        var random = SeededRandom(seed: seed)
        var inputs: [Input] = []
        var users = 0.0
        for minute in 0..<400 {
            users = 0.9 * users + random.normal()
            let seconds = Harness.start + Double(minute) * 60
            inputs.append(.sample(resource, metric, seconds, 50 + 5 * users))
            inputs.append(.sample("shop", "rps", seconds, 500 + 30 * users + 10 * random.normal()))
        }
        try harness.feed(inputs)
        return harness.forecasts.filter { $0.object == "rps" }
    }

    @Test("by the name of the metric, in any spelling", arguments: [1, 2] as [UInt64])
    func names(seed: UInt64) throws {
        let users = try forecasts("active_users", seed: seed)
        #expect(try forecasts("Active.Users", seed: seed) == users)
        let other = try forecasts("orders", seed: seed)
        #expect(try forecasts("reorders", seed: seed) == other)
        #expect(users.map(\.numbers) != other.map(\.numbers), "seed \(seed)")
    }

    @Test("and no other's", arguments: [3] as [UInt64])
    func others(seed: UInt64) throws {
        let here = try forecasts("orders", resource: "mall", seed: seed)
        #expect(try forecasts("active_users", resource: "mall", seed: seed) == here)
    }
}
