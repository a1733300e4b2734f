import Messages
import StageKit
import TwinCore

/// The scaling decider: from outlooks, policies, commands and outcomes to explained decisions and actions.
///
/// A resource is evaluated at most once per decision interval of event time, when an outlook of its decision metric
/// comes in, and at once when an operator commands something: propose → reconcile → constrain → publish.
///
/// Of a metric with the role *utilisation* the outlook's numbers are taken as demand in busy units where they name
/// ready units, and else as a share of what is ready.
package struct ScalingStage: Stage, ~Copyable {
    package typealias Settings = ScalingSettings

    package static var name: StageName { .scalingDecider }
    package static var inbox: TopicName { .outlooks }
    package static var outputs: [TopicName] { [.actions, .decisions, .outlooks] }
    package static var watermarkOutput: TopicName? { nil }
    package static var logicVersion: UInt32 { 5 }

    let settings: ScalingSettings
    let task: TaskID
    let layout: TopicLayout
    let names: NameTable
    var cells: PagedTable<ResourceCell>
    var index = PairIndex()
    var book: PolicyBook
    var ledger: CommandLedger
    /// Resources that are known to live elsewhere: others answer for them.
    var departures = Departures()
    /// Slots with an action in flight or an open proposal, ascending; follows from the cells.
    var pending: [Int] = []
    /// The watermark, milliseconds; `Int64.min` before there is one.
    var reached = Int64.min
    var tally = Tally()

    struct Tally {
        var evaluations: UInt64 = 0
        var decisions: UInt64 = 0
        var actions: UInt64 = 0
        var timeouts: UInt64 = 0
        var malformed: UInt64 = 0
        var resourcesRefused: UInt64 = 0
        var tagsDropped: UInt64 = 0
        var policiesRejected: UInt64 = 0
        var policiesOld: UInt64 = 0
        var commandsRepeated: UInt64 = 0
        var commandsRejected: UInt64 = 0
        var commandsElsewhere: UInt64 = 0
        var outcomesUnknown: UInt64 = 0
    }

    package init(settings: ScalingSettings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        self.task = task
        self.layout = layout
        self.names = names
        cells = PagedTable(cellsMax: settings.resourcesMax)
        book = PolicyBook(settings: settings)
        ledger = CommandLedger(commandsMax: settings.commandsMax)
    }

    package mutating func receive(_ entry: Entry, into out: Emitter) {
        switch entry.kind {
        case .outlook: receiveOutlook(entry, into: out)
        case .outcome: receiveOutcome(entry, into: out)
        case .tags: receiveTags(entry)
        case .policy: receivePolicy(entry, into: out)
        case .command: receiveCommand(entry, into: out)
        case .gone: receiveGone(entry)
        default: break
        }
    }

    /// Gives up actions and proposals whose time has passed.
    package mutating func advance(to watermark: EventTime, into out: Emitter) {
        let before = reached
        reached = max(reached, watermark.milliseconds)
        if before != .min { restate(since: before, into: out) }
        forgetDepartures(since: before)
        for slot in pending {
            let cell = cells.read(slot)
            if cell.pointee.action.isInFlight, cell.pointee.action.deadline <= reached {
                tally.timeouts &+= 1
                fail(slot, status: "timeout", at: cell.pointee.action.deadline, into: out)
            }
            if cell.pointee.proposal.isOpen, cell.pointee.proposal.expiry <= reached {
                cells.write(slot).pointee.proposal.offset = -1
            }
        }
        pending.removeAll { slot in
            let cell = cells.read(slot)
            return !cell.pointee.action.isInFlight && !cell.pointee.proposal.isOpen
        }
    }

    package var counters: [StageCounter] {
        [
            StageCounter("resources", UInt64(cells.liveCount)), StageCounter("policies", UInt64(book.slots.count)),
            StageCounter("evaluations", tally.evaluations), StageCounter("decisions", tally.decisions),
            StageCounter("actions", tally.actions), StageCounter("actionTimeouts", tally.timeouts),
            StageCounter("actionsPending", UInt64(pending.count)), StageCounter("malformedEntries", tally.malformed),
            StageCounter("resourcesRefused", tally.resourcesRefused), StageCounter("tagsDropped", tally.tagsDropped),
            StageCounter("policiesRejected", tally.policiesRejected), StageCounter("policiesOld", tally.policiesOld),
            StageCounter("commandsRepeated", tally.commandsRepeated),
            StageCounter("commandsRejected", tally.commandsRejected),
            StageCounter("commandsElsewhere", tally.commandsElsewhere),
            StageCounter("outcomesUnknown", tally.outcomesUnknown),
        ]
    }
}

