#if canImport(Glibc)
    import Glibc
#endif

/// The probability-integral transform of a series: a residual's rank among the residuals that this very series showed
/// before, as the normal deviate of that rank (B. van der Waerden, 1952). Whatever their distribution, heavy, one-sided
/// or of a few values, the scores of residuals from before a change are normal as far as the classes are narrow.
///
/// The distribution is kept as counts of 31 classes, the narrower the nearer to zero: a quarter of a deviation in the
/// middle, one deviation at four. A rank is the middle of its class, so that a value that comes again and again is no
/// departure. A new series begins with the counts of 100 normal residuals; of old ones, 1 024 to 2 048 are remembered.
///
/// A residual is counted when 32 more have come, and not at all if an alarm comes before: what is a change is not what
/// is usual.
struct NormalScores: BitwiseCopyable {
    /// Sixteenths of residuals, by class; first those of 100 normal ones.
    private var counts: [31 of UInt16] = [
        0, 0, 0, 0, 0, 0, 0, 0, 3, 19, 59, 113, 159, 181, 181, 170, 181, 181, 159, 113, 59, 19, 3, 0, 0, 0, 0, 0, 0, 0,
        0,
    ]
    /// Classes of the residuals that are not counted yet, a ring, its next place, and how many of it are taken.
    private var waiting: [32 of UInt8] = InlineArray(repeating: 0)
    private var place: UInt8 = 0
    private var waitingCount: UInt8 = 0

    static let classes = 31
    /// A residual's weight in `counts`, and the residuals from which on old ones count half.
    private static let weight: UInt16 = 16
    private static let residualsMax: UInt32 = 2_048

    /// The class of a residual; the outermost begin at 58 deviations.
    @inline(__always)
    static func place(of residual: Float) -> Int {
        let place = 3.875 * residual / (1 + residual.magnitude / 4) + 15.5
        guard place > 0 else { return 0 }
        return place < Float(classes) ? Int(place) : classes - 1
    }

    /// The score of a residual; the residual is taken in.
    @inline(__always)
    mutating func score(_ residual: Float) -> Float {
        let own = Self.place(of: residual)
        var below: UInt32 = 0
        var all: UInt32 = 0
        for index in 0..<Self.classes {
            let count = UInt32(counts[index])
            all &+= count
            below &+= index < own ? count : 0
        }
        let weight = Float(Self.weight)
        // A quarter of a residual at each end: what was never seen is not impossible.
        let middle = Float(below) + Float(counts[own]) / 2 + weight / 4
        take(own, all)
        return Self.deviate(middle / (Float(all) + weight / 2))
    }

    /// Those that wait may belong to a change.
    mutating func forgetWaiting() { waitingCount = 0 }

    @inline(__always)
    private mutating func take(_ own: Int, _ all: UInt32) {
        let next = Int(place & 31)
        if waitingCount < 32 {
            waitingCount &+= 1
        } else {
            counts[min(Int(waiting[next]), Self.classes - 1)] &+= Self.weight
            if all >= Self.residualsMax &* UInt32(Self.weight) { halve() }
        }
        waiting[next] = UInt8(truncatingIfNeeded: own)
        place = UInt8(truncatingIfNeeded: next &+ 1)
    }

    private mutating func halve() {
        for index in 0..<Self.classes { counts[index] /= 2 }
    }

    /// The normal deviate of a probability, within 5e-4 (M. Abramowitz and I. Stegun, "Handbook of mathematical
    /// functions", 1964, 26.2.23).
    @inline(__always)
    static func deviate(_ probability: Float) -> Float {
        let tail = min(max(min(probability, 1 - probability), 1e-5), 0.5)
        let t = (-2 * logf(tail)).squareRoot()
        let above = (0.010328 * t + 0.802853) * t + 2.515517
        let size = t - above / (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1)
        return probability < 0.5 ? -size : size
    }
}
