import Foundation
import Testing
import TwinCore

@testable import Messages

@Suite struct EntryJSONTests {
    private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private func interactions(_ record: String) -> [String] {
        var reader = InteractionJSON()
        var found: [String] = []
        Array(record.utf8).withUnsafeBytes { bytes in
            reader.open(bytes)
            while true {
                switch reader.next() {
                case .interaction:
                    let it = reader.interaction
                    found.append(
                        "\(text(it.source))>\(text(it.target)) \(it.rate ?? -1) \(it.bytesPerSecond ?? -1) "
                            + "\(it.latencySeconds ?? -1) \(text(it.sourceLocality))>\(text(it.targetLocality)) "
                            + "\(it.time.milliseconds)"
                    )
                case .fault(let fault): found.append("[\(fault.reason)]")
                case .end: return
                }
            }
        }
        return found
    }

    private func events(_ record: String) -> [String] {
        var reader = EventJSON()
        var found: [String] = []
        Array(record.utf8).withUnsafeBytes { bytes in
            reader.open(bytes)
            while true {
                switch reader.next() {
                case .event:
                    let it = reader.event
                    found.append(
                        "\(text(it.id)) \(it.start.milliseconds)..<\(it.end.milliseconds) "
                            + "\(text(it.scopeKey))=\(text(it.scopeValue)) "
                            + "\(text(it.kind)) \(it.uplift) \(it.isCancelled)")
                case .fault(let fault): found.append("[\(fault.reason)]")
                case .end: return
                }
            }
        }
        return found
    }

    private func outcomes(_ record: String) -> [String] {
        var reader = OutcomeJSON()
        var found: [String] = []
        Array(record.utf8).withUnsafeBytes { bytes in
            reader.open(bytes)
            while true {
                switch reader.next() {
                case .outcome:
                    let it = reader.outcome
                    found.append(
                        "\(text(it.action)) \(text(it.resource)) \(text(it.locality)) \(it.status) "
                            + "\(it.readyReplicas ?? -1) "
                            + "\(it.time.milliseconds) \(text(it.reason))")
                case .fault(let fault): found.append("[\(fault.reason)]")
                case .end: return
                }
            }
        }
        return found
    }