// MARK: - Resources and outlooks

extension ScalingStage {
    /// The slot of a resource, new if need be; nil when the table is full.
    mutating func slot(of resource: NameID) -> Int? {
        if let known = index.find(resource, 0) { return known }
        guard let slot = cells.append(ResourceCell(resource: resource)) else {
            tally.resourcesRefused &+= 1
            return nil
        }
        index.insert(resource, 0, slot)
        departures.remove(resource)
        rematch(slot, budgetsAreRebuilt: false)
        return slot
    }

    /// The policy's terms, or the rule for resources without one.
    func terms(_ policy: Int32) -> PolicyTerms {
        if policy >= 0, let terms = book.terms(Int(policy)) { return terms }
        var terms = PolicyTerms()
        terms.decisionInterval = settings.decisionIntervalSeconds &* 1_000
        return terms
    }

    private mutating func receiveOutlook(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, entry.object != 0,
            let horizons = ForecastNumbers.horizons(in: entry.numbers, isOutlook: true)
        else {
            tally.malformed &+= 1
            return
        }
        guard let slot = slot(of: entry.resource) else { return }
        if cells.read(slot).pointee.metric != entry.object, !adopts(entry, slot) { return compare(entry, slot) }
        let cell = cells.write(slot)
        let time = entry.time.milliseconds
        // The same sample again: its neighbours, its quality or its trust have changed.
        let isRefresh = time == cell.pointee.view.time
        cell.pointee.view.time = time
        cell.pointee.view.level = entry.value
        cell.pointee.view.code = entry.code
        let units = Replicas.count(Double(entry.numbers[ForecastNumbers.readyUnits]))
        cell.pointee.view.countsUnits = (units ?? 0) > 0 ? 1 : 0
        if let units {
            let age = Double(entry.numbers[ForecastNumbers.unitsAgeSeconds])
            // Without an age nobody has counted them: they are what an actuator said, which is heard here as well.
            if age.magnitude < 1e9 {
                takeUnits(slot, units, at: time &- Int64((age * 1_000).rounded()), now: max(time, reached), into: out)
            }
        }
        let now = max(time, reached)
        guard isRefresh || now >= cell.pointee.nextDue || cell.pointee.wasAhead(of: now) else { return }
        let cause: EvaluationCause = isRefresh ? .refresh : .sample
        evaluate(slot, now: now, cause, outlook: entry.numbers, horizons: horizons, into: out)
    }

    /// True if the outlook's metric is the one to decide from, as far as is known by now.
    private mutating func adopts(_ entry: Entry, _ slot: Int) -> Bool {
        let cell = cells.read(slot)
        let terms = terms(cell.pointee.policy)
        if terms.metric != 0 {
            guard terms.metric == entry.object else { return false }
        } else {
            let rank = rank(entry.code, terms)
            guard rank > cell.pointee.metricRank else { return false }
            cells.write(slot).pointee.metricRank = rank
        }
        let written = cells.write(slot)
        written.pointee.metric = entry.object
        written.pointee.view = View()
        return true
    }

    private func rank(_ code: UInt32, _ terms: PolicyTerms) -> UInt32 {
        DecisionMetric.rank(
            ForecastCode(raw: code).role, declaresCapacity: terms.capacityPerReplica > 0,
            takesUnknown: settings.takesUnknownMetrics)
    }

    /// How long it is remembered that a resource lives elsewhere, unless it is said again; milliseconds.
    private static let departureMilliseconds: Int64 = 691_200_000

    private mutating func forgetDepartures(since before: Int64) {
        let day: Int64 = 86_400_000
        guard before / day != reached / day else { return }
        departures.forget(before: reached &- Self.departureMilliseconds)
    }

    /// The resource lives elsewhere, or, without a locality, nowhere any more: what it held of a budget is given back,
    /// and all is forgotten.
    private mutating func receiveGone(_ entry: Entry) {
        guard entry.resource != 0 else { return }
        if entry.object != 0 {
            departures.note(entry.resource, at: max(entry.time.milliseconds, reached))
        } else {
            departures.remove(entry.resource)
        }
        guard let slot = index.find(entry.resource, 0) else { return }
        setBudget(slot, held: 0, unmet: 0, priority: 0)
        pending.removeAll { $0 == slot }
        index.remove(entry.resource, 0)
        cells.free(slot, leaving: ResourceCell(resource: 0))
    }

