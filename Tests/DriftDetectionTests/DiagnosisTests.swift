import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import DriftDetection

/// What the stage makes of verdicts: kinds, causes, groups, alarms, the order of retraining, trust.
@Suite struct DiagnosisTests {
    private static let minute: Int64 = 60_000

    /// Normal residuals of a fleet, moved by what the closure adds.
    /// - Parameter before: samples that each twin had seen already.
    private static func fleet(
        _ resources: Int, samples: Int, localities: Int = 1, seed: UInt64, before: Int = 0,
        shift: (Int, Int) -> Double
    ) -> [TestEntry] {
        var random = SeededRandom(seed: seed)
        var entries = (0..<resources).map {
            TestEntry(kind: .tags, resource: "r\($0)", object: "cluster-\($0 % localities)", text: "{}")
        }
        for step in 0..<samples {
            for resource in 0..<resources {
                entries.append(
                    .forecast(
                        "r\(resource)", time: Int64(step) * minute, value: 100 + random.normal(),
                        residual: Float(random.normal() + shift(resource, step)), samples: Float(before + step + 1)))
            }
        }
        return entries
    }

    /// Runs the entries and lets event time pass to the end of all windows.
    private static func run(
        _ entries: [TestEntry], settings: DriftSettings = DriftSettings(), until minutes: Int64 = 100_000
    ) throws -> TestRun<DriftStage> {
        var sender = TestSender(task: DriftStageTests.sender)
        let run = try TestRun<DriftStage>(DriftStageTests.setting, settings: settings)
        try run.receive(sender.frames(entries) { _ in 200 })
        try run.receive([sender.frame([], heartbeat: EventTime(milliseconds: minutes * minute))])
        return run
    }

    private static func events(_ run: TestRun<DriftStage>, _ words: String...) -> [String] {
        run.json.map(\.text).filter { text in words.allSatisfy { text.contains($0) } }
    }

    private static let group = "io.twinscale.drift.group.v1"
    private static let single = "io.twinscale.drift.v1"

    @Test func `a shared cause is reported once for each locality, with its scope`() throws {
        let entries = Self.fleet(60, samples: 130, localities: 3, seed: 1) { resource, step in
            resource % 3 < 2 && step >= 120 ? 6 : 0
        }
        let run = try Self.run(entries)
        #expect(Self.events(run, Self.single).count >= 40)
        let groups = Self.events(run, Self.group)
        #expect(groups.count == 2)
        let scope = "\"resources\":20,\"resourcesKnown\":20"
        #expect(groups.allSatisfy { $0.contains(scope) })
        #expect(groups.filter { $0.contains("\"locality\":\"cluster-0\"") }.count == 1)
        #expect(groups.filter { $0.contains("\"locality\":\"cluster-1\"") }.count == 1)
        #expect(run.counter("groups") == 2)
    }

    @Test func `drifts of a few are no shared cause`() throws {
        let run = try Self.run(Self.fleet(40, samples: 130, seed: 2) { $0 < 2 && $1 >= 120 ? 6 : 0 })
        #expect(run.counter("drifts") >= 2)
        #expect(run.counter("groups") == 0)
    }

    /// 10 000 twins in four localities move at once: four reports, all twins distrusted at once, retraining bounded.
    @Test func `a shift of the whole fleet is grouped, and its retraining is spread`() throws {
        var settings = DriftSettings()
        settings.retrainsPerHourMax = 6_000
        let entries = Self.fleet(10_000, samples: 56, localities: 4, seed: 3) { $1 >= 50 ? 12 : 0 }
        let run = try Self.run(entries, settings: settings)
        #expect(run.counter("groups") == 4)
        #expect(Self.events(run, Self.group, "\"resources\":2500").count == 4)
        let requests = run.entries.map { RetrainCode(raw: $0.entry.code).isDistrustOnly }
        #expect(run.counter("drifts") >= 10_000)
        #expect(requests.count >= 10_000)
        let budget = 6_000 / 6 + 6_000 * 56 / 60
        #expect(requests.filter { !$0 }.count <= budget)
        #expect(run.counter("alarms") <= 2)
    }

    /// A shift of one deviation is found within a few samples by some and after half an hour by others.
    @Test func `a shared cause that is found slowly is reported once, and a later one again`() throws {
        let entries = Self.fleet(200, samples: 600, seed: 13, before: 1_440) { _, step in
            step >= 200 && step < 300 ? 1 : step >= 480 ? 6 : 0
        }
        var sender = TestSender(task: DriftStageTests.sender)
        let run = try TestRun<DriftStage>(DriftStageTests.setting, settings: DriftSettings())
        // A watermark a minute, as in life, so that windows end while others drift.
        try run.receive([sender.frame(Array(entries.prefix(200)))])
        for first in stride(from: 200, to: entries.count, by: 200) {
            let minute = Array(entries[first..<first + 200])
            try run.receive([sender.frame(minute, heartbeat: EventTime(milliseconds: minute[0].time))])
        }
        print("seed 13: \(run.counter("drifts")) drifts, \(run.counter("groupsJoined")) of them joined a group told")
        #expect(run.counter("groups") == 2)
        #expect(run.counter("groupsJoined") >= 50)
    }

