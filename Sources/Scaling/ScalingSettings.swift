import TwinCore

/// Who says that an action has been carried out.
package enum Actuation: UInt8, Sendable, BitwiseCopyable {
    /// Actuators, by outcomes; an action they never answer times out.
    case reported = 0
    /// Nobody: an action counts as done when the declared provisioning delay has passed (scale-downs at once). For
    /// recorded telemetry, where nothing can act.
    case assumed = 1
}

/// What the operator can set for the scaling decider. Everything here changes outputs or bounds the state.
package struct ScalingSettings: Sendable {
    /// Resources per task.
    package var resourcesMax = 200_000
    /// Policies per task, deleted ones included.
    package var policiesMax = 4_096
    /// The longest policy, bytes of JSON.
    package var policyBytesMax = 65_536
    /// All policies' JSON together, bytes.
    package var policiesBytesMax = 8_388_608
    /// Commands whose ids or texts are remembered.
    package var commandsMax = 4_096
    /// How long the id of a command without expiry is remembered, seconds of event time.
    package var commandMemorySeconds: Int64 = 86_400
    /// Decision interval of a resource whose policy names none, seconds.
    package var decisionIntervalSeconds: Int64 = 15
    /// Time from an action to ready units where none is declared or learned yet, seconds.
    package var leadSecondsDefault = 120.0
    /// An unchanged decision is written again after so long, seconds.
    package var restateSeconds: Int64 = 3_600
    /// A policy, and an operator's order in force, is said again, into the task's own inbox, once in so many seconds of
    /// event time: a task that is rebuilt from a trimmed log finds every one. To stay well below the retention of
    /// `outlooks`.
    package var policyRestateSeconds: Int64 = 43_200
    /// Writes a decision at every evaluation, as the backtest wants it.
    package var restateEveryDecision = false
    /// First wait after a failed or unschedulable action, seconds; doubles up to `backoffSecondsMax`.
    package var backoffSeconds: Int64 = 60
    package var backoffSecondsMax: Int64 = 3_600
    package var actuation = Actuation.reported
    /// Decides from a metric without a role where the policy declares a capacity and names no metric: for recorded
    /// telemetry, which knows no roles.
    package var takesUnknownMetrics = false

    package init() {}

    /// Adds every setting to a fingerprint.
    package func hash(into digest: inout Digest) {
        for count in [resourcesMax, policiesMax, policyBytesMax, policiesBytesMax, commandsMax] {
            digest.combine(UInt64(bitPattern: Int64(count)))
        }
        for seconds in [
            commandMemorySeconds, decisionIntervalSeconds, restateSeconds, policyRestateSeconds, backoffSeconds,
            backoffSecondsMax,
        ] {
            digest.combine(UInt64(bitPattern: seconds))
        }
        digest.combine(leadSecondsDefault.bitPattern)
        digest.combine(UInt64(actuation.rawValue) << 1 | (restateEveryDecision ? 1 : 0))
        digest.combine(takesUnknownMetrics ? 1 : 0)
    }
}
