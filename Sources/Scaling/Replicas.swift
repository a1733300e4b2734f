/// Arithmetic on numbers of replicas. No input, however absurd, leads outside 1…1 000 000.
package enum Replicas {
    /// The most replicas that any decision names.
    package static let limit: Int32 = 1_000_000

    /// A number from outside as a replica count from 0 to `limit`; nil for NaN and negative numbers.
    package static func count(_ value: Double) -> Int32? {
        guard value >= 0 else { return nil }
        return value >= Double(limit) ? limit : Int32(value)
    }

    /// Replicas that carry `demand` when each may carry `perReplica` (capacity × target utilisation): the quotient,
    /// rounded up. A millionth above a whole number is rounding of the input and not a replica. NaN needs 1.
    package static func needed(demand: Double, perReplica: Double) -> Int32 {
        let quotient = demand / perReplica
        guard quotient > 1 else { return 1 }
        let raised = (quotient * (1 - 1e-6)).rounded(.up)
        return raised >= Double(limit) ? limit : max(Int32(raised), 1)
    }

    /// The rule of the Kubernetes horizontal autoscaler: ⌈current × metric ÷ target⌉, and no change while the ratio
    /// is within `tolerance` of 1. `level` is the whole resource's demand, so metric ÷ target is
    /// level ÷ (current × perReplica).
    package static func reactive(level: Double, current: Int32, perReplica: Double, tolerance: Double) -> Int32 {
        let ratio = level / (Double(max(current, 1)) * perReplica)
        if current > 0, (ratio - 1).magnitude <= tolerance + 1e-9 { return current }
        return needed(demand: level, perReplica: perReplica)
    }
}
