import TestKit
import Testing
import TwinCore

@testable import Messages

/// Value lists as collectd's write_kafka writes them.
@Suite struct CollectdTests {
    private static func read(_ text: String, storesRates: Bool = true) -> (samples: [String], faults: [RecordFault]) {
        read(Array(text.utf8), storesRates: storesRates)
    }

    private static func read(_ bytes: [UInt8], storesRates: Bool) -> (samples: [String], faults: [RecordFault]) {
        var reader = CollectdJSON(storesRates: storesRates)
        return bytes.withUnsafeBytes { record in
            reader.open(record)
            var (samples, faults): ([String], [RecordFault]) = ([], [])
            while true {
                switch reader.next() {
                case .sample:
                    let sample = reader.sample
                    samples.append(
                        "\(String(decoding: sample.resource, as: UTF8.self)) "
                            + "\(String(decoding: sample.metric, as: UTF8.self)) \(sample.value) \(sample.kind) "
                            + "\(sample.time.milliseconds)")
                case .fault(let fault): faults.append(fault)
                case .end: return (samples, faults)
                }
            }
        }
    }

    /// From the manual of collectd, with a second list of two values.
    private static let text = #"""
        [{"values":[1901474177],"dstypes":["counter"],"dsnames":["value"],"time":1795521600.125,"interval":10.000,
          "host":"leeloo.example.com","plugin":"cpu","plugin_instance":"0","type":"cpu","type_instance":"idle"},
         {"values":[100,null],"dstypes":["derive","absolute"],"dsnames":["rx","tx"],"time":1795521600,"interval":10,
          "host":"leeloo.example.com","plugin":"interface","plugin_instance":"","type":"if_octets",
          "type_instance":"","meta":{"network:received":true}},
         {"time":1795521600,"interval":10,"host":"h","plugin":"p","type":"t","dsnames":["n"],"dstypes":["absolute"],
          "values":[50]}]
        """#

    @Test func everyValueOfAListIsASample() {
        let rates = Self.read(Self.text)
        #expect(rates.faults.isEmpty, "\(rates.faults)")
        #expect(
            rates.samples == [
                "leeloo.example.com cpu.0.cpu.idle 1901474177.0 gauge 1795521600125",
                "leeloo.example.com interface.if_octets.rx 100.0 gauge 1795521600000",
                "h p.t.n 50.0 gauge 1795521600000",
            ])
        #expect(
            Self.read(Self.text, storesRates: false).samples == [
                "leeloo.example.com cpu.0.cpu.idle 1901474177.0 counter 1795521600125",
                "leeloo.example.com interface.if_octets.rx 100.0 counter 1795521600000",
                "h p.t.n 5.0 gauge 1795521600000",
            ])
    }

    @Test func whatIsMissingIsNamedAndItsNeighboursAreRead() {
        let good =
            #"{"values":[1],"dstypes":["gauge"],"dsnames":["value"],"time":1795521600,"host":"h","plugin":"p","#
            + #""type":"t"}"#
        for (bad, field) in [
            (good.replacing(#""host":"h","#, with: ""), "host"),
            (good.replacing(#""plugin":"p","#, with: ""), "plugin"),
            (good.replacing(#""time":1795521600,"#, with: ""), "time"), (good.replacing("[1]", with: "1"), "values"),
        ] {
            let found = Self.read("[\(bad),\(good)]")
            #expect(found.samples == ["h p.t 1.0 gauge 1795521600000"], "\(bad)")
            #expect(found.faults.map { "\($0.field)" } == [field], "\(bad)")
        }
    }

    @Test func itIsKnownByItsFirstMember() {
        func recognised(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { CollectdJSON.recognises($0) } }
        #expect(recognised(Self.text))
        #expect(recognised(#" { "values" : [] }"#))
        for other in [#"{"resource":"a"}"#, #"[{"value":1}]"#, "[]", "", "[", "{", #"{"resourceMetrics":[]}"#] {
            #expect(!recognised(other), "\(other)")
        }
    }

    @Test func brokenBytesNeverCrashAndAlwaysEnd() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        let whole = Array(Self.text.utf8)
        for _ in 0..<2_000 {
            var bytes = Array(whole.prefix(random.below(whole.count + 1)))
            for _ in 0..<random.below(5) where !bytes.isEmpty {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            }
            #expect(Self.read(bytes, storesRates: false).samples.count <= 4, "seed \(seed)")
        }
    }
}
