/// The reference: a copy of level, daily profile, persistence and noise as they were at the last trusted fit, which
/// does not adapt. A change that the live model soon calls normal stays visible here.
///
/// Its residual is that of a first-order autoregression around the frozen profile, so that an undisturbed series gives
/// residuals that hang together little and a lasting shift gives a lasting mean.
struct Reference: BitwiseCopyable {
    private var profile = DailyProfile()
    private var level: Float = 0
    /// How much of the last distance from the profile stays for the next step, 0…0.97.
    private var persistence: Float = 0
    /// Standard deviation of what persistence does not explain.
    private var noise: Float = 0
    /// Last distance from the profile.
    private var last: Float = 0
    /// Running mean of the residual, for the question whether the next fit may be trusted.
    private var mean: Float = 0
    private var isFrozen: UInt32 = 0

    private static let persistenceMax: Float = 0.97
    static let residualMax: Float = 50

    /// Nothing was frozen yet.
    var isEmpty: Bool { isFrozen == 0 }

    /// The recent residuals have no mean that speaks of a change, so fitting anew hides nothing.
    var isQuiet: Bool { mean.magnitude < 0.5 }

    var isSound: Bool { profile.isSound }

    /// Freezes the live model's level and profile.
    /// - Parameters:
    ///   - variance: of the distance from the profile.
    ///   - covariance: of that distance with the one a step before.
    mutating func freeze(
        profile live: DailyProfile, level value: Float, variance: Float, covariance: Float, noiseFloor: Float,
        distance: Float
    ) {
        profile = live
        level = value
        let ratio = variance > 0 ? covariance / variance : 0
        persistence = ratio > 0 ? min(ratio, Self.persistenceMax) : 0
        let rest = variance * (1 - persistence * persistence)
        noise = max(rest > 0 ? rest.squareRoot() : 0, noiseFloor)
        last = distance
        mean = 0
        isFrozen = 1
    }

    /// The standardised residual of a value `steps` steps after the one before.
    mutating func residual(_ value: Float, at milliseconds: Int64, steps: UInt32) -> Float {
        guard isFrozen != 0 else { return 0 }
        let distance = value - level - profile.value(at: milliseconds)
        var kept = persistence
        var left = min(steps, 16)
        while left > 1 {
            kept *= persistence
            left -= 1
        }
        let spread = steps <= 1 ? 1 : ((1 - kept * kept) / max(1 - persistence * persistence, 1e-3)).squareRoot()
        let residual = clamped((distance - kept * last) / max(noise * spread, 1e-20), Self.residualMax)
        last = distance
        mean += (min(max(residual, -4), 4) - mean) / 64
        return residual
    }

    mutating func scale(by factor: Float) {
        profile.scale(by: factor)
        level *= factor
        noise *= factor
        last *= factor
    }
}
