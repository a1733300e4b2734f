import Glibc

/// Residuals in a row that all lie far out on one side: a new level, however restless the series is.
///
/// How many are needed follows from the series' own runs: if runs begin at a rate r and go on with probability c, one
/// of length ℓ comes once in 1 / (r c^(ℓ − 1)) samples, which must be the stated run length. Runs that ended in an
/// alarm do not count.
struct JumpTest: BitwiseCopyable {
    private(set) var length: Int32 = 0
    private var sum: Float = 0
    /// Of late: samples, runs, samples in runs after the first.
    private var samples: Float = 2_000
    private var runs: Float = 4
    private var followers: Float = 1
    /// Samples since the last alarm.
    private var sinceAlarm: Float = 1_000

    /// What is far out, σ, and how many in a row are needed at least.
    static let far: Float = 4
    static let lengthMin: Int32 = 5
    private static let briefSamples: Float = 12
    private static let memorySamples: Float = 8_192

    /// Of the run so far.
    var mean: Float { length > 0 ? sum / Float(length) : 0 }

    mutating func restart() {
        length = 0
        sum = 0
    }

    /// - Parameter logRunLength: logarithm of the samples in which one false alarm is allowed.
    mutating func update(_ residual: Float, _ isArmed: Bool, _ logRunLength: Float) -> Bool {
        samples += 1
        sinceAlarm += 1
        if samples > Self.memorySamples { halve() }
        let isFar = residual.magnitude > Self.far
        if length > 0, !isFar || (residual > 0) != (sum > 0) {
            runs += 1
            followers += Float(length &- 1)
            restart()
        }
        guard isFar else { return false }
        length &+= 1
        sum += residual
        guard isArmed, length >= Self.lengthMin else { return false }
        let rate = runs / samples
        let goesOn = followers / (followers + runs)
        let needed = 1 + (logf(rate) + logRunLength) / -logf(goesOn)
        guard Float(length) >= needed else { return false }
        // What came and went at once was no new level, as it turns out.
        if sinceAlarm < Self.briefSamples {
            runs += 1
            followers += sinceAlarm
        }
        sinceAlarm = 0
        return true
    }

    private mutating func halve() {
        samples *= 0.5
        runs *= 0.5
        followers *= 0.5
    }
}
