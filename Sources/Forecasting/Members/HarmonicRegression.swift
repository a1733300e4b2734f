import TwinCore

/// A dynamic harmonic regression: the value by the clock, learned as it goes, and errors that die away.
///
/// The base is explained by an intercept, three harmonics of the local day and one of the week, the weekend, and what
/// users have just done: y = xᵀβ + n. The errors n hang together (A. Pankratz, "Forecasting with Dynamic Regression
/// Models", 1991; as waves of a season P. Young, D. Pedregal, W. Tych, "Dynamic harmonic regression", 1999), n one step
/// later is ρ n, so that h steps on x(t + h)ᵀβ + ρʰ (y − x(t)ᵀβ) is said.
///
/// β follows by recursive least squares that forget over ten days. The covariance is kept as U D Uᵀ with D above zero
/// (G. Bierman, "Factorization Methods for Discrete Sequential Estimation", 1977), which rounding cannot break. Where
/// nothing new comes forgetting would let it grow without bounds: each step one coefficient in turn is also told that
/// it is zero (the intercept: what it is), so that there is always something known of each (S. Gunnarsson, "Combining
/// tracking and regularization in recursive least squares identification", 1996). Errors beyond 2.5 mean errors count
/// as that large (Huber). The covariance is in errors, the coefficients are in the series' unit: nothing has a scale.
struct HarmonicRegression: BitwiseCopyable {
    static let count = 11
    /// The places of the week, and of the users' activity; those before are read from the clock.
    private static let week = 7..<10
    private static let users = 10

    /// Days that count as much as all older ones together, for the coefficients and for ρ.
    private static let memoryDays: Float = 10
    private static let persistenceDays: Float = 1
    /// A coefficient begins as if it had been seen to be zero for so much of a day; one that only a week can tell for
    /// two.
    private static let initialDays: Float = 0.02
    private static let initialWeekDays: Float = 2
    /// What a coefficient is told each step weighs so much; of the users' so much.
    private static let shrinkage: Float = 0.01 * Float(count)
    private static let usersShrinkage: Float = 2 * Float(count)
    private static let huber: Float = 2.5
    private static let errorMax: Float = 6

    /// U above its diagonal by columns, and D.
    private(set) var upper: [55 of Float] = InlineArray(repeating: 0)
    private(set) var diagonal: [11 of Float] = InlineArray(repeating: 0)
    private var weights: [11 of Float] = InlineArray(repeating: 0)
    /// Mean absolute error.
    private var spread: Float = 0
    /// Discounted products of what was left over at a step and at the one before, and squares, in mean errors.
    private var products: Float = 0
    private var squares: Float = 0
    /// What was left over at the last step.
    private var left: Float = 0
    private var seen: UInt32 = 0

    var isSound: Bool {
        for index in 0..<Self.count {
            guard weights[index].magnitude <= 1e26, diagonal[index] >= 0, diagonal[index] <= 1e9 else { return false }
        }
        for index in 0..<upper.count where !(upper[index].magnitude <= 1e9) { return false }
        return spread >= 0 && spread <= 1e26 && products.magnitude <= 1e9 && squares >= 0 && squares <= 1e9
            && left.magnitude <= 1e26
    }

    mutating func scale(by factor: Float) {
        for index in 0..<Self.count { weights[index] = clamped(weights[index] * factor, 1e25) }
        spread = min(spread * factor, 1e25)
        left = clamped(left * factor, 1e25)
    }
}

// MARK: Speaking

extension HarmonicRegression {
    /// What the clock alone lets expect.
    @inline(__always)
    mutating func value(_ clock: ClockReadings.Lanes) -> Float {
        var sum: Float = 0
        for index in 0..<Self.users { sum += weights[index] * clock[index] }
        return sum
    }

    /// The level has moved: of what is left over now only so much is not due to that.
    mutating func move(leaving rest: Float) {
        guard seen > 0 else { return }
        weights[0] = clamped(weights[0] + left - rest, 1e25)
        left = clamped(rest, 1e25)
    }

    /// What so much activity of users adds.
    @inline(__always)
    func effect(of distance: Float) -> Float { weights[Self.users] * distance }

    /// The share of an error that is left a step later, ρ.
    @inline(__always)
    var kept: Float { max(min((products + 1) / (squares + 1), 0.9999), 0) }

    /// How far the present lies from what was to be expected, in mean errors; for those whose users this series counts.
    @inline(__always)
    func activity(stepMilliseconds: UInt32) -> UserActivity {
        guard seen >= UserActivity.stepsMin, spread > 0 else { return UserActivity() }
        return UserActivity(
            distance: clamped(left / spread, UserActivity.distanceMax), kept: kept, stepMilliseconds: stepMilliseconds)
    }
}

// MARK: Learning

extension HarmonicRegression {
    /// Takes in a step.
    mutating func learn(_ m: UnsafePointer<Moment>) {
        let value = m.pointee.base
        let perDay = max(86_400_000 / Float(max(m.pointee.stepMilliseconds, 1)), 8)
        var readings = m.pointee.clock
        readings[Self.users] = m.pointee.activity.distance
        if seen == 0 { begin(at: value, perDay) }
        seen = min(seen &+ 1, 1_000_000)
        let error = clamped(value - explained(readings), 1e25)
        let size = error.magnitude
        let usual = seen <= 2 ? size : Self.errorMax * spread
        spread += max(1 / Float(seen), 1 / perDay) * (min(size, usual) - spread)
        let limit = Self.huber * spread
        let noise = size <= limit || limit <= 0 ? 1 : min(size / limit, 1e6)
        let fade = 1 - 1 / min(Self.memoryDays * perDay, Float(seen) + perDay)
        update(readings, from: 0, error, noise: noise, fade: fade)
        shrink(Int(seen) % Self.count)
        learnPersistence(clamped(value - explained(readings), 1e25), elapsed: m.pointee.elapsed, perDay)
    }

