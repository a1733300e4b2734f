import Messages
import StageKit
import TwinCore

/// How far a policy may go on its own.
package enum PolicyMode: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// Decisions are recorded when they change.
    case observe = 0
    /// As observe, shown as advice.
    case recommend = 1
    /// A proposal waits for an operator's approval.
    case approve = 2
    /// Actions are published.
    case act = 3

    package var text: String { String(describing: self) }
}

/// How bad an outage of a resource is; decides the quantile and who is served first from a shared budget.
package enum Criticality: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case critical = 0
    case high = 1
    case normal = 2
    case low = 3

    package var text: String { String(describing: self) }

    /// The quantile of demand that capacity is meant to carry.
    package var quantile: Double {
        switch self {
        case .critical: 0.999
        case .high: 0.99
        case .normal: 0.95
        case .low: 0.9
        }
    }
}

/// The numbers of a policy: what an evaluation reads. Plain memory, no references.
package struct PolicyTerms: BitwiseCopyable, Sendable {
    /// The policy's name; 0 for the rule of resources without one.
    package var name: NameID = 0
    package var mode = PolicyMode.observe
    package var criticality = Criticality.normal
    package var version: UInt64 = 0
    /// The decision metric; 0 = chosen by role.
    package var metric: NameID = 0
    /// What one replica carries at full use, in the metric's unit; 0 = not declared.
    package var capacityPerReplica = 0.0
    /// The share of capacity that is meant to be used, 0…1.
    package var targetUtilisation = 0.7
    /// The threshold rule in place of the quantile rule: share of capacity above which one step up follows; 0 = off.
    package var scalingThreshold = 0.0
    /// Share of capacity below which one step down follows.
    package var underutilisationThreshold = 0.0
    /// 0 lets an idle resource go without any; then the next three count.
    package var minimum: Int32 = 1
    /// Demand above this, present or expected, needs at least one replica.
    package var activationLevel = 0.0
    /// Milliseconds that present and expected demand must have stayed at or below it before the last replica goes.
    package var idleWindow: Int64 = 900_000
    /// From an action to a ready replica where there is none; negative = as with any other.
    package var coldStartSeconds = -1.0
    package var maximum: Int32 = Replicas.limit
    package var initial: Int32 = 1
    /// Replicas per decision; 0 = unlimited.
    package var stepUpMax: Int32 = 0
    package var stepDownMax: Int32 = 0
    /// Seconds; negative = not declared.
    package var provisioningDelaySeconds = -1.0
    /// Milliseconds between decisions.
    package var decisionInterval: Int64 = 15_000
    /// Milliseconds of the windows.
    package var stabilisationUp: Int64 = 0
    package var stabilisationDown: Int64 = 300_000
    /// The policy says them itself: then they hold as they stand, however far apart samples are.
    package var statesStabilisation = false
    package var cooldownUp: Int64 = 0
    package var cooldownDown: Int64 = 0
    /// Milliseconds after which an action without an answer is given up.
    package var actionTimeout: Int64 = 1_800_000
    /// No change while the reactive ratio is this near to 1.
    package var tolerance = 0.1
    /// Changes of direction per hour, beyond which no scale-down starts; 0 = unlimited.
    package var flapsPerHourMax = 0.0
    /// Money per replica and hour; 0 = not declared.
    package var pricePerUnitHour = 0.0
    /// What capacity is meant to carry.
    package var quantile = QuantilePick(level: 0.95)
    /// What must still fit before a unit is taken away, at least.
    package var upperQuantile = QuantilePick(level: 0.95)
    /// Index of the shared budget; −1 = none.
    package var budget: Int32 = -1
    /// The quantile was asked for (by `quantile` or `shortageTarget`), not derived from the criticality.
    package var asksQuantile = false
    /// It was asked for as a share of shortage.
    package var asksShortage = false

    package init() {}

    package var usesThresholds: Bool { scalingThreshold > 0 }

    /// What one replica carries at full use of a metric with this role; 0 = unknown. A utilisation is counted in busy
    /// replicas whatever is declared, as the declaration is in the unit of the demand, unless the policy names the
    /// metric.
    func capacity(of role: MetricRole) -> Double {
        guard role == .utilisation else { return capacityPerReplica }
        return metric != 0 && capacityPerReplica > 0 ? capacityPerReplica : 1
    }
}

/// Which resources a policy is for; every condition must hold, none matches all.
package struct PolicyMatch: Sendable, Equatable {
    package var resource: NameID = 0
    package var classification: NameID = 0
    package var locality: NameID = 0
    package var tags: [Tag] = []

    /// A tag that a resource must carry.
    package struct Tag: Sendable, Equatable, BitwiseCopyable {
        package var key: NameID
        package var value: NameID
    }

    /// A named resource beats everything; otherwise the number of conditions.
    package var specificity: Int {
        (resource != 0 ? 1_000 : 0) + (classification != 0 ? 1 : 0) + (locality != 0 ? 1 : 0) + tags.count
    }
}

/// A budget of units that several policies share, as one of them states it.
package struct PolicyBudget: Sendable, Equatable {
    package var name: NameID
    package var unitsMax: Int64
}

/// A parsed policy.
package struct Policy: Sendable {
    package var terms = PolicyTerms()
    package var match = PolicyMatch()
    package var budget: PolicyBudget?
}

/// Why a policy or a command was not accepted: a code for programs, a sentence for people.
package struct ScalingError: Error, Sendable, Equatable {
    /// What is wrong, for programs.
    package enum Code: UInt8, Sendable {
        case malformed, unknownKey, repeatedKey, missingKey, wrongType, outOfRange, conflict, limit, unknown
    }

    package var code: Code
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
