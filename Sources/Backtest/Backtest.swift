import Messages
import Normalization
import StageKit
import TwinCore
import Twins

/// Runs the stages over recorded telemetry, in memory and as fast as they go, and writes `forecasts.csv`,
/// `decisions.csv`, `drift.csv` and `summary.json`.
///
/// Rows are fed tick by tick: a *tick* is all rows that arrive at one moment, in the order of the file. What a tick
/// causes is followed through all stages, retraining included, before the next one is fed, so a row of the results
/// depends on nothing after its stamp, and the same files give the same results byte for byte.
package final class Backtest {
    private let options: BacktestOptions
    private let series = SeriesTable()
    private let feeder: EntryFeeder
    private let resources: ResourcesFile?
    private let edges: [EdgeRow]
    private let events: [EventRow]
    private let policies: PoliciesFile?
    private let origins: OriginsFile?

    /// Per series: the code of its samples and what makes them canonical.
    @exclusivity(unchecked) private var readings: [MetricReading?] = []
    @exclusivity(unchecked) private var codes: [UInt32] = []
    /// Resources whose tags were announced, by name number.
    @exclusivity(unchecked) private var announced: [Bool] = []
    private var resourceCount = 0
    /// Policies that no resource was met for.
    private var unmatched: [PoliciesFile.Policy]
    private var edgesAt = Int64.min
    private let accuracy: Accuracy
    /// After so many rows the stages are made anew from their snapshots; 0 for never.
    var restartsAfterRows: UInt64 = 0
    /// Interactions carry two numbers that no edge file knows.
    private let unknownNumbers: UnsafeMutablePointer<Float>

    /// Reads the small files; an error in one of them names the line.
    package init(_ options: BacktestOptions) throws(BacktestError) {
        self.options = options
        feeder = EntryFeeder(names: series.names)
        resources = try options.resources.map { (path) throws(BacktestError) in try ResourcesFile(path: path) }
        edges = try options.edges.map { (path) throws(BacktestError) in try GraphFiles.edges(path: path) } ?? []
        events = try options.events.map { (path) throws(BacktestError) in try GraphFiles.events(path: path) } ?? []
        let declared = resources
        policies = try options.policies.map { (path) throws(BacktestError) in
            try PoliciesFile(path: path, resources: declared)
        }
        unmatched = policies?.policies ?? []
        origins = try options.origins.map { (path) throws(BacktestError) in
            try OriginsFile(path: path, trace: options.telemetry)
        }
        accuracy = Accuracy(horizons: options.horizons)
        unknownNumbers = .allocate(capacity: 2)
        unknownNumbers.initialize(repeating: .nan, count: 2)
    }

    deinit { unknownNumbers.deallocate() }

    /// Reads the telemetry, runs the stages, writes the files.
    package func run(progress: (BacktestProgress) -> Void = { _ in }) throws(BacktestError) -> BacktestSummary {
        let clock = ContinuousClock()
        let began = clock.now
        let source = try TelemetrySource(path: options.telemetry, series: series, limits: options.limits) { share in
            progress(BacktestProgress(phase: .reading, share: share))
        }
        let read = clock.now
        try OutputFile.makeDirectory(options.outputDirectory)
        var next = try source.next()
        let shift = Self.shift(first: next?.arrival)
        let isDeciding = policies.map { !$0.policies.isEmpty } ?? false
        var pipeline = try Pipeline(
            twins: twinSettings(), propagates: !edges.isEmpty, decides: isDeciding)
        let recorder = try Recorder(
            options: options, series: series, origins: origins, usesOutlooks: !edges.isEmpty, shift: shift)
        pipeline.driver.tap = { (record) throws(BacktestError) in try recorder.take(record) }
        if let first = next?.arrival { try prologue(first, shift, pipeline.driver, recorder) }
        var span: (first: EventTime, last: EventTime)?
        var rows: UInt64 = 0
        var clockOfTicks = TickClock()
        while let head = next {
            let arrival = head.arrival
            span = (span?.first ?? arrival, arrival)
            let now = arrival.advanced(byMilliseconds: shift)
            recorder.begin(now)
            if clockOfTicks.isSilenceBroken(by: now), let frame = feeder.cut(.observations, watermark: now) {
                pipeline.driver.push(frame, to: .observations)
                try pipeline.driver.pump()
            }
            restateEdges(now)
            while let row = next, row.arrival == arrival {
                feed(row.row, shift)
                rows &+= 1
                if rows & 0x3fff == 0 {
                    progress(BacktestProgress(phase: .running, share: Double(rows) / Double(max(source.rowCount, 1))))
                }
                next = try source.next()
                if feeder.count(.observations) >= Self.frameEntriesMax { try pump(pipeline.driver, nil) }
            }
            try pump(pipeline.driver, now)
            try recorder.endTick { accuracy.expect($0) }
            if restartsAfterRows > 0 && rows >= restartsAfterRows {
                pipeline = try pipeline.restarted()
                restartsAfterRows = 0
            }
        }
        try recorder.close()
        let summary = summary(
            source, pipeline, recorder, span, read: began.duration(to: read), run: read.duration(to: clock.now))
        try write(summary)
        return summary
    }

    /// Entries of one frame; a tick of more rows is fed in several.
    private static let frameEntriesMax = 4_096

    private func pump(_ driver: PipelineDriver, _ watermark: EventTime?) throws(BacktestError) {
        guard let frame = feeder.cut(.observations, watermark: watermark) else { return }
        driver.push(frame, to: .observations)
        try driver.pump()
    }

    /// The stages take times from 1990 on. A trace whose clock starts before that (at zero, say) is moved forward by
    /// whole weeks, and what is written is moved back.
    private static func shift(first: EventTime?) -> Int64 {
        guard let first, first < EventTime.plausible.lowerBound else { return 0 }
        let week: Int64 = 604_800_000
        let missing = EventTime.plausible.lowerBound.milliseconds - first.milliseconds
        return (missing / week + 1) * week
    }

    private func write(_ summary: BacktestSummary) throws(BacktestError) {
        let file = try OutputFile(path: "\(options.outputDirectory)/summary.json")
        file.bytes.append(contentsOf: summary.json())
        try file.flush()
    }
}

