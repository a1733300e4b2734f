import Messages
import Normalization
import StageKit
import TestKit
import Testing
import TwinCore

/// Random records of a fleet: most are good, some are odd, some are garbage.
struct Records {
    var random: SeededRandom
    var time: Int64 = 1_795_521_600

    mutating func next(_ inbox: TopicName) -> [UInt8]? {
        if random.chance(1) { return nil }
        time += Int64(random.below(30))
        if random.chance(1) { time += 100_000 }
        var bytes = Array(document(inbox).utf8)
        if random.chance(5) {
            for _ in 0..<(1 + random.below(4)) where !bytes.isEmpty {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeLast(random.below(bytes.count + 1))
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: random.below(bytes.count + 1))
                }
            }
        }
        return bytes
    }

    private mutating func document(_ inbox: TopicName) -> String {
        let ts = random.chance(2) ? "4000000000" : String(time - Int64(random.below(200)))
        let name = "r\(random.below(40))"
        switch inbox {
        case .telemetry: return telemetry(name, ts)
        case .interactions:
            return "{\"source\":\"\(name)\",\"target\":\"r\(random.below(40))\",\"ts\":\(ts),\"rate\":2"
                + locality("sourceLocality") + locality("targetLocality") + "}"
        case .environment:
            let key = random.pick(["cluster", "region", "resource"])
            return "{\"id\":\"e\(random.below(9))\",\"start\":\(ts),\"end\":\(time + 1_000),\"kind\":\"k\","
                + "\"scope\":{\"key\":\"\(key)\",\"value\":\"\(name)\"},\"uplift\":\(random.below(9))}"
        case .outcomes:
            return "{\"action\":\"a\(random.below(99))\",\"resource\":\"\(name)\",\"ts\":\(ts),\"status\":\""
                + random.pick(["accepted", "ready", "failed", "what"]) + "\"" + locality("locality") + "}"
        case .policies: return "{\"name\":\"p\(random.below(5))\",\"version\":\(random.below(50))}"
        default: return "{\"id\":\"c\(random.below(99))\",\"verb\":\"pause\"}"
        }
    }

    private mutating func telemetry(_ name: String, _ ts: String) -> String {
        var text = "{\"resource\":\"\(name)\",\"ts\":\(ts)"
        if random.chance(70) {
            let metric = random.pick(["cpu", "rps", "x_total", "p95"])
            text += ",\"metric\":\"\(metric)\",\"value\":\(random.below(1_000))"
        } else {
            text += ",\"metrics\":{\"cpu\":\(random.below(9)),\"lag\":\(random.below(9))}"
        }
        text += locality("locality")
        if random.chance(30) {
            text +=
                ",\"tags\":{\"cluster\":\"c\(random.below(3))\",\"long\":\""
                + String(repeating: "t", count: random.below(3) * 100) + "\"}"
        }
        if random.chance(20) { text += ",\"class\":\"k\(random.below(3))\"" }
        if random.chance(30) { text += ",\"unit\":\"" + random.pick(["ms", "%", "MiB", "odd", ""]) + "\"" }
        return text + "}"
    }

    private mutating func locality(_ field: String) -> String {
        random.chance(40) ? ",\"\(field)\":\"l\(random.below(6))\"" : ""
    }
}

@Suite("The state is all that a task goes on from")
struct StateTests {
    static let inboxes: [TopicName] = NormalizerSettings.rawTopics

    @Test(
        "A task restored in the middle of any stream writes what the other writes",
        arguments: inboxes, [1, 2] as [UInt64])
    func restored(inbox: TopicName, seed: UInt64) throws {
        var records = Records(random: SeededRandom(seed: seed))
        let first = try Harness(inbox)
        for _ in 0..<500 { first.send(records.next(inbox), key: Array("p1".utf8)) }
        _ = try first.take()
        _ = try first.takeLetters()
        let frozen = first.task.freeze()
        let second = try Harness(inbox, restoring: frozen)
        second.offset = first.offset
        #expect(second.task.freeze().digest == frozen.digest, "seed \(seed)")
        #expect(second.task.watermark == first.task.watermark)
        for _ in 0..<500 {
            let record = records.next(inbox)
            first.send(record, key: Array("p1".utf8))
            second.send(record, key: Array("p1".utf8))
        }
        #expect(try byDestination(first.take()) == byDestination(second.take()), "seed \(seed)")
        #expect(try first.takeLetters() == second.takeLetters(), "seed \(seed)")
        #expect(first.task.freeze().digest == second.task.freeze().digest, "seed \(seed)")
    }

    @Test("Where frames are cut changes no entry, and replay is silent", arguments: inboxes, [3, 4] as [UInt64])
    func cuts(inbox: TopicName, seed: UInt64) throws {
        var records = Records(random: SeededRandom(seed: seed))
        var random = SeededRandom(seed: seed ^ 0xffff)
        let whole = try Harness(inbox)
        let cut = try Harness(inbox)
        let silent = try Harness(inbox)
        for _ in 0..<1_000 {
            let record = records.next(inbox)
            whole.send(record)
            cut.send(record)
            silent.send(record, muted: true)
            if random.chance(30) { cut.task.emitter.cutAll() }
            if random.chance(20) { try cut.collect() }
        }
        #expect(try byDestination(whole.take()) == byDestination(cut.take()), "seed \(seed)")
        #expect(try whole.takeLetters() == cut.takeLetters(), "seed \(seed)")
        #expect(try silent.take().isEmpty && silent.takeLetters().isEmpty)
        #expect(whole.task.freeze().digest == cut.task.freeze().digest)
        #expect(whole.task.freeze().digest == silent.task.freeze().digest)
    }

