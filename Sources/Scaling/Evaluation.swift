import Messages
import StageKit
import TwinCore

/// What can change a proposal, in the order in which it is applied. The raw value is a bit in the state.
enum Limit: UInt8, BitwiseCopyable, CaseIterable {
    case manualSet = 0
    case manualHold = 1
    case manualFloor = 2
    case manualCeiling = 3
    case minimum = 4
    case maximum = 5
    case consolidation = 6
    case stabilisationUp = 7
    case stabilisationDown = 8
    case stepUp = 9
    case stepDown = 10
    case cooldownUp = 11
    case cooldownDown = 12
    case flapBudget = 13
    case backoff = 14
    case pauseUp = 15
    case pauseDown = 16
    case sharedBudget = 17
    case actionInFlight = 18
    case rejected = 19
    case approval = 20
    case idleWindow = 21
    case neededSoon = 22

    var text: String { String(describing: self) }
}

/// Why nothing can be concluded from the metric.
enum Abstention: UInt8, BitwiseCopyable {
    case none = 0, stale = 1, missing = 2, noCapacity = 3, noLevel = 4, noUnits = 5
}

/// What brought the number about.
enum Driver: UInt8, BitwiseCopyable {
    case hold = 0, predictive = 1, reactive = 2, threshold = 3, manual = 4, idle = 5, woken = 6
}

/// One evaluation of one resource, from the candidates to the number: all that an explanation needs.
struct Evaluation: BitwiseCopyable {
    struct Step: BitwiseCopyable {
        var limit = Limit.minimum
        var before: Int32 = 0
        var after: Int32 = 0
    }

    var now: Int64
    /// Milliseconds since the evaluation before; 0 if there was none.
    var elapsed: Int64 = 0
    /// Units ready, and what counts as the present number: the target of an action in flight, else the ready units.
    var ready: Int32 = 1
    var base: Int32 = 1
    /// False while nobody has said how many units are ready, so that the number is assumed.
    var knowsUnits = true
    /// Candidates; 0 = none.
    var predictive: Int32 = 0
    var reactive: Int32 = 0
    var manual: Int32 = 0
    var threshold: Int32 = 0
    var desired: Int32 = 1
    /// Units that are needed beyond `desired` and cannot be had.
    var shortfall: Int32 = 0
    var driver = Driver.hold
    var abstention = Abstention.none
    var usesForecast = false
    /// What one replica may carry at the target, and at full use, in the unit of the level.
    var perReplica = 0.0
    var capacity = 0.0
    /// Factor from the outlook's numbers to demand.
    var scale = 1.0
    var stepCount = 0
    var mask: UInt32 = 0
    /// The command that binds, and the one that set the number, by serial number.
    var command: UInt32 = 0
    var setting: UInt32 = 0
    /// An operator let the proposal go ahead.
    var isApproved = false
    private(set) var steps: [22 of Step] = .init(repeating: Step())

    init(now: Int64) { self.now = now }

    /// Moves the number and notes why, if it moves at all.
    mutating func apply(_ limit: Limit, _ value: Int32) {
        if value == desired { return }
        if stepCount < 22 {
            steps[stepCount] = Step(limit: limit, before: desired, after: value)
            stepCount &+= 1
        }
        mask |= 1 << UInt32(limit.rawValue)
        desired = value
    }

    func utilisation(of demand: Double, replicas: Int32) -> Double {
        capacity > 0 && replicas > 0 ? demand * scale / (Double(replicas) * capacity) : .nan
    }
}

// MARK: - Propose

extension Evaluation {
    /// Candidates from the view and the policy.
    mutating func propose(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) {
        desired = base
        let code = ForecastCode(raw: cell.view.code)
        capacity = terms.capacity(of: code.role)
        if code.role == .demand { capacity = cell.unit.corrected(capacity) }
        if code.role == .utilisation, cell.view.countsUnits == 0 { scale = Double(ready) * capacity }
        perReplica = capacity * terms.targetUtilisation
        guard capacity > 0 else { return abstain(.noCapacity) }
        guard knowsUnits else { return abstain(.noUnits) }
        if code.quality != .fresh {
            guard wakes(cell, terms) else { return abstain(code.quality == .stale ? .stale : .missing) }
            desired = 1
            driver = .woken
            return
        }
        guard cell.view.level.isFinite, cell.view.level >= 0 else { return abstain(.noLevel) }
        usesForecast = cell.view.hasForecast
        if terms.usesThresholds { return proposeByThresholds(cell, terms) }
        reactive = Replicas.reactive(
            level: cell.view.level * scale, current: base, perReplica: perReplica, tolerance: terms.tolerance)
        desired = reactive
        driver = reactive == base ? .hold : .reactive
        if terms.minimum == 0, isIdle(cell, terms) {
            desired = 0
            driver = base == 0 ? .hold : .idle
            return
        }
        guard usesForecast else { return }
        predictive = Replicas.needed(demand: Double(cell.view.predicted) * scale, perReplica: perReplica)
        if predictive > reactive || predictive == reactive && predictive != base {
            desired = predictive
            driver = .predictive
        }
    }