    package func mark(_ names: inout NameMarks) {
        for slot in 0..<cells.count where cells.read(slot).pointee.resource != 0 {
            let cell = cells.read(slot)
            names.mark(cell.pointee.resource)
            names.mark(cell.pointee.locality)
            names.mark(cell.pointee.classification)
            names.mark(cell.pointee.metric)
            names.mark(tags: Int(cell.pointee.tagCount), cell.pointee.tagKeys, cell.pointee.tagValues)
        }
        book.mark(&names)
        departures.mark(&names)
    }

    private mutating func receiveTags(_ entry: Entry) {
        guard entry.resource != 0, let slot = slot(of: entry.resource) else { return }
        guard let identity = IdentityText(entry.text, names: names) else {
            tally.malformed &+= 1
            return
        }
        let cell = cells.write(slot)
        cell.pointee.locality = entry.object
        cell.pointee.classification = identity.className
        // Tags that are not in the text are what they were.
        if let tags = identity.tags {
            let kept = tags.prefix(ResourceCell.tagsMax)
            tally.tagsDropped &+= UInt64(identity.refused + tags.count - kept.count)
            (cell.pointee.tagKeys, cell.pointee.tagValues) = (.init(repeating: 0), .init(repeating: 0))
            cell.pointee.tagCount = UInt32(kept.count)
            for (place, tag) in kept.enumerated() {
                cell.pointee.tagKeys[place] = tag.key
                cell.pointee.tagValues[place] = tag.value
            }
        }
        rematch(slot, budgetsAreRebuilt: false)
    }

    /// Finds the resource's policy again. What it held of the former policy's budget is given back.
    mutating func rematch(_ slot: Int, budgetsAreRebuilt: Bool) {
        let policy = book.match(cells.read(slot), names: names)
        if policy == cells.read(slot).pointee.policy { return }
        if !budgetsAreRebuilt { setBudget(slot, held: 0, unmet: 0, priority: 0) }
        let cell = cells.write(slot)
        (cell.pointee.budgetHeld, cell.pointee.budgetUnmet, cell.pointee.budgetPriority) = (0, 0, 0)
        cell.pointee.policy = policy
        refit(slot)
    }

    /// After a change of policy: due at once, and the metric chosen anew if it does not suit any more.
    mutating func refit(_ slot: Int) {
        let terms = terms(cells.read(slot).pointee.policy)
        let cell = cells.write(slot)
        cell.pointee.flags |= ResourceCell.policyChanged
        cell.pointee.nextDue = .min
        guard cell.pointee.metric != 0 else { return }
        let rank = rank(cell.pointee.view.code, terms)
        let suits = terms.metric != 0 ? terms.metric == cell.pointee.metric : rank > 0
        cell.pointee.metricRank = terms.metric != 0 ? 0 : rank
        if !suits {
            cell.pointee.metric = 0
            cell.pointee.metricRank = 0
            cell.pointee.view = View()
        }
    }

    /// Replaces what the resource counts for in its policy's budget.
    mutating func setBudget(_ slot: Int, held: Int32, unmet: Int32, priority: UInt32) {
        let cell = cells.read(slot)
        guard cell.pointee.policy >= 0, let place = book.terms(Int(cell.pointee.policy))?.budget, place >= 0 else {
            return
        }
        let budget = Int(place)
        if held == cell.pointee.budgetHeld, unmet == cell.pointee.budgetUnmet, priority == cell.pointee.budgetPriority {
            return
        }
        book.budgets[budget].held += Int64(held) - Int64(cell.pointee.budgetHeld)
        book.budgets[budget].unmet[Int(cell.pointee.budgetPriority)] -= Int64(cell.pointee.budgetUnmet)
        book.budgets[budget].unmet[Int(priority)] += Int64(unmet)
        let written = cells.write(slot)
        (written.pointee.budgetHeld, written.pointee.budgetUnmet, written.pointee.budgetPriority) = (
            held, unmet, priority
        )
    }

    /// Sums up all holdings after the budgets were built anew.
    mutating func refillBudgets() {
        for slot in 0..<cells.count {
            let cell = cells.read(slot).pointee
            guard cell.policy >= 0, let place = book.terms(Int(cell.policy))?.budget, place >= 0 else { continue }
            book.budgets[Int(place)].held += Int64(cell.budgetHeld)
            book.budgets[Int(place)].unmet[Int(cell.budgetPriority)] += Int64(cell.budgetUnmet)
        }
    }

    mutating func addPending(_ slot: Int) {
        var low = 0
        var high = pending.count
        while low < high {
            let middle = (low + high) / 2
            if pending[middle] < slot { low = middle + 1 } else { high = middle }
        }
        if low == pending.count || pending[low] != slot { pending.insert(slot, at: low) }
    }
}
