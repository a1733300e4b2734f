import Messages
import StageKit
import Testing
import TwinCore

@Suite("What a task writes")
struct EmitterTests {
    @Test("A record that is too large becomes a dead letter, and a replay numbers as if it had not")
    func oversize() throws {
        let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 2)
        func emitter() -> Emitter {
            var limits = Emitter.Limits()
            limits.recordBytesMax = 1_000
            return Emitter(
                task: task, incarnation: 1, layout: TopicLayout(partitions: 4), outputs: [.twins, .deadletters],
                names: NameTable(namesMax: 10), limits: limits)
        }
        func run(_ emitter: Emitter, muted: Bool) {
            emitter.begin(inputOffset: 7, muted: muted)
            emitter.record(to: .twins, partition: 0, key: 0) { writer, _ in
                writer.string(String(repeating: "x", count: 2_000))
            }
            emitter.record(to: .twins, partition: 0, key: 0) { writer, _ in writer.string("small") }
        }
        let (loud, silent) = (emitter(), emitter())
        run(loud, muted: false)
        run(silent, muted: true)
        let records = loud.takeOutgoing()
        #expect(records.map(\.topic) == [.deadletters, .twins] && records[0].partition == 2)
        let letter = String(decoding: records[0].value ?? [], as: UTF8.self)
        #expect(letter.contains("record of 2002 bytes for twins is larger than 1000"))
        #expect(loud.counters.oversize == 1 && silent.takeOutgoing().isEmpty)
        func digest(_ emitter: Emitter) -> UInt64 {
            var writer = StateWriter()
            emitter.freeze(into: &writer)
            return writer.digest
        }
        #expect(digest(loud) == digest(silent))
    }
}
