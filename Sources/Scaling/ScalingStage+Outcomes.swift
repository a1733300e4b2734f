import Messages
import StageKit
import TwinCore

extension ScalingStage {
    /// What an actuator reports of the action in flight or the one before: moves it on, and says how many units are
    /// ready. Of any other, or with a time far ahead, it says nothing; but where nobody has said how many units are
    /// ready, and nothing was ever ordered, any report is a beginning.
    mutating func receiveOutcome(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, let slot = index.find(entry.resource, 0) else { return }
        guard let status = OutcomeCode(raw: entry.code).status, let named = actionNamed(in: entry.text) else {
            tally.malformed &+= 1
            return
        }
        let time = entry.time.milliseconds
        let cell = cells.write(slot)
        let action = cell.pointee.action
        let isPresent =
            action.isInFlight && named.elementsEqual(actionID(action.sequence, of: entry.resource, out).utf8)
        let isFormer =
            action.formerOffset >= 0 && named.elementsEqual(actionID(action.former, of: entry.resource, out).utf8)
        let now = max(reached, cell.pointee.evaluatedAt, cell.pointee.view.time)
        let isBeginning = cell.pointee.ready < 0 && !action.isInFlight && action.formerOffset < 0
        guard isPresent || isFormer || isBeginning else {
            return refuse(entry, named, slot, "the action is neither in flight nor the last one", into: out)
        }
        guard time <= now &+ ResourceCell.aheadMilliseconds else {
            return refuse(entry, named, slot, "its time lies ahead of the present", into: out)
        }
        cell.pointee.flags &= ~ResourceCell.outcomeRefused
        if let units = Replicas.count(entry.value), cell.pointee.believesUnits(at: time, now: now) {
            cell.pointee.ready = units
            cell.pointee.readyAt = time
        }
        // About an action that has been superseded or given up: only its units count.
        guard isPresent else { return }
        switch status {
        case .accepted, .applied: break
        case .ready:
            let isCounted = Replicas.count(entry.value) != nil
            complete(slot, at: time, ready: isCounted ? nil : cell.pointee.action.to, into: out)
        case .failed: failWithBackoff(slot, status: "failed", at: time, into: out)
        case .unschedulable: failWithBackoff(slot, status: "unschedulable", at: time, into: out)
        case .timeout: fail(slot, status: "timeout", at: time, into: out)
        }
    }

    /// Counted, and said at the first of a row.
    private mutating func refuse(
        _ entry: Entry, _ action: [UInt8], _ slot: Int, _ why: StaticString, into out: Emitter
    ) {
        tally.outcomesUnknown &+= 1
        let cell = cells.write(slot)
        guard cell.pointee.flags & ResourceCell.outcomeRefused == 0 else { return }
        cell.pointee.flags |= ResourceCell.outcomeRefused
        let now = max(reached, cell.pointee.evaluatedAt)
        say(about: entry.resource, at: now, into: out) { writer, names in
            writer.key("kind")
            writer.string(LedgerKind.outcomeRefused.rawValue)
            writer.key("resource")
            writer.string(names.bytes(of: entry.resource))
            writer.key("action")
            action.withUnsafeBytes { writer.string($0) }
            writer.key("reason")
            writer.string(why)
        }
    }

    /// What telemetry says of the ready units; `time` is when they were counted. An action under way has come true when
    /// they have reached its number since, whether or not its actuator says so. Where nobody acts, recorded units are
    /// those of another rule and only a beginning.
    mutating func takeUnits(_ slot: Int, _ units: Int32, at time: Int64, now: Int64, into out: Emitter) {
        let cell = cells.write(slot)
        if settings.actuation == .assumed {
            if cell.pointee.ready < 0 { cell.pointee.ready = units }
            return
        }
        guard cell.pointee.believesUnits(at: time, now: now) else { return }
        cell.pointee.ready = units
        cell.pointee.readyAt = time
        let action = cell.pointee.action
        guard action.isInFlight, time > action.issuedAt else { return }
        let hasCome = action.to > action.from ? units >= action.to : units <= action.to
        if hasCome { complete(slot, at: time, ready: nil, into: out) }
    }

    /// The `action` of an outcome's JSON.
    private func actionNamed(in text: UnsafeRawBufferPointer) -> [UInt8]? {
        do throws(ScalingError) {
            var parser = ObjectParser(text, names: names)
            try parser.enter()
            while let key = try parser.next() {
                if key == "action" { return try parser.text() }
                try parser.skip()
            }
        } catch { return nil }
        return nil
    }

