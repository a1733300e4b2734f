/// The normal equations of the reference: sums of products of its eleven features and the value.
struct ReferenceFit: BitwiseCopyable {
    static let count = 11
    /// An intercept, the two values before, eight of the daily shape.
    typealias Features = [11 of Float]

    /// The lower triangle of Σ x xᵀ, by rows; its first entry is the number of steps.
    private var gram: [66 of Float] = InlineArray(repeating: 0)
    private var moment: Features = InlineArray(repeating: 0)
    private var square: Float = 0

    private static let shape = 3

    mutating func fold(_ x: Features, _ y: Float) {
        var entry = 0
        for row in 0..<Self.count {
            let value = x[row]
            for column in 0...row {
                gram[entry] += value * x[column]
                entry &+= 1
            }
            moment[row] += value * y
        }
        square += y * y
    }

    /// Old steps count for no more than so many.
    mutating func limit(to steps: Float) {
        if gram[0] > steps { scale(by: steps / gram[0]) }
    }

    private mutating func scale(by share: Float) {
        for index in 0..<66 { gram[index] *= share }
        for index in 0..<Self.count { moment[index] *= share }
        square *= share
    }

    /// Centres all sums, so that they say nothing of the level any more, and lets them count for so many steps.
    mutating func forgetLevel(keeping steps: Float) {
        let n = gram[0]
        guard n > 1 else { return self = ReferenceFit() }
        var sums: Features = InlineArray(repeating: 0)
        for row in 0..<Self.count { sums[row] = gram[row * (row + 1) / 2] }
        let total = moment[0]
        var entry = 0
        for row in 0..<Self.count {
            for column in 0...row {
                gram[entry] -= sums[row] * sums[column] / n
                entry += 1
            }
            moment[row] -= sums[row] * total / n
        }
        square = max(square - total * total / n, 0)
        for row in 0..<Self.count { gram[row * (row + 1) / 2] = 0 }
        moment[0] = 0
        scale(by: min(steps / n, 1))
    }

    /// Weights of least squares, slightly shrunk.
    /// - Parameters:
    ///   - hasDay: a day was seen; before, its shape stays out.
    ///   - persistenceMax: bound of the sum of the weights of the two values before; the other weights are fitted
    ///     again to what the bound leaves.
    /// - Returns: nil if the numbers do not allow it.
    func solve(hasDay: Bool, persistenceMax: Float) -> Features? {
        var pull: Features = InlineArray(repeating: 0)
        var target: Features = InlineArray(repeating: 0)
        let mean = moment[0] / max(gram[0], 1)
        let variance = max(square / max(gram[0], 1) - mean * mean, 1e-6)
        for index in Self.shape..<Self.count { pull[index] = hasDay ? 2 : 1e9 }
        pull[0] = 1e-6
        pull[1] = 2 * variance
        pull[2] = 8 * variance
        guard let free = solve(pull, target) else { return nil }
        let persistence = free[1] + free[2]
        guard persistence > persistenceMax || persistence < -0.5 else { return free }
        let share = persistence > 0 ? persistenceMax / persistence : 0
        for index in 1...2 {
            pull[index] = 1e6 * (gram[index * (index + 3) / 2] + variance)
            target[index] = share * free[index]
        }
        return solve(pull, target)
    }

    /// (gram + pull) w = moment + pull · target, by Cholesky.
    private func solve(_ pull: Features, _ target: Features) -> Features? {
        var l: [66 of Double] = InlineArray(repeating: 0)
        var w: [11 of Double] = InlineArray(repeating: 0)
        var start = 0
        for row in 0..<Self.count {
            var columnStart = 0
            for column in 0..<row {
                var sum = Double(gram[start + column])
                for k in 0..<column { sum -= l[start + k] * l[columnStart + k] }
                l[start + column] = sum / l[columnStart + column]
                columnStart += column + 1
            }
            var diagonal = Double(gram[start + row]) + Double(pull[row])
            var sum = Double(moment[row]) + Double(pull[row]) * Double(target[row])
            for k in 0..<row {
                diagonal -= l[start + k] * l[start + k]
                sum -= l[start + k] * w[k]
            }
            guard diagonal > 1e-9, diagonal < 1e30 else { return nil }
            l[start + row] = diagonal.squareRoot()
            w[row] = sum / l[start + row]
            start += row + 1
        }
        return substitute(l, w)
    }

    private func substitute(_ l: [66 of Double], _ forward: [11 of Double]) -> Features? {
        var w = forward
        var result: Features = InlineArray(repeating: 0)
        for back in 0..<Self.count {
            let row = Self.count - 1 - back
            var sum = w[row]
            for k in (row + 1)..<Self.count { sum -= l[k * (k + 1) / 2 + row] * w[k] }
            w[row] = sum / l[row * (row + 1) / 2 + row]
            guard w[row].magnitude < 1e6 else { return nil }
            result[row] = Float(w[row])
        }
        return result
    }
}
