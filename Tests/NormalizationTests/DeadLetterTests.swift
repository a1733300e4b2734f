import Messages
import Normalization
import Testing
import TwinCore

@Suite("What is not understood is a dead letter with its reason")
struct DeadLetterTests {
    private static let good = "{\"resource\":\"a\",\"metric\":\"x\",\"value\":1,\"ts\":1795521600,\"locality\":\"l\"}"

    @Test(
        "Each reason is named",
        arguments: [
            ("", "record is empty"), ("  \n", "record is empty"), ("garbage", "encoding is not recognised"),
            ("null", "a json value that is no object or array"), (" 123 ", "a json value that is no object or array"),
            ("{\"resource\":", "unexpected end of json"), ("{}", "missing field"), ("[1]", "element is not an object"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":NaN,\"ts\":1}", "at byte"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":\"1\",\"ts\":1795521600}", "value is not a finite number"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":1e999,\"ts\":1795521600}", "value is not a finite number"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":1,\"ts\":99999999999999}", "timestamp is implausible"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":1e308,\"unit\":\"d\",\"ts\":1795521600}", "out of range"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":3e38,\"ts\":1795521600}", "beyond 1e18"),
            ("{\"resource\":\"a\",\"metric\":\"x\",\"value\":-1.1e18,\"ts\":1795521600}", "beyond 1e18"),
        ])
    func reasons(value: String, reason: String) throws {
        let harness = try Harness(.telemetry)
        harness.send(value)
        harness.send(Self.good)
        let letters = try harness.takeLetters()
        #expect(letters.count == 1 && letters[0].contains(reason), "\(letters)")
        #expect(try harness.take().filter { $0.kind == .sample }.count == 1, "the stream goes on")
    }

    @Test("A faulty element does not take its neighbours with it, and letters per record are bounded")
    func elements() throws {
        var settings = NormalizerSettings()
        settings.deadLettersPerRecordMax = 5
        let harness = try Harness(.telemetry, settings: settings)
        harness.send("[\(Self.good),{\"resource\":3},\(Self.good)]")
        let letters = try harness.takeLetters()
        // {"resource":3} in base 64: the letter holds the element alone.
        #expect(letters.count == 1 && letters[0].contains("\"value\":\"eyJyZXNvdXJjZSI6M30=\""), "\(letters)")
        #expect(try harness.take().filter { $0.kind == .sample }.count == 2)
        harness.send("[" + Array(repeating: "{}", count: 50).joined(separator: ",") + "]")
        let many = try harness.takeLetters()
        #expect(many.count == 6 && many[5].contains("45 more faulty elements"))
        #expect(harness.count("faultsSummed") == 45)
    }

