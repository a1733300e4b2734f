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
/// Anomalies and data problems are reported and neither hold the series nor ask for retraining.
package struct DriftStage: Stage, ~Copyable {
    /// What the operator can set; part of the fingerprint.
    package typealias Settings = DriftSettings

    package static var name: StageName { .driftDetector }
    package static var inbox: TopicName { .forecasts }
    package static var outputs: [TopicName] { [.drift, .observations] }
    package static var watermarkOutput: TopicName? { nil }
    package static var logicVersion: UInt32 { 2 }

    let settings: DriftSettings
    let task: TaskID
    let layout: TopicLayout
    let names: NameTable
    private let cusumTuning: CusumFamily.Tuning
    private let pageHinkleyTuning: PageHinkley.Tuning

    var series: PagedTable<SeriesCell>
    var seriesIndex = PairIndex()
    var resources: PagedTable<DriftResourceCell>
    var resourceIndex = PairIndex()
    var budget: RetrainBudget
    var counts = DriftCounts()

    package init(settings: DriftSettings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        self.task = task
        self.layout = layout
        self.names = names
        let runLength = settings.averageRunLength.isFinite ? settings.averageRunLength : 10_000
        cusumTuning = CusumFamily.tuning(averageRunLength: runLength)
        pageHinkleyTuning = PageHinkley.tuning(averageRunLength: runLength)
        series = PagedTable(cellsMax: max(settings.seriesMax, 1))
        resources = PagedTable(cellsMax: max(settings.seriesMax, 1))
        budget = RetrainBudget(perHour: settings.retrainsPerHourMax)
    }

    package mutating func receive(_ entry: Entry, into out: Emitter) {
        switch entry.kind {
        case .forecast: receiveForecast(entry, into: out)
        case .tags: receiveTags(entry)
        case .gone: receiveGone(entry)
        default: break
        }
    }

    /// Missing telemetry reaches this stage as the quality that the twins state; nothing waits for a time here.
    package mutating func advance(to watermark: EventTime, into out: Emitter) {}

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
        let cell = series.write(slot)
        let residual = entry.numbers[ForecastNumbers.referenceResidual]
        guard admits(cell, code, residual) else { return }
        let verdict =
            switch settings.detector {
            case .cusum: cell.pointee.cusum.update(residual, cusumTuning)
            case .pageHinkley: cell.pointee.pageHinkley.update(residual, pageHinkleyTuning)
            }
        if verdict.change != .none { reportChange(entry, verdict, slot, into: out) }
    }

    /// Whether the series is watched now; counts down hold-offs and restarts the charts when the reference is another.
    @inline(__always)
    private func admits(_ cell: UnsafeMutablePointer<SeriesCell>, _ code: ForecastCode, _ residual: Float) -> Bool {
        if code.isYoung || code.quality == .missing { return false }
        guard residual.isFinite else {
            cell.pointee.isBlind = 1
            return false
        }
        if cell.pointee.isBlind != 0 {
            cell.pointee.restart()
        } else if cell.pointee.hold > 0 {
            cell.pointee.hold &-= 1
            if cell.pointee.hold > 0 { return false }
            cell.pointee.restart()
        }
        return true
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
        if folded < cell.pointee.sampleCount { cell.pointee.forget() }
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

    private mutating func receiveTags(_ entry: Entry) {
        guard entry.resource != 0, let slot = resourceSlot(entry.resource) else { return }
        resources.write(slot).pointee.locality = entry.object
    }

    /// The resource lives elsewhere now: if it ever comes back it is watched anew.
    private mutating func receiveGone(_ entry: Entry) {
        guard let slot = resourceIndex.find(entry.resource, 1) else { return }
        var next = resources.read(slot).pointee.firstSeries
        while next != 0 {
            let cell = series.write(Int(next) &- 1)
            cell.pointee.forget()
            next = cell.pointee.nextOfResource
        }
    }

    private mutating func resourceSlot(_ resource: NameNumber) -> Int? {
        if let slot = resourceIndex.find(resource, 1) { return slot }
        guard let slot = resources.append(DriftResourceCell(resource: resource, locality: 0, firstSeries: 0))
        else { return nil }
        resourceIndex.insert(resource, 1, slot)
        return slot
    }

    @inline(__always)
    private mutating func slot(_ resource: NameNumber, _ metric: NameNumber) -> Int? {
        if let slot = seriesIndex.find(resource, metric) { return slot }
        return newSlot(resource, metric)
    }

    @inline(never)
    private mutating func newSlot(_ resource: NameNumber, _ metric: NameNumber) -> Int? {
        guard let owner = resourceSlot(resource) else { return nil }
        var cell = SeriesCell(resource: resource, metric: metric)
        cell.nextOfResource = resources.read(owner).pointee.firstSeries
        guard let slot = series.append(cell) else { return nil }
        resources.write(owner).pointee.firstSeries = UInt32(slot + 1)
        seriesIndex.insert(resource, metric, slot)
        return slot
    }

    package var counters: [StageCounter] { counts.all(series: series.count) }
}

/// What a task counts.
struct DriftCounts {
    var drifts: UInt64 = 0
    var anomalies: UInt64 = 0
    var dataProblems: UInt64 = 0
    var retrains: UInt64 = 0
    var retrainsRefused: UInt64 = 0
    var seriesRefused: UInt64 = 0
    var malformed: UInt64 = 0

    func all(series: Int) -> [StageCounter] {
        [
            StageCounter("series", UInt64(series)), StageCounter("drifts", drifts),
            StageCounter("anomalies", anomalies), StageCounter("dataProblems", dataProblems),
            StageCounter("retrains", retrains), StageCounter("retrainsRefused", retrainsRefused),
            StageCounter("seriesRefused", seriesRefused), StageCounter("malformedForecasts", malformed),
        ]
    }
}
