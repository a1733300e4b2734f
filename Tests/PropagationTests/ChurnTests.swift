import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Propagation

@Suite struct ChurnTests {
    /// Generations of twelve resources that call each other in a ring, each an hour; then they are gone.
    private func generation(_ number: Int, isGone: Bool) -> [TestEntry] {
        let time = Int64(number) * 3_600_000
        let names = (0..<12).map { "r\($0)-\(number)" }
        if isGone { return names.map { TestEntry(kind: .gone, resource: $0, time: time) } }
        var entries: [TestEntry] = []
        for (index, name) in names.enumerated() {
            entries.append(TestEntry(kind: .tags, resource: name, object: "l\(number)", time: time, text: "{}"))
            entries.append(.interaction(name, names[(index + 1) % 12], 3, time: time, otherEnd: 1))
            entries.append(.interaction(name, "far-\(number)", 3, time: time, otherEnd: 2))
            entries.append(.forecast(name, time: time, value: 100, change: index == 0 ? 1 : 0))
        }
        return entries
    }

    @Test func `ever new resources fill nothing once the old ones are gone and their edges expired`() throws {
        var settings = PropagationSettings()
        settings.resourcesMax = 80
        settings.edgesMax = 250
        settings.edgeExpirySeconds = 7_200
        var setting = PropagationStageTests.setting
        setting.namesMax = 200
        let run = try TestRun<PropagationStage>(setting, settings: settings)
        var sender = TestSender(task: PropagationStageTests.sender)
        for number in 0..<80 {
            try run.receive(sender.frames(generation(number, isGone: false)) { _ in 30 })
            if number > 0 { try run.receive(sender.frames(generation(number - 1, isGone: true)) { _ in 30 }) }
            try run.receive([sender.frame([], heartbeat: EventTime(milliseconds: Int64(number) * 3_600_000))])
        }
        for name in ["resourcesRefused", "edgesRefused", "namesRefused"] { #expect(run.counter(name) == 0, "\(name)") }
        #expect(run.counter("resources") <= 65)
        let restored = try TestRun<PropagationStage>(setting, settings: settings, from: run.task.freeze())
        #expect(restored.task.freeze().digest == run.task.freeze().digest)
        try run.receive([sender.frame(generation(79, isGone: true))])
        try run.receive([sender.frame([], heartbeat: EventTime(milliseconds: 90 * 3_600_000))])
        #expect(run.counter("resources") == 0 && run.counter("edges") == 0)
    }

    @Test func `what is in use is kept, with its edges in their order`() throws {
        var settings = InfluenceTests.exact
        settings.edgeExpirySeconds = 7_200
        let run = try TestRun<PropagationStage>(PropagationStageTests.setting, settings: settings)
        var sender = TestSender(task: PropagationStageTests.sender)
        let entries: [TestEntry] = [
            .interaction("old", "y", 10, time: 0, otherEnd: 1), .interaction("x", "y", 10, time: 0, otherEnd: 1),
            .interaction("z", "y", 10, time: 0, otherEnd: 1),
        ]
        try run.receive(sender.frames(entries) { _ in 30 })
        for hour in 1...4 {
            let time = Int64(hour) * 3_600_000
            try run.receive(
                sender.frames([
                    .interaction("z", "y", 10, time: time, otherEnd: 1),
                    .interaction("x", "y", 10, time: time, otherEnd: 1), .forecast("y", time: time, value: 100),
                ]) { _ in 30 })
            try run.receive([sender.frame([], heartbeat: EventTime(milliseconds: time))])
        }
        #expect(run.counter("edges") == 2 && run.counter("resources") == 3)
        let time: Int64 = 5 * 3_600_000
        try run.receive(
            sender.frames([
                .forecast("x", time: time, value: 100, change: 1), .forecast("y", time: time, value: 100),
            ]) { _ in 30 })
        let last = try #require(run.entries.last { $0.entry.resource == "y" }?.entry)
        #expect(last.influence(4) > 1)
        let restored = try TestRun<PropagationStage>(
            PropagationStageTests.setting, settings: settings, from: run.task.freeze())
        #expect(restored.task.freeze().digest == run.task.freeze().digest)
    }
}
