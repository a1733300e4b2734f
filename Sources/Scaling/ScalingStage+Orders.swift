import Messages
import StageKit
import TwinCore

// MARK: - Policies

extension ScalingStage {
    /// A policy, which every decider sees. The highest version of a name counts; what cannot be understood is refused
    /// aloud, and the former version stays in force.
    mutating func receivePolicy(_ entry: Entry, into out: Emitter) {
        guard entry.object != 0 else {
            tally.malformed &+= 1
            return
        }
        let isHearsay = entry.code == Self.hearsay
        switch book.update(
            name: entry.object, version: entry.value, text: entry.text, isHearsay: isHearsay, names: names)
        {
        case .old: tally.policiesOld &+= 1
        case .rejected(let error):
            tally.policiesRejected &+= 1
            guard isSpokesman(for: names.bytes(of: entry.object)) else { return }
            say(about: entry.object, at: entry.time.milliseconds, into: out) { writer, names in
                writer.key("kind")
                writer.string(LedgerKind.policyRejected.rawValue)
                writer.key("policy")
                writer.string(names.bytes(of: entry.object))
                writer.key("version")
                writer.double(entry.value)
                writer.key("reason")
                writer.string(error.reason)
            }
        case .changed(let slot, let before, let now, let budgets):
            if before != 0, now != 0 {
                for resource in before == now ? [now] : [before, now] {
                    if let cell = index.find(resource, 0) { refresh(cell, policy: slot, budgets) }
                }
            } else {
                for cell in 0..<cells.count where cells.read(cell).pointee.resource != 0 {
                    refresh(cell, policy: slot, budgets)
                }
            }
            if budgets { refillBudgets() }
        }
    }

    private mutating func refresh(_ cell: Int, policy slot: Int, _ budgets: Bool) {
        let before = cells.read(cell).pointee.policy
        rematch(cell, budgetsAreRebuilt: budgets)
        if before == Int32(slot), cells.read(cell).pointee.policy == before { refit(cell) }
    }

    /// What every decider hears, one of them answers.
    private func isSpokesman(for name: UnsafeRawBufferPointer) -> Bool {
        task.partition == TwinCore.partition(of: name, among: layout[.outlooks])
    }

    /// Writes a record that is about no decision.
    func say(
        about subject: NameID, at time: Int64, into out: Emitter, _ body: (inout JSONWriter, NameTable) -> Void
    ) {
        let partition = partition(of: subject, topic: .decisions)
        let moment = time > 0 ? time : max(reached, 0)
        out.record(to: .decisions, partition: partition, key: subject) { writer, sequence in
            DecisionJSON.begin(
                &writer, id: Self.id(sequence, "d", partition, out), type: "io.twinscale.decision.v1",
                subject: names.bytes(of: subject), time: moment)
            body(&writer, names)
            DecisionJSON.end(&writer)
        }
    }
}

// MARK: - Commands

extension ScalingStage {
    /// A command, which every decider sees; the owner of the resource carries it out.
    mutating func receiveCommand(_ entry: Entry, into out: Emitter) {
        let command: Command
        do throws(ScalingError) {
            command = try Command.parse(entry.text, names: names)
        } catch { return refuseUnread(entry, error, into: out) }
        let given = command.time?.milliseconds ?? entry.time.milliseconds
        let now = max(reached, reached == .min ? given : reached)
        ledger.expire(now: now)
        if entry.code == Self.hearsay { return takeAgain(command, now: now) }
        if ledger.contains(id: command.id) {
            tally.commandsRepeated &+= 1
            return
        }
        let serial = ledger.add(command, expiry: expiry(of: command, now: now))
        if command.verb == .approve || command.verb == .reject {
            return settle(command, serial: serial, now: now, into: out)
        }
        if command.policy != 0 {
            order(policy: command, serial: serial, now: now, into: out)
        } else if let slot = index.find(command.resource, 0) {
            // One wrong clock does not make an order expire, unless there is no other.
            guard command.until > (reached == .min ? moment(slot, now) : now) else {
                return refuse(command, subject: command.resource, "it has expired", at: now, into: out)
            }
            cells.write(slot).pointee.manual.take(
                command.verb, value: command.value, until: command.until, serial: serial)
            answer(command, subject: command.resource, nil, at: moment(slot, now), into: out)
            evaluate(slot, now: moment(slot, now), .command, into: out)
        } else if isOrphan(command.resource) {
            refuse(command, subject: command.resource, "no resource of this name is known", at: now, into: out)
        } else {
            tally.commandsElsewhere &+= 1
        }
    }

    /// A command that cannot be understood: one task says so, once for each id, as far as that can be made out.
    private mutating func refuseUnread(_ entry: Entry, _ error: ScalingError, into out: Emitter) {
        tally.commandsRejected &+= 1
        let command = Command.glance(entry.text, names: names)
        let now = reached == .min ? entry.time.milliseconds : reached
        if !command.id.isEmpty {
            ledger.expire(now: now)
            guard !ledger.contains(id: command.id) else { return tally.commandsRepeated &+= 1 }
            _ = ledger.add(command, expiry: expiry(of: command, now: now))
        }
        guard isSpokesman(for: entry.text) else { return }
        let subject = command.resource != 0 ? command.resource : command.policy
        answer(command, isRead: false, subject: subject, error.reason, at: entry.time.milliseconds, into: out)
    }

