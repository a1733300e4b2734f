import Messages
import Normalization
import StageKit
import Testing
import TwinCore

@Suite("Interactions, events, outcomes, policies, commands")
struct OtherInputTests {
    @Test("An interaction goes to both ends, each told the other's partition")
    func bothEnds() throws {
        var settings = NormalizerSettings()
        settings.partitionTable = [.init(locality: "l1", partition: 1), .init(locality: "l3", partition: 3)]
        let harness = try Harness(.interactions, settings: settings)
        let ends = "\"source\":\"a\",\"target\":\"b\",\"ts\":1795521600"
        harness.send("{\(ends),\"rate\":2,\"latencySeconds\":0.5,\"sourceLocality\":\"l1\",\"targetLocality\":\"l3\"}")
        var outputs = try harness.take()
        #expect(outputs.map(\.partition) == [1, 3])
        #expect(outputs.map(\.code) == [3, 1])
        #expect(outputs.allSatisfy { $0.resource == "a" && $0.object == "b" && $0.value == 2 && $0.numbers.count == 2 })
        #expect(Float(bitPattern: outputs[0].numbers[0]).isNaN && Float(bitPattern: outputs[0].numbers[1]) == 0.5)

        harness.send("{\(ends),\"bytesPerSecond\":1e300}")
        outputs = try harness.take()
        #expect(outputs.map(\.partition) == [1, 3], "learned from the record before")
        #expect(outputs[0].value.isNaN && Float(bitPattern: outputs[0].numbers[0]) == .greatestFiniteMagnitude)

        harness.send("{\(ends),\"rate\":2,\"targetLocality\":\"l1\"}")
        outputs = try harness.take()
        #expect(outputs.map(\.partition) == [1] && outputs.map(\.code) == [1], "both ends in one partition")
    }

    @Test("An interaction with an unknown end goes to all partitions")
    func unknownEnd() throws {
        var settings = NormalizerSettings()
        settings.partitionTable = [.init(locality: "l1", partition: 1)]
        let harness = try Harness(.interactions, settings: settings)
        harness.send("{\"source\":\"a\",\"target\":\"b\",\"ts\":1795521600,\"rate\":2,\"sourceLocality\":\"l1\"}")
        var outputs = try harness.take()
        #expect(outputs.map(\.partition) == [0, 1, 2, 3])
        let other = InteractionCode(otherEnd: 1, isUnrouted: true).raw
        #expect(outputs.map(\.code) == [other, .max, other, other])
        harness.send("{\"source\":\"c\",\"target\":\"a\",\"ts\":1795521600,\"rate\":2}")
        #expect(try harness.take().map(\.code) == [other, .max, other, other])
        harness.send("{\"source\":\"c\",\"target\":\"d\",\"ts\":1795521600,\"rate\":2}")
        outputs = try harness.take()
        #expect(outputs.map(\.code) == [.max, .max, .max, .max])
        #expect(harness.count("unrouted") == 3)
    }

    private func event(_ key: String, _ value: String, _ more: String = "") -> String {
        """
        {"id":"e1","start":"2026-11-27T06:00:00Z","end":"2026-11-27T22:00:00.5Z",
        "scope":{"key":"\(key)","value":"\(value)"},"kind":"campaign"\(more)}
        """
    }

    @Test("An event goes to every partition in its scope, in a form that can be read again")
    func events() throws {
        let harness = try Harness(.environment)
        harness.send(event("cluster", "eu-1", ",\"uplift\":1.5"))
        var outputs = try harness.take()
        #expect(outputs.map(\.partition) == [harness.partition(of: "eu-1")])
        #expect(outputs[0].kind == .event && outputs[0].object == "e1" && outputs[0].value == 1.5)
        #expect(outputs[0].time == 1_795_759_200_000)
        harness.send(event("region", "eu"))
        outputs = try harness.take()
        #expect(outputs.map(\.partition) == [0, 1, 2, 3] && outputs.allSatisfy { $0.value == 1 })
        harness.send(event("resource", "svc"))
        #expect(try harness.take().count == 4)
        harness.send(event("cluster", "eu-1", ",\"uplift\":1.5,\"cancelled\":true"))
        outputs = try harness.take()
        #expect(outputs.map(\.value) == [0])
        var reader = EventJSON()
        Array(outputs[0].text.utf8).withUnsafeBytes { bytes in
            reader.open(bytes)
            guard case .event = reader.next() else {
                Issue.record("not an event: \(outputs[0].text)")
                return
            }
            #expect(reader.event.isCancelled && reader.event.end.milliseconds == 1_795_816_800_500)
        }
    }