    @Test func `a request that had to wait is made when the budget allows it`() throws {
        var settings = DriftSettings()
        settings.retrainsPerHourMax = 6
        let run = try Self.run(
            Self.fleet(3, samples: 220, seed: 4) { $1 >= 100 && $1 < 110 ? 12 : 0 }, settings: settings)
        let first = run.entries.prefix(3).map { RetrainCode(raw: $0.entry.code).isDistrustOnly }
        #expect(first == [false, true, true])
        let later = run.entries.dropFirst(3).filter { !RetrainCode(raw: $0.entry.code).isDistrustOnly }
        #expect(later.count >= 2)
        #expect(later.allSatisfy { $0.entry.value >= 1 })
    }

    @Test func `alarms stay within the daily budget and take what matters most`() throws {
        var settings = DriftSettings()
        // One task of four.
        settings.alarmsPerDay = 8
        var random = SeededRandom(seed: 5)
        let shifted = (0..<4_000).map { _ in random.below(400) == 0 ? (random.below(20), 12.0) : (0, 0.0) }
        var ends = [Int](repeating: 0, count: 20)
        let entries = Self.fleet(20, samples: 4_000, seed: 6) { resource, step in
            if shifted[step].1 != 0 && shifted[step].0 == resource { ends[resource] = step + 8 }
            return step < ends[resource] ? 12 : 0
        }
        let run = try Self.run(entries, settings: settings)
        #expect(run.counter("alarms") >= 1)
        // Two at once, and two for each of the 2.8 days.
        #expect(run.counter("alarms") <= 8)
        #expect(Self.events(run, Self.group, "\"alarm\":true").count == Int(run.counter("alarms")))
    }

    @Test func `a release or a planned event explains a drift`() throws {
        var entries = Self.fleet(3, samples: 130, seed: 7) { $0 != 2 && $1 >= 120 ? 6 : 0 }
        entries.insert(
            TestEntry(kind: .tags, resource: "r0", object: "c", text: #"{"class":"x","tags":{"version":"1"}}"#), at: 0)
        let middle = entries.firstIndex { $0.time == 118 * Self.minute } ?? 0
        entries.insert(
            TestEntry(
                kind: .tags, resource: "r0", object: "c", time: 118 * Self.minute,
                text: #"{"tags":{"zone":"a","version":"2"}}"#), at: middle)
        for index in entries.indices where entries[index].resource == "r1" && entries[index].kind == .forecast {
            entries[index].code |= 64
        }
        let run = try Self.run(entries)
        #expect(Self.events(run, Self.single, "\"subject\":\"r0\"", "\"explainedBy\":\"version\"").count >= 1)
        #expect(Self.events(run, Self.single, "\"subject\":\"r1\"", "\"explainedBy\":\"event\"").count >= 1)
        #expect(run.counter("alarms") == 0)
    }

    @Test func `a mean that moves to and fro is a daily shape, one that moves on is a trend`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 8)
        for step in 0..<900 {
            let isBlind = (300..<310).contains(step) || (410..<420).contains(step) || (520..<530).contains(step)
            let sign = step < 400 ? 1.0 : step < 510 ? -1 : 1
            let move = step >= 290 && step < 600 && !isBlind ? 6.0 : 0
            for (name, shift) in [("season", sign * move), ("trend", move)] {
                entries.append(
                    .forecast(
                        name, time: Int64(step) * Self.minute, value: 100 + random.normal(),
                        residual: isBlind ? .nan : Float(random.normal() + (step % 110 < 80 ? 0 : shift)),
                        samples: Float(step + 1)))
            }
        }
        let run = try Self.run(entries)
        #expect(!Self.events(run, Self.single, "\"subject\":\"season\"", "\"kind\":\"season\"").isEmpty)
        #expect(!Self.events(run, Self.single, "\"subject\":\"trend\"", "\"kind\":\"trend\"").isEmpty)
        #expect(Self.events(run, Self.single, "\"subject\":\"trend\"", "\"kind\":\"season\"").isEmpty)
    }

    /// Three services in a chain among sixty: too few for the locality, but they talk to each other.
    @Test func `resources that talk to each other and drift together are one report`() throws {
        let chain = [("r1", "r2"), ("r2", "r3")]
        for isChained in [true, false] {
            var entries = Self.fleet(60, samples: 130, seed: 11) { (1...3).contains($0) && $1 >= 120 ? 6 : 0 }
            let edges = chain.map { TestEntry(kind: .interaction, resource: $0.0, object: $0.1, value: 5) }
            if isChained { entries.insert(contentsOf: edges, at: 60) }
            let run = try Self.run(entries)
            let groups = Self.events(run, Self.group, "\"scope\":\"edges\"", "\"resourcesLinked\":3")
            #expect(groups.count == (isChained ? 1 : 0))
            #expect(run.counter("groups") == (isChained ? 1 : 0))
            let told = Self.events(run, Self.single, "\"subject\":\"r2\"").filter { !$0.contains("\"neighbours\":[]") }
            let asNeighbours = Self.events(run, Self.single, "\"neighbours\":[\"r2\"")
            #expect((told.count + asNeighbours.count > 0) == isChained)
        }
    }

    /// Shifts of half a deviation of the residuals are hours of the day while that is not known; larger ones are not.
    @Test func `before a day was seen its hours are no drift`() throws {
        for (before, shift, isTold) in [(0, 0.5, false), (1_440, 0.5, true), (0, 3, true)] {
            let entries = Self.fleet(20, samples: 700, seed: 14, before: before) { $1 >= 100 ? shift : 0 }
            let run = try Self.run(entries)
            print("seed 14, \(before) samples before: \(run.counter("drifts")) of 20 shifts by \(shift) told")
            #expect((run.counter("drifts") >= 15) == isTold)
            #expect((run.counter("hoursPassedBy") >= 15) == !isTold)
            #expect(run.counter("drifts") <= 3 || isTold)
        }
    }

    @Test func `values that stay at their ceiling while more is expected are saturation`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 12)
        for step in 0..<400 {
            let isHeld = step >= 350
            let isPeak = isHeld || step % 90 == 89
            let value = isPeak ? 100 - 0.2 * random.uniform() : 60 + random.normal()
            entries.append(
                .forecast(
                    "r", time: Int64(step) * Self.minute, value: value,
                    residual: Float(random.normal() - (isHeld ? 5 : 0)), samples: Float(step + 1)))
        }
        let run = try Self.run(entries)
        #expect(Self.events(run, Self.single, "\"kind\":\"saturation\"").count == 1)
        #expect(run.entries.contains { RetrainCode(raw: $0.entry.code).kind == .saturation })
    }

