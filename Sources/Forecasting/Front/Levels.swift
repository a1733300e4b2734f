/// Where a series is: three exponential means of its base, the level without what is usual at the time, a slow median.
/// It can be learned from the start, or anew from the steps since a change.
struct Levels: BitwiseCopyable {
    /// Means over about 2, 10 and 50 steps.
    var means: [3 of Float] = InlineArray(repeating: 0)
    /// The level without the time of day.
    var normal: Float = 0
    var median: Float = 0

    init() {}

    init(_ value: Float, usual: Float) {
        means = InlineArray(repeating: value)
        normal = value - usual
        median = value
    }

    /// How fast levels follow.
    struct Pace {
        /// Steps seen, and steps since the one before.
        var count: Float
        var elapsed: UInt32
        /// Gain of the level without the time of day.
        var daily: Float
        /// The median moves by no more than this.
        var medianStep: Float

        /// A mean's gain over several steps, and larger while young.
        @inline(__always)
        func gain(_ gain: Float) -> Float {
            let young = max(gain, 1 / count)
            if elapsed == 1 { return young }
            let steps = Float(min(elapsed, 1_000))
            return young * steps / (1 + young * (steps - 1))
        }
    }

    @inline(__always)
    mutating func learn(_ base: Float, usual: Float, _ pace: Pace) {
        means[0] += pace.gain(0.5) * (base - means[0])
        means[1] += pace.gain(0.1) * (base - means[1])
        means[2] += pace.gain(0.02) * (base - means[2])
        let side: Float = base > median ? 1 : base < median ? -1 : 0
        median += side * min(pace.medianStep, (base - median).magnitude)
        normal += pace.gain(pace.daily) * (base - usual - normal)
    }

    /// The readings that hang on levels, in units of 1 / `inverse`.
    @inline(__always)
    func read(_ base: Float, usual: Float, isUsualKnown: Bool, inverse: Float, into readings: inout Moment.Readings) {
        readings[Moment.Reading.means] = clamped((base - means[0]) * inverse, 200)
        readings[Moment.Reading.means + 1] = clamped((base - means[1]) * inverse, 200)
        readings[Moment.Reading.means + 2] = clamped((base - means[2]) * inverse, 200)
        readings[Moment.Reading.fromUsual] = isUsualKnown ? clamped((base - normal - usual) * inverse, 200) : 0
        readings[Moment.Reading.fromMedian] = clamped((base - median) * inverse, 200)
    }

    mutating func shift(by change: Float) {
        means[0] += 0.5 * change
        means[1] += 0.1 * change
        means[2] += 0.02 * change
    }

    mutating func scale(by factor: Float) {
        for index in 0..<3 { means[index] *= factor }
        normal *= factor
        median *= factor
    }
}
