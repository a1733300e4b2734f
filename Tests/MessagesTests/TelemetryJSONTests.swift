import Foundation
import Testing
import TwinCore

@testable import Messages

@Suite struct TelemetryJSONTests {
    /// The record read to its end: `resource/metric=value@ms` for a sample, the reason in brackets for a fault.
    private func read(_ record: String) -> [String] { read(Array(record.utf8)) }

    private func read(_ record: [UInt8]) -> [String] {
        var reader = TelemetryJSON()
        var found: [String] = []
        record.withUnsafeBytes { bytes in
            reader.open(bytes)
            while true {
                switch reader.next() {
                case .sample:
                    let sample = reader.sample
                    let names =
                        String(decoding: sample.resource, as: UTF8.self) + "/"
                        + String(decoding: sample.metric, as: UTF8.self)
                    found.append("\(names)=\(sample.value)@\(sample.time.milliseconds)")
                case .fault(let fault):
                    #expect(fault.element.upperBound <= record.count)
                    found.append("[\(fault.reason)]")
                case .end: return
                }
            }
        }
        return found
    }

    private func sample(_ extra: String) -> String {
        #"{"resource":"a","metric":"m","value":1,"ts":1795521600"# + (extra.isEmpty ? "" : "," + extra) + "}"
    }
    private let plain = "a/m=1.0@1795521600000"

