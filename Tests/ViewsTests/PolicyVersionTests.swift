import Testing

@testable import Views

/// Which version of a policy is in force, by the deciders' rules.
@Suite struct PolicyVersionTests {
    private static func say(
        _ orders: inout OrdersView, _ text: String?, name: String = "p", rejected: String? = nil
    ) -> PolicyVersion? {
        Array(name.utf8).withUnsafeBytes { key in
            guard let text else { return orders.receivePolicy(key: key, value: nil, written: nil) }
            return Array(text.utf8).withUnsafeBytes {
                orders.receivePolicy(key: key, value: $0, written: nil, rejected: rejected)
            }
        }
    }

    private static func text(_ orders: OrdersView) -> String? {
        orders.policy("p")?.text.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func anEqualOrOlderVersionReplacesNone() {
        var orders = OrdersView(limits: ViewLimits())
        let act = #"{"version":2,"mode":"act"}"#
        #expect(Self.say(&orders, act)?.version == 2)
        for other in [#"{"version":2,"mode":"observe"}"#, #"{"version":1}"#, #"{"mode":"observe"}"#] {
            #expect(Self.say(&orders, other) == nil)
            #expect(Self.text(orders) == act)
        }
        #expect(Self.say(&orders, nil) != nil)
        #expect(orders.policy("p") == nil)
        // A withdrawal forgets the version.
        #expect(Self.say(&orders, #"{"version":1}"#) != nil)
        #expect(orders.policy("p")?.version == 1)
    }

    @Test func thoseWithoutAVersionFollowEachOther() {
        var orders = OrdersView(limits: ViewLimits())
        for text in [#"{"mode":"act"}"#, #"{"mode":"observe"}"#] {
            #expect(Self.say(&orders, text) != nil)
            #expect(Self.text(orders) == text)
        }
    }

    @Test func whatIsRefusedIsRememberedAndNotInForce() {
        var orders = OrdersView(limits: ViewLimits())
        #expect(Self.say(&orders, #"{"version":1}"#) != nil)
        #expect(Self.say(&orders, #"{"version":2,"mode":"explode"}"#, rejected: "no such mode")?.rejected != nil)
        #expect(orders.policy("p")?.version == 1)
        #expect(Self.say(&orders, #"{"version":2,"mode":"act"}"#) != nil)
        // The deciders' word about the first of the two must not hit the second.
        orders.reject(policy: "p", version: 2, reason: "no such mode")
        #expect(orders.policy("p")?.version == 2)
        #expect(orders.versions(of: "p").count == 3)
        for version in 3..<100 {
            _ = Self.say(&orders, "{\"version\":\(version),\"mode\":\"explode\"}", rejected: "no such mode")
        }
        #expect(orders.policy("p")?.version == 2)
    }
}
