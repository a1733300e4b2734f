import StageKit
import Testing

@testable import Scaling

@Suite struct PolicyTests {
    private func parse(_ json: String) throws -> (Policy, NameTable) {
        let names = NameTable(namesMax: 100)
        let name = try #require(names.intern("p"))
        let bytes = Array(json.utf8)
        let result = bytes.withUnsafeBytes { text -> Result<Policy, ScalingError> in
            do throws(ScalingError) {
                return .success(
                    try PolicyParser.parse(text, name: name, version: 3, settings: ScalingSettings(), names: names))
            } catch { return .failure(error) }
        }
        return (try result.get(), names)
    }

    @Test func `a full policy is read key by key`() throws {
        let (policy, names) = try parse(
            """
            {"name":"p","version":3,"description":"all of it",
             "match":{"resource":"web","class":"service","locality":"eu","tags":{"tier":"front","team":"shop"}},
             "mode":"approve","metric":"requests","capacityPerReplica":100,"targetUtilisation":0.6,
             "replicas":{"min":2,"max":20,"initial":4},"provisioningDelaySeconds":90,"decisionIntervalSeconds":30,
             "shortageTarget":0.01,"criticality":"high","stabilisation":{"upSeconds":10,"downSeconds":600},
             "cooldown":{"upSeconds":20,"downSeconds":40},"tolerance":0.05,"stepUpMax":5,"stepDownMax":2,
             "budget":{"name":"shared","unitsMax":50},"pricePerUnitHour":0.25,"actionTimeoutSeconds":900,
             "flapsPerHourMax":6}
            """)
        let terms = policy.terms
        #expect(names.text(of: terms.metric) == "requests" && names.text(of: policy.match.locality) == "eu")
        #expect(terms.mode == .approve && terms.criticality == .high && terms.version == 3)
        #expect(terms.capacityPerReplica == 100 && terms.targetUtilisation == 0.6)
        #expect(terms.minimum == 2 && terms.maximum == 20 && terms.initial == 4)
        #expect(terms.provisioningDelaySeconds == 90 && terms.decisionInterval == 30_000)
        #expect(terms.quantile.level == 0.99 && terms.asksQuantile)
        #expect(terms.stabilisationUp == 10_000 && terms.stabilisationDown == 600_000)
        #expect(terms.cooldownUp == 20_000 && terms.cooldownDown == 40_000)
        #expect(terms.tolerance == 0.05 && terms.stepUpMax == 5 && terms.stepDownMax == 2)
        #expect(policy.budget?.unitsMax == 50 && terms.pricePerUnitHour == 0.25)
        #expect(terms.actionTimeout == 900_000 && terms.flapsPerHourMax == 6)
        #expect(policy.match.tags.count == 2 && policy.match.specificity == 1_004)
    }

    @Test func `what is not said has the defaults that people know`() throws {
        let terms = try parse("{}").0.terms
        #expect(terms.mode == .observe && terms.targetUtilisation == 0.7 && terms.tolerance == 0.1)
        #expect(terms.stabilisationUp == 0 && terms.stabilisationDown == 300_000)
        #expect(terms.quantile.level == 0.95 && terms.decisionInterval == 15_000)
        #expect(try parse(#"{"criticality":"critical"}"#).0.terms.quantile.level == 0.999)
        #expect(try parse(#"{"criticality":"low"}"#).0.terms.quantile.level == 0.9)
        #expect(try parse(#"{"replicas":{"min":3}}"#).0.terms.initial == 3)
    }

