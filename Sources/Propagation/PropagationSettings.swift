import TwinCore

/// What the operator can set for the locality graph and its influence. Part of the task's fingerprint.
package struct PropagationSettings: Sendable, Equatable {
    /// The grid on which influence is kept and sent, seconds ahead, ascending; at most `Grid.pointsMax`. All tasks of a
    /// namespace share it. Forecasts with other horizons are read and written by linear interpolation.
    package var horizonsSeconds: [Int32] = [60, 300, 900, 1_800, 3_600]
    /// How many edges a change travels; at most `NodeCell.hopsLimit`.
    package var hopsMax = 3
    /// What a hop lets through, 0…1.
    package var damping: Float = 0.8
    /// A relative change smaller than this is not sent on; above the noise of a level, or every sample moves the graph.
    package var epsilon: Float = 0.05
    /// An outlook is published anew between forecasts when its mean moves by more than this share of the level.
    package var refreshShare: Float = 0.1
    /// Expected relative changes are bounded to −1…this.
    package var relativeChangeMax: Float = 4
    /// How long a forecast's influence counts without a new one, at least; three of the series' own steps if longer.
    package var influenceSeconds: Int64 = 900
    /// The measured rate of an edge follows new values with this half-life.
    package var rateHalfLifeSeconds: Int64 = 600
    /// Confidence in an edge that is not seen any more halves in this time.
    package var edgeHalfLifeSeconds: Int64 = 21_600
    /// An edge not seen for so long counts nothing.
    package var edgeExpirySeconds: Int64 = 604_800
    /// Observations at which confidence in a measured edge is one half.
    package var observationsHalf: Float = 1
    /// The value of an interaction is a declared weight (influence per relative change) instead of calls per second.
    package var takesDeclaredWeights = false
    /// The largest weight that can be declared.
    package var declaredWeightMax: Float = 4
    /// Weight of an edge between two resources that share a locality and nothing else; 0 shows it without effect.
    package var proximityWeight: Float = 0
    package var resourcesMax = 100_000
    package var edgesMax = 400_000
    /// Edges into a resource, and out of it.
    package var edgesPerResourceMax = 256

    package init() {}

    /// Adds every setting to a fingerprint, in a fixed order.
    package func hash(into digest: inout Digest) {
        digest.combine(UInt64(horizonsSeconds.count))
        for horizon in horizonsSeconds { digest.combine(UInt64(bitPattern: Int64(horizon))) }
        for count in [hopsMax, resourcesMax, edgesMax, edgesPerResourceMax] {
            digest.combine(UInt64(bitPattern: Int64(count)))
        }
        for number in [
            damping, epsilon, refreshShare, relativeChangeMax, observationsHalf, declaredWeightMax, proximityWeight,
        ] { digest.combine(UInt64(number.bitPattern)) }
        for seconds in [influenceSeconds, rateHalfLifeSeconds, edgeHalfLifeSeconds, edgeExpirySeconds] {
            digest.combine(UInt64(bitPattern: seconds))
        }
        digest.combine(takesDeclaredWeights ? 1 : 0)
    }
}
