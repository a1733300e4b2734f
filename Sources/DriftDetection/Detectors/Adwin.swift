#if canImport(Glibc)
    import Glibc
#endif

/// Adaptive windowing, the classical alternative with a proof (A. Bifet and R. Gavaldà, "Learning from time-changing
/// data with adaptive windowing", SIAM SDM 2007): a window of residuals grows while no cut of it into old and new has
/// means that differ by more than ε of its theorem 3.2; where one has, the old part is dropped and a drift is reported.
///
/// The window is an exponential histogram: rows of at most five buckets, a bucket of row r holding the sum and the
/// squares of 2ʳ residuals, so constant memory holds 2¹² of them; cuts are looked for every 32 samples. Its bounds hold
/// for independent residuals whatever their distribution, so it is patient; correlation it does not know.
package struct Adwin: DriftDetector {
    /// How sure a cut must be.
    package struct Tuning: Sendable, BitwiseCopyable {
        /// ln(2 / δ).
        var confidence: Float
    }

    private static let rows = 10
    private static let bucketsMax = 5
    private static let interval: Int32 = 32
    private static let sideMin: Float = 5
    /// Where residuals are winsorised: the bound needs bounded ones.
    private static let clip: Float = 10

    /// Sum and sum of squared deviations of each bucket; row r from 6r, the newest first. The sixth place of a row is
    /// taken for the moment between a bucket's coming and the merger of the two oldest.
    private var sums: [60 of Float] = InlineArray(repeating: 0)
    private var squares: [60 of Float] = InlineArray(repeating: 0)
    private var counts: [10 of UInt8] = InlineArray(repeating: 0)
    private var padding: UInt16 = 0
    private var sinceCut: Int32 = 0

    package init() {}

    /// A cut is looked for once in `interval` samples: δ is the share of a false alarm that one look may have.
    package static func tuning(averageRunLength: Double) -> Tuning {
        let delta = Double(interval) / max(averageRunLength, 50)
        return Tuning(confidence: Float(log(2 / min(delta, 0.5))))
    }

    var isSound: Bool {
        for row in 0..<Self.rows where Int(counts[row]) > Self.bucketsMax { return false }
        return true
    }

    package mutating func restart() { self = Adwin() }

    package mutating func update(_ residual: Float, _ tuning: Tuning) -> DriftVerdict {
        insert(min(max(residual, -Self.clip), Self.clip))
        sinceCut &+= 1
        guard sinceCut >= Self.interval else { return .none }
        sinceCut = 0
        return cut(tuning)
    }

    private mutating func insert(_ value: Float) {
        var sum = value
        var square: Float = 0
        var row = 0
        while row < Self.rows {
            push(row, sum, square)
            guard Int(counts[row]) > Self.bucketsMax else { return }
            // The two oldest become one of the next row; those of the last row fall out.
            let last = 6 &* row &+ Int(counts[row]) &- 1
            let size = Float(1 &<< row)
            let difference = sums[last] - sums[last &- 1]
            sum = sums[last] + sums[last &- 1]
            square = squares[last] + squares[last &- 1] + difference * difference / (2 * size)
            counts[row] &-= row == Self.rows &- 1 ? 1 : 2
            row &+= 1
        }
    }

    private mutating func push(_ row: Int, _ sum: Float, _ square: Float) {
        var place = Int(counts[row])
        let start = 6 &* row
        while place > 0 {
            sums[start &+ place] = sums[start &+ place &- 1]
            squares[start &+ place] = squares[start &+ place &- 1]
            place &-= 1
        }
        sums[start] = sum
        squares[start] = square
        counts[row] &+= 1
    }

    /// Walks the cuts from the newest bucket on.
    private mutating func cut(_ tuning: Tuning) -> DriftVerdict {
        var count: Float = 0
        var total: Float = 0
        for row in 0..<Self.rows {
            count += Float(counts[row]) * Float(1 &<< row)
            for place in 0..<Int(counts[row]) { total += sums[6 &* row &+ place] }
        }
        guard count >= 4 * Self.sideMin else { return .none }
        let mean = total / count
        let variance = variance(mean, count)
        let confidence = tuning.confidence + logf(logf(count))
        var newCount: Float = 0
        var newSum: Float = 0
        for row in 0..<Self.rows {
            for place in 0..<Int(counts[row]) {
                newCount += Float(1 &<< row)
                newSum += sums[6 &* row &+ place]
                let oldCount = count - newCount
                guard newCount >= Self.sideMin, oldCount >= Self.sideMin else { continue }
                let difference = newSum / newCount - (total - newSum) / oldCount
                let harmonic = 1 / newCount + 1 / oldCount
                let bound = (2 * harmonic * variance * confidence).squareRoot() + 2.0 / 3 * harmonic * confidence
                guard difference.magnitude > bound else { continue }
                restart()
                return DriftVerdict(
                    change: .level, samplesSince: Int32(newCount) &- 1, score: difference.magnitude / bound,
                    magnitude: difference, shift: difference.magnitude)
            }
        }
        return .none
    }

    private func variance(_ mean: Float, _ count: Float) -> Float {
        var sum: Float = 0
        for row in 0..<Self.rows {
            let size = Float(1 &<< row)
            for place in 0..<Int(counts[row]) {
                let index = 6 &* row &+ place
                let distance = sums[index] / size - mean
                sum += squares[index] + size * distance * distance
            }
        }
        return sum / count
    }
}
