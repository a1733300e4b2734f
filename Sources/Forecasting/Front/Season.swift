import TwinCore

/// A cycle beside the day: by its phase the usual distance from what is usual at that time of day, in up to 84 bins of
/// 16 bits, and how much of that is worth believing. One is the week, in bins of two hours; another has the period that
/// `PeriodFinder` found.
///
/// Each visit of a bin folds the mean of what was seen there, with a gain that falls with the cycles seen and stays at
/// a quarter, so old cycles fade. What is believed is the share in which that came which the bins had said before (a
/// regression without intercept, forgotten): a series without the cycle has none, and a wrong period does no harm.
///
/// The bins of a cycle that was found lie around the level of about two cycles, and are believed by the changes from
/// one to the next, as they were found by changes: a level that wanders is no cycle, and none takes the level's place.
/// What only reads is `mutating` too, so that it works in place.
struct Season: BitwiseCopyable {
    static let binsMax = 84
    /// A bin that was never visited; no number is packed so.
    private static let unvisited: UInt16 = 0xffff
    /// Comparisons after which bins are believed, and that count as much as all older ones together.
    private static let comparedMin: UInt32 = 24
    private static let memory: Float = 1_000
    private static let gainMin: Float = 0.25
    /// Further cycles take nothing more from the belief.
    private static let cyclesMax: Int64 = 24

    private var bins: [84 of UInt16] = InlineArray(repeating: unvisited)
    /// 0 while there is no cycle.
    private(set) var periodMilliseconds: Int64 = 0
    private var startMilliseconds: Int64 = 0
    /// Sum and count in the bin that is open.
    private var sum: Float = 0
    private var samples: Float = 0
    /// Discounted sums of what bins said times what came, and of its square.
    private var products: Float = 0
    private var squares: Float = 0
    private var compared: UInt32 = 0
    /// Share of what the bins say that is believed.
    private(set) var belief: Float = 0
    private var openBin: Int16 = -1
    private var binCount: UInt16 = 0
    /// Running mean of the distances, what bins are measured from; 0 where they are not centred.
    private var level: Float = 0
    /// What came to the last bin, and what it had said before; NaN if that is not known.
    private var cameBefore: Float = 0
    private var saidBefore: Float = .nan

    var isSound: Bool {
        binCount <= UInt16(Self.binsMax) && openBin >= -1 && openBin < Int16(Self.binsMax) && belief >= 0
            && belief <= 1 && (periodMilliseconds > 0 || binCount == 0)
    }

    /// Starts empty with a period, in bins that are no shorter than a step.
    mutating func reset(periodMilliseconds period: Int64, stepMilliseconds step: UInt32, at milliseconds: Int64) {
        self = Season()
        let count = min((period &+ Int64(step) / 2) / Int64(max(step, 1)), Int64(Self.binsMax))
        guard count >= 2 else { return }
        periodMilliseconds = period
        startMilliseconds = milliseconds
        binCount = UInt16(count)
    }

    @inline(__always)
    private mutating func raw(_ index: Int) -> Float {
        let value = bins[index]
        return value == Self.unvisited ? 0 : PendingQuantiles.unpacked(value)
    }

    /// Milliseconds into the cycle.
    @inline(__always)
    private func phase(_ milliseconds: Int64) -> Int64 {
        milliseconds.flooredDivision(by: periodMilliseconds).remainder
    }

    @inline(__always)
    private func bin(at milliseconds: Int64) -> Int {
        Int(phase(milliseconds) &* Int64(binCount) / periodMilliseconds)
    }

    /// The usual distance at a moment, as far as it is believed; where bins are fine, straight between their middles.
    @inline(__always)
    mutating func value(at milliseconds: Int64) -> Float {
        if belief == 0 { return 0 }
        guard binCount == UInt16(Self.binsMax) else { return belief * raw(bin(at: milliseconds)) }
        let width = periodMilliseconds / Int64(binCount)
        let place = phase(milliseconds &- width / 2) &* Int64(binCount)
        let low = Int(place / periodMilliseconds)
        let share = Float(place &- Int64(low) &* periodMilliseconds) / Float(periodMilliseconds)
        let first = raw(low)
        return belief * (first + share * (raw(low &+ 1 == Self.binsMax ? 0 : low &+ 1) - first))
    }

    /// What is left of the belief after some time: it was measured one cycle ahead, and each further cycle takes its
    /// share again.
    @inline(__always)
    func kept(after milliseconds: Int64) -> Float {
        if belief == 0 || milliseconds < periodMilliseconds { return 1 }
        var cycles = min(milliseconds / periodMilliseconds, Self.cyclesMax)
        var kept: Float = 1
        while cycles > 0 {
            kept *= belief
            cycles &-= 1
        }
        return kept
    }

    /// Folds a value that is `distance` from what would be usual without this cycle.
    /// - Parameter centring: the running level's gain; 0 where bins are measured from what would be usual.
    @inline(__always)
    mutating func fold(_ distance: Float, at milliseconds: Int64, centring: Float = 0) {
        guard binCount > 0 else { return }
        if centring > 0 { level = openBin < 0 ? distance : level + centring * (distance - level) }
        let bin = Int16(bin(at: milliseconds))
        if bin != openBin {
            close(at: milliseconds, isCentred: centring > 0)
            openBin = bin
        }
        sum += distance - level
        samples += 1
    }

    private mutating func close(at milliseconds: Int64, isCentred: Bool) {
        guard openBin >= 0, samples > 0 else { return }
        let came = clamped(sum / samples, 1e15)
        sum = 0
        samples = 0
        let index = Int(openBin)
        guard bins[index] != Self.unvisited else { return bins[index] = PendingQuantiles.packed(came) }
        let said = PendingQuantiles.unpacked(bins[index])
        if !isCentred {
            learnBelief(said, came)
        } else {
            if saidBefore.isFinite { learnBelief(said - saidBefore, came - cameBefore) }
            saidBefore = said
            cameBefore = came
        }
        let cycles = Float(max((milliseconds &- startMilliseconds) / periodMilliseconds, 1))
        bins[index] = PendingQuantiles.packed(said + max(1 / (cycles + 1), Self.gainMin) * (came - said))
    }

    /// A bin that said or saw something absurd counts for little.
    private mutating func learnBelief(_ said: Float, _ came: Float) {
        let count = Float(min(compared, 1_000))
        let usual = compared > 0 ? squares / count : said * said
        let weight = said * said <= 16 * usual ? 1 : 16 * usual / (said * said)
        let fade = 1 - 1 / Self.memory
        products = fade * products + weight * clamped(said * came, 4 * said * said)
        squares = fade * squares + weight * said * said
        compared = min(compared &+ 1, 1_000_000)
        guard compared >= Self.comparedMin, squares > 0 else { return }
        belief = min(max(products / squares, 0), 1)
    }

    mutating func scale(by factor: Float) {
        for index in 0..<Self.binsMax where bins[index] != Self.unvisited {
            bins[index] = PendingQuantiles.packed(PendingQuantiles.unpacked(bins[index]) * factor)
        }
        sum *= factor
        level *= factor
        cameBefore *= factor
        saidBefore *= factor
        products *= factor * factor
        squares *= factor * factor
    }
}
