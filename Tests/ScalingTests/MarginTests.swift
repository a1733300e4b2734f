import Messages
import TestKit
import Testing

@testable import Scaling

@Suite struct MarginTests {
    /// Twelve uniform numbers make a normal one, near enough.
    private func normal(_ random: inout SeededRandom) -> Double {
        (0..<12).reduce(-6.0) { sum, _ in sum + .random(in: 0..<1, using: &random) }
    }

    /// Share of looks at which demand was above capacity, after a day to learn, and the last quantile in force.
    /// - Parameters:
    ///   - claimed: standard deviation of the demand as the forecast has it, as a share of its mean; in truth 10 %.
    private func share(claimed: Float, _ promise: String, _ random: inout SeededRandom) throws -> (Double, Double) {
        var settings = ScalingSettings.everyDecision
        settings.actuation = .assumed
        let decider = try Decider(settings)
        try decider.feed([
            policy(
                "p",
                """
                {"mode":"act","capacityPerReplica":1,"targetUtilisation":1,"tolerance":0,\(promise),
                 "provisioningDelaySeconds":0,"decisionIntervalSeconds":60,"stabilisation":{"downSeconds":0}}
                """)
        ])
        var outlook = Outlook.flat(1_000, forecast: 1_000)
        outlook.spread = [-1.28, 0, 1.28, 1.645, 2.326, 3.09].map { $0 * claimed }
        var short = 0
        var desired = Int.max
        let days = 4
        for minute in 0..<(days * 1_440) {
            outlook.level = 1_000 * (1 + 0.1 * normal(&random))
            if minute >= 1_440, outlook.level > Double(desired) { short += 1 }
            let written = try decider.feed([outlook.at(60_000 + Int64(minute) * 60)])
            desired = try #require(written.decisions.last?.int("desired"))
        }
        let quantile = decider.everything.decisions.last?.nested("inputs", "quantile") as? Double
        return (Double(short) / Double((days - 1) * 1_440), try #require(quantile))
    }

    @Test(arguments: [Float(0.07), 0.1, 0.2])
    func `the accepted share of shortage is met, whatever the forecast claims of its band`(_ claimed: Float) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let (share, quantile) = try share(claimed: claimed, #""shortageTarget":0.05"#, &random)
        #expect((0.035...0.065).contains(share), "seed \(seed)")
        #expect(claimed < 0.1 ? quantile > 0.96 : claimed > 0.1 ? quantile < 0.9 : (0.8...0.97).contains(quantile))
    }

    @Test func `a quantile that was asked for is raised by shortage and never lowered`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let (wide, kept) = try share(claimed: 0.2, #""quantile":0.95"#, &random)
        #expect(wide < 0.02 && kept < 0.955, "seed \(seed)")
        let (narrow, raised) = try share(claimed: 0.07, #""quantile":0.95"#, &random)
        #expect((0.035...0.065).contains(narrow) && raised > 0.96, "seed \(seed)")
    }

    @Test func `what a limit or an operator keeps small teaches nothing`() throws {
        for bound in [#""replicas":{"max":3}"#, #""mode":"recommend""#] {
            let decider = try Decider(ScalingSettings.everyDecision)
            let mode = bound.contains("mode") ? "" : #""mode":"act","#
            try decider.feed([
                policy("p", "{\(mode)\(bound),\"capacityPerReplica\":100,\"targetUtilisation\":1,\"quantile\":0.9}")
            ])
            for step in 0..<200 {
                try decider.feed([Outlook.flat(900, forecast: 950, ready: 3).at(60_000 + Int64(step) * 60)])
            }
            #expect(decider.everything.decisions.last?.nested("inputs", "quantile") as? Double == 0.9)
        }
    }

    @Test func `of a distrusted forecast the band is put around the present level`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("p", #"{"mode":"act","capacityPerReplica":100,"targetUtilisation":1,"criticality":"high"}"#)
        ])
        var outlook = Outlook.flat(100, forecast: 900, ready: 1, influence: 50)
        outlook.spread = [-0.1, 0, 0.1, 0.15, 0.2, 0.3]
        outlook.distrusted = true
        let decision = try #require(try decider.feed([outlook.at(1_005)]).decisions.first)
        // 100 + 50 from the neighbours + 20 % of 900.
        #expect(decision.nested("inputs", "value") as? Int == 330)
        #expect(decision.int("desired") == 4)
        #expect(decision.text("reason")?.contains("only the forecast's band counts") == true)
    }

    @Test func `a planned event raises capacity even while the model is distrusted, and does not lower it`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("p", #"{"mode":"act","capacityPerReplica":100,"targetUtilisation":1,"criticality":"high"}"#)
        ])
        func desired(_ forecast: Double, ready: Float, isInForce: Bool, at time: Int64) throws -> Written {
            var outlook = Outlook.flat(500, forecast: forecast, ready: ready)
            outlook.distrusted = true
            var said = outlook.at(time)
            var code = ForecastCode(raw: said.code)
            code.hasEvent = isInForce
            code.expectsEvent = !isInForce
            said.code = code.raw
            return try #require(try decider.feed([said]).decisions.last)
        }
        let up = try desired(900, ready: 5, isInForce: false, at: 1_005)
        #expect(up.int("desired") == 9)
        #expect(up.text("reason")?.contains("a planned event is reckoned with") == true)
        #expect(try desired(1_100, ready: 9, isInForce: true, at: 1_035).int("desired") == 11)
        // The event is over and the forecast falls; the level does not.
        #expect(try desired(100, ready: 11, isInForce: true, at: 3_000).int("desired") ?? 0 >= 5)
    }
}