/// Notices when nothing was seen for much longer than usual, so that the stages hear of the time that passed before
/// they see the sample that ends the silence.
private struct TickClock {
    private var last: EventTime?
    private var gap: Int64 = 60_000

    mutating func isSilenceBroken(by now: EventTime) -> Bool {
        defer { last = now }
        guard let last else { return false }
        let since = now.milliseconds(since: last)
        if since > 3 * gap { return true }
        gap = max(since, 1_000)
        return false
    }
}

// MARK: - Feeding

extension Backtest {
    private func twinSettings() -> TwinSettings {
        var settings = TwinSettings()
        var horizons = options.horizons
        // Decisions look ahead by the provisioning delay and the time to the next decision.
        for policy in policies?.policies ?? [] {
            let lead = (policy.provisioningDelaySeconds ?? 0) + (policy.decisionIntervalSeconds ?? 0)
            guard lead >= 1, lead <= 86_400, horizons.count < min(BacktestOptions.horizonsMax, 8) else { continue }
            let seconds = Int(lead.rounded(.up))
            if !horizons.contains(seconds) { horizons.append(seconds) }
        }
        settings.horizonSeconds = horizons.sorted().map { Double($0) }
        settings.clock = options.clock
        settings.resourcesMax = 1_000_000
        settings.seriesMax = 1_000_000
        settings.seriesPerResourceMax = 4_096
        // Summaries are not among the results; a recorded series may pause for longer than a live one.
        settings.summarySeconds = 1_000_000_000
        settings.expireSeconds = 5_184_000
        return settings
    }

    /// What is known before the first sample: policies and planned events.
    private func prologue(
        _ first: EventTime, _ shift: Int64, _ driver: PipelineDriver, _ recorder: Recorder
    ) throws(BacktestError) {
        let now = first.advanced(byMilliseconds: shift)
        recorder.begin(now)
        for policy in policies?.policies ?? [] {
            guard let name = series.names.intern(policy.name) else { continue }
            policy.json.withUnsafeBytes { text in
                feeder.emit(
                    Entry(kind: .policy, object: name, time: now, value: policy.version, text: text), to: .outlooks)
            }
            if let frame = feeder.cut(.outlooks) { driver.push(frame, to: .outlooks) }
            try driver.pump()
            if let reason = recorder.rejection {
                throw BacktestError(
                    .format, "\(options.policies ?? ""), line \(policy.line): policy \"\(policy.name)\": \(reason)")
            }
        }
        for event in events {
            guard let id = series.names.intern(event.id) else { continue }
            var moved = event
            moved.start = event.start.advanced(byMilliseconds: shift)
            moved.end = event.end.advanced(byMilliseconds: shift)
            var writer = JSONWriter()
            moved.write(into: &writer)
            writer.withBytes { text in
                feeder.emit(
                    Entry(kind: .event, object: id, time: moved.start, value: moved.uplift, text: text),
                    to: .observations)
            }
        }
        try pump(driver, nil)
    }

    /// Edges are facts of the whole trace; said again every hour, so that confidence in them does not fade.
    private func restateEdges(_ now: EventTime) {
        guard !edges.isEmpty, edgesAt == .min || now.milliseconds - edgesAt >= 3_600_000 else { return }
        edgesAt = now.milliseconds
        for edge in edges {
            guard let source = series.names.intern(edge.source), let target = series.names.intern(edge.target) else {
                continue
            }
            feeder.emit(
                Entry(
                    kind: .interaction, resource: source, object: target, time: now, value: edge.weight,
                    numbers: FloatSlice(start: UnsafeRawPointer(unknownNumbers), count: 2)),
                to: .observations)
        }
    }

