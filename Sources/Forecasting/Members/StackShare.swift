/// How far a second word is followed instead of a first one at one horizon: the share of the way from one to the other
/// that came nearest to what came (least squares with forgetting, shrunk towards 0; D. Wolpert, "Stacked
/// generalization", 1992).
struct StackShare: BitwiseCopyable {
    private static let memory: Float = 400
    /// Distances and errors beyond so many mean errors count as that large.
    private static let distanceMax: Float = 5
    private static let errorMax: Float = 4

    private var products: Float = 0
    private var squares: Float = 0

    var isSound: Bool { products.magnitude < 1e9 && squares >= 0 }

    /// Between 0 and 1.
    /// - Parameter shrinkage: squared distances, in squared mean errors, that speak for 0.
    @inline(__always)
    func value(shrinkage: Float) -> Float {
        let share = products / (squares + shrinkage)
        return share > 1 ? 1 : share > 0 ? share : 0
    }

    /// - Parameters:
    ///   - distance: of the second word from the first.
    ///   - error: of the first.
    ///   - spread: mean absolute error.
    ///   - pace: below 1 where errors overlap.
    @inline(__always)
    mutating func learn(distance: Float, error: Float, spread: Float, pace: Float) {
        let distance = clamped(distance, Self.distanceMax * spread)
        let error = clamped(error, Self.errorMax * spread)
        let weight = pace / max(spread * spread, 1e-6)
        let fade = 1 - pace / Self.memory
        products = fade * products + weight * distance * error
        squares = fade * squares + weight * distance * distance
    }
}