    @Test func `another unit is a problem of the data`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 9)
        for step in 0..<300 {
            let isLater = step >= 250
            entries.append(
                .forecast(
                    "r", time: Int64(step) * Self.minute, value: (100 + random.normal()) * (isLater ? 1_000 : 1),
                    residual: isLater ? 50 : Float(random.normal()), samples: Float(step + 1)))
        }
        let run = try Self.run(entries)
        #expect(Self.events(run, Self.single, "\"kind\":\"data\"", "another unit").count == 1)
        #expect(run.entries.first.map { RetrainCode(raw: $0.entry.code).kind } == .data)
    }

    @Test func `restored trust says how long it was away and what it cost`() throws {
        var entries: [TestEntry] = []
        for step in 0..<200 {
            var entry = TestEntry.forecast(
                "r", time: Int64(step) * Self.minute, value: Double(step % 7), residual: 0, samples: Float(step + 1),
                distrusted: (100..<140).contains(step))
            entry.numbers[ForecastNumbers.residual] = 1.8
            entries.append(entry)
        }
        let restored = Self.events(try Self.run(entries), "io.twinscale.drift.restored.v1")
        #expect(restored.count == 1)
        #expect(restored.first?.contains("\"distrustedSamples\":40") == true)
        let text = try #require(restored.first)
        let isForty = text.contains("\"cost\":40") || text.contains("\"cost\":39.9")
        #expect(isForty)
    }

    @Test(arguments: DriftSettings.Detector.allCases)
    func `every detector goes on from a snapshot as if nothing had happened`(
        _ detector: DriftSettings.Detector
    ) throws {
        var settings = DriftSettings()
        settings.detector = detector
        var sender = TestSender(task: DriftStageTests.sender)
        let entries = Self.fleet(8, samples: 400, localities: 2, seed: 10) { $0 < 5 && $1 >= 300 ? 3 : 0 }
        let frames = sender.frames(entries) { _ in 40 }
        let half = frames.count * 31 / 40
        let undisturbed = try TestRun<DriftStage>(DriftStageTests.setting, settings: settings)
        try undisturbed.receive(Array(frames[..<half]))
        let before = undisturbed.json.count
        let frozen = undisturbed.task.freeze()
        let restored = try TestRun<DriftStage>(
            DriftStageTests.setting, settings: settings, from: frozen, offset: undisturbed.nextOffset)
        #expect(restored.task.freeze().digest == frozen.digest)
        let rest = Array(frames[half...]) + [sender.frame([], heartbeat: EventTime(milliseconds: 1 << 40))]
        try undisturbed.receive(rest)
        try restored.receive(rest)
        #expect(undisturbed.json.count > before)
        #expect(undisturbed.json.dropFirst(before).map(\.text) == restored.json.map(\.text))
        #expect(undisturbed.task.freeze().digest == restored.task.freeze().digest)
    }
}
