/// The simplest reference: the series stays at its level. Where nothing follows from the values before, it is as good
/// as an autoregression, knows a new level after a handful of steps and never leans towards the old one.
///
/// It is also what forecasts of far horizons come to: an autoregression's forecast returns to the level the sooner the
/// less follows from the values before.
///
/// The level is the mean of the steps since the last change, as far as they lie within three deviations; the scale is a
/// recursive M-estimate as the reference's.
struct LevelReference: BitwiseCopyable {
    private var level: Float = 0
    /// Robust deviation of a step from the level.
    private var scale: Float = 0
    /// Steps that the level rests on, up to `memorySteps`; and the scale.
    private var steps: Float = 0
    private var scaleSteps: Float = 0
    /// Steps in a row far on one side (negative below), and the sum of their distances.
    private var run: Float = 0
    private var runSum: Float = 0
    private var recurrence = JumpRecurrence()

    /// The level jumps at the same times every day: that is a daily shape.
    var jumpsDaily: Bool { recurrence.isDaily }

    private static let memorySteps: Float = 256
    private static let believedDeviations: Float = 3
    /// What the scale of before a change counts for after it.
    private static let keptSteps: Float = 12
    private static let jumpSteps: Float = 5

    /// The deviation that an error is to be measured by, the level's own uncertainty included.
    /// - Parameter floor: nothing below is a change.
    func deviation(floor: Float) -> Float { max(scale, floor) * (1 + 1 / max(steps, 1)).squareRoot() }

    /// Begins anew at a value.
    mutating func start(at value: Float, scale now: Float) {
        level = value
        scale = now
        steps = 1
        scaleSteps = 0
    }

    /// - Parameter followsJumps: nobody tells of changes, it finds them itself: several steps in a row far on one side.
    /// - Returns: the error, before the value is learned from.
    mutating func fold(_ value: Float, at milliseconds: Int64, followsJumps: Bool) -> Float {
        recurrence.pass(to: milliseconds)
        let error = value - level
        let ratio = error / max(scale, 1e-9)
        scale = RobustScale.follow(scale, error, gain: 1 / (scaleSteps + 8))
        scaleSteps = min(scaleSteps + 1, Self.memorySteps)
        if ratio.magnitude <= Self.believedDeviations {
            steps = min(steps + 1, Self.memorySteps)
            level += error / steps
        }
        if followsJumps { followJump(error, ratio) }
        return error
    }

    private mutating func followJump(_ error: Float, _ ratio: Float) {
        guard ratio.magnitude > Self.believedDeviations, run == 0 || (run > 0) == (ratio > 0) else {
            run = 0
            runSum = 0
            return
        }
        run += ratio > 0 ? 1 : -1
        runSum += error
        guard run.magnitude >= Self.jumpSteps else { return }
        restart(at: level + runSum / Self.jumpSteps, steps: Int(Self.jumpSteps))
    }

    /// Values are measured from elsewhere.
    mutating func shift(by change: Float) { level += change }

    /// A change: the level is that of the steps since.
    mutating func restart(at value: Float, steps count: Int) {
        level = value
        recurrence.note()
        run = 0
        runSum = 0
        steps = max(Float(count), 1)
        scaleSteps = min(scaleSteps, Self.keptSteps)
    }
}
