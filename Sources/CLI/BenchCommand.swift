import ArgumentParser
import Forecasting
import Foundation
import TwinCore

/// `twinscale bench`: what the pipeline costs on this machine.
struct BenchCommand: ParsableCommand {
    /// What can be measured.
    enum Subject: String, ExpressibleByArgument, CaseIterable {
        case normalizer, stages, forecast, drift
        case peerJob = "peer-job"
        case snapshot, memory, allocations, all
    }

    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure what the stages cost on this machine.",
        discussion: """
            normalizer   native JSON to frames
            stages       all five, each over what the one before wrote
            forecast     the ensemble of a series: a step with five horizons asked for, a sample within a step
            drift        the default detector: a step, its memory, false alarms in a million samples without a change;
                         a shift of 10 000 twins at once: reports, lag, retraining; how soon shifts are noticed, and
                         how soon forecasts recover, with the loop and without
            peer-job     parse JSON, smooth each series (Holt), write JSON one for one, on the same runtime
            snapshot     100 000 twins in one task: pauses while a snapshot is taken, time to restore, memory
            memory       the five stages as processes over a broker: their memory (needs --bootstrap)
            allocations  allocations per sample in the pure loops, in steady state

            Without --bootstrap everything runs in memory. With it, normalizer, stages and peer-job are also \
            measured over \
            that broker, in topics of a namespace of their own that are deleted at the end; the CPU time is then \
            that of all \
            threads of this process, librdkafka's included. With --yardstick their bounds are ratios to a hand-written \
            consumer in C, run beside them; without it those of a machine on which that takes 1.1 s a million records. \
            Only a release build says anything. Medians of --runs runs.
            """)

    @Argument(help: ArgumentHelp("What to measure.", valueName: "subject"))
    var subject = Subject.all

    @Option(help: "Records, one sample each.")
    var records = 400_000

    @Option(help: "Resources, of four metrics each.")
    var resources = 2_500

    @Option(help: "Repetitions, of which the median counts.")
    var runs = 3

    @Option(help: ArgumentHelp("Measure over this broker, too.", valueName: "host:port,…"))
    var bootstrap: String?

    @Option(
        name: .customLong("kafka"),
        help: ArgumentHelp("A property of librdkafka. May be repeated.", valueName: "key=value"))
    var kafka: [String] = []

    @Option(
        help: ArgumentHelp(
            "Hand-written C job to run beside the peer job (needs cc and --bootstrap).", valueName: "file.c"))
    var yardstick: String?

    @Option(help: "Twins of the snapshot benchmark.")
    var twins = 100_000

    @Option(help: "Seeds of each stream of the drift benchmark, a million samples each.")
    var seeds = 3

    @Option(help: ArgumentHelp("Series of the memory benchmark, one run for each number.", valueName: "number,…"))
    var series = "10000,100000"

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if !(1_000...100_000_000).contains(records) { throw ValidationError("--records is 1000 to 100000000") }
        if !(1...1_000_000).contains(resources) { throw ValidationError("--resources is 1 to 1000000") }
        if !(1...100).contains(runs) { throw ValidationError("--runs is 1 to 100") }
        if !(20_000...1_000_000).contains(twins) { throw ValidationError("--twins is 20000 to 1000000") }
        if !(1...1_000).contains(seeds) { throw ValidationError("--seeds is 1 to 1000") }
        if yardstick != nil, bootstrap == nil { throw ValidationError("--yardstick needs --bootstrap") }
        if subject == .memory, bootstrap == nil { throw ValidationError("memory needs --bootstrap") }
        if seriesCounts.isEmpty || seriesCounts.contains(where: { !(1_000...2_000_000).contains($0) }) {
            throw ValidationError("--series is one number or more from 1000 to 2000000, with commas between")
        }
    }

    private var seriesCounts: [Int] { series.split(separator: ",").map { Int($0) ?? 0 } }

    private var broker: BrokerOptions {
        get throws {
            try BrokerOptions.parse(["--bootstrap", bootstrap ?? ""] + kafka.flatMap { ["--kafka", $0] })
        }
    }

    func run() throws {
        if let directory = ProcessInfo.processInfo.environment[AllocationBench.variable], subject == .allocations {
            return try AllocationBench.trace(records: records, resources: resources, into: directory)
        }
        try reporting(try broker) {
            stopOnInterrupt()
            var report = BenchReport()
            if [.normalizer, .stages, .peerJob, .all].contains(subject) {
                let feed = BenchFeed(records: records, resources: resources, partitions: StageBench.partitions)
                report.notes.append(
                    "\(records) records of \(feed.bytes.count / max(records, 1)) bytes, \(feed.seriesCount) series in "
                        + "turn; first sight of each series included")
                let models = try measureInMemory(feed, &report)
                if bootstrap != nil { try measureOverKafka(feed, models: models, &report) }
            }
            if subject == .forecast || subject == .all { measureForecast(&report) }
            if subject == .drift || subject == .all {
                measureDrift(&report)
                try measureFleetShift(&report)
                try measureRecovery(&report)
            }
            if subject == .snapshot || subject == .all { try measureSnapshot(&report) }
            if subject == .memory || subject == .all && bootstrap != nil { try measureMemory(&report) }
            if subject == .allocations || subject == .all { try measureAllocations(&report) }
            print(json ? report.json : report.text)
        }
    }

    private func perMillion(_ seconds: Double) -> Double { seconds / Double(records) * 1e6 }

    // MARK: in memory

    /// - Returns: what the models' steps cost of it, run by run.
    private func measureInMemory(_ feed: BenchFeed, _ report: inout BenchReport) throws -> [Double] {
        let bar = ProgressBar("in memory", isWanted: !json)
        var costs: [StageName: [Double]] = [:]
        var models: [Double] = []
        var states: [StageName: Double] = [:]
        for run in 0..<runs where subject != .peerJob {
            bar.show(run, of: runs)
            if isInterrupted { break }
            if subject == .normalizer {
                costs[.normalizer, default: []].append(perMillion(try StageBench.normalize(feed).cpuSeconds))
            } else {
                let (chain, resting) = try StageBench.chain(feed)
                for (stage, cost) in chain {
                    costs[stage, default: []].append(perMillion(cost.cpuSeconds))
                    states[stage] = Double(cost.stateBytes) / Double(feed.seriesCount)
                    guard stage == .twinUpdater else { continue }
                    models.append(perMillion(cost.cpuSeconds - resting.cpuSeconds))
                }
            }
        }
        bar.end()
        for stage in StageName.allCases {
            guard let runs = costs[stage] else { continue }
            report.add(Measurement("\(stage.text), memory", "CPU-s/M samples", runs))
        }
        addSums(costs, models, "memory", &report)
        for stage in StageName.allCases {
            guard let bytes = states[stage] else { continue }
            report.add(Measurement("\(stage.text), state", "bytes/series", [bytes]))
        }
        if states.count > 1 {
            let all = states.values.reduce(0, +)
            report.add(Measurement("all stages, state", "bytes/series", [all]))
            let model = Double(MemoryLayout<SeriesModel>.stride)
            report.add(
                Measurement("all stages, state without the models", "bytes/series", [all - model], target: 8_192))
        }
        return models
    }

    /// The four stages behind the normalizer together, as they are, and without what the models' steps cost: a step
    /// falls due as often as samples come, or as seldom as `stage.stepSecondsMin` lets it.
    private func addSums(
        _ costs: [StageName: [Double]], _ models: [Double], _ place: String, _ report: inout BenchReport
    ) {
        guard let sum = Self.sum(costs) else { return }
        report.add(Measurement("four stages, \(place)", "CPU-s/M samples", sum))
        guard models.count == sum.count else { return }
        let rest = zip(sum, models).map { $0 - $1 }
        report.add(
            Measurement("four stages without the models' steps, \(place)", "CPU-s/M samples", rest, target: 2.5))
    }

    /// Run by run, all stages but the normalizer together.
    private static func sum(_ costs: [StageName: [Double]]) -> [Double]? {
        let stages = StageName.allCases.dropFirst().compactMap { costs[$0] }
        guard stages.count == StageName.allCases.count - 1, let count = stages.map(\.count).min(), count > 0 else {
            return nil
        }
        return (0..<count).map { run in stages.reduce(0) { $0 + $1[run] } }
    }

    // MARK: over a broker

    /// - Parameter models: what the models' steps cost in memory, run by run.
    private func measureOverKafka(_ feed: BenchFeed, models: [Double], _ report: inout BenchReport) throws {
        let bar = ProgressBar("over Kafka", isWanted: !json)
        var costs: [StageName: [Double]] = [:]
        var peers: [Double] = []
        var sticks: [Double] = []
        let stick = try subject == .peerJob || subject == .all ? yardstick.map { try Yardstick(source: $0) } : nil
        defer { stick?.remove() }
        for run in 0..<runs {
            let bench = KafkaBench(try broker)
            defer { bench.cleanUp() }
            try bench.prepare()
            try bench.fill(feed, bar)
            if subject == .peerJob || subject == .all {
                bar.show(run, of: runs, "peer job")
                peers.append(perMillion(try bench.runPeerJob(incarnation: 9).cpuSeconds))
                if let stick {
                    sticks.append(
                        try stick.job(
                            bootstrap ?? "", from: "\(bench.namespace).telemetry", to: bench.yardstickTopic,
                            group: "\(bench.namespace).yardstick", records: records))
                }
            }
            guard subject != .peerJob else { continue }
            for stage in StageName.allCases where subject != .normalizer || stage == .normalizer {
                bar.show(run, of: runs, stage.text)
                costs[stage, default: []].append(perMillion(try bench.run(stage).cpuSeconds))
            }
        }
        bar.end()
        for stage in StageName.allCases {
            guard let runs = costs[stage] else { continue }
            report.add(
                Measurement(
                    "\(stage.text), Kafka", "CPU-s/M samples", runs,
                    target: stage == .normalizer && sticks.isEmpty ? Self.normalizerBound : nil))
        }
        addSums(costs, models, "Kafka", &report)
        if !peers.isEmpty {
            report.add(
                Measurement(
                    "peer job, Kafka", "CPU-s/M records", peers, target: sticks.isEmpty ? Self.peerBound : nil))
        }
        compare(normalizer: costs[.normalizer] ?? [], peers: peers, sticks: sticks, &report)
    }

    /// The bounds are of a machine on which the yardstick takes so much, CPU-seconds per million records.
    private static let yardstickThere = 1.1
    private static let normalizerBound = 1.3
    private static let peerBound = 1.5

    /// Where the yardstick was run too, the bounds hold as ratios to it, run by run: the machine is not in them.
    private func compare(normalizer: [Double], peers: [Double], sticks: [Double], _ report: inout BenchReport) {
        guard !sticks.isEmpty else { return }
        report.add(Measurement("yardstick in C, Kafka", "CPU-s/M records", sticks))
        for (name, runs, bound) in [
            ("normalizer", normalizer, Self.normalizerBound), ("peer job", peers, Self.peerBound),
        ] where runs.count == sticks.count {
            report.add(
                Measurement(
                    "\(name) / yardstick, Kafka", "", zip(runs, sticks).map { $0 / $1 },
                    target: bound / Self.yardstickThere))
        }
    }

    // MARK: snapshots and allocations

    private func measureForecast(_ report: inout BenchReport) {
        let bar = ProgressBar("forecast", isWanted: !json)
        var done: [ForecastBench.Cost] = []
        for run in 0..<runs where !isInterrupted {
            bar.show(run, of: runs)
            done.append(ForecastBench.measure(steps: records))
        }
        bar.end()
        guard let last = done.last else { return }
        report.add(Measurement("a step of a series, five horizons", "µs", done.map { $0.step * 1e6 }, target: 10))
        report.add(Measurement("a sample within a step", "µs", done.map { $0.sample * 1e6 }, target: 0.3))
        report.add(Measurement("a series' models", "bytes", [Double(last.bytesPerSeries)], target: 12_288))
    }

    private func measureDrift(_ report: inout BenchReport) {
        let bar = ProgressBar("drift", isWanted: !json)
        let costs = (0..<runs).map { _ in DriftBench.cost() }
        report.add(Measurement("the default detector, a step", "µs", costs.map { $0.step * 1e6 }, target: 0.5))
        report.add(Measurement("the default detector", "bytes", costs.map { Double($0.bytes) }, target: 512))
        for stream in DriftBench.Stream.allCases where !isInterrupted {
            var rates: [Double] = []
            for seed in 1...UInt64(seeds) where !isInterrupted {
                bar.show(Int(seed), of: seeds, stream.rawValue)
                rates.append(DriftBench.falseAlarms(stream, seed: seed))
            }
            let mean = rates.reduce(0, +) / Double(max(rates.count, 1))
            let most = rates.max() ?? 0
            report.add(
                Measurement(
                    "false drifts, \(stream.text)", "per 1 000", [mean], target: 0.1,
                    "seeds 1 to \(rates.count), the worst \(EntryFields.short(most))"))
        }
        bar.end()
    }

    private func measureFleetShift(_ report: inout BenchReport) throws {
        let bar = ProgressBar("fleet shift", isWanted: !json)
        try FleetShiftBench.measure(into: &report) { bar.show($0, of: $1) }
        bar.end()
    }

    private func measureRecovery(_ report: inout BenchReport) throws {
        let bar = ProgressBar("recovery", isWanted: !json)
        for shift in RecoveryBench.shifts where !isInterrupted {
            try RecoveryBench.measure(shift: shift, into: &report) { bar.show($0, of: $1, "shift of \(Int(shift))") }
        }
        bar.end()
    }

    private func measureSnapshot(_ report: inout BenchReport) throws {
        let bar = ProgressBar("snapshot", isWanted: !json)
        let bench = SnapshotBench(twins: twins / 1_000 * 1_000, metricsPerTwin: 1)
        var done: [SnapshotBench.Run] = []
        for _ in 0..<runs where !isInterrupted { done.append(try bench.run(bar)) }
        bar.end()
        guard let last = done.last else { return }
        func add(_ name: String, _ unit: String, _ target: Double?, _ value: (SnapshotBench.Run) -> Double) {
            report.add(Measurement(name, unit, done.map(value), target: target))
        }
        add("longest pause while a snapshot is taken", "ms", 50) { $0.pauseSeconds * 1_000 }
        add("the same, CPU time of the loop", "ms", nil) { $0.pauseCPUSeconds * 1_000 }
        add("freezing itself", "ms", nil) { $0.freezeSeconds * 1_000 }
        add("longest pause otherwise", "ms", nil) { $0.pauseWithoutSnapshotSeconds * 1_000 }
        add("writing a snapshot", "s", nil, \.writeSeconds)
        add("restoring a snapshot", "s", 2, \.restoreSeconds)
        // Memory that an earlier benchmark gave back would be counted as free.
        if subject == .snapshot, let first = done.first {
            report.add(Measurement("twin-updater, resident", "bytes/series", [first.residentBytesPerSeries]))
        }
        report.notes.append(
            "snapshot of \(last.series) series: \(last.contentBytes / 1_048_576) MiB, "
                + "\(last.storedBytes / 1_048_576) MiB stored"
        )
    }

    private func measureMemory(_ report: inout BenchReport) throws {
        let bar = ProgressBar("memory", isWanted: !json)
        for series in seriesCounts {
            let run = try MemoryBench(broker: try broker, series: series).run(bar)
            let megabytes = { (bytes: Int) in Double(bytes) / 1e6 }
            let name = "five processes, \(run.series) series"
            report.add(
                Measurement(
                    "\(name), resident", "MB", [megabytes(run.residentBytes)], target: megabytes(run.boundBytes)))
            report.add(Measurement("\(name), most", "MB", [megabytes(run.residentBytesMax)]))
            report.add(
                Measurement("\(name), CPU", "CPU-s/M samples", [run.cpuSeconds / Double(run.samples) * 1e6]))
        }
        bar.end()
        report.notes.append(
            "memory is bound by \(MemoryBench.bytesPerSeriesMax / 1_024) KiB a series and "
                + "\(MemoryBench.baseBytesMax / 1_000_000) MB for the processes themselves")
    }

    private func measureAllocations(_ report: inout BenchReport) throws {
        let sampled = min(records, 100_000)
        guard let counts = try AllocationBench.measure(records: sampled, resources: min(resources, sampled / 40 + 1))
        else {
            report.notes.append(
                "allocations were not counted: the C library's tracer (libc_malloc_debug.so.0) is not here")
            return
        }
        for (name, count) in counts {
            report.add(
                Measurement(
                    "\(name), allocations", "per sample", [count], target: nil,
                    "frames and records that leave are included"))
        }
    }
}