    /// Neither present nor expected demand asks for a unit.
    private func isIdle(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) -> Bool {
        let expected = usesForecast ? Double(cell.view.predicted) * scale : 0
        return max(cell.view.level * scale, expected) <= terms.activationLevel
    }

    /// A resource without units says nothing; its neighbours may.
    private func wakes(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) -> Bool {
        guard terms.minimum == 0, base == 0, !ForecastCode(raw: cell.view.code).isYoung else { return false }
        return Double(max(cell.view.influence, cell.view.influenceAtEnd)) * scale > terms.activationLevel
    }

    private mutating func abstain(_ why: Abstention) { abstention = why }

    /// The rule of the concept: one step up when the predicted load exceeds capacity × scaling threshold, one step
    /// down when it is below capacity × under-utilisation threshold. What the neighbours are predicted to add lowers
    /// both thresholds, which is the same as adding it to the load.
    private mutating func proposeByThresholds(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) {
        let load = predictedLoad(cell, terms) * scale
        let total = capacity * Double(base)
        threshold = base
        if load > total * terms.scalingThreshold {
            threshold = min(base &+ max(terms.stepUpMax, 1), Replicas.limit)
        } else if load < total * terms.underutilisationThreshold {
            threshold = max(base &- max(terms.stepDownMax, 1), 1)
        }
        desired = threshold
        driver = threshold == base ? .hold : .threshold
    }

    /// The load that the threshold rule looks at: the mean at the end of the window (the policy's quantile at its
    /// highest if it asks for one), or the present level while the forecast is not to be trusted.
    func predictedLoad(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) -> Double {
        guard usesForecast else { return cell.view.level }
        return Double(terms.asksQuantile ? cell.view.predicted : cell.view.mean)
    }
}

// MARK: - Reconcile and constrain

extension Evaluation {
    /// Operators' orders: a set number replaces the proposal; hold, floor and ceiling move it.
    mutating func reconcile(_ orders: Manual) {
        if orders.isEmpty { return }
        if orders.setUntil > now {
            manual = orders.set
            command = orders.setCommand
            setting = command
            driver = .manual
            return apply(.manualSet, orders.set)
        }
        if orders.holdUntil > now {
            note(.manualHold, base, orders.holdCommand)
        }
        if orders.floorUntil > now, desired < orders.floor { note(.manualFloor, orders.floor, orders.floorCommand) }
        if orders.ceilingUntil > now, desired > orders.ceiling {
            note(.manualCeiling, orders.ceiling, orders.ceilingCommand)
        }
    }

    /// An approved proposal goes as far as everything still allows, and never further than what was approved.
    mutating func approve(_ number: Int32, by serial: UInt32) {
        isApproved = true
        command = serial
        if desired > base, number < desired { apply(.approval, max(number, base)) }
        if desired < base, number > desired { apply(.approval, min(number, base)) }
    }

    /// Pauses come last: they stop even a set number.
    mutating func pause(_ orders: Manual) {
        if orders.isEmpty { return }
        if orders.pauseUpUntil > now, desired > base { note(.pauseUp, base, orders.pauseUpCommand) }
        if orders.pauseDownUntil > now, desired < base { note(.pauseDown, base, orders.pauseDownCommand) }
    }

    private mutating func note(_ limit: Limit, _ value: Int32, _ serial: UInt32) {
        if value != desired { command = serial }
        apply(limit, value)
    }

    /// What the policy and the past allow. An operator's number is bounded by the policy's range only.
    mutating func constrain(_ cell: inout ResourceCell, _ terms: PolicyTerms) {
        bound(terms)
        if manual == 0 {
            if !terms.usesThresholds { consolidate(cell) }
            if abstention == .none { stabilise(&cell, terms) } else { cell.forgetProposals() }
            if terms.minimum == 0 { awaitIdleness(&cell, terms) }
            limitSteps(terms)
            coolDown(cell, terms)
            limitFlaps(&cell, terms)
        }
        if desired > base, cell.backoffUntil > now {
            shortfall = max(shortfall, desired &- base)
            apply(.backoff, base)
        }
        bound(terms)
    }

    private mutating func bound(_ terms: PolicyTerms) {
        // Absence of data is no reason to take anything away.
        if desired > terms.maximum, abstention == .none || manual != 0 {
            // Only a proposal from data is a need; an operator's wish is none.
            if manual == 0 { shortfall = max(shortfall, desired &- terms.maximum) }
            apply(.maximum, terms.maximum)
        }
        if desired < terms.minimum { apply(.minimum, terms.minimum) }
    }

