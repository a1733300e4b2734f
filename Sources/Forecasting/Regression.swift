/// A small ridge regression that is learned as it goes: what the next value at one horizon owes to a few features.
/// Sums of products fade with a fixed memory; the weights are solved for anew every few updates (Cholesky), shrunk
/// towards 0, which is "as now".
struct Regression: BitwiseCopyable {
    static let featureCount = 5
    typealias Features = [5 of Float]

    /// The lower triangle of Σ x xᵀ, by rows, and Σ x y.
    private var gram: [15 of Float] = InlineArray(repeating: 0)
    private var moment: [5 of Float] = InlineArray(repeating: 0)
    private var weights: [5 of Float] = InlineArray(repeating: 0)

    /// Updates that count for about as much as all older ones together: 1 / (1 − fade).
    private static let fade: Float = 1 - 1 / 800

    @inline(__always)
    mutating func predict(_ x: Features) -> Float {
        weights[0] * x[0] + weights[1] * x[1] + weights[2] * x[2] + weights[3] * x[3] + weights[4] * x[4]
    }

    /// Folds one pair. `weight` below 1 takes power from outliers.
    mutating func fold(_ x: Features, _ y: Float, weight: Float) {
        var entry = 0
        for row in 0..<5 {
            let scaled = weight * x[row]
            for column in 0...row {
                gram[entry] = Self.fade * gram[entry] + scaled * x[column]
                entry &+= 1
            }
            moment[row] = Self.fade * moment[row] + scaled * y
        }
    }

    /// Solves (gram + ridge · 1) w = moment; keeps the old weights if the numbers do not allow it.
    mutating func solve(ridge: Float) {
        var l = gram
        var w = moment
        var rowStart = 0
        for row in 0..<5 {
            var columnStart = 0
            for column in 0...row {
                var sum = l[rowStart &+ column]
                if column == row { sum += ridge }
                for k in 0..<column { sum -= l[rowStart &+ k] * l[columnStart &+ k] }
                if column == row {
                    guard sum > ridge * 1e-4, sum < .greatestFiniteMagnitude else { return }
                    l[rowStart &+ column] = sum.squareRoot()
                } else {
                    l[rowStart &+ column] = sum / l[columnStart &+ column]
                }
                columnStart &+= column &+ 1
            }
            rowStart &+= row &+ 1
        }
        substitute(l, &w)
        for index in 0..<5 where !(w[index].magnitude < 100) { return }
        weights = w
    }

    /// Forward and back substitution with the factor `l`.
    @inline(__always)
    private func substitute(_ l: [15 of Float], _ w: inout [5 of Float]) {
        var start = 0
        for row in 0..<5 {
            var sum = w[row]
            for k in 0..<row { sum -= l[start &+ k] * w[k] }
            w[row] = sum / l[start &+ row]
            start &+= row &+ 1
        }
        for back in 0..<5 {
            let row = 4 &- back
            var sum = w[row]
            for k in (row &+ 1)..<5 { sum -= l[k &* (k &+ 1) / 2 &+ row] * w[k] }
            w[row] = sum / l[row &* (row &+ 1) / 2 &+ row]
        }
    }

    /// Lets what was learned count for a part of what it did.
    mutating func discount(_ share: Float) {
        for index in 0..<15 { gram[index] *= share }
        for index in 0..<5 { moment[index] *= share }
    }
}
