import Messages
import StageKit
import TwinCore

/// The last records that no stage could understand: a fold over `deadletters`.
package struct DeadLetterView: Sendable {
    package private(set) var counts = ViewCounts()
    /// All that were seen.
    package private(set) var total = 0
    package private(set) var letters: Ledger<[UInt8]>

    /// Of a raw value in base 64; the rest stays on the topic.
    package static let valueCharactersMax = 1_368

    package init(limits: ViewLimits) { letters = Ledger(recordsMax: limits.deadLettersMax) }

    /// Folds a record; returns its JSON, cut, or nil if it is none.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue(bytes) } catch {
            counts.malformed &+= 1
            return nil
        }
        guard let id = value["id"]?.text else {
            counts.malformed &+= 1
            return nil
        }
        var writer = JSONWriter(capacityBytes: 512)
        writer.beginObject()
        writer.member("id", id)
        writer.member("stage", value["stage"]?.text ?? "")
        writer.member("reason", String((value["reason"]?.text ?? "").prefix(1_024)))
        writer.member("topic", value["topic"]?.text ?? "")
        writer.member("partition", value["partition"]?.integer ?? -1)
        writer.member("offset", value["offset"]?.integer ?? -1)
        writer.member("key", value["key"]?.text.map { String($0.prefix(Self.valueCharactersMax)) })
        writer.member("value", value["value"]?.text.map { String($0.prefix(Self.valueCharactersMax)) })
        writer.member("bytes", value["bytes"]?.integer)
        writer.endObject()
        if letters.put(id, writer.bytes) { total += 1 }
        return writer.bytes
    }
}

// MARK: - Snapshots

extension DeadLetterView: RestorableView {
    package func freeze(into coder: inout StateCoder) {
        coder.write(UInt64(total))
        coder.write(list: letters.all) { letter, coder in letter.withUnsafeBytes { coder.write(bytes: $0) } }
    }

    package mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        let seen = try decoder.readCount(max: .max)
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) { _ = receive(try decoder.readBytes()) }
        total = seen
    }
}
