import Messages
import StageKit
import TwinCore

/// Collects the forecasts of one tick and writes `forecasts.csv`: per series the last one that was issued for the
/// sample of the tick, at every sample or at the asked origins only.
final class ForecastRows {
    static let header = "issued_at,resource,metric,horizon_s,mean,q10,q50,q90,q95,q99"
    /// Numbers of one forecast that are kept: per horizon the horizon itself, the mean, five quantiles.
    private static let perHorizon = 7

    /// A forecast that has been written.
    struct Issued {
        var series: Int
        var time: EventTime
        var level: Double
        var stepSeconds: Float
        /// Horizon, mean and quantiles, seven numbers per horizon; valid during the call.
        var numbers: ArraySlice<Float>
    }

    private let file: OutputFile
    private let series: SeriesTable
    private let origins: OriginsFile?
    /// The horizons that are written, seconds; the twins may compute more.
    private let horizons: [Float]
    /// Milliseconds that event time is ahead of the file's.
    private let shift: Int64
    @exclusivity(unchecked) private var cells: [Cell] = []
    @exclusivity(unchecked) private var pending: [Pending] = []
    @exclusivity(unchecked) private var numbers: [Float] = []
    @exclusivity(unchecked) private var tick = 0
    /// Origins that were asked for and written.
    @exclusivity(unchecked) private(set) var answered = 0
    @exclusivity(unchecked) private(set) var issued: UInt64 = 0
    /// Position in the origins' moments, in step with the ticks.
    @exclusivity(unchecked) private var nextMoment = 0

    private struct Cell {
        /// `,resource,metric,` as it stands in the rows.
        var text: [UInt8]
        var asked: [Int64]
        var nextAsked = 0
        var issuedAt = Int64.min
        var tick = -1
        var pending = 0
    }

    private struct Pending {
        var series: Int
        var time: EventTime
        var level: Double
        var stepSeconds: Float
        var from: Int
        var count: Int
    }

    init(
        path: String, series: SeriesTable, horizons: [Int], origins: OriginsFile?, shift: Int64
    ) throws(BacktestError) {
        file = try OutputFile(path: path)
        file.header(Self.header)
        self.series = series
        self.horizons = horizons.map { Float($0) }
        self.origins = origins
        self.shift = shift
    }

    var rows: UInt64 { file.rows }

    /// Whether a tick at this moment can bring anything to write; ticks come in order.
    func isWanted(at moment: EventTime) -> Bool {
        guard let origins else { return true }
        let time = moment.milliseconds - shift
        while nextMoment < origins.allMoments.count, origins.allMoments[nextMoment] < time { nextMoment += 1 }
        return nextMoment < origins.allMoments.count && origins.allMoments[nextMoment] == time
    }

    /// Takes a forecast or outlook of the present tick. What is no newer than what was written is left out: it was
    /// issued because of something else than a sample.
    func take(_ entry: Entry, series number: Int, isOutlook: Bool) {
        guard let count = ForecastNumbers.horizons(in: entry.numbers, isOutlook: isOutlook) else { return }
        while cells.count <= number { cells.append(cell(cells.count)) }
        if cells[number].tick == tick {
            guard entry.time >= pending[cells[number].pending].time else { return }
        } else {
            guard entry.time.milliseconds > cells[number].issuedAt else { return }
            cells[number].tick = tick
            cells[number].pending = pending.count
            pending.append(Pending(series: number, time: entry.time, level: 0, stepSeconds: 0, from: 0, count: 0))
        }
        let place = cells[number].pending
        pending[place].time = entry.time
        pending[place].level = entry.value
        pending[place].stepSeconds = entry.numbers[ForecastNumbers.stepSeconds]
        pending[place].from = numbers.count
        for horizon in 0..<count {
            let block = ForecastNumbers.block(horizon)
            guard horizons.contains(entry.numbers[block]) else { continue }
            for index in 0..<Self.perHorizon { numbers.append(entry.numbers[block + index]) }
        }
        pending[place].count = (numbers.count - pending[place].from) / Self.perHorizon
    }

    private func cell(_ number: Int) -> Cell {
        var text: [UInt8] = [0x2c]
        let key = series.keys[number]
        CSVField.append(series.names.bytes(of: key.resource), to: &text)
        text.append(0x2c)
        CSVField.append(series.names.bytes(of: key.metric), to: &text)
        text.append(0x2c)
        let asked = origins?.moments(
            resource: series.names.bytes(of: key.resource), metric: series.names.bytes(of: key.metric))
        return Cell(text: text, asked: asked ?? [])
    }

    /// Ends the tick: what is asked for is written, in the order in which it was first issued. `body` sees it too.
    func endTick(_ body: (Issued) -> Void) throws(BacktestError) {
        for index in pending.indices {
            let forecast = pending[index]
            cells[forecast.series].issuedAt = forecast.time.milliseconds
            guard isAsked(forecast) else { continue }
            let end = forecast.from + forecast.count * Self.perHorizon
            try write(forecast)
            body(
                Issued(
                    series: forecast.series, time: forecast.time, level: forecast.level,
                    stepSeconds: forecast.stepSeconds, numbers: numbers[forecast.from..<end]))
        }
        pending.removeAll(keepingCapacity: true)
        numbers.removeAll(keepingCapacity: true)
        tick += 1
    }

    private func isAsked(_ forecast: Pending) -> Bool {
        guard origins != nil else { return true }
        let time = forecast.time.milliseconds - shift
        let number = forecast.series
        while cells[number].nextAsked < cells[number].asked.count,
            cells[number].asked[cells[number].nextAsked] < time
        {
            cells[number].nextAsked += 1
        }
        guard cells[number].nextAsked < cells[number].asked.count,
            cells[number].asked[cells[number].nextAsked] == time
        else { return false }
        cells[number].nextAsked += 1
        answered += 1
        return true
    }

    private func write(_ forecast: Pending) throws(BacktestError) {
        issued += 1
        for block in 0..<forecast.count {
            let from = forecast.from + block * Self.perHorizon
            // The step is learned, and so a little uncertain; a horizon of about one step counts as one.
            if numbers[from] < forecast.stepSeconds * 0.95 { continue }
            CSVField.append(milliseconds: forecast.time.milliseconds - shift, to: &file.bytes)
            file.bytes.append(contentsOf: cells[forecast.series].text)
            PlainDecimal.append(Int64(numbers[from]), to: &file.bytes)
            for index in 1..<Self.perHorizon {
                file.bytes.append(0x2c)
                CSVField.append(numbers[from + index], to: &file.bytes)
            }
            try file.endRow()
        }
    }

    func close() throws(BacktestError) { try file.flush() }
}