    @Test func `interactions are read`() {
        #expect(
            interactions(
                #"{"source":"a","target":"b\u0021","ts":1795521600,"rate":12.5,"bytesPerSecond":4e3,"#
                    + #""latencySeconds":0.02,"sourceLocality":"x","targetLocality":"y","more":[{}]}"#
            ) == ["a>b! 12.5 4000.0 0.02 x>y 1795521600000"])
        #expect(interactions(#"{"source":"a","target":"b","ts":1795521600}"#) == [#"[missing field "rate"]"#])
        #expect(interactions(#"{"source":"a","ts":1795521600,"rate":1}"#) == [#"[missing field "target"]"#])
        #expect(interactions(#"{"source":"a","target":"b","ts":1795521600,"rate":-1}"#) == ["[rate is out of range]"])
        #expect(interactions(#"{"source":"a","target":"b","ts":5,"rate":1}"#) == ["[timestamp is implausible]"])
        #expect(interactions(#"[{},{"source":"a","target":"b","time":1795521600,"bytesPerSecond":1}]"#).count == 2)
    }

    @Test func `planned events are read`() {
        let good =
            #"{"id":"e","start":1795521600,"end":"2026-11-24T13:00:00Z","scope":{"value":"eu","key":"cluster"},"#
            + #""kind":"campaign","uplift":1.8}"#
        #expect(events(good) == ["e 1795521600000..<1795525200000 cluster=eu campaign 1.8 false"])
        #expect(
            events(good.replacingOccurrences(of: "1.8", with: #"null,"cancelled":true"#)).first?.hasSuffix(
                "campaign 1.0 true") == true)
        #expect(events(good.replacingOccurrences(of: "1.8", with: "1001")) == ["[uplift is out of range]"])
        #expect(
            events(good.replacingOccurrences(of: "1.8", with: "1,\"cancelled\":1")) == [
                "[cancelled is neither true nor false]"
            ])
        #expect(events(good.replacingOccurrences(of: "T13", with: "T12")) == ["[end is not after start]"])
        #expect(
            events(good.replacingOccurrences(of: #""key":"cluster""#, with: #""k":1"#)) == [
                #"[missing field "scope.key"]"#
            ])
        #expect(
            events(good.replacingOccurrences(of: #"{"value":"eu","key":"cluster"}"#, with: "3")) == [
                "[scope is not an object]"
            ])
        #expect(events("\(good)\n{\n\(good)").count == 3)
    }

    @Test func `outcomes are read bare and as cloud events`() {
        let body = #""action":"1-2.0","resource":"r","locality":"l","status":"ready","readyReplicas":5"#
        #expect(outcomes(#"{\#(body),"ts":1795521600}"#) == ["1-2.0 r l ready 5 1795521600000 "])
        #expect(
            outcomes(#"{"data":{\#(body),"reason":"a\nb"},"specversion":"1.0","time":"2026-11-24T12:00:00Z","id":"1"}"#)
                == ["1-2.0 r l ready 5 1795521600000 a\nb"])
        #expect(
            outcomes(#"{"data":{\#(body),"ts":1795521601},"specversion":"1.0","time":1795521600}"#) == [
                "1-2.0 r l ready 5 1795521601000 "
            ])
        #expect(outcomes(#"{"data":{\#(body)},"specversion":"0.3"}"#) == ["[specversion is not 1.0]"])
        #expect(outcomes(#"{"specversion":"1.0"}"#) == [#"[missing field "data"]"#])
        #expect(outcomes(#"{\#(body)}"#) == [#"[missing field "ts"]"#])
        #expect(
            outcomes(#"{\#(body.replacingOccurrences(of: "ready\"", with: "done\"")),"ts":1795521600}"#) == [
                "[status is not one of the known words]"
            ])
        #expect(
            outcomes(#"{\#(body.replacingOccurrences(of: "5", with: "-5")),"ts":1795521600}"#) == [
                "[readyReplicas is out of range]"
            ])
        let long = String(repeating: "é", count: 800)
        #expect(
            outcomes(#"{\#(body),"ts":1795521600,"reason":"x\#(long)"}"#)[0].utf8.count
                == "1-2.0 r l ready 5 1795521600000 ".utf8.count + 1_023)
        #expect(
            outcomes(#"{\#(body),"ts":1795521600,"reason":"\n\#(long)"}"#)[0].utf8.count
                == "1-2.0 r l ready 5 1795521600000 ".utf8.count + 1_023)
        #expect(
            outcomes(#"[{"specversion":"1.0","data":{\#(body)},"time":1795521600},{\#(body),"ts":1795521600}]"#).count
                == 2)
    }

    @Test(arguments: ["telemetry", "interaction", "event", "outcome"])
    func `the examples of the schemas are read`(name: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = try Data(contentsOf: root.appending(path: "topics/schemas/\(name).schema.json"))
        let schema = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
        #expect(schema["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
        let examples = try #require(schema["examples"] as? [Any])
        for example in examples {
            let record = try String(decoding: JSONSerialization.data(withJSONObject: example), as: UTF8.self)
            let found: [String]
            switch name {
            case "interaction": found = interactions(record)
            case "event": found = events(record)
            case "outcome": found = outcomes(record)
            default:
                var reader = TelemetryJSON()
                var reasons: [String] = []
                Array(record.utf8).withUnsafeBytes { bytes in
                    reader.open(bytes)
                    while true {
                        switch reader.next() {
                        case .sample: reasons.append("sample")
                        case .fault(let fault): reasons.append("[\(fault.reason)]")
                        case .end: return
                        }
                    }
                }
                found = reasons
            }
            #expect(!found.isEmpty && !found.contains { $0.hasPrefix("[") }, "\(record): \(found)")
        }
    }
}
