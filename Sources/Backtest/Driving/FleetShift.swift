import DriftDetection
import Messages
import Simulation
import StageKit
import TwinCore
import Twins

/// A fleet whose every series moves at the same moment, told to a twin-updater and a drift-detector that answer each
/// other in memory: what a change of everything asks of them, and how long they take to be done with it.
package final class FleetShift {
    /// What the fleet is like.
    package struct Settings: Sendable {
        /// Twins of one series each, spread evenly over the localities; all in one task.
        package var twins = 10_000
        package var localities = 10
        package var seed: UInt64 = 1
        /// Samples of each series before the shift, and from it on.
        package var samplesBefore = 300
        package var samplesAfter = 330
        package var stepSeconds: Int64 = 60
        /// Size of the shift, in standard deviations of the noise.
        package var shift = 4.0
        package var retrainsPerHourMax = DriftSettings().retrainsPerHourMax
        package init() {}
    }

    /// What one sample of each series led to.
    package struct Round: Sendable {
        /// What both tasks took, by the caller's clock.
        package var seconds = 0.0
        /// Series that were reported, and requests to fit afresh that the budget allowed.
        package var drifts = 0
        package var retrains = 0
        /// Reports of localities whose resources drifted together, by locality.
        package var groups: [String: Int] = [:]
    }

    /// What happened, round by round, the shift in round `shiftAt`.
    package struct Report: Sendable {
        package var shiftAt: Int
        package var rounds: [Round] = []
        /// Rounds from the shift until a twin's forecast first says that it is distrusted; -1 for never.
        package var distrustedAfter: [Int]

        /// What one round takes before the shift: the median of the second half of them.
        package var restSeconds: Double {
            let rest = rounds[(shiftAt / 2)..<shiftAt].map(\.seconds).sorted()
            return rest.isEmpty ? 0 : rest[rest.count / 2]
        }

        /// The dearest round since the shift, in rounds at rest.
        package var dearest: Double { (rounds[shiftAt...].map(\.seconds).max() ?? 0) / max(restSeconds, 1e-12) }

        /// The last round since the shift in which a twin was retrained, counted from the shift; nil for none.
        package var lastRetrain: Int? { rounds[shiftAt...].lastIndex { $0.retrains > 0 }.map { $0 - shiftAt } }

        /// Of the retrainings since the shift: all, and the most in a row of so many rounds.
        package func retrains(mostIn count: Int) -> (all: Int, most: Int) {
            let made = rounds[shiftAt...].map(\.retrains)
            let most = made.indices.map { made[$0..<min($0 + count, made.count)].reduce(0, +) }.max() ?? 0
            return (made.reduce(0, +), most)
        }

        /// How far a worker falls behind that is busy for a share of its time before the shift.
        /// - Returns: the longest lag, in steps of the series, and the rounds from the shift until there is none left;
        ///   nil if there is some at the end.
        package func lag(busy share: Double) -> (longest: Double, over: Int?) {
            let step = restSeconds / share
            var lag = 0.0
            var longest = 0.0
            var last = -1
            for (index, round) in rounds[shiftAt...].enumerated() {
                lag = max(0, lag + round.seconds - step)
                longest = max(longest, lag)
                if lag > 0 { last = index }
            }
            return (longest / max(step, 1e-12), last + 1 < rounds.count - shiftAt ? last + 1 : nil)
        }
    }

    private let settings: Settings
    private let pipeline: Pipeline
    private let feeder: EntryFeeder
    private let resources: [NameID]
    private let metric: NameID
    private let indices: [UInt64: Int]
    private let reader = FrameReader()
    private var noise: [Double]
    private var random: SeededGenerator
    private var written: [OutgoingRecord] = []

    private static let entriesPerFrame = 1_000
    /// The level and the noise around it: autocorrelated, so that a shift is no single large error.
    private static let level = 100.0
    private static let correlation = 0.5

    package init(_ settings: Settings) throws(BacktestError) {
        self.settings = settings
        var twins = TwinSettings()
        twins.horizonSeconds = [300, 900, 3_600]
        var drift = DriftSettings()
        drift.retrainsPerHourMax = settings.retrainsPerHourMax
        pipeline = try Pipeline(twins: twins, propagates: false, decides: false, drift: drift)
        let names = NameTable(namesMax: settings.twins + settings.localities + 8)
        feeder = EntryFeeder(names: names)
        resources = (0..<settings.twins).map { names.intern("svc-\($0)") ?? 0 }
        metric = names.intern("requests") ?? 0
        indices = Dictionary(
            (0..<settings.twins).map { (fnv1a64("svc-\($0)"), $0) }, uniquingKeysWith: { first, _ in first })
        noise = [Double](repeating: 0, count: settings.twins)
        random = SeededGenerator(seed: settings.seed)
        let homes = (0..<settings.localities).map { names.intern("cluster-\($0)") ?? 0 }
        for twin in 0..<settings.twins {
            feeder.emit(
                Entry(kind: .tags, resource: resources[twin], object: homes[twin % homes.count]), to: .observations)
        }
        push()
    }

    /// Lives through it.
    /// - Parameter clock: seconds, of whatever the rounds are to be measured in.
    package func run(clock: () -> Double, progress: (Int) -> Void = { _ in }) throws(BacktestError) -> Report {
        pipeline.driver.tap = { [unowned self] record throws(BacktestError) in written.append(record) }
        defer { pipeline.driver.tap = nil }
        var report = Report(
            shiftAt: settings.samplesBefore, distrustedAfter: [Int](repeating: -1, count: settings.twins))
        for index in 0..<(settings.samplesBefore + settings.samplesAfter) {
            progress(index)
            tell(round: index)
            let began = clock()
            try pipeline.driver.pump()
            var round = Round()
            round.seconds = clock() - began
            read(into: &round, at: index, &report)
            report.rounds.append(round)
            written.removeAll(keepingCapacity: true)
        }
        return report
    }

    /// One sample of each series, and the watermark behind them.
    private func tell(round: Int) {
        let now = EventTime(seconds: 1_767_225_600 + Int64(round) * settings.stepSeconds)
        let shift = round >= settings.samplesBefore ? settings.shift : 0
        let innovation = (1 - Self.correlation * Self.correlation).squareRoot()
        for twin in 0..<settings.twins {
            noise[twin] = Self.correlation * noise[twin] + innovation * random.normal()
            feeder.emit(
                Entry(
                    kind: .sample, code: SampleCode(role: .demand, isCounter: false).raw, resource: resources[twin],
                    object: metric, time: now, value: Self.level + noise[twin] + shift),
                to: .observations)
            if feeder.count(.observations) >= Self.entriesPerFrame { push() }
        }
        push(watermark: now)
    }

    private func push(watermark: EventTime? = nil) {
        guard let frame = feeder.cut(.observations, watermark: watermark) else { return }
        pipeline.driver.push(frame, to: .observations)
    }

    /// What the stages have said in this round.
    private func read(into round: inout Round, at index: Int, _ report: inout Report) {
        for record in written {
            guard let value = record.value else { continue }
            switch record.topic {
            case .drift: readEvent(value, key: record.key, into: &round)
            case .observations, .forecasts:
                value.withUnsafeBytes { bytes in
                    guard (try? reader.decode(bytes)) != nil else { return }
                    for entry in reader.entries { read(entry, into: &round, at: index, &report) }
                }
            default: break
            }
        }
    }

    private func readEvent(_ value: [UInt8], key: [UInt8]?, into round: inout Round) {
        let text = String(decoding: value, as: UTF8.self)
        if text.contains("drift.group.v1\"") && !text.contains("\"scope\":\"resource\"") {
            round.groups[String(decoding: key ?? [], as: UTF8.self), default: 0] += 1
        } else if text.contains("drift.v1\"") && !text.contains("\"kind\":\"anomaly\"") {
            round.drifts += 1
        }
    }

    private func read(_ entry: Entry, into round: inout Round, at index: Int, _ report: inout Report) {
        if entry.kind == .retrain, !RetrainCode(raw: entry.code).isDistrustOnly { round.retrains += 1 }
        guard entry.kind == .forecast, index >= report.shiftAt, ForecastCode(raw: entry.code).isDistrusted,
            let twin = indices[fnv1a64(reader.names[Int(entry.resource) - 1])], report.distrustedAfter[twin] < 0
        else { return }
        report.distrustedAfter[twin] = index - report.shiftAt
    }
}
