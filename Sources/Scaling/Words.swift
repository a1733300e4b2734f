import Messages
import StageKit

/// A number for people: about four digits, never an exponent.
func short(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "unknown" : "unbounded" }
    var scale = 1.0
    var magnitude = value.magnitude
    while magnitude < 1_000, magnitude > 0, scale < 1e6 {
        magnitude *= 10
        scale *= 10
    }
    var bytes: [UInt8] = []
    PlainDecimal.append((value * scale).rounded() / scale, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}

/// A length of time that nobody chose, for people: whole minutes from two on.
func rough(seconds: Double) -> String { duration(seconds: seconds >= 120 ? (seconds / 60).rounded() * 60 : seconds) }

/// A duration for people.
func duration(seconds: Double) -> String {
    if seconds >= 7_200, seconds.truncatingRemainder(dividingBy: 3_600) == 0 { return "\(short(seconds / 3_600)) h" }
    if seconds >= 120 { return "\(short((seconds / 6).rounded() / 10)) min" }
    return "\(short(seconds)) s"
}

/// What an explanation is written from; copied out of the state at the moment of the decision.
struct Account {
    let cell: ResourceCell
    let evaluation: Evaluation
    let terms: PolicyTerms
    let names: NameTable
    /// The command that binds, if one does, and the one that set the number.
    let command: CommandLedger.Record?
    let setting: CommandLedger.Record?

    var metric: String { cell.metric == 0 ? "the metric" : names.text(of: cell.metric) }
    /// What units are meant to be used to.
    var percent: String { "\(short(terms.targetUtilisation * 100)) % use" }
    var quantileName: String { Self.percentile(cell.quantile(terms).level) }
    /// The quantile, and how well it is known where that is not well.
    private var quantileWords: String {
        let known = cell.view.tailCount
        guard cell.quantile(terms).isInTail, known < QuantilePick.tailCountEnough / 2 else { return quantileName }
        return "\(quantileName), widened as only \(short(Double(known))) rare values are known"
    }
    private var horizon: String { rough(seconds: Double(cell.view.horizonSeconds)) }

    /// `95th percentile`.
    private static func percentile(_ level: Double) -> String {
        if level > 0.9999 { return "highest percentile" }
        let number = short(level * 100)
        let endings = ["1": "st", "2": "nd", "3": "rd"]
        let ending = number.contains(".") ? nil : endings[String(number.suffix(1))]
        return number + (ending ?? "th") + " percentile"
    }
    private var code: ForecastCode { ForecastCode(raw: cell.view.code) }

    /// One sentence: what asks for the number, and what changed it on the way.
    var reason: String {
        var text = evaluation.isApproved ? "\(owner) approved: \(cause)" : cause
        if evaluation.abstention == .none, evaluation.driver != .manual { text += distrust }
        if evaluation.abstention == .none, evaluation.capacity < terms.capacityPerReplica, code.role == .demand {
            text += "; a replica carries \(short(evaluation.capacity)) by its utilisation, not the declared "
            text += short(terms.capacityPerReplica)
        }
        for index in 0..<evaluation.stepCount {
            let step = evaluation.steps[index]
            if step.limit != .manualSet { text += "; " + words(step) }
        }
        if evaluation.shortfall > 0 { text += "; \(evaluation.shortfall) short" }
        return text
    }

    private var distrust: String {
        if evaluation.usesForecast {
            guard code.isDistrusted else { return "" }
            return "; distrusted since a drift: only the forecast's band counts, around the present level"
                + (code.knowsEvent ? ", and what the planned event is said to bring" : "")
        }
        if code.isYoung { return "; the forecast is too young, so the present level decides" }
        return "; there is no usable forecast, so the present level decides"
    }

    private var cause: String {
        let level = short(cell.view.level * evaluation.scale)
        let underway = evaluation.base == evaluation.ready ? "" : ", \(evaluation.base) under way"
        let ready = "(\(evaluation.ready) ready\(underway))"
        switch evaluation.driver {
        case .manual: return "\(Self.owner(setting)) set \(evaluation.manual)\(Self.why(setting))"
        case .predictive:
            return predictiveCause + " \(ready)\(neighbours(cell.view.influence))\(event)"
        case .reactive: return "\(metric) at \(level) now needs \(evaluation.reactive) at \(percent) \(ready)"
        case .threshold: return thresholdCause + " \(ready)"
        case .idle:
            return "\(metric) is at \(level) and not expected above \(short(terms.activationLevel)), so none is needed"
        case .woken:
            let added = short(Double(max(cell.view.influence, cell.view.influenceAtEnd)) * evaluation.scale)
            return "neighbours are expected to bring \(added) of \(metric), which needs one to begin with"
        case .hold: return holdCause(level)
        }
    }

    private var predictiveCause: String {
        let value = short(Double(cell.view.predicted) * evaluation.scale)
        if evaluation.predictive > evaluation.base {
            return "\(metric) may reach \(value) in \(horizon) (\(quantileWords)), which needs "
                + "\(evaluation.predictive) at \(percent)"
        }
        let window = rough(seconds: Double(cell.view.windowSeconds))
        return "\(metric) stays below \(value) for the next \(window) (\(quantileWords)), for which "
            + "\(evaluation.predictive) suffice at \(percent)"
    }

    private var thresholdCause: String {
        let load = evaluation.predictedLoad(cell, terms) * evaluation.scale
        let isUp = evaluation.threshold > evaluation.base
        let share = isUp ? terms.scalingThreshold : terms.underutilisationThreshold
        let bound = short(evaluation.capacity * Double(evaluation.base) * share)
        return "predicted \(metric) of \(short(load)) is \(isUp ? "above" : "below") \(bound), "
            + "\(short(share * 100)) % of the capacity of \(evaluation.base)\(neighbours(cell.view.influenceAtEnd))"
    }

