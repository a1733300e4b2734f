import Backtest
import TwinCore

/// A shift of ten thousand twins at once, through the twin-updater and the drift-detector of one task.
enum FleetShiftBench {
    /// How busy the worker is whose lag is told.
    private static let busyShare = 0.8
    /// Its samples come by the second. Retraining has a budget by the hour: samples by the minute that keep a worker as
    /// busy would come with a thousand times the budget that such a worker has.
    private static let busyStepSeconds: Int64 = 1

    /// - Parameter progress: rounds lived through, of so many.
    static func measure(into report: inout BenchReport, progress: (Int, Int) -> Void) throws {
        let settings = FleetShift.Settings()
        var busy = settings
        busy.stepSeconds = busyStepSeconds
        let rounds = settings.samplesBefore + settings.samplesAfter
        let found = try FleetShift(settings).run(clock: threadSeconds) { progress($0, 2 * rounds) }
        let lag = try FleetShift(busy).run(clock: threadSeconds) { progress(rounds + $0, 2 * rounds) }
            .lag(busy: busyShare)
        let minutes = Double(settings.stepSeconds) / 60
        let name = "shift of \(settings.twins) twins"
        let groups = found.rounds[found.shiftAt...].flatMap { $0.groups.keys }
        let told = Dictionary(groups.map { ($0, 1.0) }, uniquingKeysWith: +)
        report.add(Measurement("\(name), localities told of", "", [Double(told.count)]))
        report.add(Measurement("\(name), reports of one locality", "", [told.values.max() ?? 0], target: 1))
        let delays = found.distrustDelays
        report.add(
            Measurement(
                "\(name), distrusted after", "samples", [delays.isEmpty ? .nan : Double(delays[delays.count / 2])],
                "\(delays.count) twins"))
        report.add(Measurement("\(name), dearest step", "× at rest", [found.dearest]))
        report.add(Measurement("\(name), lag of a task busy for 80 %", "steps", [lag.longest]))
        report.add(Measurement("\(name), that lag is over after", "steps", [lag.over.map(Double.init) ?? .infinity]))
        let perHour = settings.retrainsPerHourMax
        let retrains = found.retrains(mostIn: Int(60 / minutes))
        report.add(
            Measurement(
                "\(name), retrained in an hour, at most", "", [Double(retrains.most)], target: perHour * 7 / 6))
        report.add(
            Measurement(
                "\(name), last retrained after", "minutes", [found.lastRetrain.map { Double($0) * minutes } ?? .nan],
                "\(retrains.all) in all"))
    }
}
