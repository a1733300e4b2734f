import Foundation
import TestKit
import Testing
import TwinCore

@testable import Messages

/// OpenTelemetry's metrics, as its own code writes them and as a naive encoder does.
@Suite struct OTLPTests {
    // MARK: what the reader says

    /// Everything that a reader gives out, as text.
    static func read(
        _ record: [UInt8], isJSON: Bool, _ mapping: OTLPMapping = OTLPMapping()
    ) -> (samples: [String], calls: [String], faults: [RecordFault]) {
        var reader = OTLPMetrics(mapping)
        return record.withUnsafeBytes { bytes in
            reader.open(bytes, isJSON: isJSON)
            var (samples, calls, faults): ([String], [String], [RecordFault]) = ([], [], [])
            while true {
                switch reader.next() {
                case .sample: samples.append(text(of: reader.sample))
                case .calls: calls.append(text(of: reader.calls))
                case .fault(let fault): faults.append(fault)
                case .end: return (samples, calls, faults)
                }
            }
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func text(of sample: TelemetrySample) -> String {
        var tags: [String] = []
        sample.tags.forEach { tags.append("\(text($0))=\(text($1))") }
        return "\(text(sample.resource)) \(text(sample.metric)) \(sample.value) \(text(sample.unit)) \(sample.kind) "
            + "\(sample.time.milliseconds) \(text(sample.resourceClass)) [\(tags.joined(separator: ","))]"
    }

    private static func text(of calls: OTLPCalls) -> String {
        "\(text(calls.source)) \(text(calls.target)) \(calls.count) \(calls.seconds) "
            + "\(calls.spanSeconds.map { "\($0)" } ?? "total") \(calls.time.milliseconds)"
    }

    // MARK: the fixture

    private struct Fixture: Decodable {
        let protobuf: Data
        let json: String
    }

    private static func fixture() throws -> (wire: [UInt8], json: [UInt8]) {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/otlp.json")
        let fixture = try JSONDecoder().decode(Fixture.self, from: try Data(contentsOf: url))
        return ([UInt8](fixture.protobuf), [UInt8](fixture.json.utf8))
    }

    @Test func everyKindOfMetricIsReadInBothForms() throws {
        let (wire, json) = try Self.fixture()
        let end = "1795521660000 service [zone=zone \"a\",cluster=eu-1]"
        let expected = [
            "cart http.server.requests 1234.0 {request} counter \(end)",
            "cart messages 1.5 1 gauge \(end)",
            "cart connections.true.7.idle -3.0 {connection} gauge \(end)",
            "cart jvm.memory.used 1500000000.0 By gauge \(end)",
            "cart http.server.request.duration_count 16.0  counter \(end)",
            "cart http.server.request.duration_sum 3.75 s counter \(end)",
            "cart rpc.size_count 0.5  gauge \(end)",
            "cart rpc.size_sum 10.0 By gauge \(end)",
            "cart gc.pause_count 5.0  counter \(end)",
            "cart gc.pause_sum 40.0 ms counter \(end)",
        ]
        for (record, isJSON) in [(wire, false), (json, true)] {
            let found = Self.read(record, isJSON: isJSON)
            #expect(found.samples == expected)
            #expect(found.calls == ["web cart 120.0 6.0 60.0 1795521660000"])
            #expect(found.faults.isEmpty, "\(found.faults)")
        }
    }

    @Test func attributesBecomeIdentityByTheMapping() throws {
        var mapping = OTLPMapping()
        mapping.resource = ["no.such", "k8s.cluster.name"]
        mapping.tags = [.init(attribute: "service.name", name: "app")]
        mapping.calls = ["traces_service_graph_request_total"]
        let found = Self.read(try Self.fixture().wire, isJSON: false, mapping)
        #expect(found.samples.first?.hasPrefix("eu-1 http.server.requests") == true)
        #expect(found.samples.first?.hasSuffix("[app=cart]") == true)
        #expect(found.calls == ["web cart 60.0 nan total 1795521660000"])
    }

    // MARK: a naive encoder

    /// Protobuf, written the plain way.
    struct Wire {
        var bytes: [UInt8] = []

        mutating func varint(_ value: UInt64) {
            var value = value
            while value >= 0x80 {
                bytes.append(UInt8(value & 0x7f) | 0x80)
                value >>= 7
            }
            bytes.append(UInt8(value))
        }

        mutating func field(_ number: Int, varint value: UInt64) {
            varint(UInt64(number << 3))
            varint(value)
        }

        mutating func field(_ number: Int, fixed value: UInt64) {
            varint(UInt64(number << 3 | 1))
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) }
        }

        mutating func field(_ number: Int, block: [UInt8]) {
            varint(UInt64(number << 3 | 2))
            varint(UInt64(block.count))
            bytes += block
        }

        static func block(_ write: (inout Wire) -> Void) -> [UInt8] {
            var wire = Wire()
            write(&wire)
            return wire.bytes
        }
    }

    struct Point {
        var start: UInt64 = 1_795_521_600_000_000_000
        var time: UInt64 = 1_795_521_660_000_000_000
        var value: Double
    }

