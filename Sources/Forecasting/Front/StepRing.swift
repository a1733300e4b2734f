/// The last steps of a series as they were read: what members that learn by horizon look back at when a target comes.
///
/// 64 places; where horizons reach further than 64 steps, only every so many-th step is kept.
struct StepRing: BitwiseCopyable {
    static let places = 64
    typealias Readings = Moment.Readings

    private var bases: [64 of Float] = InlineArray(repeating: 0)
    /// The upper halves of floats.
    private var units: [64 of UInt16] = InlineArray(repeating: 0)
    private var trendDistances: [64 of UInt16] = InlineArray(repeating: 0)
    private var trendSlopes: [64 of UInt16] = InlineArray(repeating: 0)
    /// In 1/64 of the unit.
    private var usual: [64 of Int16] = InlineArray(repeating: 0)
    /// Numbers of the steps, the lower half; 0 marks a place that was never used.
    private var steps: [64 of UInt16] = InlineArray(repeating: 0)
    /// What users had just done, in twelfths of their mean error.
    private var users: [64 of Int8] = InlineArray(repeating: 0)
    /// Readings in 1/64 of the unit; in the place of the one that differs by horizon, what the clock left over.
    private var readings: [512 of Int16] = InlineArray(repeating: 0)
    /// Steps from one place to the next.
    private(set) var stride: UInt32 = 1

    private static let resolution: Float = 64
    private static let usersResolution: Float = 12

    /// Is for horizons up to so many steps from now on; starts empty if that is news.
    @inline(__always)
    mutating func adopt(stepsMax: UInt32) {
        let needed = max((stepsMax &+ 62) / 63, 1)
        if needed == stride { return }
        self = StepRing()
        stride = needed
    }

    var isSound: Bool { stride > 0 }

    /// Keeps a step.
    @inline(__always)
    mutating func keep(
        _ step: UInt32, base: Float, unit: Float, usual value: Float, readings lanes: Readings, trend: TrendOutlook,
        clock: ClockOutlook
    ) {
        guard step % stride == 0 else { return }
        let place = Int((step / stride) & 63)
        steps[place] = Self.mark(step)
        bases[place] = base
        units[place] = PendingQuantiles.packed(unit)
        usual[place] = Self.fine(value / self.unit(place))
        trendDistances[place] = PendingQuantiles.packed(trend.distance)
        trendSlopes[place] = PendingQuantiles.packed(trend.slope)
        users[place] = Int8(clampedInt32((clock.users * Self.usersResolution).rounded(), -126, 126))
        for lane in 0..<Moment.readingCount {
            readings[Moment.readingCount &* place &+ lane] = Self.fine(lanes[lane])
        }
        readings[Moment.readingCount &* place &+ Moment.Reading.later] = Self.fine(clock.left)
    }

    @inline(__always)
    private static func fine(_ units: Float) -> Int16 {
        Int16(clampedInt32((units * resolution).rounded(), -32_767, 32_767))
    }

    /// Never 0. A place is written anew after 64 strides, so the lower half of the number tells steps apart.
    @inline(__always)
    private static func mark(_ step: UInt32) -> UInt16 { UInt16(truncatingIfNeeded: step % 65_535) &+ 1 }

    /// The place of a step; nil if it was not kept.
    @inline(__always)
    mutating func place(of step: UInt32) -> Int? {
        guard step % stride == 0 else { return nil }
        let place = Int((step / stride) & 63)
        return steps[place] == Self.mark(step) ? place : nil
    }

    @inline(__always)
    mutating func base(_ place: Int) -> Float { bases[place] }
    @inline(__always)
    mutating func unit(_ place: Int) -> Float { PendingQuantiles.unpacked(units[place]) }
    @inline(__always)
    mutating func usual(_ place: Int) -> Float { Float(usual[place]) * (1 / Self.resolution) * unit(place) }
    @inline(__always)
    mutating func trend(_ place: Int) -> TrendOutlook {
        TrendOutlook(
            distance: PendingQuantiles.unpacked(trendDistances[place]),
            slope: PendingQuantiles.unpacked(trendSlopes[place]))
    }
    @inline(__always)
    mutating func clock(_ place: Int) -> ClockOutlook {
        let left = readings[Moment.readingCount &* place &+ Moment.Reading.later]
        return ClockOutlook(
            left: Float(left) * (1 / Self.resolution), users: Float(users[place]) * (1 / Self.usersResolution))
    }
    /// The one that differs by horizon is the caller's.
    @inline(__always)
    mutating func readings(_ place: Int) -> Readings {
        var lanes = Readings(repeating: 0)
        for lane in 0..<Moment.readingCount { lanes[lane] = Float(readings[Moment.readingCount &* place &+ lane]) }
        return lanes * (1 / Self.resolution)
    }

    mutating func scale(by factor: Float) {
        for place in 0..<Self.places {
            bases[place] *= factor
            units[place] = PendingQuantiles.packed(unit(place) * factor)
        }
    }
}
