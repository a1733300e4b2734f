import Messages
import StageKit
import TwinCore

/// A past level of a series, and the units that were ready then (NaN if unknown).
package struct HistoryPoint: Sendable, BitwiseCopyable {
    /// Event time, milliseconds.
    package var time: Int64
    package var level: Float
    package var units: Float
}

/// A forecast as it was issued: mean, 10 and 90 % quantile of up to four horizons.
package struct IssuedForecast: Sendable, BitwiseCopyable {
    package static let horizonsMax = 4
    /// Event time, milliseconds.
    package var issued: Int64
    /// Mean, q10, q90 of each remembered horizon.
    package var values: [12 of Float]
}

/// Where an outlook stands in the log: who says it, and as which of its words. Also what time may be believed there.
package struct OutlookPlace: Sendable {
    /// The packed task; 0 where nobody is known.
    package var task: UInt64
    package var sequence: Sequence
    /// Event times beyond this are a slip of somebody's clock; nil where nothing tells.
    package var timeMax: EventTime?

    package init(task: UInt64, sequence: Sequence, timeMax: EventTime? = nil) {
        self.task = task
        self.sequence = sequence
        self.timeMax = timeMax
    }
}

/// What is known of one metric of a twin: the outlook in force, past levels in two resolutions, past forecasts.
///
/// A fold over the outlooks of the series. What a task says later counts, whatever its event time: a task that goes
/// back in time takes back a sample from a future that never was. Between tasks, as when a twin moves, the later event
/// time counts, unless it is a slip of a clock. Repeats change nothing.
package struct SeriesView: Sendable {
    package let metric: String
    package private(set) var code = ForecastCode(raw: 0)
    /// Event time of the last sample.
    package private(set) var time = EventTime.distantPast
    package private(set) var level = Double.nan
    /// The outlook's numbers (`ForecastNumbers`), influence at the end; empty before the first.
    package private(set) var numbers: [Float] = []
    package private(set) var horizonCount = 0
    package private(set) var fine: Ring<HistoryPoint>
    package private(set) var coarse: Ring<HistoryPoint>
    package private(set) var issued: Ring<IssuedForecast>
    /// Which horizons `issued` remembers, seconds.
    package private(set) var issuedHorizons: [Float] = []
    /// The task that spoke last, and its last word.
    private var task: UInt64 = 0
    private var last = Sequence.none
    private var bucket: Int64 = .min
    private var bucketSum = 0.0
    private var bucketUnits: Float = .nan
    private var bucketCount = 0

    package init(metric: String, limits: ViewLimits) {
        self.metric = metric
        fine = Ring(elementsMax: limits.finePointsMax)
        coarse = Ring(elementsMax: limits.coarsePointsMax)
        issued = Ring(elementsMax: limits.issuedMax)
    }

    /// Units that were ready at the last sample; NaN if unknown.
    package var readyUnits: Float { number(ForecastNumbers.readyUnits) }
    package var stepSeconds: Float { number(ForecastNumbers.stepSeconds) }
    package var sampleCount: Int {
        let count = number(ForecastNumbers.sampleCount)
        return count >= 0 && count < 1e15 ? Int(count) : 0
    }

    private func number(_ index: Int) -> Float { index < numbers.count ? numbers[index] : .nan }

    /// Seconds of horizon h.
    package func horizonSeconds(_ h: Int) -> Float { number(ForecastNumbers.block(h)) }

    /// Mean at horizon h.
    package func mean(_ h: Int) -> Float { number(ForecastNumbers.block(h) + 1) }

    /// Quantile `q` (index into `QuantileLevels.all`) at horizon h.
    package func quantile(_ q: Int, _ h: Int) -> Float { number(ForecastNumbers.block(h) + 2 + q) }

    /// Rare values that the highest quantile at horizon h rests on.
    package func tailCount(_ h: Int) -> Float { number(ForecastNumbers.tailCount(h)) }

    /// What neighbours add to the mean at horizon h.
    package func influence(_ h: Int) -> Float { number(ForecastNumbers.influence(h, of: horizonCount)) }

    /// Folds an outlook; false if its numbers contradict each other.
    package mutating func receive(_ entry: Entry, at place: OutlookPlace, limits: ViewLimits) -> Bool {
        guard let horizons = ForecastNumbers.horizons(in: entry.numbers, isOutlook: true),
            EventTime.plausible.contains(entry.time)
        else { return false }
        guard isNews(entry.time, place) else { return true }
        let isNew = entry.time != time
        if entry.time < time { takeBack(to: entry.time) }
        (task, last) = (place.task, place.sequence)
        time = entry.time
        level = entry.value
        code = ForecastCode(raw: entry.code)
        horizonCount = horizons
        numbers.removeAll(keepingCapacity: true)
        for index in 0..<entry.numbers.count { numbers.append(entry.numbers[index]) }
        if isNew { remember(limits) }
        return true
    }

    private func isNews(_ moment: EventTime, _ place: OutlookPlace) -> Bool {
        if place.task == task, place.task != 0 { return place.sequence > last }
        return moment >= time || place.timeMax.map { time > $0 && moment <= $0 } ?? false
    }

    /// Forgets what was remembered of times from `moment` on.
    private mutating func takeBack(to moment: EventTime) {
        let moment = moment.milliseconds
        fine.removeLast { $0.time >= moment }
        coarse.removeLast { $0.time >= moment }
        issued.removeLast { $0.issued >= moment }
        guard bucketCount > 0, bucket >= moment else { return }
        (bucket, bucketSum, bucketCount) = (.min, 0, 0)
    }

    private mutating func remember(_ limits: ViewLimits) {
        guard code.quality == .fresh, level.isFinite else { return }
        let now = time.milliseconds
        let dropped = fine.append(HistoryPoint(time: now, level: Float(level), units: readyUnits))
        if let dropped { fold(dropped, limits) }
        let interval = max(Int64(limits.issuedSeconds) * 1_000, Int64(max(min(stepSeconds, 86_400), 0)) * 1_000)
        if let last = issued.last, now - last.issued < interval { return }
        issue(now)
    }

    /// A point that leaves the recent ones joins the mean of its bucket.
    private mutating func fold(_ point: HistoryPoint, _ limits: ViewLimits) {
        let width = Int64(max(limits.coarseSeconds, 1)) * 1_000
        let own = point.time / width * width
        if own != bucket, bucketCount > 0 {
            coarse.append(
                HistoryPoint(
                    time: bucket + width / 2, level: Float(bucketSum / Double(bucketCount)), units: bucketUnits))
            bucketCount = 0
            bucketSum = 0
        }
        bucket = own
        bucketCount += 1
        bucketSum += Double(point.level)
        bucketUnits = point.units
    }

    private mutating func issue(_ now: Int64) {
        guard horizonCount > 0 else { return }
        let chosen = Self.chosen(of: horizonCount)
        let seconds = chosen.map { horizonSeconds($0) }
        if seconds != issuedHorizons {
            issued.removeAll()
            issuedHorizons = seconds
        }
        var forecast = IssuedForecast(issued: now, values: .init(repeating: .nan))
        for (slot, h) in chosen.enumerated() {
            forecast.values[slot * 3] = mean(h)
            forecast.values[slot * 3 + 1] = quantile(0, h)
            forecast.values[slot * 3 + 2] = quantile(2, h)
        }
        issued.append(forecast)
    }

    /// All horizons, or four that are spread over them.
    private static func chosen(of count: Int) -> [Int] {
        let most = IssuedForecast.horizonsMax
        if count <= most { return Array(0..<count) }
        return (0..<most).map { $0 * (count - 1) / (most - 1) }
    }

    // MARK: the past

    /// Points of all resolutions, oldest first.
    package var pointCount: Int { coarse.count + fine.count }

    /// The point at `index`, 0 being the oldest.
    package func point(_ index: Int) -> HistoryPoint {
        index < coarse.count ? coarse[index] : fine[index - coarse.count]
    }

    /// How many points lie before `time`.
    package func points(before time: Int64) -> Int {
        let old = coarse.partition { $0.time < time }
        return old < coarse.count ? old : coarse.count + fine.partition { $0.time < time }
    }

    /// The level at a moment, as far as it is remembered: of the nearest point within `toleranceMilliseconds`.
    package func level(at moment: Int64, toleranceMilliseconds: Int64) -> Float? {
        let next = points(before: moment)
        var found: HistoryPoint?
        for index in [next - 1, next] where index >= 0 && index < pointCount {
            let point = point(index)
            let distance = (point.time - moment).magnitude
            guard distance <= UInt64(toleranceMilliseconds) else { continue }
            if let best = found, (best.time - moment).magnitude <= distance { continue }
            found = point
        }
        return found?.level
    }
}

