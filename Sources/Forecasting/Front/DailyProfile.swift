import TwinCore

/// What a day looks like: per time of day the usual distance from the level, in up to 288 bins of 16 bits.
///
/// Each visit of a bin folds the mean of what was seen there, with a gain that falls with the days seen and stays at a
/// fifth, so old days fade. A surprise counts for no more than three usual ones, which grow within a day of them: some
/// hours of an incident leave little in the days after it. During the first day the distance is from a fixed origin;
/// then the profile is centred.
/// What only reads is `mutating` too, so that it works in place.
struct DailyProfile: BitwiseCopyable {
    static let binsMax = 288
    private static let dayMilliseconds: Int64 = 86_400_000
    /// Bins that were compared before surprises are bounded, and by how many usual ones: as learned from, as counted.
    private static let surprisesMin: Float = 32
    private static let surpriseMax: Float = 3
    private static let surpriseCounted: Float = 6
    /// Beyond so many usual ones a surprise says that nothing usual is known: what stood still has begun to move.
    private static let surpriseBroken: Float = 10_000
    /// A bin that was never visited.
    private static let unvisited = Int16.min

    private var bins: [288 of Int16] = InlineArray(repeating: unvisited)
    private var startMilliseconds: Int64 = 0
    /// The unit of `bins`.
    private var unit: Float = 0
    /// What values are measured from during the first day.
    private(set) var origin: Float = 0
    /// Sum and count in the bin that is open.
    private var sum: Float = 0
    private var samples: Float = 0
    /// Mean surprise of a bin, and those that it rests on, up to a day's.
    private var surprise: Float = 0
    private var surprises: Float = 0
    private var openBin: Int32 = -1
    private(set) var days: UInt16 = 0
    /// Bins in use; 0 if the step is too long for a profile.
    private(set) var binCount: UInt16 = 0

    /// A profile is used from the first full day on.
    var isReady: Bool { days > 0 }

    var isSound: Bool { binCount <= Self.binsMax && openBin >= -1 && openBin < Int32(Self.binsMax) }

    /// Starts empty.
    mutating func reset(stepMilliseconds: UInt32, at milliseconds: Int64, origin value: Float) {
        self = DailyProfile()
        startMilliseconds = milliseconds
        origin = value
        let bins = Self.dayMilliseconds / Int64(max(stepMilliseconds, 1))
        binCount = bins >= 6 ? UInt16(min(bins, Int64(Self.binsMax))) : 0
    }

    @inline(__always)
    private mutating func bin(at milliseconds: Int64) -> Int {
        let time = milliseconds.flooredDivision(by: Self.dayMilliseconds).remainder
        return Int(time &* Int64(binCount) / Self.dayMilliseconds)
    }

    @inline(__always)
    private mutating func raw(_ index: Int) -> Float {
        let value = bins[index]
        return value == Self.unvisited ? 0 : Float(value)
    }

    /// The usual distance from the level at a moment; 0 until a day was seen. Neighbouring bins smooth each other
    /// where bins are fine enough.
    @inline(__always)
    mutating func value(at milliseconds: Int64) -> Float { days == 0 ? 0 : smooth(at: milliseconds) }

    private mutating func smooth(at milliseconds: Int64) -> Float {
        let count = Int(binCount)
        guard count > 0 else { return 0 }
        let centre = bin(at: milliseconds)
        if count < 96 { return raw(centre) * unit }
        let before = centre == 0 ? count &- 1 : centre &- 1
        let after = centre &+ 1 == count ? 0 : centre &+ 1
        return (0.5 * raw(centre) + 0.25 * (raw(before) + raw(after))) * unit
    }

    /// Folds a value that is `distance` from the level (from `origin` on the first day).
    /// - Returns: what the level must rise by because the first day is over and the profile was centred; else nil.
    mutating func fold(_ distance: Float, at milliseconds: Int64) -> Float? {
        guard binCount > 0 else { return nil }
        let bin = Int32(bin(at: milliseconds))
        var shift: Float?
        if bin != openBin {
            close()
            openBin = bin
            let age = milliseconds &- startMilliseconds
            let due = Int64(days) &+ 1
            if age >= due &* Self.dayMilliseconds { shift = endDay(age: age) }
        }
        sum += shift.map { distance - $0 } ?? distance
        samples += 1
        return shift
    }

    /// Folds the open bin's mean.
    private mutating func close() {
        guard openBin >= 0, samples > 0 else { return }
        let mean = sum / samples
        sum = 0
        samples = 0
        let index = Int(openBin)
        guard mean.magnitude < 1e20 else { return }
        if unit == 0 { unit = max(mean.magnitude / 512, 1e-12) }
        let old = bins[index]
        let gain = max(1 / (Float(days) + 1), 0.2)
        let target = mean / unit
        guard target.magnitude < 1e34 else { return }
        let fresh = old == Self.unvisited ? target : Float(old) + gain * bounded(target - Float(old))
        var room = fresh
        while room.magnitude > 32_000 {
            coarsen()
            room *= 0.25
        }
        bins[index] = Int16(clampedInt32(room.rounded(), -32_767, 32_767))
    }

    /// As much of a surprise, in units, as is believed.
    private mutating func bounded(_ error: Float) -> Float {
        guard days > 0 else { return error }
        let size = error.magnitude * unit
        if size > Self.surpriseBroken * surprise { surprises = 0 }
        let isKnown = surprises >= Self.surprisesMin
        let limit = isKnown ? Self.surpriseMax * surprise : size
        surprises = min(surprises + 1, Float(Self.binsMax))
        let counted = isKnown ? min(size, Self.surpriseCounted * surprise) : size
        surprise += (counted - surprise) / surprises
        return clamped(error, limit / unit)
    }

    /// Makes room for larger values: four times the unit.
    private mutating func coarsen() {
        unit *= 4
        for index in 0..<Self.binsMax where bins[index] != Self.unvisited { bins[index] /= 4 }
    }

    /// A unit that has become too large for what is kept is made smaller.
    private mutating func refine() {
        var largest: Int16 = 0
        for index in 0..<Self.binsMax where bins[index] != Self.unvisited {
            largest = max(largest, bins[index] < 0 ? -bins[index] : bins[index])
        }
        guard largest > 0, largest < 2_000, unit > 1e-12 else { return }
        unit /= 4
        for index in 0..<Self.binsMax where bins[index] != Self.unvisited { bins[index] *= 4 }
    }

    /// A day is over. The first one counts only if most of it was seen; then the profile is centred.
    private mutating func endDay(age: Int64) -> Float? {
        guard days == 0 else {
            days = UInt16(clamping: age / Self.dayMilliseconds)
            refine()
            return nil
        }
        let count = Int(binCount)
        var visited = 0
        var total: Float = 0
        for index in 0..<count where bins[index] != Self.unvisited {
            visited += 1
            total += Float(bins[index])
        }
        guard visited * 10 >= count * 8 else {
            startMilliseconds = startMilliseconds &+ age / 2
            return nil
        }
        let mean = total / Float(visited)
        for index in 0..<count where bins[index] != Self.unvisited {
            bins[index] = Int16(clampedInt32((Float(bins[index]) - mean).rounded(), -32_767, 32_767))
        }
        days = 1
        return mean * unit
    }

    mutating func scale(by factor: Float) {
        unit *= factor
        origin *= factor
        surprise *= factor
        sum *= factor
    }
}
