import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Twins

@Suite("State of the twin-updater")
struct SnapshotTests {
    /// A stream with everything in it.
    static func stream(seed: UInt64, count: Int) -> [Input] {
        var random = SeededRandom(seed: seed)
        var inputs: [Input] = []
        var clock = Harness.start
        let values: [Double] = [.nan, .infinity, 0, -1, 1e17, 1e-300]
        for index in 0..<count {
            clock += random.uniform() * 20
            let resource = "r\(random.below(12))"
            let metric = "m\(random.below(3))"
            switch random.below(40) {
            case 0: inputs.append(.watermark(clock - 60))
            case 1: inputs.append(.sample(resource, metric, clock - random.uniform() * 900, 3))
            case 2: inputs.append(.sample(resource, metric, clock, values[random.below(values.count)]))
            case 3:
                inputs.append(
                    Input(
                        kind: .retrain, code: 1, resource: resource, object: metric,
                        seconds: clock - random.uniform() * 3_000))
            case 4:
                let text = #"{"class":"c\#(random.below(2))","tags":{"cluster":"k\#(random.below(3))"}}"#
                inputs.append(Input(kind: .tags, resource: resource, object: "eu", seconds: clock, text: text))
            case 5:
                let start = clock + random.uniform() * 2_000 - 500
                inputs.append(
                    event(
                        "e\(random.below(4))", start: start, end: start + 60 + random.uniform() * 3_000, "cluster",
                        "k\(random.below(3))", random.uniform() * 4, isCancelled: random.below(5) == 0))
            case 6:
                inputs.append(.outcome(resource, clock, random.uniform() * 9))
            case 7: inputs.append(.sample(resource, "replicas", clock, Double(random.below(9)), .supply))
            case 8: inputs.append(.sample(resource, "calls", clock, Double(index * 10), isCounter: true))
            case 9: inputs.append(.sample(resource, "load", clock, random.uniform(), .utilisation))
            case 10 where random.below(20) == 0:
                inputs.append(Input(kind: .gone, resource: resource, object: "x", seconds: clock))
            case 11 where random.below(40) == 0:
                clock += 500_000
                inputs.append(.watermark(clock))
            default: inputs.append(.sample(resource, metric, clock, 50 + 10 * random.uniform()))
            }
        }
        return inputs
    }

    @Test("is the same however entries were cut into frames", arguments: [1, 2, 3] as [UInt64])
    func cuts(seed: UInt64) throws {
        let inputs = Self.stream(seed: seed, count: 4_000)
        let whole = try Harness()
        try whole.feed(inputs)
        let pieces = try Harness()
        var random = SeededRandom(seed: seed &+ 100)
        try pieces.feed(inputs) { 1 + random.below(50) }
        #expect(whole.entries == pieces.entries, "seed \(seed)")
        #expect(whole.summaries.map(\.key) == pieces.summaries.map(\.key))
        #expect(whole.entries.count > 2_000)
        #expect(digest(whole) == digest(pieces))
    }

    /// Of the stage's own sections: the emitter's chain counts frames.
    private func digest(_ harness: Harness) -> UInt64 {
        var digest = Digest()
        for section in harness.task.freeze().flattened
        where [sectionTag("twrs"), sectionTag("twse"), sectionTag("twst"), sectionTag("twsh")].contains(section.tag) {
            section.bytes.withUnsafeBytes { digest.combine($0) }
        }
        return digest.value
    }

    @Test("survives freezing and restoring in the middle of the stream", arguments: [4, 5, 6] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        let inputs = Self.stream(seed: seed, count: 5_000)
        let straight = try Harness()
        try straight.feed(Array(inputs[..<2_500])) { 100 }
        let frozen = straight.task.freeze()
        let restored = try Harness(restoring: frozen, like: straight)
        #expect(restored.task.freeze().digest == frozen.digest, "seed \(seed)")
        straight.forget()
        try straight.feed(Array(inputs[2_500...])) { 100 }
        try restored.feed(Array(inputs[2_500...])) { 100 }
        #expect(straight.entries == restored.entries, "seed \(seed)")
        #expect(straight.summaries == restored.summaries)
        #expect(straight.task.freeze().digest == restored.task.freeze().digest)
    }

    @Test("refuses damaged snapshots or goes on without a crash", arguments: [7, 8] as [UInt64])
    func damage(seed: UInt64) throws {
        let inputs = Self.stream(seed: seed, count: 600)
        let harness = try Harness()
        try harness.feed(inputs)
        let frozen = harness.task.freeze()
        var random = SeededRandom(seed: seed)
        var refused = 0
        for _ in 0..<150 {
            var damaged = StateWriter()
            for (tag, whole) in frozen.flattened {
                var bytes = whole
                let isOurs = tag != sectionTag("name") && tag != sectionTag("emit") && tag != sectionTag("send")
                for _ in 0..<(isOurs ? random.below(4) : 0) where !bytes.isEmpty {
                    // The used part of the pages, mostly.
                    bytes[random.below(min(bytes.count, 60_000))] = UInt8(truncatingIfNeeded: random.next())
                }
                if isOurs && random.below(30) == 0 { bytes.removeLast(min(bytes.count, 7)) }
                damaged.add(tag: tag, bytes: bytes)
            }
            guard let restored = try? Harness(restoring: damaged, like: harness) else {
                refused += 1
                continue
            }
            try restored.feed(inputs)
        }
        #expect(refused > 0, "seed \(seed)")
    }

    @Test("has cells without padding")
    func padding() {
        #expect(MemoryLayout<ResourceCell>.size == 200)
        #expect(MemoryLayout<SeriesCell>.size == MemoryLayout<SeriesCell>.stride)
        #expect(MemoryLayout<SeriesCell>.stride <= 12_288)
    }
}
