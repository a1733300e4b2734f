import Messages
import StageKit
import TwinCore

/// What the last outlook of the decision metric said. Times are milliseconds of event time.
struct View: BitwiseCopyable {
    var time = Int64.min
    /// Present level of the metric.
    var level = Double.nan
    /// The policy's quantile at its highest between now and the end of the window; NaN without a usable forecast.
    var predicted = Float.nan
    /// The quantile that must still fit before a unit is taken away, at its highest.
    var upper = Float.nan
    /// The mean at the end of the window, neighbours included.
    var mean = Float.nan
    /// What the neighbours add where `predicted` is highest, and at the end of the window.
    var influence: Float = 0
    var influenceAtEnd: Float = 0
    /// Where `predicted` is highest, seconds from now.
    var horizonSeconds: Float = 0
    /// End of the window: lead time and decision interval, seconds.
    var windowSeconds: Float = 0
    var code: UInt32 = 2
    /// 1 when the outlook named ready units, so that a utilisation has been turned into demand.
    var countsUnits: UInt32 = 0
    /// Rare values that the tail rests on where `predicted` is highest.
    var tailCount: Float = 0
    /// The most that `predicted` is expected to become until `Window.returnSeconds`, and in how many seconds.
    var later: Float = 0
    var laterSeconds: Float = 0

    /// Sound numbers from a twin that is old enough.
    var hasForecast: Bool {
        if ForecastCode(raw: code).isYoung { return false }
        return (predicted + upper + mean + influenceAtEnd).isFinite
    }
}

/// The one action that may be in flight.
struct ActionCell: BitwiseCopyable {
    var offset: Int64 = -1
    var index: Int64 = 0
    var issuedAt: Int64 = 0
    var deadline: Int64 = 0
    var from: Int32 = 0
    var to: Int32 = 0
    var expectedUtilisation: Float = 0
    var expectedLeadSeconds: Float = 0
    /// The action before, or this one once it has ended: what is reported of it late still counts.
    var formerOffset: Int64 = -1
    var formerIndex: Int64 = 0

    var sequence: Sequence { Sequence(offset: offset, index: index) }
    var former: Sequence { Sequence(offset: formerOffset, index: formerIndex) }
    var isInFlight: Bool { offset >= 0 }

    mutating func end() {
        guard isInFlight else { return }
        (formerOffset, formerIndex) = (offset, index)
        offset = -1
    }
}

/// A proposal that waits for approval; its id is that of its decision.
struct ProposalCell: BitwiseCopyable {
    var offset: Int64 = -1
    var index: Int64 = 0
    var expiry: Int64 = 0
    /// After a rejection the same number is not proposed again until then.
    var rejectedUntil: Int64 = 0
    var from: Int32 = 0
    var to: Int32 = 0
    var rejectedTo: Int32 = 0
    private var spare: Int32 = 0

    var sequence: Sequence { Sequence(offset: offset, index: index) }
    var isOpen: Bool { offset >= 0 }
}

/// An action that has come true and whose effect is yet to be measured.
struct EffectCell: BitwiseCopyable {
    var offset: Int64 = -1
    var index: Int64 = 0
    var readyAt: Int64 = 0
    var from: Int32 = 0
    var to: Int32 = 0
    var expectedUtilisation: Float = 0
    var expectedLeadSeconds: Float = 0
    var cameLeadSeconds: Float = 0
    var spare: Float = 0

    var isDue: Bool { offset >= 0 }
}

/// The time from action to ready units as it was measured: mean and mean deviation, both exponentially smoothed
/// (V. Jacobson, "Congestion avoidance and control", 1988). Mean + 2 deviations is about the 95th percentile.
struct LeadTime: BitwiseCopyable {
    private var mean: Float = 0
    private var deviation: Float = 0
    private(set) var count: UInt32 = 0
    private var spare: UInt32 = 0

    /// Measurements before the learned time is believed.
    static let countMin: UInt32 = 3

    mutating func learn(seconds: Double) {
        guard seconds.isFinite, seconds >= 0 else { return }
        let seconds = Float(min(seconds, 86_400))
        if count == 0 {
            mean = seconds
            deviation = seconds / 4
        } else {
            let error = seconds - mean
            mean += error / 8
            deviation += (error.magnitude - deviation) / 4
        }
        if count < .max { count += 1 }
    }

    /// About the 95th percentile, seconds; nil before there is enough to go by.
    var learnedSeconds: Double? { count >= Self.countMin ? Double(mean + 2 * deviation) : nil }
}

/// All that a task knows of a resource. Fields go from wide to narrow and there is no padding: the bytes are the
/// snapshot.
struct ResourceCell: BitwiseCopyable {
    static let tagsMax = 12

