import Foundation
import Kafka
import Simulation
import StageKit
import Testing
import TwinCore

/// What a bad record must come to.
enum Fate: Sendable, Equatable {
    /// Into `deadletters`, at least once.
    case letter
    /// Taken in, with so many samples.
    case samples(Int)
    /// Nothing to say and nothing to complain of.
    case silence
}

/// One record that nobody should write, and what must become of it.
struct BadRecord: Sendable {
    let name: String
    let topic: TopicName
    let value: [UInt8]?
    let fate: Fate

    init(_ name: String, _ topic: TopicName = .telemetry, bytes value: [UInt8]?, _ fate: Fate = .letter) {
        self.name = name
        self.topic = topic
        self.value = value
        self.fate = fate
    }

    init(_ name: String, _ topic: TopicName = .telemetry, text: String, _ fate: Fate = .letter) {
        self.init(name, topic, bytes: Array(text.utf8), fate)
    }

    private static func sample(_ fields: String) -> String { "{\"resource\":\"bad\",\"metric\":\"cpu\",\(fields)}" }

    private static func many(_ count: Int, padding: Int = 0) -> String {
        let pad = padding > 0 ? ",\"note\":\"\(String(repeating: "x", count: padding))\"" : ""
        let one = (0..<count).map {
            "{\"resource\":\"bulk-\($0 % 50)\",\"metric\":\"cpu\",\"value\":1,\"ts\":\(1_767_225_600 + $0 / 50),"
                + "\"locality\":\"cluster-1\"\(pad)}"
        }
        return "[\(one.joined(separator: ","))]"
    }

    private static let brokenName: [UInt8] =
        Array("{\"resource\":\"".utf8) + [0xc3, 0x28]
        + Array("\",\"metric\":\"cpu\",\"value\":1,\"ts\":1767225600}".utf8)

