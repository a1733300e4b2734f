import Messages
import StageKit
import TwinCore

/// An operator's command (`topics/schemas/command.schema.json`).
struct Command: Sendable {
    enum Verb: UInt8, Sendable, CaseIterable, BitwiseCopyable {
        /// This many replicas, whatever the forecast says.
        case set = 1
        /// No change.
        case hold = 2
        /// No action in either direction; decisions go on.
        case pause = 3
        case pauseUp = 4
        case pauseDown = 5
        /// Lifts every order on the resource.
        case resume = 6
        case floor = 7
        case ceiling = 8
        /// Lets a waiting proposal go ahead.
        case approve = 9
        case reject = 10

        var text: String { String(describing: self) }
        var needsValue: Bool { self == .set || self == .floor || self == .ceiling }
    }

    var id: [UInt8] = []
    var verb = Verb.hold
    var resource: NameID = 0
    var policy: NameID = 0
    var value: Int32 = 0
    /// End of the order, milliseconds; `Int64.max` when none is given.
    var until = Int64.max
    var owner: [UInt8] = []
    var reason: [UInt8] = []
    var action: [UInt8] = []
    var time: EventTime?

    static let idBytesMax = 256
    static let reasonBytesMax = 1_024

    static func parse(_ text: UnsafeRawBufferPointer, names: NameTable) throws(ScalingError) -> Command {
        var command = Command()
        var verb: Verb?
        var value: Int64?
        var parser = ObjectParser(text, names: names)
        try parser.enter()
        while let key = try parser.next() {
            switch key {
            case "id": command.id = try parser.text(bytesMax: idBytesMax)
            case "verb": verb = try parser.word { $0.text }
            case "resource": command.resource = try parser.name()
            case "policy": command.policy = try parser.name()
            case "value": value = try parser.integer(1...Int64(Replicas.limit))
            case "until": command.until = try parser.time()?.milliseconds ?? .max
            case "owner": command.owner = try parser.text()
            case "reason": command.reason = try parser.text(bytesMax: reasonBytesMax)
            case "action": command.action = try parser.text(bytesMax: idBytesMax)
            case "ts": command.time = try parser.time()
            default: throw parser.unknown()
            }
        }
        try parser.end()
        guard !command.id.isEmpty else { throw ScalingError(.missingKey, "'id' is missing") }
        guard let verb else { throw ScalingError(.missingKey, "'verb' is missing") }
        command.verb = verb
        if verb.needsValue {
            guard let value else { throw ScalingError(.missingKey, "'value' is missing for '\(verb.text)'") }
            command.value = Int32(value)
        }
        try command.checkSubject()
        return command
    }

    /// What can be made out of a command that `parse` refuses: its id, and what it is about.
    static func glance(_ text: UnsafeRawBufferPointer, names: NameTable) -> Command {
        var command = Command()
        do throws(ScalingError) {
            var parser = ObjectParser(text, names: names)
            try parser.enter()
            while let key = try parser.next() {
                switch key {
                case "id": command.id = try parser.text(bytesMax: idBytesMax)
                case "resource": command.resource = try parser.name()
                case "policy": command.policy = try parser.name()
                default: try parser.skip()
                }
            }
        } catch { return command }
        return command
    }

    /// Writes the command so that `parse` reads it back.
    func write(into writer: inout JSONWriter, names: NameTable) {
        writer.beginObject()
        writer.key("id")
        id.withUnsafeBytes { writer.string($0) }
        writer.key("verb")
        writer.string(verb.text)
        writer.key(resource != 0 ? "resource" : "policy")
        writer.string(names.bytes(of: resource != 0 ? resource : policy))
        if verb.needsValue {
            writer.key("value")
            writer.int(Int64(value))
        }
        if until != .max {
            writer.key("until")
            writer.time(EventTime(milliseconds: until))
        }
        writer.key("owner")
        owner.withUnsafeBytes { writer.string($0) }
        writer.key("reason")
        reason.withUnsafeBytes { writer.string($0) }
        writer.endObject()
    }

    private func checkSubject() throws(ScalingError) {
        if verb == .approve || verb == .reject {
            guard !action.isEmpty else {
                throw ScalingError(.missingKey, "'action', the proposal's id, is missing for '\(verb.text)'")
            }
        } else if (resource == 0) == (policy == 0) {
            throw ScalingError(.conflict, "name either a 'resource' or a 'policy'")
        }
    }
}

/// The commands that are remembered: ids against repeats, and the words of their owners for explanations.
struct CommandLedger {
    struct Record: Sendable {
        var serial: UInt32
        var verb: Command.Verb
        /// When it may be forgotten, milliseconds.
        var expiry: Int64
        var id: [UInt8]
        var owner: [UInt8]
        var reason: [UInt8]
    }

    private(set) var records: [Record] = []
    private var lastSerial: UInt32 = 0
    let commandsMax: Int

    init(commandsMax: Int) { self.commandsMax = commandsMax }

    func contains(id: [UInt8]) -> Bool { records.contains { $0.id == id } }

    /// The serial number of a command that is remembered.
    func serial(id: [UInt8]) -> UInt32? { records.first { $0.id == id }?.serial }

    /// Remembers a command until then at least.
    mutating func keep(serial: UInt32, until expiry: Int64) {
        guard let place = records.firstIndex(where: { $0.serial == serial }) else { return }
        records[place].expiry = max(records[place].expiry, expiry)
    }

    func record(serial: UInt32) -> Record? { serial == 0 ? nil : records.first { $0.serial == serial } }

    /// Forgets what has expired by `now`.
    mutating func expire(now: Int64) { records.removeAll { $0.expiry <= now } }

    /// Remembers a command and returns its serial number. When there is no room, the one that would be forgotten first
    /// goes.
    mutating func add(_ command: Command, expiry: Int64) -> UInt32 {
        if records.count >= commandsMax,
            let first = records.indices.min(by: { records[$0].expiry < records[$1].expiry })
        {
            records.remove(at: first)
        }
        lastSerial &+= 1
        records.append(
            Record(
                serial: lastSerial, verb: command.verb, expiry: expiry, id: command.id, owner: command.owner,
                reason: command.reason))
        return lastSerial
    }

    func freeze(into coder: inout StateCoder) {
        coder.write(UInt64(lastSerial))
        coder.write(UInt64(records.count))
        for record in records {
            coder.write(UInt64(record.serial) << 8 | UInt64(record.verb.rawValue))
            coder.write(record.expiry)
            for bytes in [record.id, record.owner, record.reason] { bytes.withUnsafeBytes { coder.write(bytes: $0) } }
        }
    }

    mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        lastSerial = UInt32(try decoder.readCount(max: Int(UInt32.max)))
        for _ in 0..<(try decoder.readCount(max: commandsMax)) {
            let word = try decoder.readWord()
            guard let verb = Command.Verb(rawValue: UInt8(word & 255)), word >> 40 == 0 else {
                throw .invalid("unknown verb of a command")
            }
            let expiry = try decoder.readInt64()
            let id = [UInt8](try decoder.readBytes())
            let owner = [UInt8](try decoder.readBytes())
            records.append(
                Record(
                    serial: UInt32(word >> 8), verb: verb, expiry: expiry, id: id, owner: owner,
                    reason: [UInt8](try decoder.readBytes())))
        }
    }
}
