import Messages
import StageKit
import TwinCore

/// The drift-detector: judges every twin's residuals against its frozen reference, says what changed and since when on
/// `drift`, and asks the twin to fit afresh.
///
/// A series is in one of three conditions:
///
///     watched ──alarm──► held ──reference renewed, or hold-off over──► watched (charts restarted)
///        └──no reference (young, retrained by others)──► blind ──reference frozen──► watched (charts restarted)
///
/// The twin says by a residual that is not a number that there is no reference, or another one from now on.
///
/// Anomalies and most data problems are reported and neither hold the series nor ask for retraining. Drifts of one
/// locality within a window of event time are looked at together (`DriftGroups.swift`): a shared cause, of a good part
/// of the locality or of resources that talk to each other, is reported once with its scope, however long it takes
/// until the last of them is found, and operators are alarmed from a budget of the whole fleet. A twin is distrusted at
/// once; how many are retrained is bounded, and those that must wait ask again with their next samples.
package struct DriftStage: Stage, ~Copyable {
    /// What the operator can set; part of the fingerprint.
    package typealias Settings = DriftSettings

    package static var name: StageName { .driftDetector }
    package static var inbox: TopicName { .forecasts }
    package static var outputs: [TopicName] { [.drift, .observations] }
    package static var watermarkOutput: TopicName? { nil }
    package static var logicVersion: UInt32 { 7 }

    let settings: DriftSettings
    let task: TaskID
    let layout: TopicLayout
    let names: NameTable

    var detectors: DetectorTable
    var series: PagedTable<SeriesCell>
    var seriesIndex = PairIndex()
    var resources: PagedTable<DriftResourceCell>
    var resourceIndex = PairIndex()
    var localities: PagedTable<LocalityCell>
    var localityIndex = PairIndex()
    var budget: RetrainBudget
    var alarms: AlarmBudget
    /// The end of the open window that ends first; `.max` while none is open.
    var nextClose = Int64.max
    var counts = DriftCounts()

    package init(settings: DriftSettings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        self.task = task
        self.layout = layout
        self.names = names
        let most = max(settings.seriesMax, 1)
        detectors = DetectorTable(settings)
        series = PagedTable(cellsMax: most)
        resources = PagedTable(cellsMax: most)
        localities = PagedTable(cellsMax: most)
        budget = RetrainBudget(perHour: settings.retrainsPerHourMax)
        alarms = AlarmBudget(perDay: settings.alarmsPerDay / Double(max(layout[.forecasts], 1)))
    }

    package mutating func receive(_ entry: Entry, into out: Emitter) {
        switch entry.kind {
        case .forecast: receiveForecast(entry, into: out)
        case .tags: receiveTags(entry)
        case .interaction: receiveInteraction(entry)
        case .gone: receiveGone(entry)
        default: break
        }
    }

    /// Missing telemetry reaches this stage as the quality that the twins state; only windows wait for a time here.
    package mutating func advance(to watermark: EventTime, into out: Emitter) {
        if watermark.milliseconds >= nextClose { closeWindows(until: watermark, into: out) }
    }

    private mutating func receiveForecast(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, entry.object != 0,
            ForecastNumbers.horizons(in: entry.numbers, isOutlook: false) != nil
        else {
            counts.malformed &+= 1
            return
        }
        guard let slot = slot(entry.resource, entry.object) else {
            counts.seriesRefused &+= 1
            return
        }
        let code = ForecastCode(raw: entry.code)
        if judgeData(entry, code, slot, into: out) { return }
        followTrust(entry, code, slot, into: out)
        let residual = entry.numbers[ForecastNumbers.referenceResidual]
        if admits(entry, code, residual, slot, into: out) {
            let verdict = detectors.update(slot, residual)
            if mayBeHour(verdict, entry) {
                counts.hoursPassedBy &+= 1
                detectors.excuse(slot)
            } else if verdict.change != .none {
                reportChange(entry, verdict, slot, into: out)
            }
        }
        follow(entry.value, slot)
    }

    /// Mean evidence per sample that hours of a day do not come to, in deviations.
    private static let hourShiftMax: Float = 0.8

    /// Before a day was seen its hours look like changes of the level. The rise of a day shows as a long run of small
    /// residuals, as the reference follows from step to step; what moves by more at once is told from the start.
    @inline(__always)
    private func mayBeHour(_ verdict: DriftVerdict, _ entry: Entry) -> Bool {
        guard verdict.change == .level || verdict.change == .trend, verdict.shift < Self.hourShiftMax
        else { return false }
        let samples = Double(entry.numbers[ForecastNumbers.sampleCount])
        return samples * Double(entry.numbers[ForecastNumbers.stepSeconds]) < 86_400
    }

    /// Whether the series is watched now; counts down hold-offs and restarts the charts when the reference is another.
    @inline(__always)
    private mutating func admits(
        _ entry: Entry, _ code: ForecastCode, _ residual: Float, _ slot: Int, into out: Emitter
    ) -> Bool {
        if code.isYoung || code.quality == .missing { return false }
        let cell = series.write(slot)
        if cell.pointee.pendingSteps != 0 { return askAgain(entry, slot, into: out) }
        guard residual.isFinite else {
            cell.pointee.isBlind = 1
            return false
        }
        if cell.pointee.isBlind == 0 {
            guard cell.pointee.hold > 0 else { return true }
            cell.pointee.hold &-= 1
            if cell.pointee.hold > 0 { return false }
        }
        cell.pointee.hold = 0
        cell.pointee.isBlind = 0
        detectors.restart(slot)
        return true
    }

    /// The level of late, for the question whether a new one is the old one in another unit.
    @inline(__always)
    private mutating func follow(_ value: Double, _ slot: Int) {
        guard value.magnitude < 1e30 else { return }
        let cell = series.write(slot)
        let value = Float(value)
        if !cell.pointee.usualValue.isFinite { cell.pointee.usualValue = value }
        // A sudden other unit must not have moved it by the time that it is noticed.
        cell.pointee.followCeiling(value)
        let limit = 0.1 * cell.pointee.usualValue.magnitude + 1e-5 * value.magnitude
        cell.pointee.usualValue += min(max(value - cell.pointee.usualValue, -limit), limit) / 64
    }

    /// Looks at the data themselves: no new sample, missing, frozen. True when there is nothing more to judge.
    @inline(__always)
    private mutating func judgeData(_ entry: Entry, _ code: ForecastCode, _ slot: Int, into out: Emitter) -> Bool {
        let cell = series.write(slot)
        if code.quality == .missing {
            if cell.pointee.reported & SeriesCell.missing == 0 {
                cell.pointee.reported |= SeriesCell.missing
                reportData(entry, "missing", samples: 0, slot, into: out)
            }
            return true
        }
        let folded = Double(entry.numbers[ForecastNumbers.sampleCount])
        // Beyond 2²⁴ the count no longer moves by one in the frame's floats.
        if folded == cell.pointee.sampleCount && folded < 16_777_216 { return true }
        if folded < cell.pointee.sampleCount {
            cell.pointee.forget()
            detectors.forget(slot)
        }
        if folded.isFinite { cell.pointee.sampleCount = folded }
        if code.quality == .fresh { cell.pointee.reported &= ~SeriesCell.missing }
        guard entry.value.isFinite else { return false }
        if entry.value != cell.pointee.lastValue {
            cell.pointee.lastValue = entry.value
            cell.pointee.changes = min(cell.pointee.changes &+ 1, 1_000_000)
            cell.pointee.sameLongest = max(cell.pointee.sameLongest, cell.pointee.sameRun)
            cell.pointee.sameRun = 0
            cell.pointee.reported &= ~SeriesCell.frozen
            return false
        }
        cell.pointee.sameRun = min(cell.pointee.sameRun &+ 1, 100_000_000)
        let run = cell.pointee.sameRun
        // A series that often stands still (nights, zeros) has to stand still thrice as long as ever before.
        guard cell.pointee.reported & SeriesCell.frozen == 0, cell.pointee.changes >= 32,
            run >= settings.frozenSamplesMin, run > 3 &* cell.pointee.sameLongest
        else { return false }
        cell.pointee.reported |= SeriesCell.frozen
        reportData(entry, "frozen", samples: run, slot, into: out)
        return false
    }

    package var counters: [StageCounter] { counts.all(series: series.liveCount) }
}

