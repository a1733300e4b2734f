/// A model of one series: a plain value that lives in a cell of the task's state. It is fed in event time and asked
/// for quantiles at any horizon; it sees no clock, and of its neighbours what it is told.
package protocol Forecaster: BitwiseCopyable {
    /// A model that knows nothing yet.
    init()

    /// Folds one sample, not older than the one before.
    /// - Parameters:
    ///   - value: finite; in the unit in which it is forecast.
    ///   - milliseconds: event time since the epoch.
    ///   - neighbours: what up to four neighbours, or users, have just done, the strongest first: their latest changes,
    ///     each in its own usual change; 0 where nothing is known.
    ///   - activity: what the users of the series' resource have just done, where another of its metrics counts them.
    /// - Returns: true if the sample opened a new step of the series, false if it was merged into the present one.
    mutating func fold(
        _ value: Double, at milliseconds: Int64, plan: HorizonPlan, shared: UnsafeMutablePointer<SharedModels>,
        neighbours: SIMD4<Float>, activity: UserActivity
    ) -> Bool

    /// Lets time pass up to a sample whose value is not to be learned from (an announced event is taking effect).
    /// - Returns: true if a new step began.
    mutating func pass(
        to milliseconds: Int64, plan: HorizonPlan, shared: UnsafeMutablePointer<SharedModels>
    ) -> Bool

    /// The times of late were wrong: the next sample follows this one.
    mutating func turnBack(to milliseconds: Int64)

    /// Writes mean and quantiles for `horizonSeconds` from the last sample on, `ForecastLevels.forecastCount` floats:
    /// the mean, the quantiles, ascending, and how many excesses of the series' own the highest of them rests on.
    /// Changes nothing; `mutating` so that it works in place.
    mutating func forecast(horizonSeconds: Float, into out: UnsafeMutablePointer<Float>)

    /// Distrusts what was learned: a change was reported, the request to learn afresh is to come.
    mutating func distrust()

    /// Distrusts what was learned before a change and learns afresh from the steps since, oldest first; the last of
    /// them is the last step folded. Empty if nothing is known of them.
    /// - Parameter settleSteps: steps that the reference must rest on before drift is judged against it again.
    mutating func retrain(
        since history: UnsafeBufferPointer<Float>, settleSteps: UInt32, shared: UnsafeMutablePointer<SharedModels>
    )

    /// Measures in another unit from now on: everything known is multiplied.
    mutating func scale(by factor: Float)

    /// What others ask of it.
    var status: SeriesStatus { get }
    /// Every index inside is in its range, whatever the bytes came from.
    var isSound: Bool { get }
}

/// What a model of a series tells of itself; kept as a stored part of it, so that asking copies nothing else.
package struct SeriesStatus: BitwiseCopyable {
    /// The last one-step forecast's error in standard deviations, against the model that adapts; at most ±50.
    package internal(set) var residual: Float = 0
    /// The same against the reference that was frozen at the last trusted fit; NaN while there is none, and at the
    /// first step after it was renewed.
    package internal(set) var referenceResidual: Float = 0
    /// The median forecast for the step to come.
    package internal(set) var expected: Float = 0
    /// The series' own step; 0 before it is known.
    package internal(set) var stepMilliseconds: UInt32 = 0
    /// Steps folded so far.
    package internal(set) var steps: UInt32 = 0
    private var distrust: UInt32 = 0

    /// Steps from which on bands mean something.
    private static let youngSteps: UInt32 = 64

    package init() {}

    /// Too little has been seen for the bands to mean much.
    package var isYoung: Bool { steps < Self.youngSteps }

    /// A change was reported and the model has not proved itself since.
    package internal(set) var isDistrusted: Bool {
        get { distrust != 0 }
        set { distrust = newValue ? 1 : 0 }
    }

    package var stepSeconds: Float { Float(stepMilliseconds) / 1_000 }
}

/// The levels at which quantiles are kept: 10, 50, 90, 95, 99 and 99.9 %; the order of the wire's `QuantileLevels`.
package enum ForecastLevels {
    package static let count = 6
    /// The levels that the members of the ensemble speak of; the last one is the fitted tail's.
    static let spoken = count - 1
    /// What a forecast consists of: the mean, the quantiles, the excesses that the tail was fitted to.
    package static let forecastCount = count + 2

    /// The level at an index below `count`.
    @inline(__always)
    static var all: [6 of Float] { [0.10, 0.50, 0.90, 0.95, 0.99, 0.999] }

    /// Quantiles of the normal distribution in units of its mean absolute error (σ = √(π/2) · mean |e|), a quarter
    /// wider: where the offsets start.
    @inline(__always)
    static var initial: [6 of Float] { [-2.01, 0, 2.01, 2.58, 3.65, 4.85] }
}

/// The horizons at which forecasts are asked for, and those among them at which errors are followed.
package struct HorizonPlan: Sendable, BitwiseCopyable {
    /// The most horizons; the wire's limit.
    package static let horizonsMax = 12
    /// The horizons at which errors are followed, beside the one of a single step.
    static let anchorsMax = 5

    package let count: Int
    /// Samples closer together than this are one step, milliseconds.
    package let minimumStepMilliseconds: Int64
    let anchorCount: Int
    private let horizons: [12 of Float]
    private let anchors: [5 of Float]

    /// A plan of these horizons in seconds. They are sorted; repeated, non-positive and excess ones are left out.
    /// - Parameter stepSecondsMin: samples closer together than this are one step.
    package init(seconds: [Double], stepSecondsMin: Double = 1) {
        minimumStepMilliseconds = stepSecondsMin >= 0.001 ? Int64(min(stepSecondsMin, 604_800) * 1_000) : 1
        var chosen: [Float] = []
        for value in seconds.sorted() where value > 0 && value <= 31_536_000 {
            let second = Float(value)
            if chosen.last != second && chosen.count < Self.horizonsMax { chosen.append(second) }
        }
        count = chosen.count
        horizons = InlineArray { $0 < chosen.count ? chosen[$0] : 0 }
        let anchored = min(chosen.count, Self.anchorsMax)
        anchorCount = anchored
        anchors = InlineArray { index in
            guard index < anchored else { return 0 }
            return anchored <= 1 ? chosen[index] : chosen[index * (chosen.count - 1) / (anchored - 1)]
        }
    }

    /// Horizon `index` below `count`, seconds.
    @inline(__always)
    package subscript(index: Int) -> Float { horizons[index] }

    @inline(__always)
    func anchor(_ index: Int) -> Float { anchors[index] }
}

/// An integer from a float that may be anything; out of range goes to the nearest end, NaN to the lower one.
@inline(__always)
func clampedInt32(_ value: Float, _ low: Int32, _ high: Int32) -> Int32 {
    if !(value > Float(low)) { return low }
    return value >= Float(high) ? high : Int32(value)
}

/// `value` within ±`limit`; 0 for NaN.
@inline(__always)
func clamped(_ value: Float, _ limit: Float) -> Float {
    if value > limit { return limit }
    if value < -limit { return -limit }
    return value == value ? value : 0
}
