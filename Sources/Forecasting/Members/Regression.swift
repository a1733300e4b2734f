/// A small ridge regression that is learned as it goes: what the next value at one horizon owes to a few features.
/// Sums of products fade with a fixed memory; the weights are solved for anew every few updates (Cholesky), shrunk
/// towards 0, which is "as now".
struct Regression: BitwiseCopyable {
    static let featureCount = Moment.readingCount
    typealias Features = Moment.Readings

    /// The lower triangle of Σ x xᵀ by rows, and Σ x y. Plain numbers, as lanes would bring padding into the cell.
    private var gram: [36 of Float] = InlineArray(repeating: 0)
    private var moment: [8 of Float] = InlineArray(repeating: 0)
    private(set) var weights: [8 of Float] = InlineArray(repeating: 0)

    @inline(__always)
    mutating func predict(_ x: Features) -> Float {
        var lanes = Features(repeating: 0)
        for lane in 0..<Self.featureCount { lanes[lane] = weights[lane] }
        return (lanes * x).sum()
    }

    /// Folds one pair. `weight` below 1 takes power from outliers; `fade` is what older pairs keep.
    @inline(__always)
    mutating func fold(_ x: Features, _ y: Float, weight: Float, fade: Float) {
        let scaled = weight * x
        var entry = 0
        for row in 0..<Self.featureCount {
            for column in 0...row {
                gram[entry] = fade * gram[entry] + scaled[row] * x[column]
                entry &+= 1
            }
        }
        let pull = scaled * y
        for lane in 0..<Self.featureCount { moment[lane] = fade * moment[lane] + pull[lane] }
    }

    /// Solves (gram + ridge · 1) w = moment + ridge · prior; keeps the old weights if the numbers do not allow it.
    mutating func solve(ridge: Float, towards prior: [8 of Float]) {
        var l = gram
        var start = 0
        for row in 0..<Self.featureCount {
            var columnStart = 0
            for column in 0...row {
                var sum = l[start &+ column]
                if column == row { sum += ridge }
                for k in 0..<column { sum -= l[start &+ k] * l[columnStart &+ k] }
                if column == row {
                    guard sum > ridge * 1e-4, sum < .greatestFiniteMagnitude else { return }
                    l[start &+ column] = sum.squareRoot()
                } else {
                    l[start &+ column] = sum / l[columnStart &+ column]
                }
                columnStart &+= column &+ 1
            }
            start &+= row &+ 1
        }
        var w = moment
        for index in 0..<Self.featureCount { w[index] += ridge * prior[index] }
        substitute(l, &w)
        for index in 0..<Self.featureCount where !(w[index].magnitude < 100) { return }
        weights = w
    }

    /// Forward and back substitution with the factor `l`.
    @inline(__always)
    private func substitute(_ l: [36 of Float], _ w: inout [8 of Float]) {
        var start = 0
        for row in 0..<Self.featureCount {
            var sum = w[row]
            for k in 0..<row { sum -= l[start &+ k] * w[k] }
            w[row] = sum / l[start &+ row]
            start &+= row &+ 1
        }
        for back in 0..<Self.featureCount {
            let row = Self.featureCount &- 1 &- back
            var sum = w[row]
            for k in (row &+ 1)..<Self.featureCount { sum -= l[k &* (k &+ 1) / 2 &+ row] * w[k] }
            w[row] = sum / l[row &* (row &+ 3) / 2]
        }
    }

    var isSound: Bool {
        for index in 0..<Self.featureCount where !(weights[index].magnitude <= 100) { return false }
        return true
    }
}
