import Foundation
import Messages
import Testing

@testable import Scaling

/// Target 1 and capacity 100 make the arithmetic plain: demand 450 needs 5.
private let plain = #""mode":"act","capacityPerReplica":100,"targetUtilisation":1,"tolerance":0"#
private let still = #""stabilisation":{"downSeconds":0}"#

@Suite struct DecisionTests {
    @Test func `a forecast raises capacity ahead of time and says why`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\"criticality\":\"high\",\"provisioningDelaySeconds\":285}")])
        var outlook = Outlook.flat(380, forecast: 400, ready: 4, influence: 38)
        outlook.horizons = [(60, 390, 0), (300, 560, 38), (900, 900, 90)]
        let written = try decider.feed([outlook.at(1_005)])
        let action = try #require(written.actions.first)
        let decision = try #require(written.decisions.first)
        #expect(action.int("from") == 4 && action.int("to") == 6)
        #expect(action.text("direction") == "up" && action.text("mode") == "act")
        #expect(action.event["type"] as? String == "io.twinscale.action.v1")
        #expect(action.event["subject"] as? String == "web" && action.key == "web")
        #expect(action.event["time"] as? String == "1970-01-01T00:16:45Z")
        #expect(action.text("deadline") == "1970-01-01T00:46:45Z")
        #expect(
            decision.text("reason") == "q99 of requests in 5 min, 560, needs 6 at 100 % (4 ready); neighbours add 38")
        #expect(decision.text("action") == action.text("action"))
        #expect(action.text("action") == action.event["id"] as? String)
        #expect(decision.nested("candidates", "reactive") as? Int == 4)
        #expect(decision.nested("candidates", "predictive") as? Int == 6)
        #expect(decision.nested("neighbours", "added") as? Int == 38)
        #expect(decision.nested("inputs", "value") as? Int == 560)
        #expect(
            decision.text("whatWouldChange")
                == "up when q99 of requests exceeds 600, down when it falls below 500 for 5 min")
    }

    @Test func `a forecast never makes it lower than the reactive rule`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Random(state: seed)
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "recommend")),\(still)}")])
        for step in 0..<500 {
            var outlook = Outlook.flat(
                .random(in: 0...2_000, using: &random), forecast: .random(in: 0...2_000, using: &random),
                ready: Float(Int.random(in: 1...20, using: &random)))
            outlook.distrusted = Int.random(in: 0..<5, using: &random) == 0
            outlook.young = Int.random(in: 0..<5, using: &random) == 0
            let written = try decider.feed([outlook.at(1_000 + Int64(step) * 15)])
            guard let decision = written.decisions.first else { continue }
            let desired = try #require(decision.int("desired"))
            let reactive = Replicas.reactive(
                level: outlook.level, current: Int32(outlook.ready), perReplica: 100, tolerance: 0)
            #expect(desired >= Int(reactive), "seed \(seed)")
            if outlook.distrusted || outlook.young { #expect(desired == Int(reactive), "seed \(seed)") }
        }
    }

    @Test func `the last unit goes only when the upper quantile fits what is left`() throws {
        let decider = try Decider()
        try decider.feed([
            policy(
                "p",
                #"{"mode":"recommend","capacityPerReplica":100,"targetUtilisation":1,"criticality":"low",\#(still)}"#)
        ])
        // q90 needs 4, but q95 is above the capacity of 4.
        var outlook = Outlook.flat(300, forecast: 300, ready: 6)
        outlook.spread = [0, 0, 0.2, 0.4, 0.6, 0.8]
        let decision = try #require(try decider.feed([outlook.at(1_000)]).decisions.first)
        #expect(decision.nested("candidates", "predictive") as? Int == 4)
        #expect(decision.int("desired") == 5 && decision.constraints == ["consolidation"])
    }

    @Test(arguments: [(DataQuality.stale, "stale"), (.missing, "missing")])
    func `absence of data never scales in, zero does`(_ quality: DataQuality, _ word: String) throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still),\"replicas\":{\"max\":5}}")])
        var outlook = Outlook.flat(0, forecast: 0, ready: 8)
        outlook.quality = quality
        let held = try decider.feed([outlook.at(1_000)])
        #expect(held.actions.isEmpty && held.desired == [8])
        #expect(held.decisions[0].text("reason")?.contains("is \(word); 8 stay") == true)
        outlook.level = .nan
        outlook.quality = .fresh
        #expect(try decider.feed([outlook.at(2_000)]).desired == [8])
        #expect(try decider.feed([Outlook.flat(0, forecast: 0, ready: 8).at(3_000)]).actions.first?.int("to") == 1)
    }

    @Test func `a utilisation is demand in busy units, or a share of what is ready`() throws {
        for (level, ready) in [(3.2, Float(4)), (0.8, .nan)] {
            let decider = try Decider()
            try decider.feed([policy("p", #"{"mode":"act","targetUtilisation":0.5,"replicas":{"initial":4}}"#)])
            var outlook = Outlook.flat(level, forecast: level, ready: ready)
            outlook.role = .utilisation
            #expect(try decider.feed([outlook.at(1_000)]).actions.first?.int("to") == 7)
        }
    }

    @Test func `the decision metric follows the role unless the policy names it`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain)}")])
        func outlook(_ metric: String, _ role: MetricRole, _ level: Double, _ time: Int64) -> Said {
            var outlook = Outlook.flat(level, forecast: level, ready: 1)
            (outlook.metric, outlook.role) = (metric, role)
            return outlook.at(time)
        }
        #expect(try decider.feed([outlook("memory", .footprint, 900, 1_000)]).isEmpty)
        #expect(try decider.feed([outlook("load", .unknown, 300, 1_015)]).actions.first?.int("to") == 3)
        #expect(try decider.feed([outlook("requests", .demand, 500, 1_030)]).actions.first?.int("to") == 5)
        #expect(try decider.feed([outlook("load", .unknown, 900, 1_045)]).isEmpty)
        try decider.feed([policy("p", version: 2, "{\(plain),\"metric\":\"load\"}")])
        #expect(try decider.feed([outlook("requests", .demand, 800, 1_060)]).isEmpty)
        #expect(try decider.feed([outlook("load", .unknown, 700, 1_075)]).actions.first?.int("to") == 7)
    }

    @Test func `scaling down waits for the largest proposal of the window`() throws {
        let decider = try Decider(ScalingSettings.everyDecision)
        try decider.feed([
            policy("p", "{\(plain.replacing("act", with: "recommend")),\"stabilisation\":{\"downSeconds\":60}}")
        ])
        let levels = [1_000.0, 900, 500, 700, 300, 300, 300, 300, 300, 300]
        var desired: [Int] = []
        for (step, level) in levels.enumerated() {
            desired += try decider.feed([Outlook.flat(level, forecast: level, ready: 10).at(1_005 + Int64(step) * 15)])
                .desired
        }
        #expect(desired == [10, 10, 10, 10, 10, 9, 7, 7, 3, 3])
    }

    @Test func `cool-down, steps and the flap budget hold actions back`() throws {
        let decider = try Decider()
        try decider.feed([
            policy(
                "p",
                """
                {\(plain),\(still),"cooldown":{"upSeconds":60,"downSeconds":120},"stepUpMax":2,"stepDownMax":1}
                """)
        ])
        func at(_ time: Int64, _ level: Double, ready: Float) throws -> [Written] {
            try decider.feed([Outlook.flat(level, forecast: level, ready: ready).at(time)])
        }
        let first = try at(1_005, 900, ready: 2)
        #expect(first.actions[0].int("to") == 4 && first.decisions[0].constraints == ["stepUp"])
        let id = try #require(first.actions[0].text("action"))
        try decider.feed([outcome("web", action: id, "ready", ready: 4, at: 1_010)])
        #expect(try at(1_020, 900, ready: 4).decisions.last?.constraints == ["stepUp", "cooldownUp"])
        let second = try at(1_065, 900, ready: 4)
        #expect(second.actions.first?.int("to") == 6)
        try decider.feed([outcome("web", action: second.actions[0].text("action") ?? "", "ready", ready: 6, at: 1_070)])
        #expect(try at(1_080, 100, ready: 6).actions.isEmpty)
        #expect(try at(1_185, 100, ready: 6).actions.first?.int("to") == 5)
    }

    @Test func `a turn downwards needs a token of the flap budget`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still),\"flapsPerHourMax\":2}")])
        var turns = 0
        var blocked = 0
        for step in 0..<40 {
            let isHigh = step % 2 == 0
            let level = isHigh ? 900.0 : 100
            let written = try decider.feed([Outlook.flat(level, forecast: level).at(1_005 + Int64(step) * 15)])
            if let action = written.actions.first {
                turns += 1
                try decider.feed([
                    outcome(
                        "web", action: action.text("action") ?? "", "ready", ready: Double(action.int("to") ?? 0),
                        at: 1_010 + Int64(step) * 15)
                ])
            }
            if written.decisions.contains(where: { $0.constraints == ["flapBudget"] }) { blocked += 1 }
        }
        #expect(turns == 3 && blocked > 0)
    }

    @Test func `a neighbour is felt at once, without waiting for the next sample`() throws {
        let decider = try Decider(ScalingSettings.everyDecision)
        try decider.feed([policy("p", "{\(plain)}")])
        #expect(try decider.feed([Outlook.flat(400, forecast: 400, ready: 4).at(1_005)]).desired == [4])
        let felt = try decider.feed([Outlook.flat(400, forecast: 560, ready: 4, influence: 160).at(1_005)])
        #expect(felt.actions.first?.int("to") == 6)
        // The same again is no news, and no other sample is due within the interval.
        #expect(try decider.feed([Outlook.flat(400, forecast: 560, ready: 4, influence: 160).at(1_005)]).isEmpty)
        #expect(try decider.feed([Outlook.flat(400, forecast: 560, ready: 4, influence: 160).at(1_010)]).isEmpty)
    }

    @Test func `nothing is written while nothing changes, but restated after an hour`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain)}")])
        var count = 0
        for step in 0..<480 {
            count += try decider.feed([Outlook.flat(450, forecast: 450, ready: 5).at(1_005 + Int64(step) * 15)]).count
        }
        #expect(count == 2)
        let every = try Decider(ScalingSettings.everyDecision)
        try every.feed([policy("p", "{\(plain)}")])
        for step in 0..<40 { try every.feed([Outlook.flat(450, forecast: 450, ready: 5).at(1_005 + Int64(step) * 15)]) }
        #expect(every.everything.decisions.count == 40)
    }

    @Test func `a resource without a policy is observed`() throws {
        let decider = try Decider()
        var outlook = Outlook.flat(3, forecast: 3, ready: 4)
        outlook.role = .utilisation
        #expect(try decider.feed([outlook.at(1_000)]).desired == [5])
        #expect(try decider.feed([outlook.at(1_015)]).isEmpty)
        #expect(try decider.feed([Outlook.flat(3_000, forecast: 3_000, ready: 4).at(1_030)]).actions.isEmpty)
    }

    @Test func `with assumed actuation desired numbers follow without any actuator`() throws {
        var settings = ScalingSettings.everyDecision
        settings.actuation = .assumed
        let decider = try Decider(settings)
        try decider.feed([
            policy("p", "{\(plain),\(still),\"provisioningDelaySeconds\":30,\"replicas\":{\"initial\":3}}")
        ])
        var desired: [Int] = []
        for (step, level) in [300.0, 800, 800, 800, 900, 200, 200, 200].enumerated() {
            desired += try decider.feed([Outlook.flat(level, forecast: level).at(1_005 + Int64(step) * 15)]).desired
        }
        #expect(desired == [3, 8, 8, 8, 9, 9, 2, 2])
    }
}

extension ScalingSettings {
    static var everyDecision: ScalingSettings {
        var settings = ScalingSettings()
        settings.restateEveryDecision = true
        return settings
    }
}
