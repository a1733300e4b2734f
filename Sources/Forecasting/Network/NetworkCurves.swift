/// The network's curves as short quotients of polynomials, for sixteen lanes at a time and without a library call; each
/// with its exact slope, so that a gradient is that of the very function computed.
enum NetworkCurves {
    typealias Lanes = SIMD16<Float>

    @inline(__always)
    static func clamped(_ x: Lanes, _ limit: Float) -> Lanes {
        let low = x.replacing(with: -limit, where: x .< -limit)
        return low.replacing(with: limit, where: low .> limit)
    }

    /// x (27 + x²) / (27 + 9x²) within ±3, ±1 beyond: the hyperbolic tangent within 0.024. Its slope,
    /// ((9 − x²) / (9 + 3x²))², is 0 at ±3.
    @inline(__always)
    static func tanh(_ x: Lanes) -> (value: Lanes, slope: Lanes) {
        let x = clamped(x, 3)
        let square = x * x
        let inverse = 1 / (9 + 3 * square)
        let root = (9 - square) * inverse
        return (x * (27 + square) * inverse * (1 / 3), root * root)
    }

    /// ½ + ½ tanh(x / 2).
    @inline(__always)
    static func sigmoid(_ x: Lanes) -> (value: Lanes, slope: Lanes) {
        let curve = tanh(0.5 * x)
        return (0.5 + 0.5 * curve.value, 0.25 * curve.slope)
    }

    /// (x + √(x² + 4)) / 2: positive, x for large x (the "squareplus").
    @inline(__always)
    static func softened(_ x: Network.Outputs) -> (value: Network.Outputs, slope: Network.Outputs) {
        let root = (x * x + 4).squareRoot()
        return (0.5 * (x + root), 0.5 + 0.5 * x / root)
    }
}
