/// What the members of the ensemble said for one moment at one horizon, kept until it comes.
struct PendingQuantiles: BitwiseCopyable {
    /// What the forecast started from.
    var base: Float = 0
    /// The step that it speaks of; 0 if the place is free.
    var target: UInt32 = 0
    /// By member and level, then what was issued: changes, in the series' unit of measure.
    var said: [20 of UInt16] = InlineArray(repeating: 0)

    /// The upper half of a float: two and a half digits at any size.
    @inline(__always)
    static func packed(_ value: Float) -> UInt16 {
        UInt16(truncatingIfNeeded: (clamped(value, 1e30).bitPattern &+ 0x8000) &>> 16)
    }

    @inline(__always)
    static func unpacked(_ value: UInt16) -> Float { Float(bitPattern: UInt32(value) << 16) }

    /// What was issued at a level.
    @inline(__always)
    func issued(_ level: Int) -> Float {
        Self.unpacked(said[HorizonMixture.members &* HorizonMixture.levels &+ level])
    }
}

/// Weighs the members of the ensemble at one horizon, level by level, and sets right what they say together.
///
/// The weights are those of exponential aggregation on the linearised pinball loss with a rate that follows the second
/// order of the regrets (Wintenberger, "Optimal learning with Bernstein online aggregation", 2017; by level as in
/// Berrisch and Ziel, "CRPS learning", 2023): a member's regret grows by r = slope · (issued − said), older regret
/// fades, and its weight is prior · 2^(rate · regret / √Σ r²). A member that is silent is left out and regrets nothing
/// ("sleeping experts"). The prior is how far the member led for other series of the class, so that a young series
/// begins where its like have come to.
///
/// What is issued is then stretched about its median, level by level, so that it covers as often as it says: the
/// logarithm of the stretch follows the exceedances one by one (adaptive conformal inference, as in `Band`).
///
/// Of 99.9 % a series sees too little for that: it is what the tail fitted to its excesses adds to 99 %.
struct HorizonMixture: BitwiseCopyable {
    static let members = 3
    /// By member, for people.
    static let memberNames = ["Regression", "Network", "Habit"]
    /// Forecasts that wait at a time.
    static let places = 4
    /// The levels at which members are weighed.
    static let levels = ForecastLevels.spoken
    /// What all members say at one horizon; what is issued follows it.
    static let numbers = members * levels
    /// What a class knows of one horizon: leads, then stretches.
    static let priorCount = numbers + levels

    private static let rate: Float = 2
    private static let fade: Float = 0.995
    /// One regret may be so large a part of √Σ r².
    private static let shareMax: Float = 0.5
    private static let priorGain: Float = 0.002
    /// A lead of a class, in powers of two, is kept within this.
    private static let leadMax: Float = 5
    private static let stretchGain: Float = 0.007
    private static let stretchMax: Float = 3
    private static let classGain: Float = 0.002
    /// By level: what a miss counts for, beside a hit.
    private static var missWeights: [5 of Float] { [1, 1, 1.08, 1.04, 1.25] }

    /// By member: its weight where nothing is known.
    private static var initial: [3 of Float] { [1, 1, 0.3] }

    /// By member and level: discounted regret towards the member. The weights follow from it.
    private var regrets: [15 of Float] = InlineArray(repeating: 0)
    /// By level: discounted squares of the regrets.
    private var squares: [5 of Float] = InlineArray(repeating: 0)
    /// By level: log₂ of the stretch about the median.
    private var stretches: [5 of Float] = InlineArray(repeating: 0)
    private var judged: UInt32 = 0
    private var nextIssue: UInt32 = 0
    private var place: UInt32 = 0
    private(set) var tail = Tail()
    private var pending: [4 of PendingQuantiles] = InlineArray(repeating: PendingQuantiles())
    /// By place: bit k if member k spoke.
    private var awakes: [4 of UInt8] = InlineArray(repeating: 0)

    var isSound: Bool {
        for index in 0..<Self.numbers where !(regrets[index].magnitude < .infinity) { return false }
        for level in 0..<Self.levels where !(stretches[level].magnitude <= 3 && squares[level] >= 0) { return false }
        return tail.isSound
    }

