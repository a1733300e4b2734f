import Messages
import StageKit
import TwinCore

/// What a resource is evaluated for.
enum EvaluationCause: Equatable {
    /// A new sample, once per decision interval.
    case sample
    /// Another word about the same sample.
    case refresh
    /// An operator's command.
    case command
    /// An operator's approval of a proposal for so many units, by the command's serial number.
    case approval(Int32, UInt32)

    var isOrder: Bool { self != .sample && self != .refresh }
}

extension ScalingStage {
    /// Time from an action to ready units: the longer of declared and learned.
    func leadSeconds(_ cell: UnsafePointer<ResourceCell>, _ terms: PolicyTerms) -> Double {
        let learned = cell.pointee.lead.learnedSeconds
        if terms.provisioningDelaySeconds >= 0 { return max(terms.provisioningDelaySeconds, learned ?? 0) }
        return learned ?? settings.leadSecondsDefault
    }

    /// One evaluation of a resource; `outlook` is nil when an operator's command asks for it.
    mutating func evaluate(
        _ slot: Int, now: Int64, _ cause: EvaluationCause, outlook: FloatSlice? = nil, horizons: Int = 0,
        into out: Emitter
    ) {
        tally.evaluations &+= 1
        let terms = terms(cells.read(slot).pointee.policy)
        if settings.actuation == .assumed { settleAssumed(slot, now: now, terms, into: out) }
        let cell = cells.write(slot)
        if cell.pointee.wasAhead(of: now) { cell.pointee.rewind(to: now, terms) }
        let before = cell.pointee.evaluatedAt
        cell.pointee.evaluatedAt = now
        if let outlook {
            // A common grid, so that jitter of the samples does not make every other one miss its turn.
            cell.pointee.nextDue = (now / terms.decisionInterval &+ 1) &* terms.decisionInterval
            var seconds = leadSeconds(UnsafePointer(cell), terms) + Double(terms.decisionInterval) / 1_000
            if cell.pointee.ready == 0, terms.minimum == 0 { seconds = max(seconds, terms.coldStartSeconds) }
            Window(
                seconds: Float(seconds), quantile: cell.pointee.quantile(terms),
                upper: cell.pointee.upperQuantile(terms)
            ).read(outlook, horizons: horizons, into: &cell.pointee.view)
        }
        var evaluation = Evaluation(now: now)
        if before != .min { evaluation.elapsed = max(now &- before, 0) }
        evaluation.ready = cell.pointee.ready >= 0 ? cell.pointee.ready : terms.initial
        evaluation.base = cell.pointee.action.isInFlight ? cell.pointee.action.to : evaluation.ready
        evaluation.knowsUnits = cell.pointee.ready >= 0 || settings.actuation == .assumed
        evaluation.propose(cell.pointee, terms)
        if cause == .sample, before != .min { learnMargin(&cell.pointee, terms, evaluation, since: before) }
        let orders = orders(slot, now: now)
        evaluation.reconcile(orders)
        evaluation.constrain(&cell.pointee, terms)
        evaluation.pause(orders)
        if cell.pointee.action.isInFlight, evaluation.desired < evaluation.base, evaluation.manual == 0 {
            evaluation.apply(.actionInFlight, evaluation.base)
        }
        if case .approval(let number, let serial) = cause { evaluation.approve(number, by: serial) }
        measureEffect(slot, evaluation, into: out)
        share(slot, terms, &evaluation)
        publish(slot, terms, &evaluation, cause, into: out)
    }

    private func orders(_ slot: Int, now: Int64) -> Manual {
        let cell = cells.read(slot)
        guard cell.pointee.policy >= 0 else { return cell.pointee.manual }
        let policy = book.slots[Int(cell.pointee.policy)].manual
        return policy.isEmpty ? cell.pointee.manual : cell.pointee.manual.merged(with: policy, at: now)
    }

    /// The shared budget: a resource may grow into what others leave, less what more critical ones still wait for.
    private mutating func share(_ slot: Int, _ terms: PolicyTerms, _ evaluation: inout Evaluation) {
        guard terms.budget >= 0 else { return }
        let priority = UInt32(terms.criticality.rawValue)
        guard mayAct(terms, evaluation) else {
            return setBudget(slot, held: evaluation.base, unmet: 0, priority: priority)
        }
        let budget = book.budgets[Int(terms.budget)]
        var available = budget.unitsMax - budget.held + Int64(cells.read(slot).pointee.budgetHeld)
        for class_ in 0..<Int(priority) { available -= budget.unmet[class_] }
        let wanted = evaluation.desired
        if wanted > evaluation.base, Int64(wanted) > available {
            evaluation.apply(.sharedBudget, max(evaluation.base, Int32(max(available, 0))))
            evaluation.shortfall = max(evaluation.shortfall, wanted - evaluation.desired)
        }
        setBudget(
            slot, held: max(evaluation.ready, evaluation.desired),
            unmet: wanted - evaluation.desired < 0
                ? 0 : wanted - evaluation.desired, priority: priority)
    }

