import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import DriftDetection

@Suite struct DriftStageTests {
    static let task = TaskID(stage: .driftDetector, inbox: .forecasts, epoch: 1, partition: 1)
    static let sender = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 1)
    static var setting: TaskSetting { TaskSetting(task: task, layout: TopicLayout(partitions: 4)) }

    /// Entries of a few series: noise, a shift in one of them after `shiftAt` samples, and whatever else happens.
    static func story(seed: UInt64, series: Int = 4, samples: Int = 900, shiftAt: Int = 500) -> [TestEntry] {
        var random = SeededRandom(seed: seed)
        var entries: [TestEntry] = []
        for resource in 0..<series {
            entries.append(TestEntry(kind: .tags, resource: "r\(resource)", object: "cluster-a", text: "{}"))
        }
        for step in 0..<samples {
            for resource in 0..<series {
                let isShifted = resource == 0 && step >= shiftAt
                entries.append(
                    .forecast(
                        "r\(resource)", time: Int64(step) * 60_000, value: 100 + random.normal(),
                        residual: Float(random.normal() + (isShifted ? 2 : 0)), samples: Float(step + 1),
                        young: step < 50))
                if random.below(50) == 0 {
                    entries.append(TestEntry(kind: .interaction, resource: "r1", object: "r2", value: 3))
                }
            }
        }
        return entries
    }

    static func run(
        _ entries: [TestEntry], settings: DriftSettings = DriftSettings(), most: (Int) -> Int = { _ in 50 }
    ) throws -> TestRun<DriftStage> {
        var sender = TestSender(task: Self.sender)
        let run = try TestRun<DriftStage>(setting, settings: settings)
        try run.receive(sender.frames(entries, most: most))
        return run
    }

    /// An event without its id, which names the record that caused it.
    static func withoutID(_ text: String) -> String {
        var parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        if let index = parts.firstIndex(of: "id"), index + 2 < parts.count { parts[index + 2] = "" }
        return parts.joined(separator: "\"")
    }

    @Test func `a shift ends in a drift event and a retrain request to the twin's partition`() throws {
        let run = try Self.run(Self.story(seed: 1))
        let first = try #require(run.json.first { $0.text.contains("\"subject\":\"r0\"") })
        #expect(first.topic == .drift)
        #expect(first.key == "r0")
        #expect(
            first.partition
                == "r0".utf8CString.withUnsafeBytes {
                    partition(of: UnsafeRawBufferPointer(rebasing: $0.dropLast()), among: 4)
                })
        #expect(first.text.contains("\"kind\":\"level\""))
        #expect(first.text.contains("\"locality\":\"cluster-a\""))
        #expect(first.text.contains("\"type\":\"io.twinscale.drift.v1\""))
        #expect(first.text.contains("\"retrainRequested\":true"))
        let retrain = try #require(run.entries.first { $0.entry.resource == "r0" })
        #expect(retrain.topic == .observations)
        #expect(retrain.partition == 1)
        #expect(retrain.entry.kind == .retrain)
        #expect(retrain.entry.object == "rps")
        #expect(retrain.entry.code == UInt32(DriftKind.level.rawValue))
        #expect(abs(retrain.entry.time - 500 * 60_000) <= 10 * 60_000)
    }

    @Test func `a drift holds the series until the twin has another reference`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 2)
        for step in 0..<2_000 {
            entries.append(
                .forecast(
                    "r", time: Int64(step) * 60_000, value: 100 + random.normal(),
                    residual: (520..<900).contains(step)
                        ? .nan : Float(random.normal() + (step >= 500 && step < 900 ? 3 : 0)),
                    samples: Float(step + 1), distrusted: step >= 520 && step < 900))
        }
        let run = try Self.run(entries)
        #expect(run.json.filter { $0.text.contains("\"kind\":\"level\"") }.count == 1)
        #expect(run.entries.count == 1)
    }

    @Test func `a drift that nobody answers is asked for again after the hold-off`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 3)
        for step in 0..<1_000 {
            entries.append(
                .forecast(
                    "r", time: Int64(step) * 60_000, value: 100 + random.normal(),
                    residual: Float(random.normal() + (step >= 500 ? 3 : 0)), samples: Float(step + 1)))
        }
        let run = try Self.run(entries)
        #expect(run.entries.count >= 2)
        #expect(run.entries.count <= 4)
    }

    @Test func `missing telemetry is reported once, and again after it came back`() throws {
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 4)
        for step in 0..<600 {
            let quality: DataQuality = (200..<300).contains(step) || step >= 500 ? .missing : .fresh
            entries.append(
                .forecast(
                    "r", time: Int64(step) * 60_000, value: random.normal(), residual: Float(random.normal()),
                    samples: Float(quality == .missing ? 200 : step + 1), quality: quality))
        }
        let run = try Self.run(entries)
        #expect(run.json.filter { $0.text.contains("\"kind\":\"data\"") }.count == 2)
        #expect(run.json.allSatisfy { $0.text.contains("\"reason\":\"missing\"") })
        #expect(run.entries.isEmpty)
    }

    @Test func `a series that stands still is frozen only if it used to vary`() throws {
        func story(_ value: (Int) -> Double) -> [TestEntry] {
            var random = SeededRandom(seed: 5)
            return (0..<400).map { step in
                .forecast(
                    "r", time: Int64(step) * 60_000, value: value(step), residual: Float(random.normal()),
                    samples: Float(step + 1))
            }
        }
        let frozen = try Self.run(story { $0 < 300 ? Double($0 % 17) : 4.5 })
        #expect(frozen.json.filter { $0.text.contains("\"reason\":\"frozen\"") }.count == 1)
        let constant = try Self.run(story { _ in 7 })
        #expect(constant.counter("dataProblems") == 0)
        let nightly = try Self.run(story { $0 % 40 < 20 ? 0 : Double($0 % 40) })
        #expect(nightly.counter("dataProblems") == 0)
    }

    @Test func `retrain requests are bounded, the others are distrusted and counted`() throws {
        var settings = DriftSettings()
        settings.retrainsPerHourMax = 60
        var entries: [TestEntry] = []
        var random = SeededRandom(seed: 6)
        for step in 0..<560 {
            for resource in 0..<100 {
                entries.append(
                    .forecast(
                        "r\(resource)", time: 1_000_000, value: random.normal(),
                        residual: Float(random.normal() + (step >= 500 ? 4 : 0)), samples: Float(step + 1)))
            }
        }
        let run = try Self.run(entries, settings: settings)
        #expect(run.counter("retrains") == 10)
        #expect(run.entries.filter { !RetrainCode(raw: $0.entry.code).isDistrustOnly }.count == 10)
        #expect(run.counter("retrainsDelayed") >= 90)
        #expect(run.counter("drifts") == run.counter("retrains") + run.counter("retrainsDelayed"))
        #expect(run.entries.count == Int(run.counter("drifts")))
    }

    @Test func `the number of series is bounded`() throws {
        var settings = DriftSettings()
        settings.seriesMax = 10
        let run = try Self.run(
            (0..<25).map { .forecast("r\($0)", time: 0, value: 1, residual: 0, samples: 1) }, settings: settings)
        #expect(run.counter("series") == 10)
        #expect(run.counter("seriesRefused") == 15)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `the same entries give the same outputs however they are cut`(_ seed: UInt64) throws {
        let entries = Self.story(seed: seed)
        let whole = try Self.run(entries)
        var random = SeededRandom(seed: seed &+ 100)
        let cut = try Self.run(entries) { _ in 1 + random.below(200) }
        #expect(!whole.json.isEmpty)
        #expect(whole.json.map { Self.withoutID($0.text) } == cut.json.map { Self.withoutID($0.text) })
        #expect(whole.entries.map(\.entry) == cut.entries.map(\.entry))
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `a restored task goes on as if nothing had happened`(_ seed: UInt64) throws {
        var sender = TestSender(task: Self.sender)
        let frames = sender.frames(Self.story(seed: seed)) { _ in 40 }
        let half = frames.count * 11 / 20
        let undisturbed = try TestRun<DriftStage>(Self.setting, settings: DriftSettings())
        try undisturbed.receive(Array(frames[..<half]))
        let before = (undisturbed.json.count, undisturbed.entries.count)
        let frozen = undisturbed.task.freeze()
        let restored = try TestRun<DriftStage>(
            Self.setting, settings: DriftSettings(), from: frozen, offset: undisturbed.nextOffset)
        #expect(restored.task.freeze().digest == frozen.digest)
        try undisturbed.receive(Array(frames[half...]))
        try restored.receive(Array(frames[half...]))
        #expect(undisturbed.json.dropFirst(before.0).map(\.text) == restored.json.map(\.text))
        #expect(undisturbed.entries.dropFirst(before.1).map(\.entry) == restored.entries.map(\.entry))
        #expect(undisturbed.task.freeze().digest == restored.task.freeze().digest)
    }

    @Test func `hostile numbers neither crash nor poison`() throws {
        var random = SeededRandom(seed: 8)
        let nasty: [Double] = [.nan, .infinity, -.infinity, 1e308, -1e308, 0, -0, .leastNonzeroMagnitude]
        let times: [Int64] = [.min, .max, 0, -1, 1 << 40]
        var entries: [TestEntry] = []
        for step in 0..<3_000 {
            var entry = TestEntry.forecast(
                "r\(step % 3)", time: times[random.below(5)], value: nasty[random.below(8)],
                residual: Float(nasty[random.below(8)]), samples: Float(nasty[random.below(8)]))
            entry.code = UInt32(truncatingIfNeeded: random.next())
            for index in entry.numbers.indices where random.below(3) == 0 {
                entry.numbers[index] = Float(nasty[random.below(8)])
            }
            if random.below(10) == 0 { entry.numbers.removeLast(random.below(6)) }
            if random.below(20) == 0 { entry.object = "" }
            if random.below(20) == 0 { entry.kind = .gone }
            entries.append(entry)
        }
        let offset = entries.count
        for step in 0..<1_000 {
            entries.append(
                .forecast(
                    "r0", time: Int64(step) * 60_000, value: random.normal(),
                    residual: Float(random.normal() + (step >= 900 ? 4 : 0)), samples: Float(step + 1)))
        }
        let run = try Self.run(entries)
        #expect(offset == 3_000)
        #expect(run.entries.contains { $0.entry.resource == "r0" && $0.entry.code == UInt32(DriftKind.level.rawValue) })
    }

    @Test func `a damaged snapshot is refused`() throws {
        let run = try Self.run(Self.story(seed: 9, samples: 20))
        let sections = run.task.freeze().flattened
        let tag = sectionTag("dser")
        let fields: [(PartialKeyPath<SeriesCell>, UInt32)] = [
            (\.resource, 0), (\.resource, 999_999), (\.metric, 0), (\.metric, 999_999), (\.nextOfResource, 77),
        ]
        for (field, value) in fields {
            var damaged = sections
            let index = try #require(damaged.firstIndex { $0.tag == tag })
            let offset = try #require(MemoryLayout<SeriesCell>.offset(of: field))
            // Behind the counts of cells, bytes and free cells, which are none.
            withUnsafeBytes(of: value.littleEndian) { bytes in
                for byte in 0..<4 { damaged[index].bytes[24 + offset + byte] = bytes[byte] }
            }
            #expect(throws: StateError.self, "\(field) is \(value)") {
                try TestRun<DriftStage>.restored(Self.setting, settings: DriftSettings(), sections: damaged)
            }
        }
    }

    @Test func `every setting is part of the fingerprint`() {
        func digest(_ change: (inout DriftSettings) -> Void) -> UInt64 {
            var settings = DriftSettings()
            change(&settings)
            var digest = Digest()
            settings.hash(into: &digest)
            return digest.value
        }
        let all = [
            digest { _ in }, digest { $0.detector = .pageHinkley }, digest { $0.detector = .adwin },
            digest { $0.detector = .kswin }, digest { $0.averageRunLength = 5 },
            digest { $0.groupWindowSeconds = 5 }, digest { $0.groupResourcesMin = 5 },
            digest { $0.groupShareMin = 0.5 }, digest { $0.versionSeconds = 5 }, digest { $0.alarmsPerDay = 7 },
            digest { $0.seriesMax = 5 }, digest { $0.holdOffSamples = 5 },
            digest { $0.retrainsPerHourMax = 5 }, digest { $0.frozenSamplesMin = 5 },
            digest { $0.affectedMetricsMax = 5 },
        ]
        #expect(Set(all).count == all.count)
    }
}
