import Foundation
import Messages
import StageKit
import Testing
import TwinCore

@testable import Scaling

private let plain = #""mode":"act","capacityPerReplica":100,"targetUtilisation":1,"tolerance":0"#
private let still = #""stabilisation":{"downSeconds":0}"#

@Suite struct ActionTests {
    private func outlook(_ level: Double, ready: Float = .nan, at time: Int64, of resource: String = "web") -> Said {
        var outlook = Outlook.flat(level, forecast: level, ready: ready)
        outlook.resource = resource
        return outlook.at(time)
    }

    @Test func `a larger scale-up supersedes the pending one, a smaller number waits`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}")])
        let first = try decider.feed([outlook(450, ready: 2, at: 1_005)])
        #expect(first.actions[0].nested("supersedes") is NSNull)
        let second = try decider.feed([outlook(650, ready: 2, at: 1_020)])
        #expect(second.actions.first?.int("to") == 7 && second.actions.first?.int("from") == 2)
        #expect(second.actions.first?.text("supersedes") == first.actions[0].text("action"))
        #expect(second.actions.first?.text("reason")?.contains("(2 ready, 5 under way)") == true)
        let third = try decider.feed([outlook(150, ready: 2, at: 1_035)])
        #expect(third.actions.isEmpty && third.decisions.last?.constraints == ["actionInFlight"])
        // An answer about the superseded action only counts its units.
        try decider.feed([outcome("web", action: first.actions[0].text("action") ?? "", "ready", ready: 5, at: 1_040)])
        #expect(try decider.feed([outlook(150, at: 1_050)]).actions.isEmpty)
        try decider.feed([outcome("web", action: second.actions[0].text("action") ?? "", "ready", ready: 7, at: 1_055)])
        let last = try decider.feed([outlook(150, at: 1_065)])
        #expect(last.actions.first?.int("from") == 7 && last.actions.first?.int("to") == 2)
    }

    @Test func `what was expected of an action is set beside what came`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\"provisioningDelaySeconds\":30}")])
        let action = try #require(try decider.feed([outlook(450, ready: 2, at: 1_005)]).actions.first)
        try decider.feed([
            outcome("web", action: action.text("action") ?? "", "accepted", at: 1_010),
            outcome("web", action: action.text("action") ?? "", "ready", ready: 5, at: 1_065),
        ])
        let result = try #require(try decider.feed([outlook(400, ready: 5, at: 1_080)]).results.first)
        #expect(result.text("action") == action.text("action") && result.text("status") == "ready")
        #expect(result.nested("expected", "leadSeconds") as? Double == 30)
        #expect(result.nested("came", "leadSeconds") as? Double == 60)
        #expect(result.nested("expected", "utilisation") as? Double == 0.9)
        #expect(result.nested("came", "utilisation") as? Double == 0.8)
    }

    @Test func `units that are seen ready end an action, and older words on units do not count`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}")])
        try decider.feed([outlook(450, ready: 2, at: 1_005)])
        // Counted before the action: what is seen is the time before it.
        var late = Outlook.flat(450, forecast: 450, ready: 5)
        late.unitsAge = 20
        #expect(try decider.feed([late.at(1_020)]).results.isEmpty)
        try decider.feed([outlook(450, ready: 5, at: 1_050)])
        let seen = try decider.feed([outlook(750, ready: 5, at: 1_065)])
        #expect(seen.results.first?.text("status") == "ready")
        #expect(seen.results.first?.nested("came", "leadSeconds") as? Double == 45)
        let action = try #require(seen.actions.first)
        try decider.feed([outcome("web", action: action.text("action") ?? "", "ready", ready: 8, at: 1_090)])
        late.unitsAge = 30
        #expect(try decider.feed([late.at(1_095)]).actions.first?.int("from") == 8)
    }

    @Test func `an action without an answer times out and decisions go on`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\"actionTimeoutSeconds\":100}")])
        try decider.feed([outlook(450, ready: 2, at: 1_005)])
        #expect(try decider.feed([], watermark: 1_104).isEmpty)
        let late = try decider.feed([], watermark: 1_105)
        #expect(late.results.first?.text("status") == "timeout" && late.results.first?.int("shortfall") == 3)
        #expect(try decider.feed([outlook(450, ready: 2, at: 1_110)]).actions.first?.int("to") == 5)
        #expect(decider.task.stageCounters.first { $0.name == "actionTimeouts" }?.value == 1)
    }

    @Test func `an outcome of no action of its own, or from far ahead, changes nothing and is said once`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}"), outlook(300, ready: 3, at: 1_005)])
        let unknown = outcome("web", action: "nope", "ready", ready: 0, at: 1_010)
        let refused = try decider.feed([unknown, unknown])
        #expect(refused.map(\.kind) == ["outcomeRefused"] && refused[0].text("action") == "nope")
        #expect(try decider.feed([outlook(300, at: 1_020)]).actions.isEmpty)
        let action = try decider.feed([outlook(450, ready: 3, at: 1_035)]).actions.first?.text("action") ?? ""
        let ahead = try decider.feed([outcome("web", action: action, "ready", ready: 3_000, at: 51_000)])
        #expect(ahead.isEmpty, "as was said before")
        try decider.feed([outcome("web", action: action, "ready", ready: 5, at: 1_040)])
        #expect(try decider.feed([outlook(650, at: 1_050)]).actions.first?.int("from") == 5)
        // The last one still counts, and a foreign one is said again.
        try decider.feed([outcome("web", action: action, "ready", ready: 4, at: 1_055)])
        #expect(try decider.feed([outlook(850, at: 1_065)]).actions.first?.int("from") == 4)
        #expect(try decider.feed([unknown]).map(\.kind) == ["outcomeRefused"])
        #expect(decider.task.stageCounters.first { $0.name == "outcomesUnknown" }?.value == 4)
    }

    @Test func `a sample from some minutes ahead holds nothing up, and no order expires by it`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}"), outlook(300, ready: 3, at: 2_000)], watermark: 1_880)
        try decider.feed([outlook(200, ready: 2, at: 5_000)])
        let order = try decider.feed([
            command(#"{"id":"s","verb":"hold","resource":"web","until":3980,"owner":"ann"}"#)
        ])
        #expect(order.first?.kind == "commandAccepted")
        let back = try decider.feed([outlook(600, ready: 7, at: 2_015)])
        #expect(back.decisions.first?.int("current") == 7 && back.decisions.first?.constraints == ["manualHold"])
        var stray = Outlook.flat(600, forecast: 600, ready: 2)
        stray.unitsAge = -3_000
        try decider.feed([stray.at(2_030)])
        let lifted = try decider.feed([command(#"{"id":"r","verb":"resume","resource":"web"}"#)])
        #expect(lifted.actions.first?.int("from") == 7)
    }

    @Test func `what cannot be scheduled is not asked for again at once`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain)}")])
        let action = try #require(try decider.feed([outlook(450, ready: 2, at: 1_005)]).actions.first)
        let answer = try decider.feed([
            outcome("web", action: action.text("action") ?? "", "unschedulable", ready: 3, at: 1_010)
        ])
        #expect(answer.results.first?.text("status") == "unschedulable" && answer.results.first?.int("shortfall") == 2)
        let held = try decider.feed([outlook(450, at: 1_020)])
        #expect(held.actions.isEmpty && held.decisions.first?.int("shortfall") == 2)
        #expect(held.decisions.first?.constraints == ["backoff"])
        let again = try decider.feed([outlook(450, at: 1_080)])
        #expect(again.actions.first?.int("from") == 3)
        try decider.feed([outcome("web", action: again.actions[0].text("action") ?? "", "failed", ready: 3, at: 1_085)])
        #expect(try decider.feed([outlook(450, at: 1_155)]).actions.isEmpty)
        #expect(try decider.feed([outlook(450, at: 1_215)]).actions.count == 1)
    }

    @Test func `the lead time is learned from what actuators report`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}"), outlook(100, ready: 1, at: 990)])
        var time: Int64 = 1_005
        for _ in 0..<12 {
            for level in [450.0, 150] {
                let written = try decider.feed([outlook(level, at: time)])
                let action = try #require(written.actions.first)
                let wait: Int64 = level == 450 ? 40 : 5
                try decider.feed([
                    outcome(
                        "web", action: action.text("action") ?? "", "ready", ready: Double(action.int("to") ?? 0),
                        at: time + wait)
                ])
                time += 60
            }
        }
        let learned = try #require(decider.everything.decisions.last?.nested("inputs", "leadSecondsLearned") as? Double)
        #expect(learned >= 40 && learned < 55)
    }

    @Test func `what a unit really carries is learned from its utilisation`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "recommend")),\(still)}")])
        func minute(_ step: Int64, busy: Double) throws -> Written? {
            var cpu = Outlook.flat(busy, forecast: busy, ready: 4)
            (cpu.metric, cpu.role) = ("cpu", .utilisation)
            // The utilisation is decided from until there is a demand.
            try decider.feed([outlook(240, ready: 4, at: 1_005 + step * 60), cpu.at(1_006 + step * 60)])
            return decider.everything.decisions.last
        }
        for step in 0..<40 { #expect(try minute(Int64(step), busy: 2.3)?.int("desired") == 3) }
        // A replica that is fully busy with 60 carries no 100.
        var last: Written?
        for step in 40..<300 { last = try minute(Int64(step), busy: 4) }
        #expect(last?.int("desired") == 4)
        #expect(last?.text("reason")?.contains("by its utilisation, not the declared 100") == true)
        #expect(last?.nested("inputs", "capacityPerReplica") as? Double ?? 100 < 65)
        try decider.restart()
        #expect(try minute(300, busy: 4)?.int("desired") == 4)
    }

    @Test func `a shared budget serves the more critical first`() throws {
        let decider = try Decider()
        func shared(_ name: String, _ criticality: String) -> Said {
            policy(
                name,
                """
                {\(plain),"match":{"resource":"\(name)"},"criticality":"\(criticality)",
                 "budget":{"name":"b","unitsMax":10}}
                """)
        }
        try decider.feed([shared("low", "low"), shared("high", "critical")])
        try decider.feed([outlook(200, ready: 2, at: 1_005, of: "low"), outlook(600, ready: 6, at: 1_005, of: "high")])
        // Two are left; the critical one wants four and gets two.
        let high = try decider.feed([outlook(1_000, ready: 6, at: 1_020, of: "high")])
        #expect(high.actions.first?.int("to") == 8 && high.decisions.first?.int("shortfall") == 2)
        #expect(high.decisions.first?.constraints == ["sharedBudget"])
        let low = try decider.feed([outlook(400, ready: 2, at: 1_035, of: "low")])
        #expect(low.actions.isEmpty && low.decisions.first?.int("shortfall") == 2)
        // The budget grows by two: they go to the critical one although the other is asked first.
        try decider.feed([
            policy(
                "low", version: 2,
                #"{\#(plain),"match":{"resource":"low"},"criticality":"low","budget":{"name":"b","unitsMax":12}}"#),
            policy(
                "high", version: 2,
                #"{\#(plain),"match":{"resource":"high"},"criticality":"critical","budget":{"name":"b","unitsMax":12}}"#
            ),
        ])
        #expect(try decider.feed([outlook(400, ready: 2, at: 1_050, of: "low")]).actions.isEmpty)
        #expect(try decider.feed([outlook(1_000, ready: 6, at: 1_050, of: "high")]).actions.first?.int("to") == 10)
        try decider.restart()
        #expect(try decider.feed([outlook(400, ready: 2, at: 1_065, of: "low")]).actions.isEmpty)
    }

    @Test func `a proposal waits for its approval`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "approve")),\"actionTimeoutSeconds\":100}")])
        let first = try decider.feed([outlook(450, ready: 2, at: 1_005)])
        #expect(first.actions.isEmpty)
        let id = try #require(first.decisions[0].text("proposal"))
        #expect(id == first.decisions[0].text("decision"))
        #expect(try decider.feed([outlook(450, ready: 2, at: 1_020)]).isEmpty)
        try decider.restart()
        let wrong = try decider.feed([command(#"{"id":"c0","verb":"approve","resource":"web","action":"x"}"#)])
        #expect(wrong.map(\.kind) == ["commandRefused"])
        let approved = try decider.feed([command(#"{"id":"c1","verb":"approve","action":"\#(id)","owner":"ann"}"#)])
        #expect(approved.map(\.kind) == ["commandAccepted", "", "decision"])
        #expect(approved.actions.first?.int("to") == 5)
        #expect(approved.decisions.first?.text("action") == approved.actions.first?.text("action"))
        #expect(approved.decisions.first?.text("reason")?.hasPrefix("ann approved: requests may reach 450") == true)
        #expect(approved.decisions.first?.nested("command", "verb") as? String == "approve")
        let again = try decider.feed([command(#"{"id":"c1","verb":"approve","action":"\#(id)"}"#)])
        #expect(again.isEmpty)
    }

    @Test func `an approval goes only as far as is still allowed`() throws {
        let decider = try Decider()
        try decider.feed([
            policy(
                "p",
                "{\(plain.replacing("act", with: "approve")),\"budget\":{\"name\":\"b\",\"unitsMax\":6}}")
        ])
        for (name, time) in [("a", Int64(1_005)), ("b", 1_006)] {
            try decider.feed([outlook(400, ready: 2, at: time, of: name)])
        }
        let ids = decider.everything.decisions.compactMap { $0.text("proposal") }
        try #require(ids.count == 2)
        let first = try decider.feed([command(#"{"id":"c1","verb":"approve","action":"\#(ids[0])"}"#)])
        #expect(first.actions.first?.int("to") == 4)
        let second = try decider.feed([command(#"{"id":"c2","verb":"approve","action":"\#(ids[1])"}"#)])
        #expect(second.actions.isEmpty && second.decisions.first?.constraints == ["sharedBudget"])
        #expect(second.decisions.first?.int("shortfall") == 2)
    }

    @Test func `what is under way is booked in the budget until it has ended`() throws {
        let decider = try Decider()
        for name in ["a", "b"] {
            try decider.feed([
                policy(
                    name,
                    """
                    {\(plain),\(still),"match":{"resource":"\(name)"},"budget":{"name":"b","unitsMax":10}}
                    """)
            ])
        }
        #expect(try decider.feed([outlook(800, ready: 2, at: 1_005, of: "a")]).actions.first?.int("to") == 8)
        // Less would do by now, but six are on their way.
        #expect(try decider.feed([outlook(300, ready: 2, at: 1_020, of: "a")]).actions.isEmpty)
        let other = try decider.feed([outlook(500, ready: 1, at: 1_035, of: "b")])
        #expect(other.actions.first?.int("to") == 2 && other.decisions.first?.int("shortfall") == 3)
    }

    @Test func `a rejected proposal is not made again, an expired one is`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "approve")),\"actionTimeoutSeconds\":100}")])
        let first = try decider.feed([outlook(450, ready: 2, at: 1_005)])
        let id = try #require(first.decisions[0].text("proposal"))
        try decider.feed([command(#"{"id":"r","verb":"reject","resource":"web","action":"\#(id)"}"#)])
        let held = try decider.feed([outlook(450, ready: 2, at: 1_020)])
        #expect(held.decisions.first?.nested("proposal") is NSNull)
        #expect(held.decisions.first?.constraints == ["rejected"])
        let other = try decider.feed([outlook(550, ready: 2, at: 1_035)])
        let second = try #require(other.decisions.first?.text("proposal"))
        try decider.feed([], watermark: 1_140)
        let late = try decider.feed([command(#"{"id":"a","verb":"approve","resource":"web","action":"\#(second)"}"#)])
        #expect(late.map(\.kind) == ["commandRefused"])
        #expect(try decider.feed([outlook(550, ready: 2, at: 1_155)]).decisions.first?.text("proposal") != nil)
    }

    @Test func `commands order, expire, and are taken once`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still),\"replicas\":{\"max\":12}}")])
        try decider.feed([outlook(300, ready: 3, at: 1_005)])
        let set = try decider.feed([
            command(
                #"{"id":"s","verb":"set","resource":"web","value":9,"until":1100,"owner":"ann","reason":"sale"}"#)
        ])
        #expect(set.actions.first?.int("to") == 9)
        #expect(set.decisions.first?.text("reason") == "ann set 9 (sale)")
        #expect(set.decisions.first?.nested("command", "id") as? String == "s")
        let id = set.actions[0].text("action") ?? ""
        try decider.feed([outcome("web", action: id, "ready", ready: 9, at: 1_010)])
        #expect(try decider.feed([command(#"{"id":"s","verb":"set","resource":"web","value":2}"#)]).isEmpty)
        #expect(try decider.feed([outlook(300, ready: 9, at: 1_050)]).actions.isEmpty)
        #expect(try decider.feed([outlook(300, ready: 9, at: 1_110)]).actions.first?.int("to") == 3)
        let old = try decider.feed([command(#"{"id":"o","verb":"hold","resource":"web","until":1050}"#)])
        #expect(old.map(\.kind) == ["commandRefused"] && old[0].text("reason") == "it has expired")
        #expect(try decider.feed([command(#"{"id":"b","verb":"sett"}"#)]).first?.kind == "commandRefused")
    }

    @Test func `what nobody can carry out is refused once, by one decider, with its id`() throws {
        let deciders = try (0..<4).map { try Decider(partitions: 4, partition: $0) }
        func refusals(_ json: String) throws -> [Written] {
            let written = try deciders.flatMap { try $0.feed([command(json)]) }
            #expect(try deciders.flatMap { try $0.feed([command(json)]) }.isEmpty, "once")
            return written
        }
        let orders = [
            (#"{"id":"a","verb":"set","resource":"nosuch","value":5}"#, "no resource of this name is known"),
            (#"{"id":"b","verb":"approve","action":"nope"}"#, "there is no such open proposal"),
            (
                #"{"id":"c","verb":"reject","action":"scaling-decider-outlooks-1-2-7-0-d1"}"#,
                "there is no such open proposal"
            ),
            (#"{"id":"d","verb":"approve","resource":"nosuch","action":"x"}"#, "there is no such open proposal"),
            (#"{"id":"e","verb":"set","resource":"web","value":-4}"#, "'value' must be between"),
            (#"{"id":"f","verb":"explode","resource":"web"}"#, "'verb' is 'explode'"),
            (#"{"id":"g","verb":"hold","resource":"web","policy":"p"}"#, "name either"),
            (#"{"id":"h","verb":"hold","policy":"nosuch"}"#, "there is no such policy"),
        ]
        for (json, reason) in orders {
            let written = try refusals(json)
            #expect(written.map(\.kind) == ["commandRefused"], "\(json)")
            #expect(written.first.map { json.contains("\"id\":\"\($0.text("command") ?? "")\"") } == true)
            #expect(written.first?.text("reason")?.contains(reason) == true, "\(json)")
        }
        #expect(try refusals(#"{"id":"i","verb":"set","resource":"web","value":0}"#).first?.key == "web")
    }

    @Test func `a resource that lives elsewhere is left to its own decider`() throws {
        let deciders = try (0..<4).map { try Decider(partitions: 4, partition: $0) }
        let away = Said(kind: .gone, code: 1, resource: "web", object: "us", seconds: 1_000)
        for (place, decider) in deciders.enumerated() {
            try decider.feed(place == 1 ? [outlook(300, ready: 3, at: 1_005)] : [away])
            try decider.restart()
        }
        let order = command(#"{"id":"x","verb":"hold","resource":"web"}"#)
        #expect(
            try deciders.flatMap { try $0.feed([order]) }.filter { $0.kind.hasPrefix("command") }.map(\.kind) == [
                "commandAccepted"
            ])
        // Gone for good, and a week without word: nobody knows it any more.
        try deciders[1].feed([Said(kind: .gone, resource: "web")])
        for decider in deciders { try decider.feed([], watermark: 1_005) }
        for decider in deciders { try decider.feed([], watermark: 2_000_000) }
        let late = command(#"{"id":"y","verb":"hold","resource":"web"}"#)
        #expect(try deciders.flatMap { try $0.feed([late]) }.map(\.kind) == ["commandRefused"])
    }

    @Test func `an order is explained by its own reason`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}")])
        try decider.feed([outlook(300, ready: 3, at: 1_005)])
        try decider.feed([
            command(#"{"id":"q","verb":"pause","resource":"web","owner":"bob","reason":"test","until":1100}"#)
        ])
        let set = try decider.feed([
            command(#"{"id":"s","verb":"set","resource":"web","value":4,"owner":"ann","until":1100}"#)
        ])
        #expect(set.decisions.first?.text("reason") == "ann set 4; 3, as scaling up is paused (test)")
    }

    @Test func `pauses, floors, ceilings and holds are respected and lifted`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain.replacing("act", with: "recommend")),\(still)}")])
        try decider.feed([outlook(300, ready: 3, at: 1_005)])
        var time: Int64 = 1_005
        func desired(_ verb: String, _ level: Double, _ value: Int? = nil) throws -> [String] {
            time += 15
            let amount = value.map { ",\"value\":\($0)" } ?? ""
            try decider.feed([command(#"{"id":"\#(time)","verb":"\#(verb)","resource":"web"\#(amount)}"#)])
            try decider.feed([outlook(level, ready: 3, at: time)])
            let last = try #require(decider.everything.decisions.last)
            return ["\(last.int("desired") ?? -1)"] + last.constraints
        }
        #expect(try desired("pauseUp", 900) == ["3", "pauseUp"])
        #expect(try desired("pauseDown", 100) == ["3", "pauseDown"])
        #expect(try desired("resume", 100) == ["1"])
        #expect(try desired("floor", 100, 2) == ["2", "manualFloor"])
        #expect(try desired("ceiling", 900, 4) == ["4", "manualCeiling"])
        #expect(try desired("hold", 900) == ["3", "manualHold"])
        #expect(try desired("resume", 900) == ["9"])
    }

    @Test func `an order on a policy holds for all its resources, also through silence`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain),\(still)}")])
        try decider.feed([outlook(300, ready: 3, at: 1_005, of: "a"), outlook(300, ready: 3, at: 1_005, of: "b")])
        let written = try decider.feed([command(#"{"id":"x","verb":"set","policy":"p","value":6}"#)])
        #expect(written.actions.map(\.key) == ["a", "b"] && written.actions.allSatisfy { $0.int("to") == 6 })
        #expect(try decider.feed([outlook(100, at: 1_020, of: "c")]).actions.first?.int("to") == 6)
    }

    @Test func `a set number acts in recommend mode but not where one only observes`() throws {
        for (mode, count) in [("observe", 0), ("recommend", 1), ("approve", 1)] {
            let decider = try Decider()
            try decider.feed([
                policy("p", "{\(plain.replacing("act", with: mode))}"), outlook(300, ready: 3, at: 1_005),
            ])
            let written = try decider.feed([command(#"{"id":"x","verb":"set","resource":"web","value":6}"#)])
            #expect(written.actions.count == count, "\(mode)")
        }
    }

    @Test func `a resource that left starts anew`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", "{\(plain)}"), outlook(450, ready: 2, at: 1_005)])
        #expect(try decider.feed([Said(kind: .gone, resource: "web", object: "us")], watermark: 9_000).isEmpty)
        #expect(try decider.feed([command(#"{"id":"x","verb":"set","resource":"web","value":6}"#)]).isEmpty)
        #expect(try decider.feed([outlook(450, ready: 2, at: 9_015)]).actions.first?.int("to") == 5)
    }
}
