import Messages
import StageKit
import TwinCore

/// Sees what the stages write, and writes the files. Whatever comes in a tick is stamped with the tick's time, the last
/// sample seen, so that nothing in a row can come from after its stamp.
final class Recorder {
    let forecasts: ForecastRows
    let drift: DriftRows
    let decisions: DecisionRows
    /// Why a policy was rejected, once one was.
    private(set) var rejection: String?
    private(set) var deadLetters: UInt64 = 0

    private let series: SeriesTable
    private let source: TopicName
    private let shift: Int64
    private let reader = FrameReader()
    @exclusivity(unchecked) private var resolved: [NameID] = []
    @exclusivity(unchecked) private var now = EventTime(milliseconds: 0)
    @exclusivity(unchecked) private var isWanted = true

    /// - Parameter usesOutlooks: forecasts are taken with the neighbours' influence added.
    init(
        options: BacktestOptions, series: SeriesTable, origins: OriginsFile?, usesOutlooks: Bool, shift: Int64
    ) throws(BacktestError) {
        let directory = options.outputDirectory
        forecasts = try ForecastRows(
            path: "\(directory)/forecasts.csv", series: series, horizons: options.horizons, origins: origins,
            shift: shift)
        drift = try DriftRows(path: "\(directory)/drift.csv")
        decisions = try DecisionRows(path: "\(directory)/decisions.csv")
        self.series = series
        self.shift = shift
        source = usesOutlooks ? .outlooks : .forecasts
    }

    /// All that follows is caused by samples up to this moment.
    func begin(_ moment: EventTime) {
        now = moment
        isWanted = forecasts.isWanted(at: moment)
    }

    func take(_ record: OutgoingRecord) throws(BacktestError) {
        guard let value = record.value else { return }
        switch record.topic {
        case source where isWanted: takeFrame(value)
        case .drift: try drift.take(value, milliseconds: now.milliseconds - shift)
        case .decisions:
            let reason = decisions.take(value)
            if rejection == nil { rejection = reason }
        case .deadletters: deadLetters += 1
        default: return
        }
    }

    private func takeFrame(_ value: [UInt8]) {
        value.withUnsafeBytes { bytes in
            guard (try? reader.decode(bytes)) != nil else { return }
            resolved.removeAll(keepingCapacity: true)
            for name in reader.names { resolved.append(series.names.find(name) ?? 0) }
            let kind: EntryKind = source == .outlooks ? .outlook : .forecast
            for entry in reader.entries where entry.kind == kind && entry.resource > 0 && entry.object > 0 {
                let resource = resolved[Int(entry.resource) - 1]
                let metric = resolved[Int(entry.object) - 1]
                guard let number = series.find(resource: resource, metric: metric) else { continue }
                forecasts.take(entry, series: number, isOutlook: kind == .outlook)
            }
        }
    }

    /// Ends the tick: its forecasts and decisions are written.
    func endTick(_ body: (ForecastRows.Issued) -> Void) throws(BacktestError) {
        try forecasts.endTick(body)
        try decisions.endTick(milliseconds: now.milliseconds - shift)
    }

    func close() throws(BacktestError) {
        try forecasts.close()
        try drift.close()
        try decisions.close()
    }
}
