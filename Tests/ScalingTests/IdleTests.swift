import Messages
import Testing

@testable import Scaling

@Suite struct IdleTests {
    private let terms = #"""
        {"mode":"act","capacityPerReplica":100,"targetUtilisation":1,"tolerance":0,"stabilisation":{"downSeconds":0},
         "replicas":{"min":0},"activation":{"level":2,"idleSeconds":60,"coldStartSeconds":240}}
        """#

    @Test func `the last unit goes after a window of idleness and comes back on demand`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", terms)])
        var time: Int64 = 1_005
        var ready: Float = 2
        func look(_ level: Double, _ forecast: Double? = nil) throws -> [Int] {
            time += 15
            let written = try decider.feed([
                Outlook.flat(level, forecast: forecast ?? level, ready: ready).at(time)
            ])
            let orders = written.actions.compactMap { $0.int("to") }
            if let order = orders.last { ready = Float(order) }
            return orders
        }
        #expect(try look(150) == [])
        #expect(try look(1) == [1])
        #expect(decider.everything.decisions.last?.constraints == ["idleWindow"])
        for _ in 0..<2 { #expect(try look(1) == []) }
        // What is expected counts as well, and begins the window anew.
        #expect(try look(1, 50) == [])
        for _ in 0..<4 { #expect(try look(1) == []) }
        try decider.restart()
        #expect(try look(1) == [0])
        #expect(decider.everything.decisions.last?.text("reason")?.contains("so none is needed") == true)
        for _ in 0..<3 { #expect(try look(1) == []) }
        #expect(try look(1, 120) == [2])
    }

    @Test func `a resource without units is woken by its neighbours, and by nothing else while it is silent`() throws {
        let decider = try Decider()
        try decider.feed([policy("p", terms)])
        var outlook = Outlook.flat(0, forecast: 0, ready: 0)
        outlook.quality = .missing
        #expect(try decider.feed([outlook.at(1_005)]).actions.isEmpty)
        outlook.horizons = [(60, 0, 0), (300, 40, 40)]
        let woken = try decider.feed([outlook.at(1_020)])
        #expect(woken.actions.first?.int("from") == 0 && woken.actions.first?.int("to") == 1)
        #expect(woken.decisions.first?.text("reason")?.hasPrefix("neighbours are expected to bring") == true)
    }

    @Test func `no units at all is opt-in`() throws {
        let decider = try Decider()
        for json in [#"{"replicas":{"min":0}}"#, #"{"activation":{}}"#, #"{"replicas":{"min":1},"activation":{}}"#] {
            let answer = try decider.feed([policy("p", json)])
            #expect(answer.first?.text("reason") == "'replicas.min' 0 and 'activation' belong together")
        }
        #expect(try decider.feed([policy("p", #"{"replicas":{"min":0},"activation":{}}"#)]).isEmpty)
    }
}
