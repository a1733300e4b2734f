import Messages
import StageKit
import Testing
import TwinCore

@Suite("Records on their way out")
struct OutboxTests {
    private func emitter(recordBytesMax: Int = 900_000) -> (Emitter, NameTable) {
        let names = NameTable(namesMax: 100)
        var limits = Emitter.Limits()
        limits.recordBytesMax = recordBytesMax
        let task = TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: 0)
        let emitter = Emitter(
            task: task, incarnation: 1, layout: TopicLayout(partitions: 2),
            outputs: [.decisions, .twins, .forecasts, .deadletters], names: names, limits: limits)
        emitter.begin(inputOffset: 5, muted: false)
        return (emitter, names)
    }

    private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test("Records, tombstones and frames keep their order, keys and values, and leave nothing behind")
    func order() throws {
        let (emitter, names) = emitter()
        let key = try #require(names.intern("svc-1"))
        emitter.record(to: .decisions, partition: 1, key: key) { writer, sequence in
            writer.beginArray()
            writer.int(sequence.offset)
            writer.int(2)
            writer.endArray()
        }
        emitter.tombstone(to: .twins, partition: 0, key: key)
        emitter.record(to: .decisions, partition: 0, key: 0) { writer, _ in writer.string("no key") }
        emitter.emit(Entry(kind: .sample, resource: key, value: 3), to: .forecasts, partition: 1)
        emitter.cutAll()
        let pending = emitter.pendingBytes
        #expect(pending > 0 && emitter.hasOutgoing)
        let records = emitter.takeOutgoing()
        #expect(records.map(\.topic) == [.decisions, .twins, .decisions, .forecasts])
        #expect(records.map(\.partition) == [1, 0, 0, 1])
        #expect(records.map { text($0.key) } == ["svc-1", "svc-1", nil, nil])
        #expect(records.prefix(3).map { text($0.value) } == ["[5,2]", nil, "\"no key\""])
        let reader = FrameReader()
        try #require(records[3].value).withUnsafeBytes { try reader.decode($0) }
        #expect(reader.entries.count == 1 && reader.entries[0].value == 3)
        #expect(emitter.pendingBytes == 0 && !emitter.hasOutgoing)
        #expect(emitter.takeOutgoing().isEmpty)
    }

    @Test("A record beyond the limit becomes a dead letter and leaves no byte in the next one")
    func oversize() throws {
        let (emitter, names) = emitter(recordBytesMax: 20)
        let key = try #require(names.intern("svc-1"))
        emitter.record(to: .decisions, partition: 0, key: key) { writer, _ in
            writer.beginArray()
            writer.string("far more than the twenty bytes that are allowed")
        }
        emitter.record(to: .decisions, partition: 0, key: key) { writer, _ in writer.int(7) }
        #expect(emitter.counters.oversize == 1 && emitter.counters.records == 2)
        let records = emitter.takeOutgoing()
        #expect(records.map(\.topic) == [.deadletters, .decisions])
        #expect(text(records[0].value)?.contains("record of 50 bytes for decisions is larger than 20") == true)
        #expect(text(records[1].value) == "7")
        #expect(text(records[1].key) == "svc-1")
    }

    @Test("What has been handed over is gone even if it could not be written")
    func failure() {
        struct Refused: Error {}
        let (emitter, _) = emitter()
        emitter.record(to: .decisions, partition: 0, key: 0) { writer, _ in writer.int(1) }
        #expect(throws: Refused.self) {
            try emitter.drain { (records) throws(Refused) in
                if records.count == 1 { throw Refused() }
            }
        }
        #expect(!emitter.hasOutgoing)
    }
}
