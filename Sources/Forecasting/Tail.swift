/// How far the rare values lie beyond the 95th percentile, fitted to the excesses that came: a generalised Pareto
/// distribution, to which the excesses over a high threshold of nearly any distribution tend (Pickands, "Statistical
/// inference using extreme order statistics", 1975).
///
/// Scale σ and shape ξ follow from two probability-weighted moments (Hosking and Wallis, "Parameter and quantile
/// estimation for the generalized Pareto distribution", 1987), here the mean excess a = σ / (1 − ξ) and the mean of the
/// smaller of two, b = σ / (2 − ξ), so that both are followed one excess at a time: ξ = (a − 2b) / (a − b). The other
/// of the two is one from before, as the excesses of one incident are alike. An excess is counted in distances of the
/// 95th percentile from the median, as they were issued.
struct Tail: BitwiseCopyable {
    /// Excesses that the moments rest on; older ones fade beyond the memory.
    private(set) var count: Float = 0
    private var mean: Float = 0
    private var smaller: Float = 0
    /// An earlier excess, what the next ones are compared with, and how many have been.
    private var partner: Float = 0
    private var compared: Float = 0

    /// Excesses of a series, and of a class, that are remembered.
    static let memory: Float = 300
    static let classMemory: Float = 3_000
    /// The class counts for so many excesses of a series, and what holds for exponential tails for so many of a class.
    private static let classWeight: Float = 20
    private static let initialWeight: Float = 10
    /// Mean excess of an exponential tail: 1 / ln 10 of the distance from its median to its 95th percentile.
    private static let initialMean: Float = 0.4343
    /// Excesses that are compared with one of before.
    private static let partnerUses: Float = 4
    /// No excess counts for more: a broken scale is no tail.
    private static let excessMax: Float = 50
    private static let shapes: ClosedRange<Float> = -0.3...0.7

    /// Takes in an excess above zero.
    @inline(__always)
    mutating func learn(_ excess: Float, memory: Float) {
        let excess = min(excess, Self.excessMax)
        // Nothing precedes the first.
        let pair = count > 0 ? min(excess, partner) : excess / 2
        count = min(count + 1, memory)
        mean += (excess - mean) / count
        smaller += (pair - smaller) / count
        compared += 1
        guard count == 1 || compared >= Self.partnerUses else { return }
        partner = excess
        compared = 0
    }

    /// How far the 99.9th percentile lies beyond the 99th, in distances of the 95th from the median.
    @inline(__always)
    func reach(like kin: Tail) -> Float {
        let kinTotal = kin.count + Self.initialWeight
        let kinMean = (kin.count * kin.mean + Self.initialWeight * Self.initialMean) / kinTotal
        let kinSmaller = (kin.count * kin.smaller + Self.initialWeight * Self.initialMean / 2) / kinTotal
        let total = count + Self.classWeight
        return Self.reach(
            mean: (count * mean + Self.classWeight * kinMean) / total,
            smaller: (count * smaller + Self.classWeight * kinSmaller) / total)
    }

    /// σ (50^ξ − 5^ξ) / ξ: of a twentieth that exceeds the threshold, a fiftieth is a thousandth of all.
    private static func reach(mean: Float, smaller: Float) -> Float {
        let rest = max(mean - smaller, 0.1 * mean)
        let shape = min(max((mean - 2 * smaller) / max(rest, 1e-9), shapes.lowerBound), shapes.upperBound)
        let scale = mean * (1 - shape)
        // The series about zero, where the difference of the powers is rounding.
        if shape.magnitude < 0.05 { return scale * (2.302_585 + shape * (6.357_1 + shape * 9.279)) }
        return scale * (Wave.exp2(shape * 5.643_856) - Wave.exp2(shape * 2.321_928)) / shape
    }

    var isSound: Bool {
        count >= 0 && count <= Self.classMemory && mean >= 0 && mean <= Self.excessMax && smaller >= 0
            && smaller <= Self.excessMax && partner >= 0 && partner <= Self.excessMax && compared >= 0
            && compared <= Self.partnerUses
    }
}

/// What a class of series has learned at one horizon, beside its regression.
struct ClassPrior {
    /// The members' mean leads by member and level, then the stretches by level; powers of two.
    let leads: UnsafeMutablePointer<Float>
    let tail: UnsafeMutablePointer<Tail>
}
