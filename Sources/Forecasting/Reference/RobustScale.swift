/// A recursive M-estimate of scale: errors beyond 1.5 deviations count as 1.5, so that a third of them may be anything
/// (P. Huber, "Robust Statistics", 1981).
enum RobustScale {
    /// What min(z², 1.5²) is on average for a standard normal z.
    private static let target: Float = 0.778

    /// The scale after one more error.
    /// - Parameter gain: the share of what is new.
    @inline(__always)
    static func follow(_ scale: Float, _ error: Float, gain: Float) -> Float {
        let ratio = error / max(scale, 1e-9)
        return min(max(scale * (1 + gain * (min(ratio * ratio, 2.25) / target - 1)), 1e-6), 1e12)
    }
}