    @Test("Bytes without any sense never stop a task", arguments: inboxes)
    func garbage(inbox: TopicName) throws {
        let seed: UInt64 = 5
        var random = SeededRandom(seed: seed)
        var records = Records(random: SeededRandom(seed: seed))
        let harness = try Harness(inbox)
        for index in 0..<3_000 {
            var bytes = records.next(inbox) ?? []
            if random.chance(50) {
                bytes = (0..<random.below(60)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            } else {
                for _ in 0..<random.below(6) where !bytes.isEmpty {
                    bytes[random.below(bytes.count)] = random.pick(Array("{}[]\",:0e\\-\n\u{0}t".utf8))
                }
            }
            let key = (0..<random.below(9)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            harness.send(random.chance(5) ? nil : bytes, key: random.chance(50) ? key : nil)
            if index % 100 == 0 { harness.task.heartbeat(isCaughtUp: random.chance(50), wallClock: nil) }
        }
        let outputs = try harness.take()
        #expect(outputs.allSatisfy { $0.kind != .sample || $0.value.isFinite }, "seed \(seed)")
        #expect(harness.count("deadLetters") > 0)
    }

    @Test("A damaged snapshot is refused or taken, but never believed into a crash")
    func damaged() throws {
        let seed: UInt64 = 6
        var random = SeededRandom(seed: seed)
        var records = Records(random: SeededRandom(seed: seed))
        let harness = try Harness(.telemetry)
        for _ in 0..<300 { harness.send(records.next(.telemetry)) }
        let sections = harness.task.freeze().flattened
        let setting = TaskSetting(
            task: TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0), layout: harness.layout)
        var refused = 0
        for _ in 0..<300 {
            var damaged = sections
            let index = random.below(damaged.count)
            switch random.below(3) {
            case 0: damaged.remove(at: index)
            case 1: damaged[index].bytes.removeLast(1 + random.below(damaged[index].bytes.count))
            default:
                for _ in 0..<4 {
                    let bytes = damaged[index].bytes.count
                    damaged[index].bytes[random.below(min(bytes, 4_000))] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            guard let task = try? Harness.restore(setting, NormalizerSettings(), damaged) else {
                refused += 1
                continue
            }
            var more = Records(random: SeededRandom(seed: random.next()))
            for offset in 0..<20 {
                (more.next(.telemetry) ?? []).withUnsafeBytes { bytes in
                    try? task.receive(InboxRecord(offset: 1_000 + Int64(offset), key: nil, value: bytes), muted: false)
                }
            }
        }
        #expect(refused > 100, "seed \(seed)")
    }

    @Test("A snapshot of another inbox is refused")
    func otherInbox() throws {
        let frozen = try Harness(.outcomes).task.freeze()
        #expect(throws: StateError.self) { try Harness(.telemetry, restoring: frozen) }
    }

    @Test("Every setting that changes outputs changes the fingerprint")
    func fingerprint() {
        func digest(_ change: (inout NormalizerSettings) -> Void) -> UInt64 {
            var settings = NormalizerSettings()
            change(&settings)
            var digest = Digest()
            settings.hash(into: &digest)
            return digest.value
        }
        let digests = [
            digest { _ in }, digest { $0.localityType = "zone" },
            digest { $0.partitionTable = [.init(locality: "a", partition: 1)] },
            digest { $0.metrics = [MetricDeclaration(name: "a")] },
            digest { $0.metrics = [MetricDeclaration(name: "a", role: .unknown)] },
            digest { $0.metrics = [MetricDeclaration(name: "a", unit: "ms")] },
            digest { $0.metrics = [MetricDeclaration(name: "a", isCounter: true)] },
            digest { $0.latenessSecondsMax = 1 }, digest { $0.futureSecondsMax = 1 },
            digest { $0.jumpConfirmations = 1 }, digest { $0.aheadSecondsMax = 1 },
            digest { $0.recordBytesMax = 1 }, digest { $0.policyBytesMax = 1 }, digest { $0.resourcesMax = 1 },
            digest { $0.deadLettersPerRecordMax = 1 }, digest { $0.encodings = [.outcomes: .json] },
            digest { $0.epochs = [.outcomes: 2] }, digest { $0.callPairsMax = 1 },
            digest { $0.collectdStoresRates = false }, digest { $0.expireSeconds = 1 },
            digest { $0.otlp.resource = ["a"] }, digest { $0.otlp.tags = [] }, digest { $0.otlp.calls = [] },
            digest { $0.otlp.caller = "a" }, digest { $0.otlp.callee = "a" }, digest { $0.otlp.resourceClass = "a" },
        ]
        #expect(Set(digests).count == digests.count)
        #expect(digest { $0.heartbeatsSkippedMax = 1 } == digest { _ in })
    }
}