    /// An operator's own number is its own approval, except where the policy only observes.
    func mayAct(_ terms: PolicyTerms, _ evaluation: Evaluation) -> Bool {
        terms.mode == .act || (evaluation.manual != 0 || evaluation.isApproved) && terms.mode != .observe
    }

    private mutating func publish(
        _ slot: Int, _ terms: PolicyTerms, _ evaluation: inout Evaluation, _ cause: EvaluationCause, into out: Emitter
    ) {
        let acts = mayAct(terms, evaluation)
        let proposes = !acts && terms.mode == .approve
        if proposes { settleProposal(slot, &evaluation) }
        let cell = cells.read(slot)
        let isNewProposal =
            proposes && evaluation.desired != evaluation.base
            && !(cell.pointee.proposal.isOpen && cell.pointee.proposal.to == evaluation.desired)
        // Where the present number is not known, an operator's is news as long as none is on its way.
        let isFirstWord = evaluation.manual != 0 && !evaluation.knowsUnits && !cell.pointee.action.isInFlight
        let isAction = acts && (evaluation.desired != evaluation.base || isFirstWord)
        let state =
            evaluation.mask | UInt32(evaluation.abstention.rawValue) << 24 | (evaluation.usesForecast ? 1 << 28 : 0)
        guard isAction || isNewProposal || isWorthWriting(cell, evaluation, state, cause) else { return }
        var action: String?
        let account = Account(
            cell: cell.pointee, evaluation: evaluation, terms: terms, names: names,
            command: ledger.record(serial: evaluation.command), setting: ledger.record(serial: evaluation.setting))
        if isAction { action = issue(slot, account, into: out) }
        let sequence = writeDecision(account, action: action, isNewProposal: isNewProposal, into: out)
        let written = cells.write(slot)
        written.pointee.desired = evaluation.desired
        written.pointee.limits = state
        written.pointee.writtenAt = evaluation.now
        written.pointee.flags &= ~ResourceCell.policyChanged
        guard isNewProposal else { return }
        written.pointee.proposal.offset = sequence.offset
        written.pointee.proposal.index = sequence.index
        written.pointee.proposal.expiry = evaluation.now &+ terms.actionTimeout
        written.pointee.proposal.from = evaluation.ready
        written.pointee.proposal.to = evaluation.desired
        addPending(slot)
    }

    /// Closes a proposal that has expired or is not wanted any more, and respects a rejection.
    private mutating func settleProposal(_ slot: Int, _ evaluation: inout Evaluation) {
        let cell = cells.write(slot)
        if cell.pointee.proposal.rejectedUntil > evaluation.now, cell.pointee.proposal.rejectedTo == evaluation.desired
        {
            evaluation.apply(.rejected, evaluation.base)
        }
        let isUnwanted = evaluation.desired == evaluation.base || cell.pointee.proposal.expiry <= evaluation.now
        if cell.pointee.proposal.isOpen, isUnwanted { cell.pointee.proposal.offset = -1 }
    }

    private func isWorthWriting(
        _ cell: UnsafePointer<ResourceCell>, _ evaluation: Evaluation, _ state: UInt32, _ cause: EvaluationCause
    ) -> Bool {
        if settings.restateEveryDecision, cause == .sample { return true }
        if evaluation.isApproved { return true }
        if cell.pointee.policy < 0 {
            let before = cell.pointee.desired < 0 ? evaluation.base : cell.pointee.desired
            return evaluation.desired != before
        }
        if evaluation.now < cell.pointee.writtenAt { return true }
        return evaluation.desired != cell.pointee.desired || state != cell.pointee.limits
            || cell.pointee.flags & ResourceCell.policyChanged != 0
            || evaluation.now &- cell.pointee.writtenAt >= settings.restateSeconds &* 1_000
    }

    func partition(of resource: NameID, topic: TopicName) -> Int32 {
        TwinCore.partition(of: names.bytes(of: resource), among: layout[topic])
    }

    /// The id of an action or a decision: the emitter's id and, as one input can cause several with the same ordinal,
    /// the kind and the partition.
    static func id(_ sequence: Sequence, _ kind: StaticString, _ partition: Int32, _ out: Emitter) -> String {
        "\(out.id(sequence))-\(kind)\(partition)"
    }

    func actionID(_ sequence: Sequence, of resource: NameID, _ out: Emitter) -> String {
        Self.id(sequence, "a", partition(of: resource, topic: .actions), out)
    }

    func proposalID(_ sequence: Sequence, of resource: NameID, _ out: Emitter) -> String {
        Self.id(sequence, "d", partition(of: resource, topic: .decisions), out)
    }