    var view = View()
    var action = ActionCell()
    var proposal = ProposalCell()
    var effect = EffectCell()
    var manual = Manual()
    var down = RollingExtreme.largest
    var up = RollingExtreme.smallest
    /// Numbers ordered within the provisioning delay, where nobody reports what is ready.
    var supply = RollingExtreme.smallest
    var lead = LeadTime()
    var margin = SafetyMargin()
    var unit = UnitCapacity()
    /// Event time of the last evaluation, and from when the next is due.
    var evaluatedAt = Int64.min
    var nextDue = Int64.min
    /// When a decision was last written.
    var writtenAt = Int64.min
    var readyAt = Int64.min
    var lastUpAt = Int64.min
    var lastDownAt = Int64.min
    var backoffUntil = Int64.min
    /// Since when neither present nor expected demand asks for a unit; `Int64.min` while one does.
    var idleSince = Int64.min
    var flapTokensAt = Int64.min
    var flapTokens = 0.0
    /// 0 marks a free cell.
    var resource: NameID
    var locality: NameID = 0
    var classification: NameID = 0
    /// The decision metric, 0 before one is chosen, and how well its role suits (`DecisionMetric.rank`).
    var metric: NameID = 0
    var metricRank: UInt32 = 0
    /// Slot of the policy, −1 for none.
    var policy: Int32 = -1
    /// Units ready now; −1 before anybody has said so.
    var ready: Int32 = -1
    /// The desired number and the limits in force as they were last written; −1 before the first decision.
    var desired: Int32 = -1
    var limits: UInt32 = 0
    /// Direction of the last action: 1, −1, 0 for none.
    var lastDirection: Int32 = 0
    /// Consecutive actions that could not be carried out.
    var failures: UInt32 = 0
    /// What this resource counts for in its budget.
    var budgetHeld: Int32 = 0
    var budgetUnmet: Int32 = 0
    var budgetPriority: UInt32 = 0
    /// What is noted of it: bits, see below.
    var flags: UInt32 = 0
    var tagCount: UInt32 = 0
    var tagKeys: [12 of NameID] = .init(repeating: 0)
    var tagValues: [12 of NameID] = .init(repeating: 0)

    static let policyChanged: UInt32 = 1
    /// 2: an outcome was refused, and that was said.
    static let outcomeRefused: UInt32 = 2

    init(resource: NameID) { self.resource = resource }

    /// The policy's quantile as the shortage that was met has moved it, and the one that must still fit before a unit
    /// is taken away: at least 95 %, moved as far.
    func quantile(_ terms: PolicyTerms) -> QuantilePick { terms.quantile.shifted(by: shift(terms)) }
    func upperQuantile(_ terms: PolicyTerms) -> QuantilePick {
        terms.quantile.raised(to: terms.upperQuantile).shifted(by: shift(terms))
    }

    private func shift(_ terms: PolicyTerms) -> Float { margin.shift(mayLower: terms.asksShortage) }

    /// True if every condition holds.
    func satisfies(_ match: PolicyMatch) -> Bool {
        if match.resource != 0, match.resource != resource { return false }
        if match.classification != 0, match.classification != classification { return false }
        if match.locality != 0, match.locality != locality { return false }
        for tag in match.tags {
            var found = false
            for index in 0..<Int(tagCount) where tagKeys[index] == tag.key && tagValues[index] == tag.value {
                found = true
            }
            if !found { return false }
        }
        return true
    }

    /// True if what was read from a snapshot can be used as indices.
    func isSound(policies: Int, names: Int) -> Bool {
        let ids = [resource, locality, classification, metric]
        guard ids.allSatisfy({ Int($0) <= names }), resource != 0, Int(tagCount) <= Self.tagsMax else { return false }
        guard policy >= -1, Int(policy) < policies, budgetPriority < 4 else { return false }
        guard down.isSound, up.isSound, supply.isSound, margin.isSound else { return false }
        for index in 0..<Int(tagCount) where Int(tagKeys[index]) > names || Int(tagValues[index]) > names {
            return false
        }
        return true
    }
}

/// Which of a resource's metrics decisions are made from when the policy does not say.
enum DecisionMetric {
    /// How well a role suits; 0 is never decided upon. Of a metric without a role nobody knows that the declared
    /// capacity is meant for it, unless all metrics are without (`takesUnknown`).
    static func rank(_ role: MetricRole, declaresCapacity: Bool, takesUnknown: Bool) -> UInt32 {
        switch role {
        case .demand: declaresCapacity ? 4 : 1
        case .utilisation: declaresCapacity ? 3 : 4
        case .unknown: declaresCapacity && takesUnknown ? 2 : 0
        case .backlog: declaresCapacity ? 1 : 0
        case .slo, .footprint, .supply: 0
        }
    }
}
