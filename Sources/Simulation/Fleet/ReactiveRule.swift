/// The arithmetic of the Kubernetes horizontal pod autoscaler with its defaults: ⌈current × metric ÷ target⌉,
/// nothing within a tolerance of 10 %, down only to the largest number wanted within 300 seconds.
/// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
package struct ReactiveRule: Sendable {
    package static let tolerance = 0.1
    package static let stabilisationSeconds: Int64 = 300

    package let capacityPerReplica: Double
    package let targetUtilisation: Double
    package let replicasMin: Int
    package let replicasMax: Int
    private var wanted: [(time: Int64, replicas: Int)] = []

    package init(capacityPerReplica: Double, targetUtilisation: Double, replicasMin: Int, replicasMax: Int) {
        self.capacityPerReplica = capacityPerReplica
        self.targetUtilisation = targetUtilisation
        self.replicasMin = replicasMin
        self.replicasMax = replicasMax
    }

    /// Replicas to have, of `current` ordered ones, when the metric says `demand`; nil, a metric that is missing,
    /// changes nothing.
    package mutating func decide(demand: Double?, current: Int, at time: Int64) -> Int {
        guard let demand, demand.isFinite, current > 0 else { return current }
        let ratio = demand / (Double(current) * capacityPerReplica * targetUtilisation)
        var proposal = current
        if (ratio - 1).magnitude > Self.tolerance { proposal = Int((Double(current) * ratio).rounded(.up)) }
        proposal = min(max(proposal, replicasMin), replicasMax)
        wanted.removeAll { $0.time <= time - Self.stabilisationSeconds }
        wanted.append((time, proposal))
        guard proposal < current else { return proposal }
        return min(wanted.map(\.replicas).max() ?? proposal, current)
    }
}