    /// Publishes an action and makes it the one in flight; a pending one is superseded.
    mutating func issue(_ slot: Int, _ account: Account, into out: Emitter) -> String {
        tally.actions &+= 1
        let resource = account.cell.resource
        let partition = partition(of: resource, topic: .actions)
        let deadline = account.evaluation.now &+ account.terms.actionTimeout
        let before = account.cell.action
        let supersedes = before.isInFlight ? actionID(before.sequence, of: resource, out) : nil
        let names = self.names
        let sequence = out.record(to: .actions, partition: partition, key: resource) { writer, sequence in
            let id = Self.id(sequence, "a", partition, out)
            DecisionJSON.begin(
                &writer, id: id, type: "io.twinscale.action.v1", subject: names.bytes(of: resource),
                time: account.evaluation.now)
            DecisionJSON.action(&writer, id: id, account: account, deadline: deadline, supersedes: supersedes)
            DecisionJSON.end(&writer)
        }
        let isUp = account.evaluation.desired > account.evaluation.base
        let lead = leadSeconds(cells.read(slot), account.terms)
        let cell = cells.write(slot)
        cell.pointee.action.end()
        cell.pointee.action = ActionCell(
            offset: sequence.offset, index: sequence.index, issuedAt: account.evaluation.now, deadline: deadline,
            from: account.evaluation.ready, to: account.evaluation.desired,
            expectedUtilisation: Float(account.expectedUtilisation), expectedLeadSeconds: isUp ? Float(lead) : 0,
            formerOffset: cell.pointee.action.formerOffset, formerIndex: cell.pointee.action.formerIndex)
        cell.pointee.proposal.offset = -1
        cell.pointee.noteAction(isUp: isUp, at: account.evaluation.now, terms: account.terms)
        addPending(slot)
        return actionID(sequence, of: resource, out)
    }

    private mutating func writeDecision(
        _ account: Account, action: String?, isNewProposal: Bool, into out: Emitter
    ) -> Sequence {
        tally.decisions &+= 1
        let resource = account.cell.resource
        let partition = partition(of: resource, topic: .decisions)
        let open =
            account.cell.proposal.isOpen && !isNewProposal && action == nil
            ? proposalID(account.cell.proposal.sequence, of: resource, out) : nil
        return out.record(to: .decisions, partition: partition, key: resource) { writer, sequence in
            let id = Self.id(sequence, "d", partition, out)
            DecisionJSON.begin(
                &writer, id: id, type: "io.twinscale.decision.v1", subject: account.names.bytes(of: resource),
                time: account.evaluation.now)
            DecisionJSON.decision(
                &writer, id: id, account: account, action: action, proposal: isNewProposal ? id : open)
            DecisionJSON.end(&writer)
        }
    }
}

extension ResourceCell {
    /// A sample from the far future was believed and turns out to have been wrong: no wait may last until then.
    mutating func rewind(to now: Int64, _ terms: PolicyTerms) {
        down.removeAll()
        up.removeAll()
        supply.removeAll()
        readyAt = min(readyAt, now)
        writtenAt = .min
        lastUpAt = lastUpAt > now ? .min : lastUpAt
        lastDownAt = lastDownAt > now ? .min : lastDownAt
        flapTokensAt = min(flapTokensAt, now)
        idleSince = min(idleSince, now)
        backoffUntil = backoffUntil > now &+ 3_600_000 ? .min : backoffUntil
        action.issuedAt = min(action.issuedAt, now)
        action.deadline = min(action.deadline, now &+ terms.actionTimeout)
        proposal.expiry = min(proposal.expiry, now &+ terms.actionTimeout)
        proposal.rejectedUntil = min(proposal.rejectedUntil, now &+ terms.actionTimeout)
    }

    /// So far may a time lie ahead of the present, milliseconds; beyond it a clock is wrong.
    static let aheadMilliseconds: Int64 = 600_000

    /// Whether the last evaluation was at a time that turns out to have been wrong. So far back is a clock put right,
    /// not lateness: a series' time goes back only where a twin takes what it knew for wrong.
    func wasAhead(of now: Int64) -> Bool { evaluatedAt != .min && now < evaluatedAt &- Self.aheadMilliseconds }

    /// Whether ready units counted at `time` are newer than what is known; what is known from a time far ahead of now
    /// gives way to anything, and nothing from there is believed.
    func believesUnits(at time: Int64, now: Int64) -> Bool {
        let end = now &+ Self.aheadMilliseconds
        return time <= end && (time >= readyAt || readyAt > end)
    }

    /// Remembers an action for cool-downs and the flap budget.
    mutating func noteAction(isUp: Bool, at now: Int64, terms: PolicyTerms) {
        if isUp { lastUpAt = now } else { lastDownAt = now }
        let direction: Int32 = isUp ? 1 : -1
        if lastDirection == -direction, terms.flapsPerHourMax > 0 {
            refillFlapTokens(now: now, perHour: terms.flapsPerHourMax)
            flapTokens = max(flapTokens - 1, 0)
        }
        lastDirection = direction
    }
}