    @Test(arguments: [
        (#"{"capacity":1}"#, ScalingError.Code.unknownKey, "unknown key 'capacity'"),
        (#"{"replicas":{"least":1}}"#, .unknownKey, "unknown key 'replicas.least'"),
        (#"{"match":{"tags":{"a":1}}}"#, .wrongType, "'match.tags.a' must be a string"),
        (#"{"mode":"auto"}"#, .outOfRange, "'mode' is 'auto' but must be one of observe, recommend, approve, act"),
        (#"{"targetUtilisation":1.5}"#, .outOfRange, "'targetUtilisation' must be between 0.01 and 1"),
        (#"{"targetUtilisation":"a lot"}"#, .wrongType, "'targetUtilisation' must be a number"),
        (#"{"replicas":{"min":-1}}"#, .outOfRange, "'replicas.min' must be between 0 and 1000000"),
        (#"{"replicas":{"min":1.5}}"#, .wrongType, "'replicas.min' must be a whole number"),
        (#"{"replicas":{"min":9,"max":3}}"#, .conflict, "'replicas.min' 9 is above 'replicas.max' 3"),
        (
            #"{"replicas":{"min":2,"initial":1}}"#, .conflict,
            "'replicas.initial' 1 is not between 'replicas.min' and 'replicas.max'"
        ),
        (
            #"{"quantile":0.9,"shortageTarget":0.1}"#, .conflict,
            "'quantile' and 'shortageTarget' say the same twice; keep one"
        ),
        (#"{"scalingThreshold":0.8}"#, .missingKey, "'underutilisationThreshold' is missing beside 'scalingThreshold'"),
        (
            #"{"underutilisationThreshold":0.8}"#, .missingKey,
            "'scalingThreshold' is missing beside 'underutilisationThreshold'"
        ),
        (#"{"budget":{"name":"b"}}"#, .missingKey, "'budget.unitsMax' is missing"),
        (#"{"mode":"act","mode":"act"}"#, .repeatedKey, "'mode' stands twice"),
        (#"{"name":"q"}"#, .conflict, "'name' is 'q' but the record's key is 'p'"),
        (#"[]"#, .wrongType, "must be an object"), (#"{"#, .malformed, "not json: unexpected end of json at byte 1"),
        (#"{} x"#, .malformed, "not json: unexpected character at byte 3"),
        (#"{"mode":"act",}"#, .malformed, "not json: unexpected character at byte 14"),
    ])
    func `an error names the key and what is wrong with it`(_ json: String, _ code: ScalingError.Code, _ reason: String)
    {
        let error = #expect(throws: ScalingError.self) { _ = try parse(json) }
        #expect(error?.code == code)
        #expect(error?.reason == reason)
    }

    @Test func `a refused policy is answered and the former one stays in force`() throws {
        let decider = try Decider()
        try decider.feed([
            policy("p", #"{"match":{"resource":"web"},"mode":"act","capacityPerReplica":100,"targetUtilisation":1}"#)
        ])
        let answer = try decider.feed([policy("p", version: 2, #"{"mode":"bold"}"#)])
        #expect(answer.map(\.kind) == ["policyRejected"])
        #expect(answer[0].text("reason")?.contains("'mode' is 'bold'") == true)
        #expect(answer[0].text("policy") == "p" && answer[0].key == "p")
        let written = try decider.feed([Outlook.flat(450, forecast: 450, ready: 1).at(1_000)])
        #expect(written.actions.first?.int("to") == 5)
        #expect((written.decisions.first?.nested("policy", "version") as? Int) == 1)
    }

    @Test func `only one of several deciders answers for a policy`() throws {
        var answers = 0
        for partition in 0..<4 {
            let decider = try Decider(partitions: 4, partition: Int32(partition))
            answers += try decider.feed([policy("p", "{")]).count
        }
        #expect(answers == 1)
    }

    @Test func `the highest version counts and a deleted policy stays deleted`() throws {
        let decider = try Decider()
        let act = #"{"mode":"act","capacityPerReplica":100,"targetUtilisation":1,"replicas":{"max":3}}"#
        let answers = try decider.feed([
            policy("p", version: 5, act), policy("p", version: 4, #"{"mode":"observe"}"#),
            policy("p", version: 5, act), policy("p", version: 5, "{}"),
        ])
        #expect(answers.map(\.kind) == ["policyRejected"], "an equal version with other content")
        #expect(answers.first?.text("reason")?.hasPrefix("version 5 is known with other content") == true)
        #expect(try decider.feed([Outlook.flat(900, forecast: 900, ready: 1).at(1_000)]).actions.first?.int("to") == 3)
        try decider.feed([policy("p", version: 6, ""), policy("p", version: 5, act)])
        #expect(try decider.feed([Outlook.flat(9_000, forecast: 9_000, ready: 3).at(2_000)]).actions.isEmpty)
    }

    @Test func `policies without a version follow each other, and a tombstone deletes any`() throws {
        let decider = try Decider()
        func capped(_ max: Int) -> String {
            #"{"mode":"recommend","capacityPerReplica":1,"replicas":{"max":\#(max)}}"#
        }
        var time: Int64 = 1_000
        func cap(_ said: Said) throws -> Int? {
            time += 100
            let written = try decider.feed([said, Outlook.flat(1_000, forecast: 1_000, ready: 1).at(time)])
            return written.decisions.last?.int("desired")
        }
        #expect(try cap(policy("p", version: 0, capped(3))) == 3)
        #expect(try cap(policy("p", version: 0, capped(4))) == 4)
        #expect(try cap(policy("p", version: 2, capped(5))) == 5)
        #expect(try cap(policy("p", version: 0, capped(6))) == nil)
        #expect(try cap(policy("p", version: 0, "")) == 1)
        #expect(try cap(policy("p", version: 1, capped(7))) == 7)
    }

    @Test func `the most specific policy wins and ties go by name`() throws {
        let decider = try Decider()
        func capped(_ max: Int, _ match: String) -> String {
            #"{"match":{\#(match)},"mode":"recommend","capacityPerReplica":1,"replicas":{"max":\#(max)}}"#
        }
        var time: Int64 = 1_000
        func cap() throws -> Int? {
            time += 100
            let written = try decider.feed([Outlook.flat(1_000, forecast: 1_000, ready: 1).at(time)])
            return written.decisions.last?.int("desired")
        }
        try decider.feed([
            tags("web", locality: "eu", #"{"class":"service","tags":{"tier":"front","zone":"a"}}"#),
            policy("z-all", capped(10, "")), policy("b-class", capped(11, #""class":"service""#)),
        ])
        #expect(try cap() == 11)
        try decider.feed([policy("a-locality", capped(12, #""locality":"eu""#))])
        #expect(try cap() == 12)
        try decider.feed([policy("tags", capped(13, #""tags":{"tier":"front","zone":"a"}"#))])
        #expect(try cap() == 13)
        try decider.feed([
            policy("web", capped(14, #""resource":"web""#)), policy("db", capped(99, #""resource":"db""#)),
        ])
        #expect(try cap() == 14)
        try decider.feed([policy("web", version: 2, "")])
        #expect(try cap() == 13)
        // Tags that are not said are what they were.
        try decider.feed([tags("web", locality: "us", #"{"class":"service"}"#)])
        #expect(try cap() == nil)
        try decider.feed([tags("web", locality: "us", #"{"class":"service","tags":{"tier":"back"}}"#)])
        #expect(try cap() == 11)
    }
}
