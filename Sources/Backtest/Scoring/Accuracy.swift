import TwinCore

/// Scores forecasts as the samples they foretold come in: memory is bounded per series, and the number of series is.
///
/// A forecast for `horizon` is compared with the sample round(horizon ÷ step) steps later. The baseline is persistence
/// (the last value, with quantiles of its own past errors). WQL is the weighted quantile loss
/// 2·Σ pinball ÷ (levels · Σ|y|) over the five levels that are written; ratios to persistence are on the same points.
final class Accuracy {
    /// Series that are scored: the first ones.
    static let seriesMax = 10_000
    /// Forecasts of a series and horizon that wait for their sample; more are not scored.
    static let pendingMax = 256
    /// Samples of a series that are remembered for persistence's errors.
    static let samplesMax = 1_024
    static let levels: [Double] = [0.1, 0.5, 0.9, 0.95, 0.99]

    /// Sums over the scored forecasts of one series and horizon.
    struct Sums {
        var count = 0
        var absoluteError = 0.0
        var absoluteErrorNaive = 0.0
        var pinball = 0.0
        var pinballNaive = 0.0
        var absoluteValue = 0.0
        /// Values at or below, and strictly below, the quantile of each level.
        var atOrBelow = [Int](repeating: 0, count: 5)
        var below = [Int](repeating: 0, count: 5)
    }

    fileprivate struct Pending {
        var target: Int64
        var quantiles: (Float, Float, Float, Float, Float)
        var naive: (Float, Float, Float, Float, Float)
    }

    fileprivate struct Horizon {
        var lag: Int64 = 0
        var pending: [Pending] = []
        var head = 0
        var errors = ErrorWindow()
        var sums = Sums()
    }

    fileprivate struct Cell {
        var step: Int64 = 0
        var times: [Int64] = []
        var values: [Float] = []
        /// Place of the oldest sample once the ring is full.
        var oldest = 0
        var horizons: [Horizon]
    }

    private let horizonSeconds: [Int]
    @exclusivity(unchecked) private var cells: [Cell] = []
    /// Forecasts that were not scored because of a limit.
    @exclusivity(unchecked) private(set) var unscored = 0

    init(horizons: [Int]) { horizonSeconds = horizons }

    var seriesCount: Int { cells.count }

    /// The sums of a series, per horizon.
    func sums(_ series: Int) -> [Sums] { series < cells.count ? cells[series].horizons.map(\.sums) : [] }

    private func ensure(_ series: Int) -> Bool {
        guard series < Self.seriesMax else { return false }
        while cells.count <= series {
            cells.append(Cell(horizons: Array(repeating: Horizon(), count: horizonSeconds.count)))
        }
        return true
    }

    /// A sample has come: what foretold it is scored, persistence's errors are noted.
    func observe(_ series: Int, _ value: Double, at time: EventTime) {
        guard ensure(series) else { return }
        let now = time.milliseconds
        let value = Float(value)
        guard value.isFinite else { return }
        let half = cells[series].step / 2
        for horizon in horizonSeconds.indices where cells[series].step > 0 {
            let lag = cells[series].horizons[horizon].lag
            guard lag > 0 else { continue }
            if let before = cells[series].value(near: now &- lag, within: half) {
                cells[series].horizons[horizon].errors.append(value - before)
            }
            cells[series].horizons[horizon].settle(now, value, half)
        }
        cells[series].append(now, value)
    }