    /// An export of one Sum or Gauge of one resource, in both forms.
    static func export(
        resource: String?, metric: String = "m", isSum: Bool = true, isMonotonic: Bool = true, temporality: Int = 2,
        _ points: [Point]
    ) -> (wire: [UInt8], json: [UInt8]) {
        func pair(_ key: String, _ value: String) -> [UInt8] {
            Wire.block {
                $0.field(1, block: Array(key.utf8))
                $0.field(2, block: Wire.block { $0.field(1, block: Array(value.utf8)) })
            }
        }
        let data = Wire.block { data in
            for point in points {
                data.field(
                    1,
                    block: Wire.block {
                        $0.field(4, fixed: point.value.bitPattern)
                        $0.field(3, fixed: point.time)
                        if point.start > 0 { $0.field(2, fixed: point.start) }
                    })
            }
            if isSum {
                data.field(2, varint: UInt64(temporality))
                if isMonotonic { data.field(3, varint: 1) }
            }
        }
        let wire = Wire.block { request in
            request.field(
                1,
                block: Wire.block { element in
                    // Metrics before their resource: the order of fields is free.
                    element.field(
                        2,
                        block: Wire.block {
                            $0.field(
                                2,
                                block: Wire.block {
                                    $0.field(1, block: Array(metric.utf8))
                                    $0.field(isSum ? 7 : 5, block: data)
                                })
                        })
                    if let resource {
                        element.field(1, block: Wire.block { $0.field(1, block: pair("service.name", resource)) })
                    }
                })
        }
        let numbers = points.map {
            #"{"timeUnixNano":"\#($0.time)","startTimeUnixNano":\#($0.start),"asDouble":\#($0.value)}"#
        }.joined(separator: ",")
        let kind =
            isSum
            ? #""sum":{"isMonotonic":\#(isMonotonic),"aggregationTemporality":\#(temporality),"# : #""gauge":{"#
        let attributes = resource.map { #"{"key":"service.name","value":{"stringValue":"\#($0)"}}"# } ?? ""
        let json =
            #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"\#(metric)",\#(kind)"dataPoints":[\#(numbers)]"#
            + #"}}]}],"unknown":{"x":[1,{}]},"resource":{"attributes":[\#(attributes)]}}]}"#
        return (wire, Array(json.utf8))
    }

    @Test func sumsAreTheSumsOfTheirPointsInBothForms() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<300 {
            let points = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                Point(
                    time: 1_795_521_660_000_000_000 + UInt64.random(in: 0...2, using: &random) * 1_000_000_000,
                    value: Double(Int.random(in: 0...1_000, using: &random)))
            }
            let isDelta = Bool.random(using: &random)
            let (wire, json) = Self.export(resource: "a", temporality: isDelta ? 1 : 2, points)
            var expected: [String] = []
            var seen: [UInt64] = []
            for point in points where !seen.contains(point.time) {
                seen.append(point.time)
                let total = points.filter { $0.time == point.time }.reduce(0) { $0 + $1.value }
                let value = isDelta ? total * (1e9 / Double(point.time - point.start)) : total
                expected.append("a m \(value)  \(isDelta ? "gauge" : "counter") \(point.time / 1_000_000)  []")
            }
            #expect(Self.read(wire, isJSON: false).samples == expected, "seed \(seed)")
            #expect(Self.read(json, isJSON: true).samples == expected, "seed \(seed)")
        }
    }

    @Test func whatCannotBeUnderstoodIsAFaultOfItsElement() {
        let point = Point(value: 1)
        let cases: [((wire: [UInt8], json: [UInt8]), RecordFault.Code)] = [
            (Self.export(resource: nil, [point]), .noIdentity),
            (Self.export(resource: "a", temporality: 0, [point]), .unknownWord),
            (Self.export(resource: "a", temporality: 1, [Point(start: 0, value: 1)]), .deltaWithoutStart),
            (Self.export(resource: "a", isMonotonic: false, temporality: 1, [point]), .deltaOfLevel),
            (Self.export(resource: "a", [Point(time: 5, value: 1)]), .implausibleTime),
            (Self.export(resource: "a", metric: String(repeating: "m", count: 300), [point]), .nameTooLong),
            (Self.export(resource: String(repeating: "a", count: 300), [point]), .nameTooLong),
        ]
        for (record, code) in cases {
            for (bytes, isJSON) in [(record.wire, false), (record.json, true)] {
                let found = Self.read(bytes, isJSON: isJSON)
                #expect(found.samples.isEmpty)
                #expect(found.faults.first?.code == code, "\(found.faults)")
                let element = found.faults.first?.element ?? 0..<0
                #expect(!element.isEmpty && element.upperBound <= bytes.count)
            }
        }
        #expect(Self.read([], isJSON: false).faults.map(\.code) == [.emptyRecord])
        #expect(Self.read(Array("[]".utf8), isJSON: true).faults.map(\.code) == [.syntax])
        #expect(Self.read([0x0a, 0x05], isJSON: false).faults.map(\.code) == [.wire])
    }

    @Test func brokenBytesNeverCrashAndAlwaysEnd() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        let (wire, json) = try Self.fixture()
        for (whole, isJSON) in [(wire, false), (json, true)] {
            for _ in 0..<2_000 {
                var bytes = Array(whole.prefix(Int.random(in: 0...whole.count, using: &random)))
                for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                let found = Self.read(bytes, isJSON: isJSON)
                #expect(found.samples.count <= bytes.count, "seed \(seed)")
            }
        }
    }
}
