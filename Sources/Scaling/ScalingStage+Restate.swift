import Messages
import StageKit
import TwinCore

/// What operators have said, said again. The inbox keeps a policy or a command as long as anything else and then
/// forgets it; a task that is rebuilt from the inbox must not.
extension ScalingStage {
    /// The code of a policy or a command that a decider says again.
    static var hearsay: UInt32 { 1 }
    /// Turns in which everything is said again.
    private static let turns: Int64 = 1_440

    /// Says again what has its turn between `before` and now: policies, each before the orders on it, and the orders on
    /// resources.
    mutating func restate(since before: Int64, into out: Emitter) {
        let length = max(settings.policyRestateSeconds &* 1_000 / Self.turns, 1)
        let now = reached / length
        for turn in max(before / length, now &- Self.turns)..<now {
            let first = Int((turn % Self.turns &+ Self.turns) % Self.turns)
            for slot in stride(from: first, to: book.slots.count, by: Int(Self.turns)) {
                restate(book.slots[slot], into: out)
            }
            for slot in stride(from: first, to: cells.count, by: Int(Self.turns)) {
                let cell = cells.read(slot)
                restate(cell.pointee.manual, resource: cell.pointee.resource, into: out)
            }
        }
    }

    private mutating func restate(_ slot: PolicyBook.Slot, into out: Emitter) {
        guard slot.policy != nil else { return }
        slot.text.withUnsafeBytes { text in
            out.emit(
                Entry(
                    kind: .policy, code: Self.hearsay, object: slot.name, time: EventTime(milliseconds: reached),
                    value: Double(slot.version), text: text),
                to: .outlooks, partition: task.partition)
        }
        restate(slot.manual, policy: slot.name, into: out)
    }

    /// The orders in force, as the commands that would give them now. An order without an end keeps its id as long.
    private mutating func restate(
        _ manual: Manual, resource: NameID = 0, policy: NameID = 0, into out: Emitter
    ) {
        guard !manual.isEmpty else { return }
        for order in manual.inForce(at: reached) {
            guard let record = ledger.record(serial: order.serial) else { continue }
            var command = Command()
            (command.id, command.owner, command.reason) = (record.id, record.owner, record.reason)
            (command.verb, command.value, command.until) = (order.verb, order.value, order.until)
            (command.resource, command.policy) = (resource, policy)
            ledger.keep(serial: order.serial, until: expiry(of: command, now: reached))
            var writer = JSONWriter(capacityBytes: 512)
            command.write(into: &writer, names: names)
            writer.bytes.withUnsafeBytes { text in
                out.emit(
                    Entry(kind: .command, code: Self.hearsay, time: EventTime(milliseconds: reached), text: text),
                    to: .outlooks, partition: task.partition)
            }
        }
    }

    /// An order that a decider says again. Whoever has heard it, or one like it since, knows better.
    mutating func takeAgain(_ command: Command, now: Int64) {
        guard command.until > now else { return }
        if command.policy != 0 {
            guard let slot = book.slot(named: command.policy), book.slots[slot].manual.lacks(command.verb) else {
                return
            }
            let serial = serial(of: command, now: now)
            book.withManual(slot) { $0.takeAgain(command, serial: serial) }
        } else if let slot = index.find(command.resource, 0), cells.read(slot).pointee.manual.lacks(command.verb) {
            cells.write(slot).pointee.manual.takeAgain(command, serial: serial(of: command, now: now))
        }
    }

    private mutating func serial(of command: Command, now: Int64) -> UInt32 {
        ledger.serial(id: command.id) ?? ledger.add(command, expiry: expiry(of: command, now: now))
    }
}
