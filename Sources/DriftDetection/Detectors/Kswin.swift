#if canImport(Glibc)
    import Glibc
#endif

/// Kolmogorov–Smirnov windowing, the classical alternative that looks at whole distributions (C. Raab, M. Heusinger,
/// F.-M. Schleif, "Reactive soft prototype computing for concept drift streams", Neurocomputing 2020): the newest 30 of
/// 120 residuals against the 90 before, an alarm where their distributions' distance exceeds
/// √(−½ ln(α / 2) · (n + m) / nm).
///
/// The original draws a random sample of the older part; all of it is used here, so that the same residuals give the
/// same answer. Looked at every 10 samples; correlation it does not know.
package struct Kswin: DriftDetector {
    /// How far apart two distributions must be.
    package struct Tuning: Sendable, BitwiseCopyable {
        var distance: Float
    }

    private static let windowSamples = 120
    private static let newSamples = 30
    private static let interval: Int32 = 10

    private var window: [120 of Float] = InlineArray(repeating: 0)
    private var place: UInt32 = 0
    private var count: UInt32 = 0
    private var sinceTest: Int32 = 0
    private var reserved: UInt32 = 0

    package init() {}

    /// Looks overlap in two thirds of the newer part, so that of false alarms a good half comes in bunches.
    package static func tuning(averageRunLength: Double) -> Tuning {
        let alpha = min(1.5 * Double(interval) / max(averageRunLength, 50), 0.5)
        let new = Double(newSamples)
        let old = Double(windowSamples - newSamples)
        return Tuning(distance: Float((-0.5 * log(alpha / 2) * (new + old) / (new * old)).squareRoot()))
    }

    var isSound: Bool { place < UInt32(Self.windowSamples) && count <= UInt32(Self.windowSamples) }

    package mutating func restart() { self = Kswin() }

    package mutating func update(_ residual: Float, _ tuning: Tuning) -> DriftVerdict {
        window[Int(place)] = residual
        place = place &+ 1 == UInt32(Self.windowSamples) ? 0 : place &+ 1
        count = min(count &+ 1, UInt32(Self.windowSamples))
        sinceTest &+= 1
        guard count == UInt32(Self.windowSamples), sinceTest >= Self.interval else { return .none }
        sinceTest = 0
        return test(tuning)
    }

    private mutating func test(_ tuning: Tuning) -> DriftVerdict {
        var new: [30 of Float] = InlineArray(repeating: 0)
        var old: [90 of Float] = InlineArray(repeating: 0)
        for index in 0..<Self.windowSamples {
            let value = window[(Int(place) &+ index) % Self.windowSamples]
            if index < 90 { old[index] = value } else { new[index &- 90] = value }
        }
        for index in 1..<30 {
            var at = index
            while at > 0, new[at &- 1] > new[at] {
                new.swapAt(at, at &- 1)
                at &-= 1
            }
        }
        for index in 1..<90 {
            var at = index
            while at > 0, old[at &- 1] > old[at] {
                old.swapAt(at, at &- 1)
                at &-= 1
            }
        }
        let distance = Self.distance(new, old)
        guard distance > tuning.distance else { return .none }
        let shift = new[15] - old[45]
        let spread = (new[25] - new[4]) / max(old[76] - old[13], 1e-6)
        restart()
        let isLevel = shift.magnitude > 0.5
        return DriftVerdict(
            change: isLevel ? .level : .variance, samplesSince: 29, score: distance / tuning.distance,
            magnitude: isLevel ? shift : spread, shift: max(shift.magnitude, 0.5))
    }

    /// The largest difference of the distribution functions of two sorted samples.
    private static func distance(_ new: [30 of Float], _ old: [90 of Float]) -> Float {
        var i = 0
        var j = 0
        var largest: Float = 0
        while i < 30, j < 90 {
            let value = min(new[i], old[j])
            while i < 30, new[i] <= value { i &+= 1 }
            while j < 90, old[j] <= value { j &+= 1 }
            largest = max(largest, (Float(i) / 30 - Float(j) / 90).magnitude)
        }
        return largest
    }
}