    /// A forecast has been written.
    func expect(_ issued: ForecastRows.Issued) {
        guard ensure(issued.series) else {
            unscored += 1
            return
        }
        let step = Int64((issued.stepSeconds * 1_000).rounded())
        guard step > 0, issued.stepSeconds.isFinite else { return }
        cells[issued.series].step = step
        let last = Float(issued.level)
        var index = issued.numbers.startIndex
        while index < issued.numbers.endIndex {
            let seconds = issued.numbers[index]
            defer { index += 7 }
            guard let horizon = horizonSeconds.firstIndex(where: { Float($0) == seconds }),
                seconds >= issued.stepSeconds * 0.95
            else { continue }
            let steps = max((seconds / issued.stepSeconds).rounded(), 1)
            let lag = Int64(steps) &* step
            let q = issued.numbers
            let quantiles = (q[index + 2], q[index + 3], q[index + 4], q[index + 5], q[index + 6])
            if !cells[issued.series].horizons[horizon].expect(
                issued.time.milliseconds, lag: lag, quantiles: quantiles, last: last)
            {
                unscored += 1
            }
        }
    }
}

extension Accuracy.Cell {
    mutating func append(_ time: Int64, _ value: Float) {
        if times.count < Accuracy.samplesMax {
            times.append(time)
            values.append(value)
        } else {
            times[oldest] = time
            values[oldest] = value
            oldest = oldest + 1 == times.count ? 0 : oldest + 1
        }
    }

    /// The sample nearest to a moment, if it is near enough.
    func value(near moment: Int64, within half: Int64) -> Float? {
        guard let newest = times.isEmpty ? nil : times[place(times.count - 1)], step > 0 else { return nil }
        // Where nothing is missing, the place follows from the distance.
        let guess = times.count &- 1 &- Int((newest &- moment &+ half) / step)
        if guess >= 0, guess < times.count, (times[place(guess)] &- moment).magnitude <= UInt64(half) {
            return values[place(guess)]
        }
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[place(middle)] < moment &- half { low = middle + 1 } else { high = middle }
        }
        guard low < times.count, times[place(low)] <= moment &+ half else { return nil }
        return values[place(low)]
    }

    private func place(_ index: Int) -> Int {
        let place = oldest + index
        return place >= times.count ? place - times.count : place
    }
}

extension Accuracy.Horizon {
    /// False if too many wait already.
    mutating func expect(
        _ time: Int64, lag: Int64, quantiles: (Float, Float, Float, Float, Float), last: Float
    ) -> Bool {
        self.lag = lag
        guard pending.count - head < Accuracy.pendingMax else { return false }
        if head > Accuracy.pendingMax {
            pending.removeFirst(head)
            head = 0
        }
        let naive = (
            last + errors.quantile(0.1), last, last + errors.quantile(0.9), last + errors.quantile(0.95),
            last + errors.quantile(0.99)
        )
        pending.append(Accuracy.Pending(target: time &+ lag, quantiles: quantiles, naive: naive))
        return true
    }

    /// Scores what was expected for now, drops what will not come any more.
    mutating func settle(_ now: Int64, _ value: Float, _ half: Int64) {
        while head < pending.count, pending[head].target <= now &+ half {
            if pending[head].target >= now &- half { score(pending[head], value) }
            head += 1
        }
    }

    private mutating func score(_ pending: Accuracy.Pending, _ value: Float) {
        let y = Double(value)
        let ours = [
            pending.quantiles.0, pending.quantiles.1, pending.quantiles.2, pending.quantiles.3, pending.quantiles.4,
        ]
        let naive = [pending.naive.0, pending.naive.1, pending.naive.2, pending.naive.3, pending.naive.4]
        sums.count += 1
        sums.absoluteValue += y.magnitude
        sums.absoluteError += (y - Double(ours[1])).magnitude
        sums.absoluteErrorNaive += (y - Double(naive[1])).magnitude
        for index in 0..<5 {
            let level = Accuracy.levels[index]
            let gap = y - Double(ours[index])
            let gapNaive = y - Double(naive[index])
            sums.pinball += max(level * gap, (level - 1) * gap)
            sums.pinballNaive += max(level * gapNaive, (level - 1) * gapNaive)
            if value <= ours[index] { sums.atOrBelow[index] += 1 }
            if value < ours[index] { sums.below[index] += 1 }
        }
    }
}