    mutating func begin(at value: Float, _ perDay: Float) {
        weights[0] = clamped(value, 1e25)
        for index in 0..<Self.count {
            let days = Self.week.contains(index) ? Self.initialWeekDays : Self.initialDays
            diagonal[index] = 1 / (days * perDay)
        }
        diagonal[0] = 1
    }

    @inline(__always)
    private mutating func explained(_ readings: ClockReadings.Lanes) -> Float {
        value(readings) + effect(of: readings[Self.users])
    }

    /// Tells one coefficient that it is zero, and the intercept that it is what it is.
    private mutating func shrink(_ index: Int) {
        var only = ClockReadings.Lanes(repeating: 0)
        only[index] = 1
        let shrinkage = index == Self.users ? Self.usersShrinkage : Self.shrinkage
        update(only, from: index, index == 0 ? 0 : -weights[index], noise: 1 / shrinkage, fade: 1)
    }

    /// Bierman's update: what is read was off by `error`, in which there is `noise` times the usual variance.
    /// - Parameter first: the first reading that is not zero.
    mutating func update(
        _ readings: ClockReadings.Lanes, from first: Int, _ error: Float, noise: Float, fade: Float
    ) {
        var gain: [11 of Float] = InlineArray(repeating: 0)
        var total = noise
        var column = first &* (first &- 1) / 2
        let growth = 1 / fade
        for index in first..<Self.count {
            var reading = readings[index]
            for row in first..<index { reading += upper[column &+ row] * readings[row] }
            let variance = diagonal[index] * growth
            let pull = variance * reading
            let before = total
            total += reading * pull
            diagonal[index] = variance * (before / total)
            let share = -reading / before
            for row in 0..<index {
                let old = upper[column &+ row]
                upper[column &+ row] = old + gain[row] * share
                gain[row] += old * pull
            }
            gain[index] = pull
            column &+= index
        }
        let scale = error / total
        for index in 0..<Self.count { weights[index] = clamped(weights[index] + gain[index] * scale, 1e25) }
    }

    private mutating func learnPersistence(_ now: Float, elapsed: UInt32, _ perDay: Float) {
        if seen > 2 && elapsed == 1 && spread > 1e-30 {
            let before = clamped(left / spread, Self.errorMax)
            let fade = 1 - 1 / (Self.persistenceDays * perDay)
            products = fade * products + before * clamped(now / spread, Self.errorMax)
            squares = fade * squares + before * before
        }
        left = now
    }
}

// MARK: What it reads

/// What is read from the clock: 1, sines and cosines of the day and of the week, 1 at the weekend.
enum ClockReadings {
    typealias Lanes = SIMD16<Float>

    /// - Parameter local: what the clock shows, milliseconds as if it were UTC.
    static func read(_ local: Int64) -> Lanes {
        let (day, time) = local.flooredDivision(by: 86_400_000)
        let turns = Float(time) / 86_400_000
        // 1970-01-01 was a Thursday; weeks begin on Monday.
        let weekday = (day &+ 3).flooredDivision(by: 7).remainder
        let weekTurns = (Float(weekday) + turns) / 7
        let (sine, cosine) = (Wave.sine(turns: turns), Wave.cosine(turns: turns))
        let (sine2, cosine2) = (2 * sine * cosine, cosine * cosine - sine * sine)
        var lanes = Lanes(repeating: 0)
        lanes[0] = 1
        lanes[1] = sine
        lanes[2] = cosine
        lanes[3] = sine2
        lanes[4] = cosine2
        lanes[5] = sine2 * cosine + cosine2 * sine
        lanes[6] = cosine2 * cosine - sine2 * sine
        lanes[7] = Wave.sine(turns: weekTurns)
        lanes[8] = Wave.cosine(turns: weekTurns)
        lanes[9] = weekday >= 5 ? 1 : 0
        return lanes
    }
}

/// What the users of a resource have just done: how far their number lies from what is usual by the clock.
package struct UserActivity: BitwiseCopyable, Sendable {
    static let distanceMax: Float = 10
    /// Steps from which on it is known what is usual.
    static let stepsMin: UInt32 = 50

    /// In mean errors; 0 where nothing is known.
    private(set) var distance: Float = 0
    /// The share of it that is left a step later, and that step.
    private var kept: Float = 0
    private var stepMilliseconds: UInt32 = 0

    /// Nothing is known.
    package init() {}

    init(distance: Float, kept: Float, stepMilliseconds: UInt32) {
        self.distance = distance
        self.kept = kept
        self.stepMilliseconds = stepMilliseconds
    }

    /// The share that is left after some time.
    @inline(__always)
    func left(after milliseconds: Int64) -> Float {
        if kept == 0 { return 0 }
        let steps = milliseconds / Int64(max(stepMilliseconds, 1))
        return Wave.power(kept, UInt32(min(max(steps, 1), 100_000)))
    }
}
