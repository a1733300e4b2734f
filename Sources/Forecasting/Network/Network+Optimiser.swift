// MARK: The optimiser

extension Network {
    /// Places of `counters`: updates made, the usual length of a gradient, and what the moments would be of ones.
    static let updates = 0
    static let usualLength = 1
    static let firstPower = 2
    static let secondPower = 3

    /// The step per weight falls from the first to the second of these, to half after so many updates.
    private static let rateFirst: Float = 0.004
    private static let rateLast: Float = 0.0008
    private static let rateHalfLife: Float = 4_000
    /// Forgetting of the gradient's mean and of its square's.
    private static let meanFade: Float = 0.9
    private static let squareFade: Float = 0.99
    /// A gradient may be so many times as long as usual.
    private static let lengthFactor: Float = 3
    /// What is forecast with is the mean of the weights over about so many updates, late in life.
    private static let averagedUpdates: Float = 200
    /// Weights stay within this.
    private static let weightMax: Float = 50

    /// Moves the weights against the gradient (Kingma and Ba, "Adam", 2015) and clears it. A gradient longer than a few
    /// times the usual is cut to that, so one series in ten thousand moves the weights by no more than the others do.
    func update() {
        var square: Float = 0
        for row in 0..<Self.rows { square += (gradient[row] * gradient[row]).sum() }
        guard square < 1e20 else { return clear() }
        let length = square.squareRoot()
        guard length > 1e-12 else { return clear() }
        let count = counters[Self.updates]
        let usual = counters[Self.usualLength]
        let limit = count < 1 ? length : Self.lengthFactor * usual
        let cut = length > limit ? limit / length : 1
        counters[Self.usualLength] += max(0.01, 1 / (count + 1)) * (length * cut - usual)
        counters[Self.updates] = min(count + 1, 10_000_000)

        let mean = Self.meanFade
        let squared = Self.squareFade
        counters[Self.firstPower] = mean * counters[Self.firstPower] + (1 - mean)
        counters[Self.secondPower] = squared * counters[Self.secondPower] + (1 - squared)
        let decayed = max(Self.rateFirst / (1 + count / Self.rateHalfLife), Self.rateLast)
        let rate = decayed / counters[Self.firstPower]
        let power = 1 / counters[Self.secondPower]
        let share = max(1 / (0.2 * count + 1), 1 / Self.averagedUpdates)
        for row in 0..<Self.rows {
            let slope = gradient[row] * cut
            gradient[row] = Lanes(repeating: 0)
            let first = mean * moments[row] + (1 - mean) * slope
            let second = squared * moments[Self.rows + row] + (1 - squared) * slope * slope
            moments[row] = first
            moments[Self.rows + row] = second
            let moved = parameters[row] - rate * first / ((second * power).squareRoot() + 1e-6)
            let weights = NetworkCurves.clamped(moved, Self.weightMax)
            parameters[row] = weights
            averages[row] += share * (weights - averages[row])
        }
    }

    private func clear() {
        for row in 0..<Self.rows { gradient[row] = Lanes(repeating: 0) }
    }
}