    /// The action has come true: the lead time is learned, the effect is measured at the next evaluation.
    mutating func complete(_ slot: Int, at time: Int64, ready: Int32?, into out: Emitter) {
        let cell = cells.write(slot)
        let action = cell.pointee.action
        let lead =
            Double(EventTime(milliseconds: time).milliseconds(since: EventTime(milliseconds: action.issuedAt)))
            / 1_000
        if action.to > action.from, settings.actuation == .reported { cell.pointee.lead.learn(seconds: lead) }
        if let ready {
            cell.pointee.ready = ready
            cell.pointee.readyAt = max(cell.pointee.readyAt, time)
        }
        cell.pointee.effect = EffectCell(
            offset: action.offset, index: action.index, readyAt: time, from: action.from, to: action.to,
            expectedUtilisation: action.expectedUtilisation, expectedLeadSeconds: action.expectedLeadSeconds,
            cameLeadSeconds: Float(max(lead, 0)))
        cell.pointee.failures = 0
        cell.pointee.backoffUntil = .min
        endAction(slot)
    }

    /// The action has come to nothing.
    mutating func fail(_ slot: Int, status: StaticString, at time: Int64, into out: Emitter) {
        let cell = cells.read(slot).pointee
        let lead = Double(
            EventTime(milliseconds: time).milliseconds(since: EventTime(milliseconds: cell.action.issuedAt)))
        let result = ActionResult(
            action: actionID(cell.action.sequence, of: cell.resource, out), status: status, from: cell.action.from,
            to: cell.action.to, ready: cell.ready, expectedUtilisation: Double(cell.action.expectedUtilisation),
            cameUtilisation: .nan, expectedLeadSeconds: Double(cell.action.expectedLeadSeconds),
            cameLeadSeconds: lead / 1_000)
        write(result, resource: cell.resource, time: time, into: out)
        endAction(slot)
    }

    /// As `fail`, and larger numbers are not asked for again for a while that doubles each time.
    private mutating func failWithBackoff(_ slot: Int, status: StaticString, at time: Int64, into out: Emitter) {
        fail(slot, status: status, at: time, into: out)
        let cell = cells.write(slot)
        let doublings = min(cell.pointee.failures, 16)
        let seconds = min(settings.backoffSeconds << Int64(doublings), settings.backoffSecondsMax)
        cell.pointee.failures = min(cell.pointee.failures + 1, 1_000)
        // Never further from the resource's own present than an hour, whatever the actuator's clock says.
        let present = EventTime(milliseconds: cell.pointee.evaluatedAt)
        let start = max(min(time, present.advanced(byMilliseconds: 3_600_000).milliseconds), present.milliseconds)
        cell.pointee.backoffUntil =
            EventTime(milliseconds: start).advanced(byMilliseconds: seconds * 1_000).milliseconds
    }

    private mutating func endAction(_ slot: Int) {
        let cell = cells.write(slot)
        cell.pointee.action.end()
        // The next outlook may act on what has come of it.
        cell.pointee.nextDue = .min
    }

    /// Where nothing reports: units that were ordered are ready when the declared delay has passed, those given back go
    /// at once and the youngest first. So what is ready is the smallest number that was ordered within the delay.
    mutating func settleAssumed(_ slot: Int, now: Int64, _ terms: PolicyTerms, into out: Emitter) {
        let cell = cells.write(slot)
        let action = cell.pointee.action
        let delay = Int64(max(terms.provisioningDelaySeconds, 0) * 1_000)
        let ordered = action.isInFlight ? action.to : cell.pointee.ready >= 0 ? cell.pointee.ready : terms.initial
        cell.pointee.ready = cell.pointee.supply.add(ordered, at: now, windowMilliseconds: delay)
        guard action.isInFlight, action.to <= action.from || cell.pointee.ready >= action.to else { return }
        complete(slot, at: action.issuedAt &+ (action.to > action.from ? delay : 0), ready: action.to, into: out)
    }

    /// At the first evaluation after an action came true: what was expected of it, and what came.
    mutating func measureEffect(_ slot: Int, _ evaluation: Evaluation, into out: Emitter) {
        guard cells.read(slot).pointee.effect.isDue else { return }
        let cell = cells.write(slot).pointee
        let effect = cell.effect
        guard cell.view.time > effect.readyAt || settings.actuation == .assumed else { return }
        cells.write(slot).pointee.effect.offset = -1
        let result = ActionResult(
            action: actionID(Sequence(offset: effect.offset, index: effect.index), of: cell.resource, out),
            status: "ready", from: effect.from, to: effect.to, ready: cell.ready,
            expectedUtilisation: Double(effect.expectedUtilisation),
            cameUtilisation: evaluation.utilisation(of: cell.view.level, replicas: evaluation.ready),
            expectedLeadSeconds: Double(effect.expectedLeadSeconds), cameLeadSeconds: Double(effect.cameLeadSeconds))
        write(result, resource: cell.resource, time: evaluation.now, into: out)
    }

    private mutating func write(_ result: ActionResult, resource: NameID, time: Int64, into out: Emitter) {
        let partition = partition(of: resource, topic: .decisions)
        let names = self.names
        out.record(to: .decisions, partition: partition, key: resource) { writer, sequence in
            DecisionJSON.begin(
                &writer, id: Self.id(sequence, "d", partition, out), type: "io.twinscale.decision.v1",
                subject: names.bytes(of: resource), time: time)
            result.write(into: &writer, resource: names.bytes(of: resource))
            DecisionJSON.end(&writer)
        }
    }
}
