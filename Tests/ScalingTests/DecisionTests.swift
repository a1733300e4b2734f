import Foundation
import Messages
import TestKit
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
            decision.text("reason")
                == "requests may reach 560 in 5 min (99th percentile), which needs 6 at 100 % use (4 ready); "
                + "neighbours add 38")
        #expect(decision.text("action") == action.text("action"))
        #expect(action.text("action") == action.event["id"] as? String)
        #expect(decision.nested("candidates", "reactive") as? Int == 4)
        #expect(decision.nested("candidates", "predictive") as? Int == 6)
        #expect(decision.nested("neighbours", "added") as? Int == 38)
        #expect(decision.nested("inputs", "value") as? Int == 560)
        #expect(
            decision.text("whatWouldChange")
                == "up when the 99th percentile of requests exceeds 600, down when it falls below 500 for 5 min")
    }

    @Test func `a forecast never makes it lower than the reactive rule`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
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

    @Test(arguments: ["", #","provisioningDelaySeconds":285"#])
    func `what would be asked for again within a quarter of an hour is not taken away`(_ lead: String) throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)\(lead)}")])
        // The window ends before the rise; with the second lead time it ends at a horizon.
        var outlook = Outlook.flat(250, forecast: 250, ready: 4)
        outlook.horizons = [(60, 250, 0), (300, 260, 0), (900, 380, 0)]
        let held = try decider.feed([outlook.at(1_005)])
        let decision = try #require(held.decisions.first)
        #expect(decision.nested("candidates", "predictive") as? Int == 3)
        #expect(decision.int("desired") == 4 && decision.constraints == ["neededSoon"])
        #expect(decision.text("reason")?.hasSuffix("not below 4: in 15 min 380 will be asked for again") == true)
        outlook.horizons[2].mean = 290
        #expect(try decider.feed([outlook.at(1_305)]).desired == [3])
    }

    @Test func `where samples are minutes apart three of them make a window`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("p", #"{"mode":"recommend","capacityPerReplica":100,"targetUtilisation":1,"tolerance":0}"#)
        ])
        func desired(_ level: Double, at seconds: Int64) throws -> Int? {
            try decider.feed([Outlook.flat(level, forecast: level, ready: 6).at(seconds)]).decisions.last?.int(
                "desired")
        }
        for seconds in [Int64(1_200), 1_500] { #expect(try desired(590, at: seconds) ?? 6 == 6) }
        for seconds in stride(from: Int64(1_800), through: 2_400, by: 300) {
            #expect(try desired(450, at: seconds) ?? 6 == 6, "at \(seconds)")
        }
        #expect(try desired(450, at: 2_700) == 5)
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
        outlook.quality = .fresh
        for (level, time) in [(Double.nan, Int64(2_000)), (-3, 2_100)] {
            outlook.level = level
            #expect(try decider.feed([outlook.at(time)]).actions.isEmpty)
            #expect(decider.everything.decisions.last?.text("reason")?.contains("has no level; 8 stay") == true)
        }
        #expect(try decider.feed([Outlook.flat(0, forecast: 0, ready: 8).at(3_000)]).actions.first?.int("to") == 1)
    }

    @Test func `a utilisation is demand in busy units, or a share of what is ready`() throws {
        for (level, ready) in [(3.2, Float(4)), (0.8, .nan)] {
            let decider = try Decider()
            try decider.feed([policy("p", #"{"mode":"act","targetUtilisation":0.5}"#)])
            // What is known from before, where the telemetry does not say how many are ready.
            var before = Outlook()
            before.ready = 4
            try decider.feed([before.at(900)])
            var outlook = Outlook.flat(level, forecast: level, ready: ready)
            outlook.role = .utilisation
            #expect(try decider.feed([outlook.at(1_000)]).actions.first?.int("to") == 7)
        }
    }

    @Test func `a declared capacity is in the unit of the demand, and no measure of busy units`() throws {
        let decider = try Decider()
        let half = plain.replacing(#""targetUtilisation":1"#, with: #""targetUtilisation":0.5"#)
        try decider.feed([policy("p", "{\(half),\(still)}")])
        func outlook(_ metric: String, _ role: MetricRole, _ level: Double, _ time: Int64) -> Said {
            var outlook = Outlook.flat(level, forecast: level, ready: 4)
            (outlook.metric, outlook.role) = (metric, role)
            return outlook.at(time)
        }
        #expect(try decider.feed([outlook("cpu", .utilisation, 2, 1_000)]).actions.isEmpty)
        #expect(try decider.feed([outlook("bytes", .unknown, 4e9, 1_015)]).isEmpty)
        // The demand comes and takes over; without a declared capacity the utilisation does.
        #expect(try decider.feed([outlook("requests", .demand, 300, 1_030)]).actions.first?.int("to") == 6)
        try decider.feed([policy("p", version: 2, "{\"mode\":\"recommend\",\"targetUtilisation\":0.5}")])
        #expect(try decider.feed([outlook("cpu", .utilisation, 4, 1_045)]).decisions.last?.int("desired") == 8)
        // Named, it is what the policy says it is.
        try decider.feed([policy("p", version: 3, #"{"mode":"recommend","metric":"cpu","capacityPerReplica":0.8}"#)])
        let named = try decider.feed([outlook("cpu", .utilisation, 2.8, 1_060)])
        #expect(named.decisions.last?.nested("candidates", "predictive") as? Int == 5)
    }

    @Test func `without a word on ready units nothing is decided, but an operator's number counts`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still),\"replicas\":{\"min\":2,\"initial\":4}}")])
        let held = try decider.feed([Outlook.flat(900, forecast: 900).at(1_000)])
        #expect(held.actions.isEmpty && held.decisions.count == 1)
        #expect(held.decisions[0].nested("desired") is NSNull && held.decisions[0].nested("current") is NSNull)
        #expect(held.decisions[0].text("reason")?.hasPrefix("nobody has said how many units are ready") == true)
        let set = try decider.feed([command(#"{"id":"s","verb":"set","resource":"web","value":4,"until":1010}"#)])
        #expect(set.actions.first?.int("to") == 4 && set.actions.first?.nested("from") is NSNull)
        #expect(try decider.feed([Outlook.flat(900, forecast: 900).at(1_005)]).actions.isEmpty)
        let known = try decider.feed([Outlook.flat(900, forecast: 900, ready: 4).at(1_030)])
        #expect(known.actions.first?.int("from") == 4 && known.actions.first?.int("to") == 9)
    }

    @Test func `a window of proposals begins with what is there, at first sight and after a silence`() throws {
        var decider = try Decider()
        let minute = #""stabilisation":{"downSeconds":60}"#
        try decider.feed([policy("p", "{\(plain),\(minute)}")])
        var time: Int64 = 1_005
        func look(_ level: Double, quality: DataQuality = .fresh, after: Int64 = 15) throws -> Int? {
            time += after
            var outlook = Outlook.flat(level, forecast: level, ready: 10)
            outlook.quality = quality
            return try decider.feed([outlook.at(time)]).actions.first?.int("to")
        }
        for _ in 0..<5 { #expect(try look(200) == nil) }
        #expect(try look(200) == 2)
        // Silence, noticed or not, is no evidence for the window that follows it.
        decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "recommend")),\(minute)}")])
        func desired() -> Int? { decider.everything.decisions.last?.int("desired") }
        _ = try look(1_000)
        for (quality, silence) in [(DataQuality.stale, Int64(15)), (.fresh, 4_000)] {
            for _ in 0..<3 { _ = try look(200) }
            _ = try look(200, quality: quality, after: silence)
            for _ in 0..<3 {
                _ = try look(200)
                #expect(desired() == 10)
            }
            for _ in 0..<3 { _ = try look(200) }
            #expect(desired() == 2)
            _ = try look(1_000)
        }
    }

    @Test func `a window shorter than the time between decisions does not hold for ever`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("p", "{\(plain),\"decisionIntervalSeconds\":600,\"stabilisation\":{\"downSeconds\":60}}")
        ])
        #expect(try decider.feed([Outlook.flat(200, forecast: 200, ready: 10).at(1_200)]).actions.isEmpty)
        let next = try decider.feed([Outlook.flat(200, forecast: 200, ready: 10).at(1_800)])
        #expect(next.actions.first?.int("to") == 2)
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
        #expect(try decider.feed([outlook("load", .unknown, 300, 1_015)]).isEmpty)
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
            let written = try decider.feed([
                Outlook.flat(level, forecast: level, ready: step == 0 ? 1 : .nan).at(1_005 + Int64(step) * 15)
            ])
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
        #expect(desired == [3, 8, 8, 8, 9, 9, 9, 2])
    }
}

extension ScalingSettings {
    static var everyDecision: ScalingSettings {
        var settings = ScalingSettings()
        settings.restateEveryDecision = true
        return settings
    }
}