    /// Whether it falls to this task to say that nobody knows a resource: it would live here.
    private func isOrphan(_ resource: NameID) -> Bool {
        isSpokesman(for: names.bytes(of: resource)) && !departures.contains(resource)
    }

    /// Whether it falls to this task to say that a proposal is not open: it has the resource, or would have made it.
    private func answers(_ command: Command) -> Bool {
        if command.resource != 0 { return index.find(command.resource, 0) != nil || isOrphan(command.resource) }
        // stage-stage-inbox-epoch-partition-…
        let parts = command.action.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        if parts.count > 4, let maker = Int32(String(decoding: parts[4], as: UTF8.self)),
            (0..<layout[.outlooks]).contains(maker)
        {
            return maker == task.partition
        }
        return command.action.withUnsafeBytes { isSpokesman(for: $0) }
    }

    /// The present of a resource: the watermark or its own last sample, whichever is later.
    private func moment(_ slot: Int, _ now: Int64) -> Int64 {
        max(now, cells.read(slot).pointee.view.time, cells.read(slot).pointee.evaluatedAt)
    }

    /// When the id of a command may be forgotten.
    func expiry(of command: Command, now: Int64) -> Int64 {
        let memory = settings.commandMemorySeconds &* 1_000
        if command.until == .max {
            return EventTime(milliseconds: now).advanced(byMilliseconds: memory &* 30).milliseconds
        }
        return max(command.until, EventTime(milliseconds: now).advanced(byMilliseconds: memory).milliseconds)
    }

    private mutating func order(policy command: Command, serial: UInt32, now: Int64, into out: Emitter) {
        guard let slot = book.slot(named: command.policy) else {
            if isSpokesman(for: names.bytes(of: command.policy)) {
                refuse(command, subject: command.policy, "there is no such policy", at: now, into: out)
            }
            return
        }
        guard command.until > now else {
            if isSpokesman(for: names.bytes(of: command.policy)) {
                refuse(command, subject: command.policy, "it has expired", at: now, into: out)
            }
            return
        }
        book.withManual(slot) {
            $0.take(command.verb, value: command.value, until: command.until, serial: serial)
        }
        if isSpokesman(for: names.bytes(of: command.policy)) {
            answer(command, subject: command.policy, nil, at: now, into: out)
        }
        for cell in 0..<cells.count where cells.read(cell).pointee.policy == Int32(slot) {
            evaluate(cell, now: moment(cell, now), .command, into: out)
        }
    }

    /// Approves or rejects the proposal that the command names.
    private mutating func settle(_ command: Command, serial: UInt32, now: Int64, into out: Emitter) {
        guard let slot = proposal(command, out) else {
            guard answers(command) else {
                tally.commandsElsewhere &+= 1
                return
            }
            return refuse(command, subject: command.resource, "there is no such open proposal", at: now, into: out)
        }
        let cell = cells.write(slot)
        let resource = cell.pointee.resource
        let moment = moment(slot, now)
        guard cell.pointee.proposal.expiry > (reached == .min ? moment : now) else {
            cell.pointee.proposal.offset = -1
            return refuse(command, subject: resource, "the proposal has expired", at: moment, into: out)
        }
        let terms = terms(cell.pointee.policy)
        let wanted = cell.pointee.proposal.to
        cell.pointee.proposal.offset = -1
        answer(command, subject: resource, nil, at: moment, into: out)
        if command.verb == .reject {
            cell.pointee.proposal.rejectedTo = wanted
            cell.pointee.proposal.rejectedUntil = moment &+ terms.actionTimeout
            return
        }
        evaluate(slot, now: moment, .approval(wanted, serial), into: out)
    }

    /// The slot with the open proposal of that id.
    private func proposal(_ command: Command, _ out: Emitter) -> Int? {
        for slot in pending {
            let cell = cells.read(slot)
            guard cell.pointee.proposal.isOpen, command.resource == 0 || cell.pointee.resource == command.resource
            else { continue }
            let id = proposalID(cell.pointee.proposal.sequence, of: cell.pointee.resource, out)
            if command.action.elementsEqual(id.utf8) { return slot }
        }
        return nil
    }

    private mutating func refuse(
        _ command: Command, subject: NameID, _ why: String, at time: Int64, into out: Emitter
    ) {
        tally.commandsRejected &+= 1
        answer(command, subject: subject, why, at: time, into: out)
    }

    /// Says what became of a command; without a reason it is in force.
    private func answer(
        _ command: Command, isRead: Bool = true, subject: NameID, _ why: String?, at time: Int64, into out: Emitter
    ) {
        say(about: subject, at: time, into: out) { writer, names in
            writer.key("kind")
            writer.string((why == nil ? LedgerKind.commandAccepted : .commandRefused).rawValue)
            if !command.id.isEmpty {
                writer.key("command")
                command.id.withUnsafeBytes { writer.string($0) }
            }
            if isRead {
                writer.key("verb")
                writer.string(command.verb.text)
                writer.key("owner")
                command.owner.withUnsafeBytes { writer.string($0) }
            }
            if command.resource != 0 {
                writer.key("resource")
                writer.string(names.bytes(of: command.resource))
            }
            if command.policy != 0 {
                writer.key("policy")
                writer.string(names.bytes(of: command.policy))
            }
            if !command.action.isEmpty {
                writer.key("proposal")
                command.action.withUnsafeBytes { writer.string($0) }
            }
            if let why {
                writer.key("reason")
                writer.string(why)
            }
        }
    }
}
