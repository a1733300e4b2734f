import Forecasting
import Messages
import StageKit
import TwinCore

/// The twin-updater: keeps a twin of every resource of its partition and forecasts each of its metrics.
///
/// In: samples, tags, events, outcomes, retrain requests. Out: one `forecast` entry per accepted sample (and one when a
/// series falls silent), interactions and tags as they came, and the summaries of `twins`.
package struct TwinStage: ~Copyable, Stage {
    package static var name: StageName { .twinUpdater }
    package static var inbox: TopicName { .observations }
    package static var outputs: [TopicName] { [.forecasts, .twins] }
    package static var watermarkOutput: TopicName? { .forecasts }
    package static var logicVersion: UInt32 { 7 }

    let settings: TwinSettings
    let plan: HorizonPlan
    let task: TaskID
    let layout: TopicLayout
    let names: NameTable

    var resources: PagedTable<ResourceCell>
    var series: PagedTable<SeriesCell>
    /// What series learned of planned events; only those that saw one have a cell.
    var memories: PagedTable<EventMemory>
    /// (resource, 0) and (resource, metric) to slot.
    var resourceIndex = PairIndex()
    var seriesIndex = PairIndex()
    /// Per series: when its quality changes unless a sample comes. Follows from the cells.
    var dues: [Int64] = []
    var events: PlannedEvents
    /// Resources that are known to live elsewhere.
    var departures = Departures()
    /// Event time up to which silence was looked for, and up to which twins expired.
    var sweptTo: Int64 = 0
    var expiredTo: Int64 = 0
    var count = TwinCounters()
    /// What all series learn together.
    let shared: UnsafeMutablePointer<SharedModels>

    /// The plan's horizons, at hand.
    let horizons: UnsafeMutablePointer<Float>
    /// The numbers of a forecast, and steps of a history, while they are put together.
    let numbers: UnsafeMutablePointer<Float>
    let steps: UnsafeMutablePointer<Float>
    var eventReader = EventJSON()

    static let numbersMax = ForecastNumbers.headerCount + ForecastNumbers.blockCount * HorizonPlan.horizonsMax
    /// Silence is looked for at these boundaries of event time, milliseconds.
    static let sweepMilliseconds: Int64 = 30_000
    static let expireMilliseconds: Int64 = 3_600_000

    package init(settings: TwinSettings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        plan = HorizonPlan(seconds: settings.horizonSeconds, stepSecondsMin: settings.stepSecondsMin)
        self.task = task
        self.layout = layout
        self.names = names
        resources = PagedTable(cellsMax: min(max(settings.resourcesMax, 1), Int(Int32.max)))
        series = PagedTable(cellsMax: min(max(settings.seriesMax, 1), Int(Int32.max)))
        memories = PagedTable(cellsMax: min(max(settings.seriesMax, 1), Int(Int32.max)))
        events = PlannedEvents(eventsMax: settings.eventsMax)
        shared = .allocate(capacity: 1)
        shared.initialize(to: SharedModels(clock: settings.clock))
        horizons = .allocate(capacity: HorizonPlan.horizonsMax)
        horizons.initialize(repeating: 0, count: HorizonPlan.horizonsMax)
        for index in 0..<plan.count { horizons[index] = plan[index] }
        numbers = .allocate(capacity: Self.numbersMax)
        numbers.initialize(repeating: 0, count: Self.numbersMax)
        steps = .allocate(capacity: History.stepsMax)
        steps.initialize(repeating: 0, count: History.stepsMax)
    }

    deinit {
        shared.deinitialize(count: 1)
        shared.deallocate()
        horizons.deallocate()
        numbers.deallocate()
        steps.deallocate()
    }

    package mutating func receive(_ entry: Entry, into out: Emitter) {
        switch entry.kind {
        case .sample: receiveSample(entry, into: out)
        case .interaction: receiveInteraction(entry, into: out)
        case .tags: receiveTags(entry, into: out)
        case .event: receiveEvent(entry)
        case .retrain: receiveRetrain(entry, into: out)
        case .outcome: receiveOutcome(entry)
        case .gone: receiveGone(entry, into: out)
        case .policy, .command, .forecast, .watermark, .influence, .outlook: break
        }
    }

    package mutating func advance(to watermark: EventTime, into out: Emitter) {
        guard EventTime.plausible.contains(watermark) else { return }
        let boundary = watermark.milliseconds / Self.sweepMilliseconds * Self.sweepMilliseconds
        guard boundary > sweptTo else { return }
        sweptTo = boundary
        findSilence(until: boundary, into: out)
        let ended = events.removeEnded(before: boundary &- latenessMilliseconds)
        if ended != 0 { clearEvents(ended) }
        let hour = boundary / Self.expireMilliseconds * Self.expireMilliseconds
        guard hour > expiredTo else { return }
        expiredTo = hour
        expire(before: expiredBefore, into: out)
    }

    /// Twins without a sample since this moment have expired.
    var expiredBefore: Int64 { expiredTo &- max(settings.expireSeconds, 3_600) &* 1_000 }

    var latenessMilliseconds: Int64 { min(max(settings.allowedLatenessSeconds, 0), 864_000) &* 1_000 }

    package var counters: [StageCounter] {
        [
            StageCounter("accepted", count.accepted), StageCounter("mergedLate", count.mergedLate),
            StageCounter("duplicates", count.duplicates), StageCounter("late", count.late),
            StageCounter("invalid", count.invalid), StageCounter("counterResets", count.counterResets),
            StageCounter("resourcesRefused", count.resourcesRefused),
            StageCounter("seriesRefused", count.seriesRefused), StageCounter("eventsRefused", count.eventsRefused),
            StageCounter("tagsRefused", count.tagsRefused), StageCounter("retrainings", count.retrainings),
            StageCounter("becameStale", count.becameStale), StageCounter("becameMissing", count.becameMissing),
            StageCounter("strangers", count.strangers), StageCounter("elsewhere", count.elsewhere),
            StageCounter("outdated", count.outdated), StageCounter("turnedBack", count.turnedBack),
            StageCounter("expired", count.expired), StageCounter("summaries", count.summaries),
        ]
            + shared.pointee.carriedWeights.map {
                StageCounter("\(TwinCounters.carriedPrefix)\($0.member)", $0.weight)
            }
    }

    /// Twins and series in the tables, free cells included; for tests and metrics.
    package var tableCounts: (resources: Int, series: Int, bytes: Int) {
        (resources.count, series.count, resources.byteCount + series.byteCount)
    }
}
