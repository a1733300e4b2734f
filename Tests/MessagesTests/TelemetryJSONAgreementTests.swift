import Foundation
import TestKit
import Testing
import TwinCore

@testable import Messages

/// The same sample as Foundation sees it.
private struct Mirror: Decodable {
    enum Stamp: Decodable {
        case text(String)
        case number(Double)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            do { self = .text(try container.decode(String.self)) } catch DecodingError.typeMismatch {
                self = .number(try container.decode(Double.self))
            }
        }
    }

    var resource, metric, unit, kind, role, locality, `class`, source: String?
    var value: Double?
    var ts, timestamp, time: Stamp?
    var seq: Int64?
    var tags, labels: [String: String]?
    var metrics: [String: Double]?
}

/// What either reader makes of one sample.
private struct Verdict: Hashable {
    var resource, metric, unit, locality, resourceClass, source: [UInt8]
    var valueBits: UInt64
    var milliseconds: Int64
    var kind, role: UInt8
    var sequence: Int64?
    var tags, labels: [[UInt8]: [UInt8]]
}

extension Mirror {
    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 256
            && !text.unicodeScalars.contains { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) }
    }

    private var moment: EventTime? {
        guard let stamp = ts ?? timestamp ?? time else { return nil }
        let moment: EventTime?
        switch stamp {
        case .text(let text): moment = naiveISO8601(text)
        case .number(let number):
            let milliseconds = number < 1e11 ? number * 1_000 : number
            moment = abs(milliseconds) < 1e15 ? EventTime(milliseconds: Int64(milliseconds.rounded())) : nil
        }
        return moment.flatMap { EventTime.plausible.contains($0) ? $0 : nil }
    }

    /// The samples, or nil where the limits and rules of the format refuse the element.
    var verdicts: Set<Verdict>? {
        let kinds = ["gauge", "counter"]
        let roles = ["demand", "utilisation", "slo", "backlog", "footprint", "supply", "unknown"]
        guard let resource, let moment, metrics == nil || metric == nil && value == nil else { return nil }
        let names = [resource, metric, kind, role, locality, `class`, source].compactMap { $0 }
        guard names.allSatisfy(Self.isName), unit.map({ $0.isEmpty || Self.isName($0) }) ?? true else { return nil }
        guard kind.map(kinds.contains) ?? true, role.map(roles.contains) ?? true else { return nil }
        for (name, value) in Array(tags ?? [:]) + Array(labels ?? [:]) {
            guard Self.isName(name), value.isEmpty || Self.isName(value) else { return nil }
        }
        var numbers: [(String, Double)] = []
        if let metrics {
            guard metrics.keys.allSatisfy(Self.isName) else { return nil }
            numbers = Array(metrics)
        } else {
            guard let metric, let value else { return nil }
            numbers = [(metric, value)]
        }
        func bytes(_ map: [String: String]?) -> [[UInt8]: [UInt8]] {
            Dictionary(uniqueKeysWithValues: (map ?? [:]).map { (Array($0.utf8), Array($1.utf8)) })
        }
        return Set(
            numbers.map { metric, value in
                Verdict(
                    resource: Array(resource.utf8), metric: Array(metric.utf8), unit: Array((unit ?? "").utf8),
                    locality: Array((locality ?? "").utf8), resourceClass: Array((`class` ?? "").utf8),
                    source: Array((source ?? "").utf8), valueBits: value.bitPattern,
                    milliseconds: moment.milliseconds,
                    kind: UInt8((kind.flatMap(kinds.firstIndex) ?? -1) + 1),
                    role: UInt8((role.flatMap(roles.firstIndex) ?? -1) + 1), sequence: seq, tags: bytes(tags),
                    labels: bytes(labels))
            })
    }
}

extension TelemetrySample {
    fileprivate var verdict: Verdict {
        func map(_ list: TagList) -> [[UInt8]: [UInt8]] {
            var map: [[UInt8]: [UInt8]] = [:]
            list.forEach { name, value in
                #expect(map[Array(name)] == nil)
                map[Array(name)] = Array(value)
            }
            return map
        }
        return Verdict(
            resource: Array(resource), metric: Array(metric), unit: Array(unit), locality: Array(locality),
            resourceClass: Array(resourceClass), source: Array(source), valueBits: value.bitPattern,
            milliseconds: time.milliseconds, kind: kind.rawValue, role: role.rawValue, sequence: sequence,
            tags: map(tags), labels: map(labels))
    }
}