    /// Combines what the members say, `levels` numbers each, and writes what is issued after it.
    /// - Parameter prior: what the class knows of this horizon.
    @inline(__always)
    mutating func combine(_ said: UnsafeMutablePointer<Float>, awake: UInt32, prior: ClassPrior) {
        let issued = said + Self.numbers
        for level in 0..<Self.levels {
            let weights = weights(level, prior.leads)
            var sum: Float = 0
            var total: Float = 0
            for member in 0..<Self.members where awake & (1 << UInt32(member)) != 0 {
                let weight = weights[member]
                sum += weight * said[member &* Self.levels &+ level]
                total += weight
            }
            issued[level] = total > 0 ? sum / total : 0
        }
        let median = issued[1]
        for level in 0..<Self.levels where level != 1 {
            let stretch = Wave.exp2(stretches[level] + prior.leads[Self.numbers &+ level])
            issued[level] = median + (issued[level] - median) * stretch
        }
        for level in 1..<Self.levels { issued[level] = max(issued[level], issued[level &- 1]) }
    }

    /// Adds the tail to what was issued.
    @inline(__always)
    func extend(_ issued: UnsafeMutablePointer<Float>, prior: ClassPrior) {
        let unit = Self.tailUnit(issued[0], issued[1], issued[2], issued[3])
        issued[Self.levels] = max(issued[4], issued[3]) + unit * tail.reach(like: prior.tail.pointee)
    }

    /// What excesses are counted in: the distance of the 95th percentile from the median; a quarter of that between the
    /// 10th and the 90th where the two are one.
    @inline(__always)
    private static func tailUnit(_ q10: Float, _ q50: Float, _ q90: Float, _ q95: Float) -> Float {
        max(q95 - q50, 0.25 * (q90 - q10))
    }

    @inline(__always)
    func isDue(_ step: UInt32) -> Bool { step >= nextIssue }

    /// Keeps what was said and issued for `horizon` steps on.
    mutating func keep(
        _ said: UnsafeMutablePointer<Float>, awake: UInt32, _ m: UnsafePointer<Moment>, horizon: UInt32
    ) {
        var forecast = PendingQuantiles()
        forecast.base = m.pointee.base
        forecast.target = m.pointee.step &+ horizon
        for index in 0..<(Self.numbers &+ Self.levels) {
            forecast.said[index] = PendingQuantiles.packed(said[index] * m.pointee.unit)
        }
        pending[Int(place) % Self.places] = forecast
        awakes[Int(place) % Self.places] = UInt8(truncatingIfNeeded: awake)
        place &+= 1
        nextIssue = m.pointee.step &+ max((horizon &+ UInt32(Self.places) &- 1) / UInt32(Self.places), 1)
    }

    /// Judges the forecasts that speak of `step`; those of steps that were passed over are dropped.
    @inline(__always)
    mutating func mature(
        step: UInt32, value: Float, prior: ClassPrior, carried: UnsafeMutablePointer<Double>
    ) {
        for index in 0..<Self.places where pending[index].target != 0 && pending[index].target <= step {
            let isNow = pending[index].target == step
            pending[index].target = 0
            guard isNow else { continue }
            learn(pending[index], awake: awakes[index], value: value, prior: prior, carried)
        }
    }

    private mutating func learn(
        _ forecast: PendingQuantiles, awake: UInt8, value: Float, prior: ClassPrior,
        _ carried: UnsafeMutablePointer<Double>
    ) {
        let actual = clamped(value - forecast.base, 1e30)
        let priors = prior.leads
        learnTail(forecast, actual, prior.tail)
        judged = min(judged &+ 1, 1_000_000)
        let gain = min(1 / (Float(judged) + 20), Self.stretchGain) + Self.stretchGain
        for level in 0..<Self.levels {
            let share = ForecastLevels.all[level]
            let miss = actual - forecast.issued(level)
            let slope = miss > 0 ? -share : 1 - share
            let weights = weights(level, priors)
            for member in 0..<Self.members { carried[member] += Double(weights[member]) }
            learnRegrets(level, forecast, awake, slope)
            learnPrior(level, priors)
            // What is as good as equal says nothing.
            guard miss.magnitude > actual.magnitude / 128, level != 1 else { continue }
            let push = level == 0 ? slope : -slope
            // Misses come in clusters and the rarest are few: they count for more, and there the class helps.
            let weighed = push > 0 ? push * Self.missWeights[level] : push
            stretches[level] = clamped(stretches[level] + gain * weighed, Self.stretchMax)
            guard level == 4 else { continue }
            let place = Self.numbers &+ level
            priors[place] = clamped(priors[place] + Self.classGain * weighed, Self.stretchMax)
        }
    }

