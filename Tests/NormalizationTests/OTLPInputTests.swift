import Messages
import Normalization
import StageKit
import Testing
import TwinCore

@Suite("Metrics of OpenTelemetry")
struct OTLPInputTests {
    private static let second: UInt64 = 1_000_000_000
    private static let start: UInt64 = 1_795_521_600 * second

    private static func attributes(_ pairs: [(String, String)]) -> String {
        pairs.map { #"{"key":"\#($0)","value":{"stringValue":"\#($1)"}}"# }.joined(separator: ",")
    }

    /// An export of one sum, by seconds after the start.
    private static func sum(
        _ metric: String, _ value: Int, at seconds: UInt64, resource: [(String, String)],
        point: [(String, String)] = [], temporality: Int = 2
    ) -> String {
        let data =
            #"{"startTimeUnixNano":"\#(start)","timeUnixNano":"\#(start + seconds * second)","asInt":"\#(value)","#
            + #""attributes":[\#(attributes(point))]}"#
        return #"{"resourceMetrics":[{"resource":{"attributes":[\#(attributes(resource))]},"#
            + #""scopeMetrics":[{"metrics":[{"name":"\#(metric)","unit":"{request}","sum":{"#
            + #""aggregationTemporality":\#(temporality),"isMonotonic":true,"dataPoints":[\#(data)]}}]}]}]}"#
    }

    private static let cart = [("service.name", "cart"), ("k8s.cluster.name", "c1"), ("cloud.region", "eu")]

    @Test(
        "A sum becomes a sample of its service, in the partition of its cluster",
        arguments: [
            nil, "application/json", "application/json; charset=utf-8",
        ])
    func samples(contentType: String?) throws {
        let harness = try Harness(.telemetry)
        harness.send(Self.sum("http_requests_total", 40, at: 60, resource: Self.cart), contentType: contentType)
        let outputs = try harness.takeHome()
        #expect(outputs.map(\.kind) == [.tags, .sample])
        #expect(outputs.allSatisfy { $0.partition == harness.partition(of: "c1") && $0.resource == "cart" })
        #expect(outputs.first?.text == #"{"tags":{"cluster":"c1","region":"eu"}}"#)
        #expect(outputs.last?.value == 40)
        #expect(outputs.last?.time == 1_795_521_660_000)
        #expect(outputs.last?.code == SampleCode(role: .demand, isCounter: true).raw)
        #expect(try harness.takeLetters().isEmpty)
    }

    @Test("Protobuf is known by its content type, by the topic's setting, and by its first bytes")
    func protobuf() throws {
        // {1: {1: {1: {1: "service.name", 2: {1: "a"}}}, 2: {2: {1: "m", 5: {1: {3: time, 4: 2.5}}}}}}
        func block(_ field: UInt8, _ bytes: [UInt8]) -> [UInt8] { [field << 3 | 2, UInt8(bytes.count)] + bytes }
        func fixed(_ field: UInt8, _ value: UInt64) -> [UInt8] {
            [field << 3 | 1] + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
        }
        let attribute = block(1, Array("service.name".utf8)) + block(2, block(1, Array("a".utf8)))
        let point = fixed(3, Self.start) + fixed(4, (2.5).bitPattern)
        let metric = block(1, Array("m".utf8)) + block(5, block(1, point))
        let record = block(1, block(1, block(1, attribute)) + block(2, block(2, metric)))
        var explicit = NormalizerSettings()
        explicit.encodings[.telemetry] = .otlpProto
        for (settings, contentType) in [
            (NormalizerSettings(), nil), (NormalizerSettings(), "application/x-protobuf"), (explicit, nil),
        ] {
            let harness = try Harness(.telemetry, partitions: 1, settings: settings)
            harness.send(record, contentType: contentType)
            #expect(try harness.take().filter { $0.kind == .sample }.map(\.value) == [2.5])
        }
        let events = try Harness(.environment)
        events.send(record)
        #expect(try events.takeLetters().first?.contains("environment is not read in otlp_proto") == true)
    }

    @Test("Value lists of collectd are known by their first member")
    func collectd() throws {
        let harness = try Harness(.telemetry, partitions: 1)
        harness.send(
            #"[{"values":[0.5],"dstypes":["gauge"],"dsnames":["value"],"time":1795521600.5,"interval":10,"host":"h1","#
                + #""plugin":"load","plugin_instance":"","type":"load","type_instance":""}]"#)
        let samples = try harness.take().filter { $0.kind == .sample }
        let outputs = samples.map { "\($0.resource) \($0.object) \($0.value) \($0.time)" }
        #expect(outputs == ["h1 load.load 0.5 1795521600500"])
    }

    @Test("Totals of a service graph become rates of calls, across a snapshot, a repeat and a restart")
    func calls() throws {
        func graph(_ count: Int, at seconds: UInt64) -> String {
            Self.sum(
                "calls", count, at: seconds, resource: [], point: [("client", "web"), ("server", "cart")])
        }
        var settings = NormalizerSettings()
        settings.otlp.calls = ["calls"]
        let first = try Harness(.telemetry, partitions: 1, settings: settings)
        first.send(graph(100, at: 0))
        #expect(try first.take().isEmpty, "one total is no rate")
        let second = try Harness(.telemetry, partitions: 1, settings: settings, restoring: first.task.freeze())
        second.offset = first.offset
        second.send(graph(160, at: 30))
        second.send(graph(160, at: 30))
        second.send(graph(10, at: 60))
        second.send(graph(40, at: 90))
        let outputs = try second.take()
        #expect(outputs.map(\.kind) == [.interaction, .interaction])
        #expect(outputs.map(\.value) == [2, 1])
        #expect(outputs.allSatisfy { $0.resource == "web" && $0.object == "cart" })
        #expect(try second.takeLetters().isEmpty)
    }

    @Test("A resource that nothing names is one dead letter, and its neighbours are read")
    func noName() throws {
        let harness = try Harness(.telemetry)
        let both =
            Self.sum("m", 1, at: 0, resource: []).dropLast(2) + ","
            + Self.sum("m", 2, at: 0, resource: Self.cart).dropFirst(#"{"resourceMetrics":["#.count)
        harness.send(String(both))
        #expect(try harness.take().filter { $0.kind == .sample }.map(\.value) == [2])
        let letters = try harness.takeLetters()
        #expect(letters.count == 1 && letters[0].contains("no attribute names the resource"), "\(letters)")
    }
}