    @Test func `every word of the field table is spelt right`() {
        let names: [String: TelemetryField] = [
            "resource": .resource, "metric": .metric, "value": .value, "ts": .ts, "timestamp": .timestamp,
            "time": .time, "unit": .unit, "kind": .kind, "role": .role, "locality": .locality,
            "class": .resourceClass, "source": .source, "seq": .sequence, "tags": .tags, "labels": .labels,
            "metrics": .metrics,
        ]
        #expect(names.count == TelemetryField.allCases.count - 1)
        for (name, field) in names {
            Array(name.utf8).withUnsafeBytes { #expect(TelemetryField.named($0) == field, "\(name)") }
            Array((name + "x").utf8).withUnsafeBytes {
                #expect(TelemetryField.named($0) == .unknown || name == "metric")
            }
        }
        for name in ["", "t", "Resource", "timestamq", "timestam", "metrics_", "resource\0"] {
            Array(name.utf8).withUnsafeBytes { #expect(TelemetryField.named($0) == .unknown, "\(name)") }
        }
    }

    @Test func `all fields of a sample arrive`() {
        let record = Array(
            #"""
            {"resource":"svc-1","metric":"c\u0070u","value":0.5,"ts":"2026-11-24T12:00:00.25Z","unit":"ratio",
             "kind":"counter","role":"utilisation","locality":"eu-1/cluster-3","class":"service","seq":7,
             "tags":{"zone":"a","r\u0061ck":"\u00e99","zone":"b"},"labels":{"t":""},"source":"agent"}
            """#.utf8)
        record.withUnsafeBytes { bytes in
            var reader = TelemetryJSON()
            reader.open(bytes)
            guard case .sample = reader.next() else {
                Issue.record("refused")
                return
            }
            let sample = reader.sample
            #expect(sample.metric.elementsEqual("cpu".utf8) && sample.unit.elementsEqual("ratio".utf8))
            #expect(sample.kind == .counter && sample.role == .utilisation && sample.sequence == 7)
            #expect(sample.locality.elementsEqual("eu-1/cluster-3".utf8) && sample.source.elementsEqual("agent".utf8))
            #expect(sample.resourceClass.elementsEqual("service".utf8))
            #expect(sample.time.milliseconds == 1_795_521_600_250)
            var tags: [String] = []
            sample.tags.forEach {
                tags.append(String(decoding: $0, as: UTF8.self) + "=" + String(decoding: $1, as: UTF8.self))
            }
            #expect(tags == ["zone=a", "rack=é9"])
            #expect(sample.labels.count == 1)
        }
    }

    @Test func `numbers as time mean seconds or milliseconds`() {
        #expect(read(#"{"resource":"a","metric":"m","value":1,"ts":1795521600.5}"#) == ["a/m=1.0@1795521600500"])
        #expect(read(#"{"resource":"a","metric":"m","value":1,"time":1795521600123}"#) == ["a/m=1.0@1795521600123"])
        #expect(read(#"{"time":9,"timestamp":1795521600,"resource":"a","metric":"m","value":1}"#) == [plain])
        #expect(read(#"{"ts":null,"timestamp":1795521600,"resource":"a","metric":"m","value":1}"#) == [plain])
    }

    @Test func `every fault has its own reason`() {
        #expect(read("") == ["[record is empty]"])
        #expect(read(" \n") == ["[record is empty]"])
        #expect(read("{}") == [#"[missing field "resource"]"#])
        #expect(read(#"{"resource":"a"}"#) == [#"[missing field "metric"]"#])
        #expect(read(#"{"resource":"a","metric":"m"}"#) == [#"[missing field "value"]"#])
        #expect(read(#"{"resource":"a","metric":"m","value":null}"#) == [#"[missing field "value"]"#])
        #expect(read(#"{"resource":"a","metric":"m","value":1}"#) == [#"[missing field "ts"]"#])
        #expect(read(#"{"resource":"a","metric":"m","value":"NaN"}"#) == ["[value is not a finite number]"])
        #expect(read(#"{"resource":"a","metric":"m","value":1e999}"#) == ["[value is not a finite number]"])
        #expect(read(#"{"resource":"a","metric":"m","value":1,"ts":12}"#) == ["[timestamp is implausible]"])
        #expect(read(#"{"resource":"a","metric":"m","value":1,"ts":1e300}"#) == ["[timestamp is implausible]"])
        #expect(
            read(#"{"resource":"a","metric":"m","value":1,"ts":"2101-01-01T00:00:00Z"}"#) == [
                "[timestamp is implausible]"
            ])
        #expect(
            read(#"{"resource":"a","metric":"m","value":1,"ts":"now"}"#) == [
                "[timestamp is neither iso 8601 nor a number of seconds or milliseconds]"
            ])
        #expect(read(#"{"resource":7}"#) == ["[resource is not a string]"])
        #expect(read(#"{"resource":""}"#) == ["[resource is empty]"])
        #expect(read(#"{"resource":"a\u0007"}"#) == ["[resource holds a control character]"])
        #expect(read("{\"resource\":\"a\u{85}\"}") == ["[resource holds a control character]"])
        #expect(read(#"{"resource":"\udc00"}"#) == ["[resource holds an escape of half a character]"])
        let long = String(repeating: "é", count: 129)
        #expect(read(#"{"resource":"\#(long)"}"#) == ["[resource is longer than 256 bytes]"])
        #expect(read(sample(#""kind":"total""#)) == ["[kind is not one of the known words]"])
        #expect(read(sample(#""role":"boss""#)) == ["[role is not one of the known words]"])
        #expect(read(sample(#""seq":1.5"#)) == ["[seq is not a 64-bit integer]"])
        #expect(read(sample(#""tags":[]"#)) == ["[tags is not an object]"])
        #expect(read(sample(#""tags":{"a":1}"#)) == ["[a value in tags is not a string]"])
        #expect(read(sample(#""tags":{"a":"x","\u0061":1}"#)) == [plain])
        let many = (0..<65).map { "\"k\($0)\":\"\"" }.joined(separator: ",")
        #expect(read(sample("\"tags\":{\(many)}")) == ["[tags has more than 64 entries]"])
        #expect(read(sample(#""metrics":{}"#)) == [#"[fields "metric" and "metrics" exclude each other]"#])
        #expect(read("[1]") == ["[element is not an object]"])
        #expect(read("7") == ["[element is not an object]"])
    }

    @Test func `faults of syntax name the byte`() {
        #expect(read(sample("") + " x") == ["[unexpected character at byte 56]"])
        #expect(read(#"{"resource":"a","metric":"m","value":NaN}"#) == ["[unexpected character at byte 37]"])
        #expect(read(#"{"resource":"a""#) == ["[unexpected end of json at byte 15]"])
        #expect(read(sample(#""x":[1,]"#)) == ["[unexpected character at byte 62]"])
        #expect(read(sample(#""x":01"#)) == ["[malformed number at byte 59]"])
        #expect(read(sample(#""x":"\q""#)) == ["[malformed escape at byte 60]"])
        #expect(read(sample(#""x":tru"#)) == ["[unknown literal at byte 59]"])
        #expect(read(Array("{\"a\":\"".utf8) + [0xff] + Array("\"}".utf8)) == ["[invalid utf-8 at byte 6]"])
        #expect(read("{\"a\":\"\u{1}\"}") == ["[control character in a string at byte 6]"])
        let deep = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        #expect(read(sample("\"x\":\(deep)")) == ["[nesting is too deep at byte 90]"])
        #expect(read(sample("\"x\":\(deep.dropFirst().dropLast())")) == [plain])
    }

    @Test func `a bad element of an array does not hide the others`() {
        let good = sample("")
        #expect(read("[\(good),{},\(good),3,\(good)]").filter { $0 == plain }.count == 3)
        #expect(read("[]") == [])
        #expect(read("[\(good)") == [plain, "[unexpected end of json at byte \(good.utf8.count + 1)]"])
        // A fault of syntax ends an array.
        #expect(read("[\(good),{oops},\(good)]") == [plain, "[unexpected character at byte 58]"])
        #expect(read("[\(good)]\n\(good)") == [plain, "[unexpected character at byte 58]"])
        #expect(read("[\(good),]") == [plain, "[unexpected character at byte 57]"])
    }

    @Test func `a bad line does not hide the others`() {
        let good = sample("")
        #expect(read("\(good)\n\(good)\r\n\n \(good)\n") == [plain, plain, plain])
        #expect(read("\(good)\n{\"resource\n\(good)") == [plain, "[control character in a string at byte 66]", plain])
        #expect(read("\(good)\n{\"x\":1\n\(good)") == [plain, "[unexpected character at byte 63]", plain])
        #expect(read("garbage\n\(good)") == ["[unexpected character at byte 0]", plain])
        #expect(read("\(good) \(good)\n\(good)") == ["[unexpected character at byte 56]", plain])
        #expect(read("{}\n7\n\(good)") == [#"[missing field "resource"]"#, "[element is not an object]", plain])
        // One object may stand on many lines.
        #expect(read(good.replacingOccurrences(of: ",", with: ",\n")) == [plain])
        #expect(read([0xef, 0xbb, 0xbf] + Array(good.utf8)) == [plain])
    }

    @Test func `metrics make a sample each`() {
        let record = #"{"metrics":{"cpu":0.5,"r\u0070s":120,"bad":"x","":1,"cpu":9},"resource":"a","ts":1795521600}"#
        let expected = [
            "a/cpu=0.5@1795521600000", "a/rps=120.0@1795521600000", "[value is not a finite number]",
            "[metric is empty]",
        ]
        #expect(read(record) == expected)
        #expect(read("[\(record),\(record)]") == expected + expected)
        #expect(read("\(record)\n\(sample(""))") == expected + [plain])
        #expect(read(#"{"metrics":{},"resource":"a","ts":1795521600}"#) == [])
        #expect(read(#"{"metrics":{"a":1},"ts":1795521600}"#) == [#"[missing field "resource"]"#])
        let many = (0..<1_001).map { "\"m\($0)\":\($0)" }.joined(separator: ",")
        let found = read(#"{"metrics":{\#(many)},"resource":"a","ts":1795521600}"#)
        #expect(found.count == 1_001 && found.last == "[metrics has more than 1000 entries]")
        let empties =
            "[" + repeatElement(#"{"metrics":{},"resource":"a","ts":1795521600}"#, count: 20_000).joined(separator: ",")
            + "]"
        #expect(read(empties) == [])
    }

    @Test func `a record is bounded in samples and in faults`() {
        let good = sample("")
        let found = read("[" + repeatElement(good, count: 100_001).joined(separator: ",") + "]")
        #expect(found.count == 100_001 && found.last == "[record has more than 100000 elements]")
        let faults = read(repeatElement("{}", count: 2_000).joined(separator: "\n"))
        #expect(faults.count == 1_001)
        #expect(faults.last == "[record has more than 1000 faulty elements; the rest was not read]")
        // Nested beginnings on every line must not be walked again and again.
        #expect(read(String(repeating: "{\"a\":[\n", count: 50_000)).count == 1_001)
    }
}
