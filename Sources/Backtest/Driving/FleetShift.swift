import DriftDetection
import Glibc
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
        /// From the level to the top of the day's wave, in standard deviations of the noise.
        package var wave = 0.0
        package var retrainsPerHourMax = DriftSettings().retrainsPerHourMax
        /// How many steps ahead the forecasts lie whose loss is told; none is told if there are none.
        package var lossSteps: [Int] = []
        /// Rounds over which the shifts of the twins are spread evenly; 0 for all at once.
        package var spread = 0
        package init() {}

        /// A fleet that knows its day, whose twins are retrained when they drift, or never are. Each shifts at its own
        /// time: they share what they learn, and that is not to change at once.
        /// - Parameter shift: in standard deviations of the noise.
        package static func days(twins: Int, seed: UInt64, shift: Double, isLooped: Bool) -> Settings {
            var settings = Settings()
            settings.twins = twins
            settings.seed = seed
            settings.shift = shift
            settings.stepSeconds = 300
            settings.wave = 4
            settings.samplesBefore = 1_200
            settings.samplesAfter = 250
            settings.spread = 288
            settings.lossSteps = [1, 3, 12]
            settings.retrainsPerHourMax = isLooped ? 100_000 : 0
            return settings
        }
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
        /// By place of `Settings.lossSteps` and by sample, counted so that each twin's shift comes with number
        /// `shiftAt`: mean pinball loss (10, 50 and 90 %) of the forecasts of the sample.
        package var losses: [[Double]] = []

        /// Rounds until distrust, of those twins that were, ascending.
        package var distrustDelays: [Int] { distrustedAfter.filter { $0 >= 0 }.sorted() }

        /// Samples from the shift until the loss is back within a tenth of what it was before, over ten samples at a
        /// time; nil for never.
        /// - Parameter place: which of `Settings.lossSteps`.
        package func recovery(_ place: Int) -> Int? {
            func mean(_ part: ArraySlice<Double>) -> Double { part.reduce(0, +) / Double(max(part.count, 1)) }
            let usual = mean(losses[place][(shiftAt / 2)..<shiftAt])
            let span = 10
            return (shiftAt..<max(losses[place].count - span, shiftAt)).first { first in
                mean(losses[place][first..<first + span]) <= 1.1 * usual
            }.map { $0 - shiftAt }
        }

        /// What a round takes before the shift: the mean of the second half of them, as what comes up only now and
        /// then keeps a worker busy too.
        package var restSeconds: Double {
            let rest = rounds[(shiftAt / 2)..<shiftAt]
            return rest.reduce(0) { $0 + $1.seconds } / Double(max(rest.count, 1))
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
        /// - Returns: the longest lag, in steps of the series, and the rounds from the shift until it is no longer than
        ///   it was at rest; nil if it still is at the end.
        package func lag(busy share: Double) -> (longest: Double, over: Int?) {
            let step = restSeconds / share
            let usual = lags(rounds[(shiftAt / 2)..<shiftAt], step).max() ?? 0
            let since = lags(rounds[shiftAt...], step)
            let last = since.lastIndex { $0 > usual } ?? -1
            return ((since.max() ?? 0) / max(step, 1e-12), last + 1 < since.count ? last + 1 : nil)
        }

        /// Round by round, the seconds by which a worker is behind that has `step` for each.
        private func lags(_ rounds: ArraySlice<Round>, _ step: Double) -> [Double] {
            var lag = 0.0
            return rounds.map { round in
                lag = max(0, lag + round.seconds - step)
                return lag
            }
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
    /// By place of `lossSteps`, twin and round of the target modulo the ring: the quantiles forecast for it.
    private var forecasts: [[SIMD4<Float>]] = []
    private var values: [Double]

    private static let entriesPerFrame = 1_000
    /// The level and the noise around it: autocorrelated, so that a shift is no single large error.
    private static let level = 100.0
    private static let correlation = 0.5

    package init(_ settings: Settings) throws(BacktestError) {
        self.settings = settings
        var twins = TwinSettings()
        twins.horizonSeconds =
            settings.lossSteps.isEmpty
            ? [300, 900, 3_600] : settings.lossSteps.map { Double($0) * Double(settings.stepSeconds) }
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
        values = noise
        forecasts = settings.lossSteps.map {
            [SIMD4<Float>](repeating: SIMD4(repeating: .nan), count: settings.twins * ($0 + 1))
        }
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
        let samples = settings.samplesBefore + settings.samplesAfter
        report.losses = settings.lossSteps.map { _ in [Double](repeating: 0, count: samples) }
        for index in 0..<(samples + settings.spread) {
            progress(index)
            tell(round: index)
            let began = clock()
            try pipeline.driver.pump()
            var round = Round()
            round.seconds = clock() - began
            for place in settings.lossSteps.indices { addLosses(place, at: index, to: &report) }
            read(into: &round, at: index, &report)
            report.rounds.append(round)
            written.removeAll(keepingCapacity: true)
        }
        return report
    }

    /// One sample of each series, and the watermark behind them.
    private func tell(round: Int) {
        let now = EventTime(seconds: 1_767_225_600 + Int64(round) * settings.stepSeconds)
        let wave = settings.wave * sin(2 * .pi * Double(now.milliseconds % 86_400_000) / 86_400_000)
        let innovation = (1 - Self.correlation * Self.correlation).squareRoot()
        for twin in 0..<settings.twins {
            noise[twin] = Self.correlation * noise[twin] + innovation * random.normal()
            let isShifted = round >= settings.samplesBefore + delay(of: twin)
            values[twin] = Self.level + noise[twin] + wave + (isShifted ? settings.shift : 0)
            feeder.emit(
                Entry(
                    kind: .sample, code: SampleCode(role: .demand, isCounter: false).raw, resource: resources[twin],
                    object: metric, time: now, value: values[twin]),
                to: .observations)
            if feeder.count(.observations) >= Self.entriesPerFrame { push() }
        }
        push(watermark: now)
    }

    /// Rounds by which a twin's shift comes later than the first.
    private func delay(of twin: Int) -> Int { twin * settings.spread / max(settings.twins, 1) }

    /// Takes in what the forecasts for this round have lost.
    private func addLosses(_ place: Int, at round: Int, to report: inout Report) {
        let ring = settings.lossSteps[place] + 1
        for twin in 0..<settings.twins {
            let said = forecasts[place][twin * ring + round % ring]
            let sample = round - delay(of: twin)
            guard said[1].isFinite, report.losses[place].indices.contains(sample) else { continue }
            for (index, level) in [0.1, 0.5, 0.9].enumerated() {
                let miss = values[twin] - Double(said[index])
                report.losses[place][sample] += max(level * miss, (level - 1) * miss) / 3 / Double(settings.twins)
            }
        }
    }

    /// Keeps the quantiles of a forecast for the rounds that they are of. A later word on the same round counts.
    private func keep(_ entry: Entry, _ twin: Int, at round: Int) {
        for (place, steps) in settings.lossSteps.enumerated() {
            let block = ForecastNumbers.block(place)
            let said = SIMD4(
                entry.numbers[block + 2], entry.numbers[block + 3], entry.numbers[block + 4], entry.numbers[block + 1])
            forecasts[place][twin * (steps + 1) + (round + steps) % (steps + 1)] = said
        }
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
        guard entry.kind == .forecast, let twin = indices[fnv1a64(reader.names[Int(entry.resource) - 1])] else {
            return
        }
        if !settings.lossSteps.isEmpty { keep(entry, twin, at: index) }
        let shiftAt = report.shiftAt + delay(of: twin)
        guard index >= shiftAt, ForecastCode(raw: entry.code).isDistrusted, report.distrustedAfter[twin] < 0
        else { return }
        report.distrustedAfter[twin] = index - shiftAt
    }
}
