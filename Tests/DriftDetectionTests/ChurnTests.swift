import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import DriftDetection

@Suite struct ChurnTests {
    @Test func `ever new resources of ever new localities fill nothing once the old ones are gone`() throws {
        var settings = DriftSettings()
        settings.seriesMax = 60
        var setting = DriftStageTests.setting
        setting.namesMax = 500
        let run = try TestRun<DriftStage>(setting, settings: settings)
        var sender = TestSender(task: DriftStageTests.sender)
        var bytes: [Int] = []
        for generation in 0..<60 {
            let time = Int64(generation) * 3_600_000
            var entries: [TestEntry] = []
            for resource in 0..<50 {
                let name = "r\(resource)-\(generation)"
                entries.append(
                    TestEntry(kind: .tags, resource: name, object: "l\(generation)", time: time, text: "{}"))
                entries.append(.forecast(name, time: time, value: 1, residual: 0, samples: 1))
            }
            for resource in 0..<50 {
                entries.append(TestEntry(kind: .gone, resource: "r\(resource)-\(generation)", time: time))
            }
            try run.receive(sender.frames(entries) { _ in 40 })
            try run.receive([sender.frame([], heartbeat: EventTime(milliseconds: time))])
            #expect(run.counter("series") == 0)
            bytes.append(run.task.freeze().flattened.reduce(0) { $0 + $1.bytes.count })
        }
        #expect(run.counter("seriesRefused") == 0 && run.counter("namesRefused") == 0)
        #expect(bytes.suffix(40).max() ?? 0 <= bytes.prefix(20).max() ?? 0)
        let restored = try TestRun<DriftStage>(setting, settings: settings, from: run.task.freeze())
        #expect(restored.task.freeze().digest == run.task.freeze().digest)
    }
}
