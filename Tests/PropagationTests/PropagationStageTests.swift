import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Propagation

@Suite struct PropagationStageTests {
    static let task = TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: 1)
    static let sender = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 1)
    static var setting: TaskSetting { TaskSetting(task: task, layout: TopicLayout(partitions: 4)) }

    /// Everything that can happen, in any order: forecasts, traffic inside and across, influence, tags, leaving.
    static func story(seed: UInt64, count: Int = 1_500, resources: Int = 12) -> [TestEntry] {
        var random = SeededRandom(seed: seed)
        var entries: [TestEntry] = []
        for step in 0..<count {
            let resource = "r\(random.below(resources))"
            let other = "r\(random.below(resources))"
            let time = Int64(step) * 1_000
            switch random.below(20) {
            case 0...11:
                let metric = random.below(3) == 0 ? "cpu" : "rps"
                entries.append(
                    .forecast(
                        resource, metric, time: time, value: 100 * random.uniform(), change: random.uniform() - 0.3,
                        role: metric == "cpu" ? .unknown : .demand, young: random.below(20) == 0))
            case 12...14: entries.append(.interaction(resource, other, 50 * random.uniform(), time: time, otherEnd: 1))
            case 15: entries.append(.interaction(resource, "far", 9, time: time, otherEnd: Int32(random.below(4))))
            case 16: entries.append(.interaction("far", resource, 9, time: time, otherEnd: 2))
            case 17:
                entries.append(
                    TestEntry(
                        kind: .influence, code: UInt32(random.below(3)), resource: "far", object: resource,
                        time: time + 900_000, value: Double(time), numbers: (0..<5).map { _ in Float(random.uniform()) }
                    ))
            case 18:
                let zone = "z\(random.below(3))"
                entries.append(TestEntry(kind: .tags, resource: resource, object: zone, text: "{}"))
            default: entries.append(TestEntry(kind: .gone, resource: resource, object: "elsewhere", time: time))
            }
        }
        return entries
    }

    static func run(
        _ entries: [TestEntry], settings: PropagationSettings = PropagationSettings(),
        most: (Int) -> Int = { _ in 50 }
    ) throws -> TestRun<PropagationStage> {
        var sender = TestSender(task: Self.sender)
        let run = try TestRun<PropagationStage>(setting, settings: settings)
        try run.receive(sender.frames(entries, most: most))
        return run
    }

    /// Outputs by destination, in order; equal up to the bits of NaN.
    static func outputs(_ run: TestRun<PropagationStage>, from: Int = 0) -> [String] {
        var byDestination: [[String]] = Array(repeating: [], count: 100)
        for output in run.entries.dropFirst(from) {
            let place = Int(output.topic.rawValue) * 5 + Int(output.partition)
            let entry = output.entry
            let bits = entry.numbers.map { String($0.bitPattern, radix: 16) }.joined(separator: ",")
            byDestination[place].append(
                "\(entry.kind) \(entry.code) \(entry.resource) \(entry.object) \(entry.time) \(entry.value) \(bits)")
        }
        return byDestination.flatMap { $0 }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `the same entries give the same outputs however they are cut`(_ seed: UInt64) throws {
        let entries = Self.story(seed: seed)
        let whole = try Self.run(entries)
        var random = SeededRandom(seed: seed &+ 100)
        let cut = try Self.run(entries) { _ in 1 + random.below(200) }
        #expect(whole.counter("refreshes") > 0)
        #expect(whole.counter("influencesSent") > 0)
        #expect(Self.outputs(whole) == Self.outputs(cut))
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `a restored task goes on as if nothing had happened`(_ seed: UInt64) throws {
        var sender = TestSender(task: Self.sender)
        let frames = sender.frames(Self.story(seed: seed)) { _ in 20 }
        let half = frames.count / 2
        let undisturbed = try TestRun<PropagationStage>(Self.setting, settings: PropagationSettings())
        try undisturbed.receive(Array(frames[..<half]))
        let before = undisturbed.entries.count
        let frozen = undisturbed.task.freeze()
        let restored = try TestRun<PropagationStage>(
            Self.setting, settings: PropagationSettings(), from: frozen, offset: undisturbed.nextOffset)
        #expect(restored.task.freeze().digest == frozen.digest)
        try undisturbed.receive(Array(frames[half...]))
        try restored.receive(Array(frames[half...]))
        #expect(Self.outputs(undisturbed, from: before) == Self.outputs(restored))
        #expect(undisturbed.task.freeze().digest == restored.task.freeze().digest)
    }

    @Test func `every forecast leaves as one outlook with room for the influence`() throws {
        let entries = (0..<50).map { TestEntry.forecast("r\($0 % 7)", value: 10, change: 0.1) }
        let run = try Self.run(entries)
        let outlooks = run.entries.filter { $0.entry.kind == .outlook }
        #expect(outlooks.count == 50)
        #expect(outlooks.allSatisfy { $0.partition == 1 && $0.entry.numbers.count == 7 + 10 * 5 })
        let first = outlooks[0].entry
        for index in 0..<47 where !first.numbers[index].isNaN {
            #expect(first.numbers[index] == entries[0].numbers[index])
        }
    }

    @Test func `resources and edges are bounded, and forecasts pass all the same`() throws {
        var settings = PropagationSettings()
        settings.resourcesMax = 10
        settings.edgesMax = 20
        settings.edgesPerResourceMax = 4
        var entries = (0..<30).map { TestEntry.forecast("r\($0)", value: 10) }
        for a in 0..<10 { for b in 0..<10 { entries.append(.interaction("r\(a)", "r\(b)", 1, otherEnd: 1)) } }
        let run = try Self.run(entries, settings: settings)
        #expect(run.counter("resources") == 10)
        #expect(run.counter("resourcesRefused") >= 20)
        #expect(run.counter("edges") <= 20)
        #expect(run.counter("edgesRefused") >= 80)
        #expect(run.entries.filter { $0.entry.kind == .outlook }.count == 30)
    }

    @Test func `one entry refreshes a resource at most once`() throws {
        var settings = InfluenceTests.exact
        settings.hopsMax = 4
        var entries: [TestEntry] = []
        for a in 0..<8 { for b in 0..<8 { entries.append(.interaction("r\(a)", "r\(b)", 1, otherEnd: 1)) } }
        for a in 0..<8 { entries.append(.forecast("r\(a)", value: 100)) }
        let quiet = try Self.run(entries, settings: settings).entries.count
        entries.append(.forecast("r0", value: 100, change: 2))
        let run = try Self.run(entries, settings: settings)
        #expect(run.entries.count - quiet == 8)
    }

    @Test func `hostile numbers neither crash nor poison`() throws {
        var random = SeededRandom(seed: 21)
        let nasty: [Double] = [.nan, .infinity, -.infinity, 1e308, -1e308, 0, -0, .leastNonzeroMagnitude, 3]
        let times: [Int64] = [.min, .max, 0, -1, 1 << 40]
        var entries = Self.story(seed: 22, count: 4_000)
        for index in entries.indices {
            if random.below(2) == 0 { entries[index].value = nasty[random.below(9)] }
            if random.below(3) == 0 { entries[index].time = times[random.below(5)] }
            if random.below(3) == 0 { entries[index].code = UInt32(truncatingIfNeeded: random.next()) }
            for place in entries[index].numbers.indices where random.below(10) == 0 {
                entries[index].numbers[place] = Float(nasty[random.below(9)])
            }
            if random.below(10) == 0, !entries[index].numbers.isEmpty { entries[index].numbers.removeLast() }
            if random.below(20) == 0 { entries[index].object = "" }
            if random.below(20) == 0 { entries[index].resource = "" }
        }
        for resource in 0..<12 { entries.append(TestEntry(kind: .gone, resource: "r\(resource)", time: 1 << 41)) }
        entries.append(.interaction("x", "y", 10, otherEnd: 1))
        entries.append(.forecast("y", value: 100))
        entries.append(.forecast("x", value: 100, change: 1))
        let run = try Self.run(entries)
        let last = try #require(run.entries.last { $0.entry.resource == "y" }?.entry)
        #expect(last.mean(4) > 130 && last.mean(4) < 181)
    }

    @Test func `what neighbours say of a resource that left does not bring it back`() throws {
        var entries: [TestEntry] = [.forecast("y", value: 100), .interaction("x", "y", 10, otherEnd: 1)]
        entries.append(TestEntry(kind: .gone, resource: "y", time: 2_000_000_000_000))
        entries.append(
            TestEntry(
                kind: .influence, resource: "x", object: "y", time: 4_000_000_000_000, value: 1_700_000_000_000,
                numbers: [1, 1, 1, 1, 1]))
        let run = try Self.run(entries)
        #expect(run.entries.filter { $0.entry.resource == "y" }.map(\.entry.kind) == [.outlook, .gone])
    }

    @Test func `a damaged snapshot is refused or harmless`() throws {
        let entries = Self.story(seed: 31, count: 300)
        let run = try Self.run(entries)
        let sections = run.task.freeze().flattened
        var random = SeededRandom(seed: 32)
        var refused = 0
        for _ in 0..<300 {
            var damaged = sections
            let index =
                damaged.indices.filter { damaged[$0].tag >> 24 == UInt32(UInt8(ascii: "g")) }
                .randomElement(using: &random) ?? 0
            let used = min(damaged[index].bytes.count, 4_000)
            let at = random.below(max(used - 4, 1))
            for byte in at..<min(at + 4, damaged[index].bytes.count) {
                damaged[index].bytes[byte] = UInt8(truncatingIfNeeded: random.next())
            }
            do {
                let task = try TestRun<PropagationStage>.restored(
                    Self.setting, settings: PropagationSettings(), sections: damaged)
                var sender = TestSender(task: TaskID(stage: .twinUpdater, inbox: .observations, epoch: 9, partition: 0))
                for (offset, frame) in sender.frames(Array(entries.prefix(60)), most: { _ in 50 }).enumerated() {
                    try frame.withUnsafeBytes {
                        try task.receive(InboxRecord(offset: Int64(10_000 + offset), key: nil, value: $0), muted: false)
                    }
                }
            } catch is StateError {
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    @Test func `cells have no padding and every setting is part of the fingerprint`() {
        #expect(MemoryLayout<NodeCell>.size == 480 && MemoryLayout<NodeCell>.stride == 480)
        #expect(MemoryLayout<EdgeCell>.size == 104 && MemoryLayout<EdgeCell>.stride == 104)
        #expect(MemoryLayout<ForecastCell>.size == 440 && MemoryLayout<ForecastCell>.stride == 440)
        func digest(_ change: (inout PropagationSettings) -> Void) -> UInt64 {
            var settings = PropagationSettings()
            change(&settings)
            var digest = Digest()
            settings.hash(into: &digest)
            return digest.value
        }
        let all = [
            digest { _ in }, digest { $0.horizonsSeconds = [60] }, digest { $0.hopsMax = 9 },
            digest { $0.damping = 0.9 }, digest { $0.epsilon = 0.9 }, digest { $0.refreshShare = 0.9 },
            digest { $0.relativeChangeMax = 9 }, digest { $0.influenceSeconds = 9 },
            digest { $0.rateHalfLifeSeconds = 9 }, digest { $0.edgeHalfLifeSeconds = 9 },
            digest { $0.edgeExpirySeconds = 9 }, digest { $0.observationsHalf = 9 },
            digest { $0.takesDeclaredWeights = true }, digest { $0.declaredWeightMax = 9 },
            digest { $0.proximityWeight = 9 }, digest { $0.resourcesMax = 9 }, digest { $0.edgesMax = 9 },
            digest { $0.edgesPerResourceMax = 9 },
        ]
        #expect(Set(all).count == all.count)
    }
}
