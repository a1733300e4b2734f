#if canImport(Glibc)
    import Glibc
#endif

/// Average run lengths of one-sided CUSUM charts on independent standard normal samples.
package enum RunLength {
    /// What a discrete walk overshoots a boundary by on average (twice, for boundary and reflection), in σ.
    static let overshoot = 1.166

    /// Samples between false alarms of `S ← max(0, S + x − k)`, alarm at `S ≥ h`:
    /// `(e^{2kb} − 2kb − 1) / 2k²` with `b = h + 1.166` (D. Siegmund, "Sequential Analysis", 1985, eq. 2.57).
    /// For k = 0.5, h = 5 it gives 938; the exact value is 930.
    package static func mean(slack k: Double, threshold h: Double) -> Double {
        let b = h + overshoot
        return (exp(2 * k * b) - 2 * k * b - 1) / (2 * k * k)
    }

    /// The threshold that gives an average run length, by bisection; the inverse of `mean`.
    package static func threshold(slack k: Double, mean target: Double) -> Double {
        var low = 0.0
        var high = 200.0
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if mean(slack: k, threshold: middle) < target { low = middle } else { high = middle }
        }
        return high
    }
}