    static let telemetry: [BadRecord] = [
        BadRecord("cut off", text: "{\"resource\":\"bad\",\"metric\":\"cpu\",\"value\":1"),
        BadRecord("no JSON", text: "cpu 0.5 1767225600"),
        BadRecord("random bytes", bytes: [0xff, 0x00, 0xfe, 0x80, 0x7b]),
        BadRecord("empty value", bytes: []),
        BadRecord("tombstone", bytes: nil, .silence),
        BadRecord("empty array", text: "[]", .silence),
        BadRecord("a number", text: "42"),
        BadRecord("wrong types", text: "{\"resource\":1,\"metric\":true,\"value\":\"x\",\"ts\":[]}"),
        BadRecord("value as text", text: sample("\"value\":\"0.5\",\"ts\":1767225600")),
        BadRecord("value as null", text: sample("\"value\":null,\"ts\":1767225600")),
        BadRecord("NaN", text: sample("\"value\":NaN,\"ts\":1767225600")),
        BadRecord("Infinity", text: sample("\"value\":-Infinity,\"ts\":1767225600")),
        BadRecord("overflowing number", text: sample("\"value\":1e999,\"ts\":1767225600")),
        BadRecord("no time", text: sample("\"value\":1")),
        BadRecord("time zero", text: sample("\"value\":1,\"ts\":0")),
        BadRecord("time before time", text: sample("\"value\":1,\"ts\":-5")),
        BadRecord("time far ahead", text: sample("\"value\":1,\"ts\":1e18")),
        BadRecord("time beyond numbers", text: sample("\"value\":1,\"ts\":99999999999999999999999999")),
        BadRecord("no such day", text: sample("\"value\":1,\"ts\":\"2026-02-30T25:61:61Z\"")),
        BadRecord("no resource", text: "{\"metric\":\"cpu\",\"value\":1,\"ts\":1767225600}"),
        BadRecord("empty name", text: "{\"resource\":\"\",\"metric\":\"cpu\",\"value\":1,\"ts\":1767225600}"),
        BadRecord(
            "name of 100 kB",
            text:
                "{\"resource\":\"\(String(repeating: "r", count: 100_000))\","
                + "\"metric\":\"cpu\",\"value\":1,\"ts\":1767225600}"
        ),
        BadRecord("broken UTF-8 in a name", bytes: Self.brokenName),
        BadRecord("deep nesting", text: String(repeating: "[", count: 200_000)),
        BadRecord(
            "deep nesting in an unknown field",
            text:
                sample("\"x\":\(String(repeating: "{\"a\":", count: 50_000))")),
        BadRecord(
            "unknown fields",
            text:
                sample("\"value\":1,\"ts\":1767225600,\"locality\":\"cluster-1\",\"colour\":{\"a\":[1,null]}"),
            .samples(1)),
        BadRecord(
            "one bad among good ones",
            text:
                "[\(sample("\"value\":2,\"ts\":1767225601")),{\"resource\":5},"
                + "\(sample("\"value\":3,\"ts\":1767225602"))]"
        ),
        BadRecord("900 kB of samples", text: many(9_000), .samples(9_000)),
        BadRecord("largest number", text: sample("\"value\":1.7e308,\"ts\":1767225603"), .letter),
    ]

    static let others: [BadRecord] = [
        BadRecord("interaction cut off", .interactions, text: "{\"source\":\"a\""),
        BadRecord("interaction without target", .interactions, text: "{\"source\":\"a\",\"ts\":1767225600}"),
        BadRecord(
            "event that ends before it begins", .environment,
            text:
                "{\"id\":\"e\",\"start\":1767225700,\"end\":1767225600,\"kind\":\"campaign\",\"uplift\":2}"),
        BadRecord("outcome of nothing", .outcomes, text: "{}"),
        BadRecord("policy without a key", .policies, text: "{\"name\":\"p\""),
        BadRecord("command that is none", .commands, text: "[1,2,3]"),
        BadRecord("no frame in observations", .observations, text: "hello"),
        BadRecord("no frame in forecasts", .forecasts, bytes: [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        BadRecord("no frame in outlooks", .outlooks, bytes: Array(repeating: 0x08, count: 5_000)),
        BadRecord("tombstone in observations", .observations, bytes: nil, .silence),
    ]

    /// As large as the environment's broker takes at all.
    static func large(bytes: Int) -> BadRecord {
        BadRecord("record of \(bytes) bytes", text: many(bytes / 1_000 + 1, padding: 920))
    }
}

@Suite("Bad input", .serialized, .tags(.integration))
struct BadInputTests {
    /// Writes the records, a good sample after each, and returns the offsets.
    private static func write(_ records: [BadRecord], to run: PipelineRun) throws -> [Int64] {
        var properties = run.broker.properties
        properties["message.max.bytes"] = "20000000"
        var producer = try Producer(properties: properties)
        var offsets: [TopicName: Int64] = [:]
        var found: [Int64] = []
        for (index, record) in records.enumerated() {
            try producer.write(record.topic.text, 0, key: nil, record.value)
            found.append(offsets[record.topic, default: 0])
            offsets[record.topic, default: 0] += 1
            let good =
                "{\"resource\":\"good\",\"metric\":\"cpu\",\"value\":\(index),\"ts\":\(1_767_225_600 + index),"
                + "\"locality\":\"cluster-1\"}"
            try producer.write("telemetry", 0, key: nil, Array(good.utf8))
            offsets[.telemetry, default: 0] += 1
        }
        try producer.flush(timeoutMilliseconds: 30_000)
        producer.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
        return found
    }

    /// The offsets that dead letters name, by topic, partition 0 only.
    private static func letters(_ contents: TopicContents) -> Set<String> {
        Set(
            contents.all(.deadletters).compactMap { record -> String? in
                guard let value = record.value,
                    let object = (try? JSONSerialization.jsonObject(with: Data(value))) as? [String: Any],
                    let topic = object["topic"] as? String, let offset = object["offset"] as? Int64,
                    object["partition"] as? Int == 0, let reason = object["reason"] as? String, !reason.isEmpty
                else { return nil }
                return "\(topic) \(offset)"
            })
    }

    private static func check(_ records: [BadRecord], _ run: PipelineRun, _ findings: Findings) throws {
        let offsets = try write(records, to: run)
        let verdict = try run.finish(run.feed(seconds: 0.1))
        run.report("bad input", verdict)
        guard let contents = run.contents else { throw Trouble("nothing was read back") }
        let letters = letters(contents)
        for (record, offset) in zip(records, offsets) {
            let hasLetter = letters.contains("\(record.topic.text) \(offset)")
            findings.expect(
                hasLetter == (record.fate == .letter), "\(record.name): \(hasLetter ? "a" : "no") dead letter")
        }
        let samples = Verdict.sampleCounts(contents)
        findings.expect(
            samples["good"] == records.count,
            "\(records.count) good samples beside the bad ones, \(samples["good"] ?? 0) came through")
        let bulk = records.reduce(0) { sum, record in
            if case .samples(let count) = record.fate, count > 1 { sum + count } else { sum }
        }
        let found = samples.filter { $0.key.hasPrefix("bulk") }.values.reduce(0, +)
        findings.expect(found == bulk, "of \(bulk) samples in large records \(found) came through")
        findings.expectNone(verdict.violations)
        findings.expectNone(run.fleet.unexpected)
    }

    @Test("Every bad record is a dead letter or harmless, and nothing beside it is lost", .timeLimit(.minutes(3)))
    func records() async throws {
        try await checking { findings in
            let run = try PipelineRun(.embedded, seed: 1, records: 0)
            run.checksSamples = false
            try run.fleet.start(perStage: 1)
            try Self.check(BadRecord.telemetry + BadRecord.others, run, findings)
        }
    }

    @Test("A record of ten megabytes is a dead letter", .timeLimit(.minutes(3)), arguments: BrokerKind.available)
    func largeRecord(kind: BrokerKind) async throws {
        try await checking { findings in
            let run = try PipelineRun(kind, seed: 1, records: 0)
            run.checksSamples = false
            try run.fleet.start(perStage: 1)
            // The embedded broker keeps 5 MB per partition, and always the newest record.
            try Self.check([.large(bytes: kind == .tansu ? 10_000_000 : 4_500_000)], run, findings)
        }
    }
}
