/// What the front of a series tells the models of its ensemble about the step just folded.
///
/// Models speak in units: a change is (value − `base`) / `unit`.
package struct Moment: BitwiseCopyable {
    package static let inputCount = 16
    package static let anchorsMax = 6

    /// Event time of the step, milliseconds since the epoch.
    package var milliseconds: Int64 = 0
    /// Number of this step; gaps count.
    package var step: UInt32 = 0
    /// Steps since the one before; 1 if none is missing.
    package var elapsed: UInt32 = 1
    /// The class whose experience the series shares.
    package var kin: UInt32 = 0
    package var stepMilliseconds: UInt32 = 0
    /// As measured.
    package var value: Float = 0
    /// The value as far as it is believed; spikes are cut. Forecasts start here.
    package var base: Float = 0
    /// The series' one-step scale of late; above 0.
    package var unit: Float = 1
    /// (`value` − the base before) / `unit`, at most ±50.
    package var change: Float = 0
    /// What is known of the present, in units, shares and logarithms; distances are not cut where they are large.
    package var inputs = SIMD16<Float>(repeating: 0)
    /// Neighbours' latest changes in their own units, strongest edge first; 0 where unknown.
    package var neighbours = SIMD4<Float>(repeating: 0)
    /// Horizons in use, and how many steps each lies ahead, ascending; the first is one step.
    package var anchorCount = 0
    package var anchorSteps: [6 of UInt32] = InlineArray(repeating: 0)
    /// Change to each anchor that the seasonal profiles expect, units; 0 while unknown.
    package var seasonal: [6 of Float] = InlineArray(repeating: 0)

    /// What of `usual` is due to the cycle found in the data.
    package var cyclic: Float = 0
    /// By anchor: how much of a cycle is believed a horizon ahead.
    package var kept: [6 of Float] = InlineArray(repeating: 1)
    /// Usual distance from the level at this time of day, and by anchor the change of it, units.
    package var usual: Float = 0
    package var later: [6 of Float] = InlineArray(repeating: 0)
    /// What linear members read, units: distances of the base from three means, the last two changes, distances from
    /// what is usual at this time and from the slow median.
    package var readings = Readings(repeating: 0)

    /// Numbers read side by side.
    package typealias Readings = SIMD8<Float>
    /// Readings in use.
    package static let readingCount = 8

    /// The places of `readings`.
    enum Reading {
        static let means = 0
        static let changes = 3
        static let fromUsual = 5
        static let fromMedian = 6
        /// What is usual changes by this until a horizon; differs from one to the other.
        static let later = 7
    }

    /// What the clock reads at the step, and will read at each anchor.
    var clock = ClockReadings.Lanes(repeating: 0)
    var clockThen: [6 of ClockReadings.Lanes] = InlineArray(repeating: ClockReadings.Lanes(repeating: 0))
    /// What users have just done, where that is known.
    var activity = UserActivity()

    package init() {}
}

/// The places of `Moment.inputs`.
package enum MomentInput {
    /// Distances of the base from its exponential means of about 2, 10 and 50 steps; 3 and 4: the last two changes.
    package static let means = 0
    package static let changes = 3
    /// log₂ of the fast over the slow scale.
    package static let liveliness = 5
    /// Distance of the base from what is usual at this time of day.
    package static let fromUsual = 6
    package static let seasonalChange = 7
    /// Sine and cosine of the day, then of the half day.
    package static let timeOfDay = 8
    /// The base over its long mean, less 1; 0 if the series has negative values.
    package static let relativeLevel = 12
    /// Share of values that repeat the one before.
    package static let repeated = 13
    /// Distance of the base from a slow median.
    package static let fromMedian = 14
    /// log₂ of `elapsed`.
    package static let gap = 15
}
