import Backtest

/// How soon a shift of the level is noticed, and how soon forecasts are as good as before, with the loop of distrust
/// and retraining and without it. Each twin shifts at a time of its own.
enum RecoveryBench {
    /// In standard deviations of the noise.
    static let shifts = [1.0, 2, 3, 4]
    private static let twins = 1_000
    private static let seed: UInt64 = 11
    /// From so large a shift on the loop takes less than half the time.
    private static let claimedFrom = 3.0

    /// - Parameter progress: rounds lived through, of so many.
    static func measure(shift: Double, into report: inout BenchReport, progress: (Int, Int) -> Void) throws {
        let settings = FleetShift.Settings.days(twins: twins, seed: seed, shift: shift, isLooped: true)
        let rounds = settings.samplesBefore + settings.samplesAfter + settings.spread
        let looped = try FleetShift(settings).run(clock: { 0 }) { progress($0, 2 * rounds) }
        let alone = try FleetShift(.days(twins: twins, seed: seed, shift: shift, isLooped: false))
            .run(clock: { 0 }) { progress(rounds + $0, 2 * rounds) }
        let name = "shift of \(Int(shift)) deviations"
        let delays = looped.distrustDelays
        report.add(
            Measurement(
                "\(name), distrusted after", "samples", [delays.isEmpty ? .nan : Double(delays[delays.count / 2])],
                "\(delays.count) of \(twins) twins"))
        for (place, steps) in settings.lossSteps.enumerated() {
            let back = Double(looped.recovery(place) ?? settings.samplesAfter)
            let usual = Double(alone.recovery(place) ?? settings.samplesAfter)
            report.add(
                Measurement(
                    "\(name), loss back \(steps) ahead / without the loop", "", [back / max(usual, 1)],
                    target: shift >= claimedFrom && steps > 1 ? 0.5 : nil,
                    "\(Int(back)) samples of \(Int(usual))"))
        }
    }
}