    @inline(__always)
    private mutating func learnTail(_ forecast: PendingQuantiles, _ actual: Float, _ kin: UnsafeMutablePointer<Tail>) {
        let excess = actual - forecast.issued(3)
        let unit = Self.tailUnit(forecast.issued(0), forecast.issued(1), forecast.issued(2), forecast.issued(3))
        // What is as good as equal is no excess, and where there is no spread none can be counted.
        guard excess > actual.magnitude / 128, unit > 0 else { return }
        tail.learn(excess / unit, memory: Tail.memory)
        kin.pointee.learn(excess / unit, memory: Tail.classMemory)
    }

    @inline(__always)
    private mutating func learnRegrets(
        _ level: Int, _ forecast: PendingQuantiles, _ awake: UInt8, _ slope: Float
    ) {
        let issued = forecast.issued(level)
        let usual = Self.shareMax * squares[level].squareRoot()
        let limit = usual > 0 ? min(usual, 1e15) : 1e15
        var square: Float = 0
        for member in 0..<Self.members {
            let index = member &* Self.levels &+ level
            var regret: Float = 0
            if awake & (1 << UInt8(member)) != 0 {
                let said = PendingQuantiles.unpacked(forecast.said[index])
                regret = clamped(slope * (issued - said), limit)
            }
            square = max(square, regret * regret)
            regrets[index] = Self.fade * regrets[index] + regret
        }
        squares[level] = Self.fade * squares[level] + square
    }

    /// How far each member leads at a level, a power of two; 0 for the one that leads.
    @inline(__always)
    private func leads(_ level: Int) -> [3 of Float] {
        guard squares[level] > 0 else { return InlineArray(repeating: 0) }
        var largest = regrets[level]
        for member in 1..<Self.members { largest = max(largest, regrets[member &* Self.levels &+ level]) }
        let rate = Self.rate / squares[level].squareRoot()
        return InlineArray { max(rate * (regrets[$0 &* Self.levels &+ level] - largest), -30) }
    }

    /// The members' weights at a level, by what they led by and by what the class knows.
    @inline(__always)
    private func weights(_ level: Int, _ priors: UnsafeMutablePointer<Float>) -> [3 of Float] {
        let leads = leads(level)
        let initial = Self.initial
        var weights: [3 of Float] = InlineArray(repeating: 0)
        var total: Float = 0
        for member in 0..<Self.members {
            weights[member] = initial[member] * Wave.exp2(leads[member] + priors[member &* Self.levels &+ level])
            total += weights[member]
        }
        for member in 0..<Self.members { weights[member] /= total }
        return weights
    }

    /// The class takes in how far each member led.
    @inline(__always)
    private func learnPrior(_ level: Int, _ priors: UnsafeMutablePointer<Float>) {
        guard squares[level] > 0 else { return }
        let leads = leads(level)
        for member in 0..<Self.members {
            let index = member &* Self.levels &+ level
            priors[index] += Self.priorGain * (max(leads[member], -Self.leadMax) - priors[index])
        }
    }

    /// Drops what is pending, as what comes cannot be compared with it.
    mutating func forgetPending() {
        for index in 0..<Self.places { pending[index].target = 0 }
        nextIssue = 0
    }

    /// Measures in another unit from now on.
    mutating func scale(by factor: Float) {
        for index in 0..<(Self.numbers) { regrets[index] *= factor }
        for level in 0..<Self.levels { squares[level] *= factor * factor }
        forgetPending()
    }
}