    @Test("A record of the far future is one dead letter, with its source and both times, until three sources agree")
    func farAhead() throws {
        let harness = try Harness(.telemetry)
        func send(_ seconds: Int64, _ resource: String = "a") {
            harness.send(
                "{\"resource\":\"\(resource)\",\"locality\":\"l\",\"metrics\":{\"x\":1,\"y\":2},\"ts\":\(seconds)}")
        }
        for second: Int64 in 1_795_521_600..<1_795_521_603 { send(second) }
        #expect(try harness.take().filter { $0.kind == .sample }.count == 6)
        send(4_102_444_790, "bad")
        send(1_795_521_603)
        #expect(try harness.take().filter { $0.kind == .sample }.map(\.time) == [1_795_521_603_000, 1_795_521_603_000])
        let letters = try harness.takeLetters()
        #expect(
            letters.count == 1
                && letters[0].contains(
                    "ahead: the time of 'bad', 2099-12-31T23:59:50Z, is more than 86400 s after 2026-11-24")
        )
        #expect(harness.count("refusedAhead") == 2)
        for (number, resource) in ["a", "b", "c"].enumerated() { send(1_800_000_000 + Int64(number), resource) }
        #expect(try harness.take().filter { $0.kind == .sample }.count == 2)
        #expect(try harness.takeLetters().count == 2)
    }

    private func send(_ seconds: Int64, _ resource: String, to harness: Harness) {
        harness.send(
            "{\"resource\":\"\(resource)\",\"locality\":\"l\",\"metric\":\"x\",\"value\":1,\"ts\":\(seconds)}")
    }

    @Test("A source of the year 2099 says nothing to anybody and moves no watermark, however often it speaks")
    func wrongForGood() throws {
        let harness = try Harness(.telemetry)
        for second: Int64 in 0..<3 { send(1_795_521_600 + second, "good", to: harness) }
        for second: Int64 in 3..<20 {
            for more: Int64 in 0..<5 { send(4_102_444_000 + second * 5 + more, "bad", to: harness) }
            send(1_795_521_600 + second, "good", to: harness)
        }
        #expect(harness.task.watermark == EventTime(seconds: 1_795_521_619 - 120))
        #expect(harness.count("refusedAhead") == 85)
        let taken = try harness.take().filter { $0.kind == .sample }
        #expect(taken.count == 20 && taken.allSatisfy { $0.resource == "good" })
        let letters = try harness.takeLetters()
        #expect(letters.count == 85 && letters.allSatisfy { $0.contains("ahead: the time of 'bad'") })
    }

    @Test("A restart in the middle of a row that is to be believed forgets nothing of it")
    func restartInARow() throws {
        var harness = try Harness(.telemetry)
        for second: Int64 in 0..<3 { send(1_795_521_600 + second, "a", to: harness) }
        for second: Int64 in 0..<30 {
            let offset = harness.offset
            harness = try Harness(.telemetry, restoring: harness.task.freeze())
            harness.offset = offset
            send(1_800_000_000 + second * 600, "a", to: harness)
            #expect(try harness.takeLetters().isEmpty == (second == 29))
        }
    }

    @Test("An interaction of the far future is a dead letter as well")
    func farAheadInteraction() throws {
        let harness = try Harness(.interactions)
        func send(_ seconds: Int64) {
            harness.send("{\"source\":\"a\",\"target\":\"b\",\"rate\":1,\"ts\":\(seconds)}")
        }
        for second: Int64 in [1_795_521_600, 1_795_521_601, 1_795_521_602, 4_102_444_790, 1_795_521_603] {
            send(second)
        }
        #expect(try harness.takeLetters().count == 1)
        #expect(try harness.take().allSatisfy { $0.time < 1_795_521_604_000 })
    }

    @Test("A record that is too large is refused unread")
    func tooLarge() throws {
        let harness = try Harness(.telemetry)
        harness.send([UInt8](repeating: UInt8(ascii: "["), count: 10_000_000))
        let letters = try harness.takeLetters()
        #expect(letters.count == 1 && letters[0].contains("larger than 4194304"))
        #expect(letters[0].contains("\"truncated\":true"))
    }

    @Test(
        "The content type goes before the first byte; a topic's setting goes between",
        arguments: [
            ("application/json", true), ("Application/JSON; charset=utf-8", true),
            ("application/cloudevents+json", true),
            ("application/x-ndjson", true), ("application/x-protobuf", false), ("text/csv", false),
            (String(repeating: "x", count: 10_000), false),
        ])
    func contentType(type: String, isRead: Bool) throws {
        let harness = try Harness(.telemetry)
        harness.send(Self.good, contentType: type)
        #expect(try harness.take().isEmpty == !isRead)
        #expect(try harness.takeLetters().isEmpty == isRead)
    }

    @Test("A topic's setting spares the sniffing")
    func topicSetting() throws {
        var settings = NormalizerSettings()
        settings.encodings = [.telemetry: .json]
        let harness = try Harness(.telemetry, settings: settings)
        harness.send("garbage")
        #expect(try harness.takeLetters().first?.contains("unexpected character") == true)
    }

    @Test(
        "Tombstones outside policies are counted",
        arguments: [
            TopicName.telemetry, .interactions, .environment, .outcomes, .commands,
        ])
    func tombstones(inbox: TopicName) throws {
        let harness = try Harness(inbox)
        harness.send(String?.none, key: "k")
        #expect(try harness.take().isEmpty && harness.takeLetters().isEmpty)
        #expect(harness.count("tombstonesIgnored") == 1)
    }
}