/// What a task counts.
struct DriftCounts {
    var drifts: UInt64 = 0
    var anomalies: UInt64 = 0
    var dataProblems: UInt64 = 0
    var retrains: UInt64 = 0
    var retrainsDelayed: UInt64 = 0
    var groups: UInt64 = 0
    /// Drifts of a shared cause that was reported before they were found.
    var groupsJoined: UInt64 = 0
    var alarms: UInt64 = 0
    var restored: UInt64 = 0
    /// Changes of the level that the hours of a day may be that is not known yet.
    var hoursPassedBy: UInt64 = 0
    var seriesRefused: UInt64 = 0
    var malformed: UInt64 = 0

    func all(series: Int) -> [StageCounter] {
        [
            StageCounter("series", UInt64(series)), StageCounter("drifts", drifts),
            StageCounter("anomalies", anomalies), StageCounter("dataProblems", dataProblems),
            StageCounter("retrains", retrains), StageCounter("retrainsDelayed", retrainsDelayed),
            StageCounter("groups", groups), StageCounter("groupsJoined", groupsJoined), StageCounter("alarms", alarms),
            StageCounter("restored", restored), StageCounter("hoursPassedBy", hoursPassedBy),
            StageCounter("seriesRefused", seriesRefused), StageCounter("malformedForecasts", malformed),
        ]
    }
}