@Suite struct TelemetryJSONAgreementTests {
    /// All samples, or nil if anything was refused; and whether there was more than one element.
    private func ours(_ document: [UInt8], _ reader: inout TelemetryJSON) -> Set<Verdict>? {
        document.withUnsafeBytes { bytes in
            reader.open(bytes)
            var found: Set<Verdict> = []
            var isClean = true
            while true {
                switch reader.next() {
                case .sample: found.insert(reader.sample.verdict)
                case .fault: isClean = false
                case .end: return isClean ? found : nil
                }
            }
        }
    }

    private func theirs(_ document: [UInt8]) -> Set<Verdict>? {
        try? JSONDecoder().decode(Mirror.self, from: Data(document)).verdicts
    }

    /// Whether the document is NDJSON rather than one text, which Foundation does not read.
    private func isLines(_ document: [UInt8]) -> Bool {
        let lines = document.split(separator: 0x0a).filter { !$0.allSatisfy { $0 <= 0x20 } }
        return lines.count > 1 && lines.allSatisfy { StrictJSON.accepts(Array($0), depthMax: 32) }
    }

    /// JSONDecoder of Swift 6.3 refuses zero with an exponent of one digit (`0e1`), and only that.
    private func holdsZeroWithExponent(_ document: [UInt8]) -> Bool {
        func isPart(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || byte == 0x2e || byte == 0x2d }
        return document.indices.dropLast(3).contains { index in
            document[index] == 0x30 && document[index + 1] | 0x20 == 0x65
                && (0x30...0x39).contains(document[index + 2]) && !isPart(document[index + 3])
                && (index == 0 || !isPart(document[index - 1]))
        }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `the reader accepts what JSONDecoder accepts and reads the same`(seed: UInt64) {
        var documents = TelemetryDocuments(random: SeededRandom(seed: seed))
        var reader = TelemetryJSON()
        var accepted = 0
        var lax = 0
        for round in 0..<4_000 {
            var document = documents.document()
            if round % 2 == 1 { document = documents.mutate(document) }
            let ours = ours(document, &reader)
            let theirs = theirs(document)
            let shown = String(decoding: document, as: UTF8.self)
            if let ours {
                accepted += 1
                #expect(
                    ours == theirs || isLines(document) || holdsZeroWithExponent(document),
                    "seed \(seed), round \(round): \(shown)")
            } else if theirs != nil {
                // JSONDecoder lets pass what it does not look at; never something that is JSON.
                lax += 1
                #expect(!StrictJSON.accepts(document, depthMax: 32), "seed \(seed), round \(round): \(shown)")
            }
        }
        #expect(accepted > 600, "seed \(seed): the documents are worth nothing, \(accepted) accepted")
        #expect(lax < 400, "seed \(seed)")
    }

    @Test(arguments: [UInt64(11), 12])
    func `the bare reader accepts exactly RFC 8259`(seed: UInt64) {
        var documents = TelemetryDocuments(random: SeededRandom(seed: seed))
        for round in 0..<8_000 {
            var document = Array(documents.value().utf8)
            if round % 3 != 0 { document = documents.mutate(document) }
            let strict = StrictJSON.accepts(document, depthMax: 32)
            let accepted = document.withUnsafeBytes { bytes in
                let hasMark = document.starts(with: [0xef, 0xbb, 0xbf])
                var reader = JSONReader(hasMark ? UnsafeRawBufferPointer(rebasing: bytes[3...]) : bytes)
                do throws(JSONError) {
                    try reader.skipValue()
                    try reader.expectEnd()
                    return true
                } catch {
                    #expect(error.offset <= document.count)
                    return false
                }
            }
            #expect(accepted == strict, "seed \(seed), round \(round): \(String(decoding: document, as: UTF8.self))")
        }
    }

    @Test(arguments: [UInt64(21)])
    func `random bytes never harm any reader`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array("{}[]\",:\\u0dD8e-+.1 \nresourcetsvaluemetric".utf8)
        var telemetry = TelemetryJSON()
        var interactions = InteractionJSON()
        var events = EventJSON()
        var outcomes = OutcomeJSON()
        for round in 0..<100_000 {
            let count = random.below(48)
            let isBiased = round % 4 != 0
            let document = (0..<count).map { _ in isBiased ? random.pick(alphabet) : UInt8(random.below(256)) }
            document.withUnsafeBytes { bytes in
                var steps = 0
                telemetry.open(bytes)
                while true { if case .end = telemetry.next() { break } else { steps += 1 } }
                interactions.open(bytes)
                while true { if case .end = interactions.next() { break } else { steps += 1 } }
                events.open(bytes)
                while true { if case .end = events.next() { break } else { steps += 1 } }
                outcomes.open(bytes)
                while true { if case .end = outcomes.next() { break } else { steps += 1 } }
                #expect(steps <= 4 * (count + 1), "seed \(seed), round \(round): \(document)")
            }
        }
    }
}
