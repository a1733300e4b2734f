/// What a series was: the last 120 steps, the last 96 five-minute means (8 hours), the last 96 hourly means (4 days).
struct History: BitwiseCopyable {
    static let stepsMax = 120

    private var recent: [120 of Float] = InlineArray(repeating: .nan)
    private var minutes = CoarseRing(bucketMilliseconds: 300_000)
    private var hours = CoarseRing(bucketMilliseconds: 3_600_000)
    /// Event time of the newest step.
    private(set) var time: Int64 = 0
    /// The step by which `recent` is counted, milliseconds.
    private var step: UInt32 = 0
    private var head: UInt16 = 0
    /// Samples in the newest step.
    private var merged: UInt16 = 0

    var isSound: Bool { Int(head) < Self.stepsMax && minutes.isSound && hours.isSound }

    /// Takes a sample not older than the newest step.
    /// - Parameter opens: the sample opened a new step of the series.
    @inline(__always)
    mutating func append(_ value: Float, at milliseconds: Int64, opens: Bool, step now: Int64) {
        minutes.append(value, at: milliseconds)
        hours.append(value, at: milliseconds)
        if now != Int64(step) { restart(step: now) }
        if !opens && merged > 0 {
            merged = min(merged &+ 1, 1_000)
            recent[Int(head)] += (value - recent[Int(head)]) / Float(merged)
            return
        }
        var elapsed = step == 0 ? 1 : (milliseconds &- time &+ now / 2) / max(now, 1)
        elapsed = min(max(elapsed, 1), Int64(Self.stepsMax))
        while elapsed > 1 {
            push(.nan)
            elapsed &-= 1
        }
        push(value)
        time = milliseconds
        merged = 1
    }

    @inline(__always)
    private mutating func push(_ value: Float) {
        head = Int(head) &+ 1 == Self.stepsMax ? 0 : head &+ 1
        recent[Int(head)] = value
    }

    private mutating func restart(step now: Int64) {
        step = UInt32(clamping: now)
        recent = InlineArray(repeating: .nan)
        merged = 0
    }

    /// Merges a sample that came late into the buckets of its time; what is no longer kept is left as it is.
    mutating func merge(_ value: Float, at milliseconds: Int64) {
        minutes.merge(value, at: milliseconds, step: step)
        hours.merge(value, at: milliseconds, step: step)
        guard step > 0 else { return }
        let back = (time &- milliseconds &+ Int64(step) / 2) / Int64(step)
        guard back >= 0, back < Int64(Self.stepsMax) else { return }
        let place = (Int(head) &- Int(back) &+ Self.stepsMax) % Self.stepsMax
        let old = recent[place]
        recent[place] = old == old ? (old + value) / 2 : value
    }

    /// Writes the steps since a moment, oldest first, with holes filled by the step before, and returns how many.
    func steps(since milliseconds: Int64, into out: UnsafeMutablePointer<Float>) -> Int {
        guard step > 0 else { return 0 }
        let back = time > milliseconds ? (time &- milliseconds) / Int64(step) : 0
        let wanted = Int(min(max(back, 0) + 1, Int64(Self.stepsMax)))
        var count = 0
        var last = Float.nan
        for index in 0..<wanted {
            let place = (Int(head) &- (wanted &- 1 &- index) &+ Self.stepsMax) % Self.stepsMax
            let value = recent[place]
            if value == value { last = value }
            guard last == last else { continue }
            out[count] = last
            count += 1
        }
        return count
    }

    /// Writes the hourly means up to the last full hour, oldest first, from the last one on that is missing, and
    /// returns how many.
    func hours(into out: UnsafeMutablePointer<Float>) -> Int {
        var count = 0
        while count &+ 1 < CoarseRing.bucketsMax && hours.mean(back: count &+ 1).isFinite { count &+= 1 }
        for index in 0..<count { out[index] = hours.mean(back: count &- index) }
        return count
    }

    /// The mean of a five-minute or hourly bucket, counted back from the newest; NaN if nothing is known of it.
    func fiveMinutes(back: Int) -> Float { minutes.mean(back: back) }
    func hour(back: Int) -> Float { hours.mean(back: back) }

    mutating func scale(by factor: Float) {
        for index in 0..<Self.stepsMax { recent[index] *= factor }
        minutes.scale(by: factor)
        hours.scale(by: factor)
    }
}

/// Means over equal stretches of event time, in the upper 16 bits of a float (three significant digits).
struct CoarseRing: BitwiseCopyable {
    static let bucketsMax = 96

    private var means: [96 of UInt16] = InlineArray(repeating: empty)
    private let bucketMilliseconds: Int64
    /// Number of the open bucket: its start divided by its length.
    private var bucket: Int64 = 0
    private var sum: Float = 0
    private var samples: UInt32 = 0
    private var head: UInt32 = 0
    private var reserved: UInt32 = 0

    private static let empty: UInt16 = 0x7fc0

    init(bucketMilliseconds: Int64) { self.bucketMilliseconds = bucketMilliseconds }

    var isSound: Bool { Int(head) < Self.bucketsMax && bucketMilliseconds > 0 }

    private static func packed(_ value: Float) -> UInt16 {
        guard value.magnitude < 3e38 else { return empty }
        return UInt16(truncatingIfNeeded: (value.bitPattern &+ 0x8000) &>> 16)
    }

    private static func unpacked(_ value: UInt16) -> Float { Float(bitPattern: UInt32(value) << 16) }

    @inline(__always)
    mutating func append(_ value: Float, at milliseconds: Int64) {
        // A division for every sample would be the dearest part of it.
        let start = bucket &* bucketMilliseconds
        if samples == 0 || milliseconds &- start >= bucketMilliseconds || milliseconds < start {
            open(milliseconds / bucketMilliseconds)
        }
        sum += value
        samples &+= 1
    }

    private mutating func open(_ next: Int64) {
        if samples > 0 {
            means[Int(head)] = Self.packed(sum / Float(samples))
            var skipped = min(max(next &- bucket, 1), Int64(Self.bucketsMax))
            while skipped > 0 {
                head = Int(head) &+ 1 == Self.bucketsMax ? 0 : head &+ 1
                means[Int(head)] = Self.empty
                skipped &-= 1
            }
        }
        bucket = next
        sum = 0
        samples = 0
    }

    /// Merges a late sample: into the open bucket, or into a mean of about as many samples as steps fit.
    mutating func merge(_ value: Float, at milliseconds: Int64, step: UInt32) {
        let back = bucket &- milliseconds / bucketMilliseconds
        guard samples > 0, back >= 0, back < Int64(Self.bucketsMax) else { return }
        if back == 0 {
            sum += value
            samples &+= 1
            return
        }
        let place = (Int(head) &- Int(back) &+ Self.bucketsMax) % Self.bucketsMax
        let old = Self.unpacked(means[place])
        let count = max(Float(bucketMilliseconds) / Float(max(step, 1)), 1)
        means[place] = Self.packed(old == old ? old + (value - old) / count : value)
    }

    func mean(back: Int) -> Float {
        guard back >= 0, back < Self.bucketsMax else { return .nan }
        if back == 0 { return samples == 0 ? .nan : sum / Float(samples) }
        return Self.unpacked(means[(Int(head) &- back &+ Self.bucketsMax) % Self.bucketsMax])
    }

    mutating func scale(by factor: Float) {
        sum *= factor
        for index in 0..<Self.bucketsMax { means[index] = Self.packed(Self.unpacked(means[index]) * factor) }
    }
}