    private func holdCause(_ level: String) -> String {
        switch evaluation.abstention {
        case .stale: return "\(metric) is stale; \(evaluation.base) stay, as silence is no sign of low demand"
        case .missing: return "\(metric) is missing; \(evaluation.base) stay, as absence is no sign of low demand"
        case .noLevel: return "\(metric) has no level; \(evaluation.base) stay"
        case .noUnits: return "nobody has said how many units are ready, so there is no number to change"
        case .noCapacity: return "no capacity per replica is declared, so \(metric) says nothing about replicas"
        case .none: break
        }
        if terms.usesThresholds {
            let load = short(evaluation.predictedLoad(cell, terms) * evaluation.scale)
            return "predicted \(metric) of \(load) is between both thresholds of \(evaluation.base)"
        }
        guard evaluation.usesForecast else { return "\(metric) at \(level) now suits \(evaluation.base) at \(percent)" }
        let value = short(Double(cell.view.predicted) * evaluation.scale)
        return "\(metric) at \(level) now and its \(quantileName) in \(horizon), \(value), both suit "
            + "\(evaluation.base) at \(percent)"
    }

    private var event: String {
        if code.expectsEvent { return "; a planned event is reckoned with" }
        return code.hasEvent ? "; a planned event is in force" : ""
    }

    /// What neighbours add, where it is more than a hundredth of the present level.
    private func neighbours(_ influence: Float) -> String {
        let isSlight = Double(influence.magnitude) < cell.view.level.magnitude / 100
        if influence == 0 || isSlight || !influence.isFinite { return "" }
        return "; neighbours add \(short(Double(influence) * evaluation.scale))"
    }

    private var owner: String { Self.owner(command) }

    private static func owner(_ command: CommandLedger.Record?) -> String {
        guard let command, !command.owner.isEmpty else { return "an operator" }
        return String(decoding: command.owner, as: UTF8.self)
    }

    private var why: String { Self.why(command) }

    private static func why(_ command: CommandLedger.Record?) -> String {
        guard let command, !command.reason.isEmpty else { return "" }
        return " (\(String(decoding: command.reason, as: UTF8.self)))"
    }

    private func words(_ step: Evaluation.Step) -> String {
        let after = step.after
        switch step.limit {
        case .manualSet: return "\(Self.owner(setting)) set \(after)"
        case .manualHold: return "\(owner) holds \(after)\(why)"
        case .manualFloor: return "raised to the floor \(after) set by hand"
        case .manualCeiling: return "lowered to the ceiling \(after) set by hand"
        case .minimum: return "raised to the minimum \(after)"
        case .maximum: return "capped at the maximum \(after)"
        case .consolidation:
            let upper = short(Double(cell.view.upper) * evaluation.scale)
            return "not below \(after): fewer would not carry \(upper), the "
                + Self.percentile(cell.upperQuantile(terms).level)
        case .neededSoon:
            let later = short(Double(cell.view.later) * evaluation.scale)
            let time = rough(seconds: Double(cell.view.laterSeconds))
            return "not below \(after): in \(time) \(later) will be asked for again"
        case .stabilisationUp:
            return "not above \(after), the least proposed within the last \(window(terms.stabilisationUp))"
        case .stabilisationDown:
            return "not below \(after), the most proposed within the last \(window(evaluation.heldMilliseconds(terms)))"
        case .stepUp, .stepDown: return "one step to \(after)"
        case .cooldownUp: return "\(after) until the last action is \(window(terms.cooldownUp)) old (cool-down)"
        case .cooldownDown: return "\(after) until the last action is \(window(terms.cooldownDown)) old (cool-down)"
        case .flapBudget: return "\(after), as direction changed too often within the hour"
        case .backoff: return "\(after), as the last action could not be carried out"
        case .pauseUp: return "\(after), as scaling up is paused\(why)"
        case .pauseDown: return "\(after), as scaling down is paused\(why)"
        case .sharedBudget: return "\(after), all that the shared budget has left"
        case .actionInFlight: return "\(after) until the action under way has ended"
        case .rejected: return "\(after), as the proposal was rejected"
        case .idleWindow: return "\(after) until it has been idle for \(window(terms.idleWindow))"
        case .approval: return "only \(after), as no more was approved"
        }
    }

    private func window(_ milliseconds: Int64) -> String { duration(seconds: Double(milliseconds) / 1_000) }

    /// What the world would have to do for another number.
    var whatWouldChange: String {
        guard evaluation.capacity > 0 else { return "a policy with capacityPerReplica" }
        if evaluation.abstention == .noUnits { return "a supply metric or an outcome that says how many are ready" }
        if evaluation.abstention != .none { return "a fresh sample of \(metric)" }
        let count = Double(evaluation.desired)
        if terms.usesThresholds {
            let up = short(evaluation.capacity * count * terms.scalingThreshold)
            let down = short(evaluation.capacity * count * terms.underutilisationThreshold)
            return "up when predicted \(metric) exceeds \(up), down below \(down)"
        }
        if evaluation.desired == 0 {
            return "up when \(metric) or its forecast exceeds \(short(terms.activationLevel))"
        }
        let what = evaluation.usesForecast ? "the \(quantileName) of \(metric)" : metric
        let up = "up when \(what) exceeds \(short(evaluation.perReplica * count))"
        guard evaluation.desired > terms.minimum else { return up }
        let held = evaluation.heldMilliseconds(terms)
        let wait = held > 0 ? " for \(window(held))" : ""
        return up + ", down when it falls below \(short(evaluation.perReplica * (count - 1)))\(wait)"
    }
}
