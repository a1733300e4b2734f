/// How much each part of the week differs from the same time of the other days: what comes back every week is no news.
///
/// The week has up to 8 bins a day. The distance of a bin is its mean value less the median of the same time on the
/// seven days around it, three before and three after, so it is known three days later. A level that moves for good
/// has no part in it, as a day lies on the side of the change on which the median does; nor has a trend. Expected is
/// the median of what was expected, of the last distance and of the new one: two weeks in a row must agree before
/// something is expected or given up, and what happens once never counts.
///
/// It is used once the distances of one week and the next hang together, and as far as they are larger than what they
/// miss each other by. Within a bin it goes straight, with the smaller of the slopes to the bins around it (B. van
/// Leer, "Towards the ultimate conservative difference scheme", 1979), so a drop between two bins remains one.
struct WeekShape: BitwiseCopyable {
    private static let binsMax = 56
    private static let weekMilliseconds: Int64 = 604_800_000
    private static let days = 7
    /// A distance that was never measured; no number is packed so.
    private static let unknown: UInt16 = 0xffff
    /// Weeks whose distances are compared, about.
    private static let memoryWeeks: Float = 4
    /// It is used from this correlation of a week and the next on, and no longer below that one.
    private static let likenessOn: Float = 0.7
    private static let likenessOff: Float = 0.4
    /// Distances count up to so many times what they are on average.
    private static let sizeMax: Float = 4
    /// Days of the same time that must be known.
    private static let knownMin = 5

    /// By bin: the mean value of the last visit, NaN if there was none.
    private var means: [56 of Float] = InlineArray(repeating: .nan)
    /// By bin: the distance of the last visit that is measured, and the expected one.
    private var before: [56 of UInt16] = InlineArray(repeating: unknown)
    private var known: [56 of UInt16] = InlineArray(repeating: 0)
    /// Sum and count in the bin that is open.
    private var sum: Float = 0
    private var samples: Float = 0
    private var openBin: Int32 = -1
    private var binCount: UInt32 = 0
    /// Bins that were closed, up to a week's and a day's.
    private var closed: UInt32 = 0
    /// Comparisons of a distance with that of a week before; their mean size, and by how much they missed.
    private var compared: Float = 0
    private var size: Float = 0
    private var miss: Float = 0
    /// Discounted sums of products and squares of the compared, in the size that counts.
    private var products: Float = 0
    private var squaresBefore: Float = 0
    private var squares: Float = 0
    /// 1 while it is used.
    private var isUsed: UInt32 = 0

    var isSound: Bool {
        binCount <= UInt32(Self.binsMax) && binCount % UInt32(Self.days) == 0 && openBin >= -1
            && openBin < Int32(max(binCount, 1))
    }

    /// Starts empty, in bins that are no shorter than a step.
    mutating func start(step: UInt32) {
        self = WeekShape()
        binCount = UInt32(Self.days) &* UInt32(min(86_400_000 / Int64(max(step, 1)), 8))
    }

    /// What is expected of a moment, beyond what is usual at the time of day.
    @inline(__always)
    func value(at milliseconds: Int64) -> Float { isUsed == 0 ? 0 : expected(at: milliseconds) }

    private func expected(at milliseconds: Int64) -> Float {
        let place = place(milliseconds)
        let bin = Int(place / Self.weekMilliseconds)
        let middle = believed(bin)
        let rise = middle - believed(wrapped(bin &- 1))
        let next = believed(wrapped(bin &+ 1)) - middle
        guard rise * next > 0 else { return middle }
        let share = Float(place &- Int64(bin) &* Self.weekMilliseconds) / Float(Self.weekMilliseconds) - 0.5
        return middle + share * (rise.magnitude < next.magnitude ? rise : next)
    }

    /// The expected distance as far as it is more than chance.
    @inline(__always)
    private func believed(_ bin: Int) -> Float {
        let distance = PendingQuantiles.unpacked(known[bin])
        return distance * min(max(distance.magnitude / max(miss, 1e-30) - 1, 0), 1)
    }

    /// Bins since the week began, times the week's milliseconds.
    @inline(__always)
    private func place(_ milliseconds: Int64) -> Int64 {
        let time = milliseconds % Self.weekMilliseconds
        return (time < 0 ? time &+ Self.weekMilliseconds : time) &* Int64(binCount)
    }

    @inline(__always)
    private func wrapped(_ bin: Int) -> Int {
        bin < 0 ? bin &+ Int(binCount) : bin >= Int(binCount) ? bin &- Int(binCount) : bin
    }