    private func feed(_ row: TelemetryRow, _ shift: Int64) {
        let number = Int(row.series)
        if number >= codes.count { meet(upTo: number, at: row.time.advanced(byMilliseconds: shift)) }
        let key = series.keys[number]
        let value = readings[number].map { $0.canonical(row.value) } ?? row.value
        let time = row.time.advanced(byMilliseconds: shift)
        feeder.emit(
            Entry(
                kind: .sample, code: codes[number], resource: key.resource, object: key.metric, time: time,
                value: value),
            to: .observations)
        // What a counter counts per second, and busy units, are known to the twin alone.
        if readings[number].map({ !$0.code.isCounter && $0.code.role != .utilisation }) ?? true {
            accuracy.observe(number, value, at: time)
        }
    }

    /// Series that are seen for the first time: how they are read, and what is known of their resources.
    private func meet(upTo number: Int, at time: EventTime) {
        while codes.count <= number {
            let key = series.keys[codes.count]
            let resource = resources?.find(series.names.text(of: key.resource))
            let metric = series.names.text(of: key.metric)
            let reading = resource?.metrics.first { $0.name == metric }?.reading
            readings.append(reading)
            codes.append(reading?.code.raw ?? SampleCode(role: .unknown, isCounter: false).raw)
            let name = Int(key.resource)
            while announced.count <= name { announced.append(false) }
            if announced[name] { continue }
            announced[name] = true
            resourceCount += 1
            if !unmatched.isEmpty {
                let id = series.names.text(of: key.resource)
                unmatched.removeAll { $0.matches(id, resource) }
            }
            if let resource { announce(resource, key.resource, at: time) }
        }
    }

    private func announce(_ resource: ResourcesFile.Resource, _ name: NameID, at time: EventTime) {
        var writer = JSONWriter()
        writer.beginObject()
        if !resource.resourceClass.isEmpty {
            writer.key("class")
            writer.string(resource.resourceClass)
        }
        writer.key("tags")
        writer.beginObject()
        for (key, value) in resource.tags {
            writer.key(key)
            writer.string(value)
        }
        writer.endObject()
        writer.endObject()
        let cluster = resource.tags.first { $0.key == "cluster" }?.value
        let locality = cluster.flatMap { series.names.intern($0) } ?? 0
        writer.withBytes { text in
            feeder.emit(
                Entry(kind: .tags, resource: name, object: locality, time: time, text: text), to: .observations)
        }
    }
}

// MARK: - Summary

extension Backtest {
    private func summary(
        _ source: TelemetrySource, _ pipeline: Pipeline, _ recorder: Recorder,
        _ span: (first: EventTime, last: EventTime)?, read: Duration, run: Duration
    ) -> BacktestSummary {
        var summary = BacktestSummary()
        summary.telemetry.file = OriginsFile.traceName(options.telemetry)
        summary.telemetry.rows = source.rowCount
        summary.telemetry.rowsWithoutValue = source.rowsWithoutValue
        summary.telemetry.badRows = source.bad.total
        for fault in RowFault.allCases where source.bad.counts[Int(fault.rawValue)] > 0 {
            summary.telemetry.badRowsByFault.append(
                (String(describing: fault), source.bad.counts[Int(fault.rawValue)]))
        }
        summary.telemetry.badRowExamples = source.bad.examples
        summary.telemetry.lateRows = source.lateRows
        summary.telemetry.farAhead = source.farAhead
        summary.telemetry.resources = resourceCount
        summary.telemetry.series = codes.count
        summary.telemetry.start = span?.first.seconds
        summary.telemetry.end = span?.last.seconds
        summary.telemetry.isMerged = source.isMerged
        summary.telemetry.isStreamed = source.isStreamed
        summary.forecastRows = recorder.forecasts.rows
        summary.forecastsIssued = recorder.forecasts.issued
        summary.originsAsked = origins?.count
        summary.originsAnswered = recorder.forecasts.answered
        summary.decisionRows = recorder.decisions.rows
        summary.decisionChanges = recorder.decisions.changes
        summary.policiesUnmatched = unmatched.map(\.name)
        summary.driftRows = recorder.drift.rows
        for kind in DriftKind.allCases where kind != .none {
            summary.driftByKind.append((kind.text, recorder.drift.counts[Int(kind.rawValue)]))
        }
        summary.accuracy = BacktestSummary.scores(accuracy, series: series, horizons: options.horizons)
        summary.stages = pipeline.counters
        summary.readSeconds = read / .seconds(1)
        summary.runSeconds = run / .seconds(1)
        return summary
    }
}