// MARK: - Snapshots

extension SeriesView {
    func freeze(into coder: inout StateCoder) {
        coder.write(text: metric)
        coder.write(UInt64(code.raw))
        coder.write(time.milliseconds)
        coder.write(level)
        coder.write(UInt64(horizonCount))
        coder.write(elements: numbers)
        coder.write(elements: fine.elements)
        coder.write(elements: coarse.elements)
        coder.write(elements: issued.elements)
        coder.write(elements: issuedHorizons)
        coder.write(task)
        coder.write(last.offset)
        coder.write(last.index)
        coder.write(bucket)
        coder.write(bucketSum)
        coder.write(Double(bucketUnits))
        coder.write(UInt64(bucketCount))
    }

    init(from decoder: inout StateDecoder, limits: ViewLimits) throws(StateError) {
        self.init(metric: try decoder.readText(), limits: limits)
        code = ForecastCode(raw: UInt32(truncatingIfNeeded: try decoder.readWord()))
        time = EventTime(milliseconds: try decoder.readInt64())
        level = try decoder.readDouble()
        horizonCount = try decoder.readCount(max: 10_000)
        numbers = try decoder.readElements(Float.self)
        let expected = numbers.isEmpty ? 0 : ForecastNumbers.outlookCount(horizons: horizonCount)
        guard numbers.count == expected, !numbers.isEmpty || horizonCount == 0 else {
            throw .invalid("an outlook of another length")
        }
        for point in try decoder.readElements(HistoryPoint.self) { fine.append(point) }
        for point in try decoder.readElements(HistoryPoint.self) { coarse.append(point) }
        for forecast in try decoder.readElements(IssuedForecast.self) { issued.append(forecast) }
        issuedHorizons = try decoder.readElements(Float.self)
        guard issuedHorizons.count <= IssuedForecast.horizonsMax else { throw .invalid("too many horizons") }
        task = try decoder.readWord()
        last = Sequence(offset: try decoder.readInt64(), index: try decoder.readInt64())
        bucket = try decoder.readInt64()
        bucketSum = try decoder.readDouble()
        bucketUnits = Float(try decoder.readDouble())
        bucketCount = try decoder.readCount(max: .max)
    }
}