    /// Takes a value in.
    /// - Returns: true if it is used from now on, or no longer.
    @inline(__always)
    mutating func fold(_ value: Float, at milliseconds: Int64) -> Bool {
        guard binCount > 0 else { return false }
        let bin = Int32(place(milliseconds) / Self.weekMilliseconds)
        let used = isUsed
        if bin != openBin { open(bin) }
        sum += value
        samples += 1
        return isUsed != used
    }

    /// Closes the open bin, and those that were passed without a value.
    @inline(never)
    private mutating func open(_ bin: Int32) {
        if openBin >= 0 {
            var next = Int(openBin)
            close(next, sum / max(samples, 1))
            next = wrapped(next &+ 1)
            while next != Int(bin) {
                close(next, .nan)
                next = wrapped(next &+ 1)
            }
        }
        openBin = bin
        sum = 0
        samples = 0
    }

    private mutating func close(_ bin: Int, _ mean: Float) {
        means[bin] = mean.magnitude < 1e30 ? mean : .nan
        let perDay = Int(binCount) / Self.days
        closed = min(closed &+ 1, binCount &+ UInt32(perDay))
        guard closed >= binCount else { return }
        // The first days have none before them: their distance is from the first seven.
        let isFirst = closed < binCount &+ UInt32(perDay)
        for back in 3...(isFirst ? 6 : 3) { measure(wrapped(bin &- back &* perDay), perDay) }
    }

    private mutating func measure(_ bin: Int, _ perDay: Int) {
        let mean = means[bin]
        guard mean == mean, let usual = median(bin % perDay, perDay) else { return }
        let distance = clamped(mean - usual, 1e15)
        if before[bin] != Self.unknown {
            let last = PendingQuantiles.unpacked(before[bin])
            compare(last, distance)
            known[bin] = PendingQuantiles.packed(Self.middle(PendingQuantiles.unpacked(known[bin]), last, distance))
        }
        before[bin] = PendingQuantiles.packed(distance)
    }

    /// The median of a time of day on the last seven days; nil if too few of them are known.
    private func median(_ part: Int, _ perDay: Int) -> Float? {
        var sorted: [7 of Float] = InlineArray(repeating: 0)
        var count = 0
        for day in 0..<Self.days {
            let mean = means[day &* perDay &+ part]
            guard mean == mean else { continue }
            var place = count
            while place > 0 && sorted[place &- 1] > mean {
                sorted[place] = sorted[place &- 1]
                place &-= 1
            }
            sorted[place] = mean
            count &+= 1
        }
        guard count >= Self.knownMin else { return nil }
        return (sorted[(count &- 1) / 2] + sorted[count / 2]) / 2
    }

    @inline(__always)
    private static func middle(_ a: Float, _ b: Float, _ c: Float) -> Float {
        max(min(a, b), min(max(a, b), c))
    }

    private mutating func compare(_ last: Float, _ now: Float) {
        compared = min(compared + 1, Self.memoryWeeks * Float(binCount))
        size += (min(now.magnitude, compared > 6 ? Self.sizeMax * max(size, miss) : .infinity) - size) / compared
        let missed = (now - last).magnitude
        miss += (min(missed, compared > 6 ? Self.sizeMax * miss : .infinity) - miss) / compared
        let limit = max(Self.sizeMax * size, 1e-30)
        let (a, b) = (clamped(last / limit, 1), clamped(now / limit, 1))
        let fade = 1 - 1 / (Self.memoryWeeks * Float(binCount))
        products = fade * products + a * b
        squaresBefore = fade * squaresBefore + a * a
        squares = fade * squares + b * b
        let needed = (isUsed == 0 ? Self.likenessOn : Self.likenessOff) * (squaresBefore * squares).squareRoot()
        isUsed = compared >= 2 * Float(binCount) / Float(Self.days) && products > needed ? 1 : 0
    }

    mutating func scale(by factor: Float) {
        for index in 0..<Self.binsMax {
            if means[index] == means[index] { means[index] = clamped(means[index] * factor, 1e30) }
            if before[index] != Self.unknown {
                before[index] = PendingQuantiles.packed(PendingQuantiles.unpacked(before[index]) * factor)
            }
            known[index] = PendingQuantiles.packed(PendingQuantiles.unpacked(known[index]) * factor)
        }
        sum = clamped(sum * factor, 1e34)
        size = min(size * factor, 1e30)
        miss = min(miss * factor, 1e30)
    }
}
