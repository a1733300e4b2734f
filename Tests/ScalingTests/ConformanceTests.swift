import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Scaling

@Suite struct ConformanceTests {
    /// A stream of everything the decider may see, with a share of nonsense.
    private func stream(_ random: inout SeededRandom, count: Int) -> [Said] {
        var said: [Said] = []
        var version = 1.0
        let modes = ["observe", "recommend", "approve", "act", "act", "act", "act"]
        for step in 0..<count {
            let time = 1_000 + Int64(step) * 3
            let resource = "r\(Int.random(in: 0..<12, using: &random))"
            switch Int.random(in: 0..<20, using: &random) {
            case 0:
                version += Double(Int.random(in: 0...1, using: &random))
                said.append(
                    policy(
                        "p\(Int.random(in: 0..<4, using: &random))", version: version,
                        """
                        {"mode":"\(modes.randomElement(using: &random) ?? "act")",
                         "capacityPerReplica":10,"targetUtilisation":0.8,
                         "match":{"tags":{"t":"\(Int.random(in: 0..<3, using: &random))"}},"flapsPerHourMax":9,
                         "budget":{"name":"b","unitsMax":\(Int.random(in: 5...90, using: &random))},
                         "actionTimeoutSeconds":40,
                         "stabilisation":{"downSeconds":\(Int.random(in: 0...90, using: &random))}}
                        """))
            case 1:
                let verbs = ["set", "hold", "floor", "ceiling", "pauseUp", "resume", "pause"]
                said.append(
                    command(
                        """
                        {"id":"c\(Int.random(in: 0..<60, using: &random))",
                         "verb":"\(verbs.randomElement(using: &random) ?? "")",
                         "resource":"\(resource)","value":\(Int.random(in: 1...40, using: &random)),
                         "until":\(time + Int64.random(in: -50...200, using: &random)),"owner":"ann"}
                        """))
            case 2:
                said.append(
                    tags(
                        resource, locality: "eu",
                        #"{"class":"c","tags":{"t":"\#(Int.random(in: 0..<3, using: &random))"}}"#))
            case 3:
                said.append(
                    outcome(resource, action: "x", "ready", ready: .random(in: -5...50, using: &random), at: time))
            case 4: said.append(Said(kind: .gone, resource: resource, object: "us"))
            default:
                var outlook = Outlook.flat(
                    .random(in: 0...300, using: &random), forecast: .random(in: 0...300, using: &random),
                    ready: Bool.random(using: &random) ? .nan : Float(Int.random(in: 0...30, using: &random)),
                    influence: .random(in: -20...20, using: &random))
                outlook.resource = resource
                outlook.distrusted = Int.random(in: 0..<9, using: &random) == 0
                outlook.quality = Int.random(in: 0..<9, using: &random) == 0 ? .stale : .fresh
                said.append(outlook.at(time))
            }
        }
        return said
    }

    @Test(arguments: 0..<8)
    func `how entries are cut into frames changes nothing but numbers`(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let said = stream(&random, count: 800)
        let whole = try Decider()
        try whole.feed(said)
        #expect(!whole.everything.actions.isEmpty, "seed \(seed)")
        let cut = try Decider()
        try cut.feed(said, cuts: (0..<900).map { _ in Int.random(in: 1...7, using: &random) })
        #expect(whole.everything.map(\.content) == cut.everything.map(\.content), "seed \(seed)")
        for record in whole.everything { #expect(record.event["specversion"] as? String == "1.0", "seed \(seed)") }
        var ids: [String] = whole.everything.compactMap { $0.event["id"] as? String }
        ids.sort()
        for (a, b) in zip(ids, ids.dropFirst()) { #expect(a != b, "seed \(seed)") }
    }

    @Test(arguments: 0..<8)
    func `a task restored in the middle goes on as if nothing had happened`(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let straight = try Decider()
        let broken = try Decider()
        for part in 0..<12 {
            let said = stream(&random, count: 120)
            let time = 1_000 + Int64(part) * 60
            try straight.feed(said, cuts: [5], watermark: time)
            try broken.feed(said, cuts: [5], watermark: time)
            let before = broken.digest
            try broken.restart()
            #expect(broken.digest == before, "seed \(seed)")
        }
        #expect(straight.everything == broken.everything, "seed \(seed)")
        #expect(straight.digest == broken.digest, "seed \(seed)")
    }

    @Test func `a silent replay reaches the same state and the same ids`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let past = stream(&random, count: 500)
        let future = stream(&random, count: 500)
        let speaking = try Decider()
        let silent = try Decider()
        try speaking.feed(past, cuts: [9])
        silent.muted = true
        #expect(try silent.feed(past, cuts: [9]).isEmpty)
        silent.muted = false
        #expect(speaking.digest == silent.digest, "seed \(seed)")
        #expect(try speaking.feed(future, cuts: [9]) == silent.feed(future, cuts: [9]), "seed \(seed)")
    }

    @Test func `absurd numbers neither crash nor poison`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let absurd: [Double] = [.nan, .infinity, -.infinity, 1e300, -1e300, 0, -1, 1e-300, 4e9]
        let decider = try Decider()
        try decider.feed([policy("p", #"{"mode":"act","capacityPerReplica":1e-9,"replicas":{"max":1000000}}"#)])
        for step in 0..<2_000 {
            var outlook = Outlook()
            outlook.level = absurd.randomElement(using: &random) ?? 0
            outlook.ready = Float(absurd.randomElement(using: &random) ?? 0)
            outlook.horizons = [60, 300].map { _ in
                (
                    Float(absurd.randomElement(using: &random) ?? 0), Float(absurd.randomElement(using: &random) ?? 0),
                    Float(absurd.randomElement(using: &random) ?? 0)
                )
            }
            var said = outlook.at(1_000 + Int64(step) * 15)
            if step % 7 == 0 { said.numbers.removeLast() }
            if step % 11 == 0 { said.numbers[3] = Float(absurd.randomElement(using: &random) ?? 0) }
            if step % 13 == 0 {
                said.seconds = [Int64.min / 1_000, Int64.max / 1_000, 0].randomElement(using: &random) ?? 0
            }
            let value = absurd.randomElement(using: &random) ?? 0
            let written = try decider.feed([
                said, Said(kind: .outcome, resource: "web", seconds: 1_000 + Int64(step) * 15, value: value, text: "{"),
                policy("p", version: value, "{}"), Said(kind: .tags, resource: "web", text: "{\"tags\":3}"),
            ])
            for action in written.actions {
                let to = try #require(action.int("to"))
                #expect(to >= 1 && to <= 1_000_000, "seed \(seed)")
            }
        }
        try decider.feed([
            policy(
                "q", version: 9,
                #"{"match":{"resource":"other"},"mode":"act","capacityPerReplica":100,"targetUtilisation":1}"#)
        ])
        var outlook = Outlook.flat(450, forecast: 450, ready: 2)
        outlook.resource = "other"
        #expect(try decider.feed([outlook.at(50_000)]).actions.first?.int("to") == 5)
    }

    @Test func `limits are counted`() throws {
        var settings = ScalingSettings()
        settings.resourcesMax = 2
        settings.policiesMax = 1
        settings.commandsMax = 3
        let decider = try Decider(settings)
        let answers = try decider.feed([policy("p", #"{"mode":"act"}"#), policy("q", #"{"mode":"act"}"#)])
        #expect(answers.first?.text("reason") == "there are more than 1 policies")
        for name in ["a", "b", "c"] {
            var outlook = Outlook.flat(1, forecast: 1)
            outlook.resource = name
            try decider.feed([outlook.at(1_000)])
        }
        for index in 0..<9 { try decider.feed([command(#"{"id":"\#(index)","verb":"hold","resource":"a"}"#)]) }
        func counter(_ name: String) -> UInt64? { decider.task.stageCounters.first { $0.name == name }?.value }
        #expect(counter("resources") == 2 && counter("resourcesRefused") == 1 && counter("policiesRejected") == 1)
        try decider.restart()
    }

    @Test func `a damaged snapshot is refused, never followed`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let decider = try Decider()
        try decider.feed(stream(&random, count: 300))
        let sections = decider.task.freeze().flattened
        for _ in 0..<300 {
            var damaged = sections
            let section = Int.random(in: 0..<damaged.count, using: &random)
            guard !damaged[section].bytes.isEmpty else { continue }
            for _ in 0..<8 {
                let place = Int.random(in: 0..<min(damaged[section].bytes.count, 9_000), using: &random)
                damaged[section].bytes[place] = UInt8.random(in: 0...255, using: &random)
            }
            // Either refused, or taken over and able to go on.
            if let task = try? Decider.restored(damaged, decider.setting, decider.settings) {
                task.emitter.begin(inputOffset: 1 << 40, muted: false)
                _ = task.freeze()
            }
        }
    }

    @Test func `cells have no padding`() {
        #expect(MemoryLayout<ResourceCell>.size == MemoryLayout<ResourceCell>.stride)
        for (size, stride) in [
            (MemoryLayout<View>.size, MemoryLayout<View>.stride),
            (MemoryLayout<ActionCell>.size, MemoryLayout<ActionCell>.stride),
            (MemoryLayout<ProposalCell>.size, MemoryLayout<ProposalCell>.stride),
            (MemoryLayout<EffectCell>.size, MemoryLayout<EffectCell>.stride),
            (MemoryLayout<Manual>.size, MemoryLayout<Manual>.stride),
            (MemoryLayout<RollingExtreme>.size, MemoryLayout<RollingExtreme>.stride),
            (MemoryLayout<LeadTime>.size, MemoryLayout<LeadTime>.stride),
        ] { #expect(size == stride) }
    }
}
