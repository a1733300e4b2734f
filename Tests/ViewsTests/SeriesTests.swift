import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Views

extension SeriesView {
    /// Folds an outlook of nobody in particular.
    fileprivate mutating func receive(_ entry: Entry, limits: ViewLimits) -> Bool {
        receive(entry, at: OutlookPlace(task: 0, sequence: .none), limits: limits)
    }
}

/// One series: what is kept of outlooks.
@Suite struct SeriesTests {
    private static let start: Int64 = 1_795_000_000_000

    /// Gives an outlook of two horizons, 60 s and 120 s, that expects the level to stay.
    func outlook(
        _ minute: Int, level: Double, quality: DataQuality = .fresh, mean: Float? = nil, _ body: (Entry) -> Void
    ) {
        var numbers = [Float](repeating: 0, count: ForecastNumbers.outlookCount(horizons: 2))
        numbers[ForecastNumbers.stepSeconds] = 60
        numbers[ForecastNumbers.horizonCount] = 2
        numbers[ForecastNumbers.readyUnits] = 3
        for h in 0..<2 {
            numbers[ForecastNumbers.block(h)] = Float(60 * (h + 1))
            numbers[ForecastNumbers.block(h) + 1] = mean ?? Float(level)
            for q in 0..<QuantileLevels.count {
                numbers[ForecastNumbers.block(h) + 2 + q] = Float(level) + Float(q - 1) * 5
            }
        }
        numbers.withUnsafeBytes { bytes in
            body(
                Entry(
                    kind: .outlook,
                    code: ForecastCode(quality: quality, role: .demand, isDistrusted: false, isYoung: false).raw,
                    time: EventTime(milliseconds: Self.start + Int64(minute) * 60_000), value: level,
                    numbers: FloatSlice(start: bytes.baseAddress, count: numbers.count)))
        }
    }

    func limits() -> ViewLimits {
        var limits = ViewLimits()
        limits.finePointsMax = 30
        limits.coarsePointsMax = 10
        limits.issuedMax = 8
        return limits
    }

    @Test func oldPointsBecomeMeansAndNothingGrowsBeyondItsLimit() {
        var series = SeriesView(metric: "m", limits: limits())
        for minute in 0..<600 { outlook(minute, level: Double(minute)) { _ = series.receive($0, limits: limits()) } }
        #expect(series.fine.count == 30)
        #expect(series.coarse.count == 10)
        #expect(series.issued.count == 8)
        // The mean over a quarter of an hour of a straight line is its middle, to a step.
        let first = series.coarse[0]
        let minute = Double(first.time - Self.start) / 60_000
        #expect((Double(first.level) - minute).magnitude <= 1)
        var last = Int64.min
        for index in 0..<series.pointCount {
            #expect(series.point(index).time > last)
            last = series.point(index).time
        }
    }

    @Test(arguments: 1...20) func repeatsAndLatecomersChangeNothing(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var plain = SeriesView(metric: "m", limits: limits())
        var noisy = SeriesView(metric: "m", limits: limits())
        for minute in 0..<100 {
            outlook(minute, level: Double(minute)) { entry in
                _ = plain.receive(entry, limits: limits())
                _ = noisy.receive(entry, limits: limits())
                if Bool.random(using: &random) { _ = noisy.receive(entry, limits: limits()) }
            }
            if Bool.random(using: &random) {
                outlook(Int.random(in: -5..<minute + 1, using: &random), level: -1) { entry in
                    if entry.time < noisy.time { _ = noisy.receive(entry, limits: limits()) }
                }
            }
        }
        #expect(plain.pointCount == noisy.pointCount, "seed \(seed)")
        for index in 0..<plain.pointCount { #expect(plain.point(index).level == noisy.point(index).level) }
        #expect(plain.numbers == noisy.numbers)
        #expect(plain.issued.count == noisy.issued.count)
    }

    @Test func whatATaskSaysLaterTakesBackItsFuture() {
        var series = SeriesView(metric: "m", limits: limits())
        func say(_ minute: Int, level: Double, task: UInt64 = 7, offset: Int64, timeMax: Int? = nil) {
            let last = timeMax.map { EventTime(milliseconds: Self.start + Int64($0) * 60_000) }
            let place = OutlookPlace(task: task, sequence: Sequence(offset: offset, index: 0), timeMax: last)
            outlook(minute, level: level) { _ = series.receive($0, at: place, limits: limits()) }
        }
        for minute in 0..<50 { say(minute, level: 10, offset: Int64(minute)) }
        say(1_000_000, level: 500, offset: 50)
        #expect(series.level == 500)
        say(50, level: 11, offset: 51)
        #expect(series.level == 11)
        #expect(series.fine.last?.level == 11)
        for index in 1..<series.pointCount { #expect(series.point(index - 1).time < series.point(index).time) }
        // A repeat of what was said before changes nothing, nor does a word of another task about the past.
        say(1_000_000, level: 500, offset: 50)
        say(40, level: 12, task: 8, offset: 99)
        #expect(series.level == 11)
        // A task that takes over need not wait for the year that a slip of a clock has named.
        say(1_000_000, level: 500, offset: 52)
        say(51, level: 13, task: 8, offset: 100, timeMax: 100)
        #expect(series.level == 13)
    }

    @Test func brokenNumbersAreRefusedAndStaleLevelsAreNoHistory() {
        var series = SeriesView(metric: "m", limits: limits())
        let numbers: [Float] = [0, 0, 60, 5, 3, 1, 0]
        numbers.withUnsafeBytes { bytes in
            let entry = Entry(
                kind: .outlook, time: EventTime(milliseconds: Self.start), value: 1,
                numbers: FloatSlice(start: bytes.baseAddress, count: 7))
            let isTaken = series.receive(entry, limits: limits())
            #expect(!isTaken)
        }
        outlook(1, level: 7) { _ = series.receive($0, limits: limits()) }
        outlook(2, level: 7, quality: .missing) { _ = series.receive($0, limits: limits()) }
        outlook(3, level: .nan, mean: .infinity) { _ = series.receive($0, limits: limits()) }
        #expect(series.pointCount == 1)
        var writer = JSONWriter()
        writer.beginObject()
        series.writeAccuracy(horizonSeconds: nil, into: &writer)
        writer.endObject()
        #expect(throws: Never.self) { try JSONValue(writer.bytes) }
    }
}
