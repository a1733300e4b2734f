/// What the shortage that was met adds to a policy's quantile, or takes from it: a shift of its standard normal
/// deviate.
///
/// A quantile is a promise about demand; what operators are promised is a share of time with too little capacity, and
/// that also depends on how long units take, on windows that hold capacity, on steps of a whole unit. So the share is
/// watched and the quantile follows it: after every look margin += rate · (short − accepted), which keeps the share of
/// short looks at the accepted one in the long run, whatever the demand does (I. Gibbs, E. Candès, "Adaptive conformal
/// inference under distribution shift", 2021).
struct SafetyMargin: BitwiseCopyable {
    /// Standard normal deviates, −`limit`…`limit`. Negative is credit: less shortage than was accepted.
    private var deviates: Float = 0
    private var spare: Float = 0

    /// No margin leads further: a quantile of 95 % stays between 55.8 and 99.92 %.
    static let limit: Float = 1.5
    /// Deviates per minute of shortage, where a hundredth of the time is accepted or more.
    private static let ratePerMinute: Float = 0.05
    private static let usualShare: Float = 0.01

    /// The rarer shortage may be, the more each minute of it says, and the longer credit would take to say anything:
    /// the rate grows with the root of the rarity.
    private static func rate(accepted: Float) -> Float {
        ratePerMinute * max(usualShare / max(accepted, 1e-4), 1).squareRoot()
    }

    /// Takes a look at whether capacity was short, after so much time since the last one (at most a minute counts, so
    /// that rare looks are no leaps).
    mutating func learn(isShort: Bool, accepted: Float, afterMilliseconds: Int64) {
        let minutes = Float(min(max(afterMilliseconds, 0), 60_000)) / 60_000
        let next = deviates + Self.rate(accepted: accepted) * minutes * ((isShort ? 1 : 0) - accepted)
        deviates = min(max(next, -Self.limit), Self.limit)
    }

    /// What is added to a quantile. Credit lowers it only where a share of shortage was asked for; where a quantile
    /// was, it merely delays the day on which shortage raises it.
    func shift(mayLower: Bool) -> Float { mayLower ? deviates : max(deviates, 0) }

    var isSound: Bool { deviates.magnitude <= Self.limit }
}

extension ScalingStage {
    /// What keeps capacity small for reasons that no quantile can mend.
    private static let bounds = [
        Limit.manualSet, .manualHold, .manualCeiling, .maximum, .stabilisationUp, .stepUp, .cooldownUp, .backoff,
        .pauseUp, .sharedBudget, .rejected, .approval,
    ].reduce(UInt32(0)) { $0 | 1 << UInt32($1.rawValue) }

    /// A look at the capacity that the pipeline's own actions left, at a fresh sample.
    func learnMargin(_ cell: inout ResourceCell, _ terms: PolicyTerms, _ evaluation: Evaluation, since before: Int64) {
        guard terms.mode == .act, evaluation.usesForecast, evaluation.abstention == .none, cell.desired >= 0,
            cell.limits & Self.bounds == 0
        else { return }
        let carried = Double(max(evaluation.ready, 1)) * evaluation.perReplica
        cell.margin.learn(
            isShort: cell.view.level * evaluation.scale > carried * (1 + 1e-6),
            accepted: Float(1 - terms.quantile.level), afterMilliseconds: evaluation.now &- before)
    }
}
