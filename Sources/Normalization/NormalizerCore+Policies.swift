import Messages
import StageKit
import TwinCore

/// The few top-level fields of a policy or a command that matter here; the rest is checked for its syntax only.
private struct Header {
    var name: [UInt8]?
    var id: [UInt8]?
    var verb: [UInt8]?
    var version: Double?
    var time: EventTime?

    /// The longest name, id or verb.
    static let nameBytesMax = 256

    /// Reads one JSON object to its end.
    static func read(_ value: UnsafeRawBufferPointer) throws(HeaderFault) -> Header {
        var header = Header()
        do throws(JSONError) {
            var reader = JSONReader(value)
            guard reader.peekKind() == .object else {
                _ = try reader.skipValue()
                throw JSONError(.unexpectedCharacter, at: 0)
            }
            try reader.enterObject()
            while let key = try reader.nextKey() { try header.take(key, &reader) }
            try reader.expectEnd()
        } catch {
            throw HeaderFault(reason: "not a json object: \(error)")
        }
        return header
    }

    /// Of a repeated field the first counts.
    private mutating func take(_ key: JSONString, _ reader: inout JSONReader) throws(JSONError) {
        let kind = reader.peekKind()
        if kind == .string, name == nil, reader.matches(key, "name") {
            name = try Self.text(&reader)
        } else if kind == .string, id == nil, reader.matches(key, "id") {
            id = try Self.text(&reader)
        } else if kind == .string, verb == nil, reader.matches(key, "verb") {
            verb = try Self.text(&reader)
        } else if kind == .number, version == nil, reader.matches(key, "version") {
            version = try reader.readDouble()
        } else if kind == .string, time == nil, reader.matches(key, "ts") {
            time = try Self.text(&reader).withUnsafeBytes { ISO8601.parse($0) }
        } else {
            try reader.skipValue()
        }
    }

    private static func text(_ reader: inout JSONReader) throws(JSONError) -> [UInt8] {
        let string = try reader.readString()
        var bytes: [UInt8] = []
        try reader.decode(string, appendingTo: &bytes)
        return bytes
    }

    /// Nil if it is missing, empty, too long or holds control characters.
    static func name(_ bytes: [UInt8]?) -> [UInt8]? {
        guard let bytes, !bytes.isEmpty, bytes.count <= nameBytesMax,
            !bytes.withUnsafeBytes({ UTF8Text.holdsControls($0) })
        else { return nil }
        return bytes
    }
}

private struct HeaderFault: Error { let reason: String }

extension NormalizerCore {
    /// A policy: its name is the record's key, else `name` in it; both must agree, as the topic is compacted by key.
    mutating func receivePolicy(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        guard let header = header(value, record, into: out) else { return }
        let key = record.key.flatMap { $0.isEmpty ? nil : [UInt8]($0) }
        if let key, let name = header.name, key != name {
            return refuse(record, "key and field \"name\" of the policy differ", into: out)
        }
        guard let name = Header.name(key ?? header.name) else {
            return refuse(record, "policy has no valid name, neither as key nor as field \"name\"", into: out)
        }
        guard name.withUnsafeBytes({ UTF8Text.isValid($0) }) else {
            return refuse(record, "key is not utf-8", into: out)
        }
        guard let number = name.withUnsafeBytes({ names.intern($0) }) else {
            counters.namesRefused &+= 1
            return
        }
        counters.policies &+= 1
        out.emitToAll(
            Entry(kind: .policy, object: number, value: header.version ?? 0, text: value), topic: .outlooks)
    }

    /// A tombstone: the policy with this name is gone; the entry has no text.
    mutating func deletePolicy(_ key: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        guard let name = Header.name([UInt8](key)), UTF8Text.isValid(key) else {
            return refuse(record, "key is no valid name of a policy", into: out)
        }
        guard let number = name.withUnsafeBytes({ names.intern($0) }) else {
            counters.namesRefused &+= 1
            return
        }
        counters.policies &+= 1
        out.emitToAll(Entry(kind: .policy, object: number), topic: .outlooks)
    }

    /// A command: must say its id and its verb; the decider reads the rest. `time` is its `ts`, if it has a plausible
    /// one in ISO 8601.
    mutating func receiveCommand(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        guard let header = header(value, record, into: out) else { return }
        guard Header.name(header.id) != nil else {
            return refuse(record, "command has no valid field \"id\"", into: out)
        }
        guard Header.name(header.verb) != nil else {
            return refuse(record, "command has no valid field \"verb\"", into: out)
        }
        counters.commands &+= 1
        var entry = Entry(kind: .command, text: value)
        if let time = header.time, EventTime.plausible.contains(time) { entry.time = time }
        out.emitToAll(entry, topic: .outlooks)
    }

    private mutating func header(
        _ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter
    ) -> Header? {
        guard value.count <= settings.policyBytesMax else {
            refuse(record, "record of \(value.count) bytes is larger than \(settings.policyBytesMax)", into: out)
            return nil
        }
        do throws(HeaderFault) {
            return try Header.read(value)
        } catch {
            refuse(record, error.reason, into: out)
            return nil
        }
    }
}

extension UTF8Text {
    /// Whether all bytes are well-formed UTF-8.
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            let length = sequenceLength(bytes, at: index)
            guard length > 0 else { return false }
            index += length
        }
        return true
    }
}