    /// N → N−1: units are taken away only while the upper quantile over the whole window still fits what is left.
    private mutating func consolidate(_ cell: borrowing ResourceCell) {
        guard desired < base, desired > 0, usesForecast else { return }
        let fitting = Replicas.needed(demand: Double(cell.view.upper) * scale, perReplica: perReplica)
        if fitting > desired { apply(.consolidation, min(fitting, base)) }
        // What would have to come back at once only flaps.
        let soon = Replicas.needed(demand: Double(cell.view.later) * scale, perReplica: perReplica)
        if soon > desired { apply(.neededSoon, min(soon, base)) }
    }

    /// Rolling extremes of past proposals, as the Kubernetes autoscaler has them: down only to the largest number that
    /// was proposed within the window, up only to the smallest. A window without proposals begins with the present
    /// number, so that the first look at a resource, or the first after a silence, is no evidence of a whole window.
    private mutating func stabilise(_ cell: inout ResourceCell, _ terms: PolicyTerms) {
        let proposal = desired
        let interval = terms.decisionInterval &* 2
        let largest = cell.down.extreme(
            with: proposal, after: base, at: now, windowMilliseconds: heldMilliseconds(terms), interval: interval)
        let smallest = cell.up.extreme(
            with: proposal, after: base, at: now, windowMilliseconds: terms.stabilisationUp, interval: interval)
        if proposal > base { apply(.stabilisationUp, max(smallest, base)) }
        if proposal < base { apply(.stabilisationDown, min(largest, base)) }
    }

    /// How far back proposals hold a number up, milliseconds. Where looks are far apart it takes three of them, unless
    /// the policy says otherwise: one alone would be a window, and noise its own proof.
    func heldMilliseconds(_ terms: PolicyTerms) -> Int64 {
        terms.statesStabilisation
            ? terms.stabilisationDown : max(terms.stabilisationDown, min(3 &* elapsed, Self.sparseWindowMax))
    }

    /// However far apart looks are, milliseconds.
    private static let sparseWindowMax: Int64 = 1_800_000

    /// The last unit goes only after a whole window of idleness.
    private mutating func awaitIdleness(_ cell: inout ResourceCell, _ terms: PolicyTerms) {
        guard abstention == .none, driver == .idle else {
            cell.idleSince = .min
            return
        }
        if cell.idleSince == .min { cell.idleSince = now }
        if desired == 0, now &- cell.idleSince < terms.idleWindow { apply(.idleWindow, min(base, 1)) }
    }

    private mutating func limitSteps(_ terms: PolicyTerms) {
        if terms.stepUpMax > 0, desired > base, desired &- base > terms.stepUpMax {
            apply(.stepUp, base &+ terms.stepUpMax)
        }
        if terms.stepDownMax > 0, desired < base, base &- desired > terms.stepDownMax {
            apply(.stepDown, base &- terms.stepDownMax)
        }
    }

    private mutating func coolDown(_ cell: borrowing ResourceCell, _ terms: PolicyTerms) {
        if desired > base, terms.cooldownUp > 0, isWithin(terms.cooldownUp, of: cell.lastUpAt) {
            apply(.cooldownUp, base)
        }
        if desired < base, terms.cooldownDown > 0,
            isWithin(terms.cooldownDown, of: max(cell.lastDownAt, cell.lastUpAt))
        {
            apply(.cooldownDown, base)
        }
    }

    private func isWithin(_ window: Int64, of moment: Int64) -> Bool {
        moment != .min && now < moment &+ window
    }

    /// A turn downwards needs a token; tokens come back at `flapsPerHourMax` an hour. Turns upwards are never held
    /// back, but use up tokens too.
    private mutating func limitFlaps(_ cell: inout ResourceCell, _ terms: PolicyTerms) {
        guard terms.flapsPerHourMax > 0 else { return }
        cell.refillFlapTokens(now: now, perHour: terms.flapsPerHourMax)
        if desired < base, cell.lastDirection > 0, cell.flapTokens < 1 { apply(.flapBudget, base) }
    }
}

extension ResourceCell {
    /// After a silence the windows begin anew.
    mutating func forgetProposals() {
        if !down.isEmpty { down.removeAll() }
        if !up.isEmpty { up.removeAll() }
    }

    mutating func refillFlapTokens(now: Int64, perHour: Double) {
        let room = max(perHour, 1)
        if flapTokensAt == .min {
            flapTokens = room
        } else if now > flapTokensAt {
            flapTokens = min(flapTokens + Double(now &- flapTokensAt) / 3_600_000 * perHour, room)
        }
        flapTokensAt = max(now, flapTokensAt)
    }
}