    @Test("An outcome goes to observations and outlooks of its resource")
    func outcomes() throws {
        let harness = try Harness(.outcomes)
        let outcome = "{\"action\":\"x-1\",\"resource\":\"a\",\"ts\":1795521600"
        harness.send("\(outcome),\"status\":\"accepted\"}")
        var outputs = try harness.take()
        #expect(outputs.count == 8 && outputs.allSatisfy { OutcomeCode(raw: $0.code).isUnrouted && $0.value.isNaN })
        let details = "\"readyReplicas\":5,\"locality\":\"eu-1\",\"reason\":\"a \\\"b\\\"\""
        harness.send("\(outcome),\"status\":\"ready\",\(details)}")
        harness.send("\(outcome),\"status\":\"failed\"}")
        outputs = try harness.take()
        #expect(outputs.allSatisfy { $0.partition == harness.partition(of: "eu-1") && $0.kind == .outcome })
        #expect(outputs.map(\.topic) == [.observations, .observations, .outlooks, .outlooks])
        #expect(outputs[0].value == 5 && OutcomeCode(raw: outputs[0].code).status == .ready)
        #expect(outputs[0].text == "{\"action\":\"x-1\",\"status\":\"ready\",\"ready\":5,\"reason\":\"a \\\"b\\\"\"}")
        #expect(outputs[1].text == "{\"action\":\"x-1\",\"status\":\"failed\"}")
    }

    @Test("A policy goes to every outlooks partition; a tombstone deletes it")
    func policies() throws {
        let harness = try Harness(.policies)
        let policy = "{\"name\":\"p\",\"version\":7,\"min\":[1,{}]}"
        harness.send(policy, key: "p")
        harness.send("{\"version\":8}", key: "q")
        harness.send(policy)
        harness.send(String?.none, key: "p")
        harness.send(String?.none)
        let outputs = try harness.take().filter { $0.partition == 2 }
        #expect(outputs.allSatisfy { $0.topic == .outlooks && $0.kind == .policy })
        #expect(outputs.map(\.object) == ["p", "q", "p", "p"])
        #expect(outputs.map(\.value) == [7, 8, 7, 0])
        #expect(outputs.map(\.text) == [policy, "{\"version\":8}", policy, ""])
        #expect(harness.count("tombstonesIgnored") == 1 && harness.count("deadLetters") == 0)
    }

    @Test(
        "A policy that cannot be meant is a dead letter",
        arguments: [
            ("{\"name\":\"a\"}", "b", "differ"), ("{}", "", "no valid name"), ("[{}]", "p", "not a json object"),
            ("{\"a\":1}x", "p", "not a json object"), ("{\"a\":", "p", "not a json object"),
            ("{\"name\":\"\"}", "", "no valid name"), ("{}", "a\nb", "no valid name"),
            ("{\"a\":\"" + String(repeating: "x", count: 65_536) + "\"}", "p", "larger than"),
        ])
    func policyRefused(value: String, key: String, reason: String) throws {
        let harness = try Harness(.policies)
        harness.send(value, key: key)
        #expect(try harness.take().isEmpty)
        let letters = try harness.takeLetters()
        #expect(letters.count == 1 && letters[0].contains(reason), "\(letters)")
    }

    @Test("A command needs an id and a verb, and goes to every outlooks partition")
    func commands() throws {
        let harness = try Harness(.commands)
        let command = "{\"id\":\"c1\",\"verb\":\"pause\",\"ts\":\"2026-11-24T12:00:00Z\"}"
        harness.send(command)
        harness.send("{\"id\":\"c1\"}")
        harness.send("{\"verb\":\"pause\"}")
        harness.send("{\"id\":7,\"verb\":\"pause\"}")
        let outputs = try harness.take()
        #expect(outputs.map(\.partition) == [0, 1, 2, 3])
        #expect(outputs.allSatisfy { $0.kind == .command && $0.text == command && $0.time == 1_795_521_600_000 })
        #expect(try harness.takeLetters().count == 3)
    }

    @Test("What a task is given decides whether it starts")
    func refusals() throws {
        #expect(throws: StateError.self) { try Harness(.observations) }
        var layout = TopicLayout(partitions: 4)
        layout[.outlooks] = 5
        let setting = TaskSetting(
            task: TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0), layout: layout)
        #expect(throws: StateError.self) { try NormalizerTask(setting, settings: NormalizerSettings()) }
    }
}
