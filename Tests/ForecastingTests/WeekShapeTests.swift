import TestKit
import Testing

@testable import Forecasting

@Suite("What recurs every week")
struct WeekShapeTests {
    private static let step: UInt32 = 300_000
    private static let perDay = 288
    /// The first day is a Thursday, as that of the epoch.
    private static let saturday = 2

    private static func isWeekend(_ index: Int) -> Bool { [2, 3].contains(index / perDay % 7) }

    /// The shape after so many days of normal noise and of what the closure adds.
    private static func shape(days: Int, seed: UInt64, _ value: (Int) -> Double) -> WeekShape {
        var random = SeededRandom(seed: seed)
        var shape = WeekShape()
        shape.start(step: step)
        for index in 0..<(days * perDay) {
            _ = shape.fold(Float(100 + random.normal() + value(index)), at: Int64(index) * Int64(step))
        }
        return shape
    }

    private static func value(_ shape: WeekShape, day: Int, hour: Int = 12) -> Float {
        shape.value(at: Int64(day * 24 + hour) * 3_600_000)
    }

    @Test("two weekends make the third one known, and nothing else", arguments: [1, 2, 3] as [UInt64])
    func knowsWeekends(seed: UInt64) {
        let young = Self.shape(days: 12, seed: seed) { Self.isWeekend($0) ? -6 : 0 }
        #expect((0..<7).allSatisfy { Self.value(young, day: $0) == 0 })
        let shape = Self.shape(days: 16, seed: seed) { Self.isWeekend($0) ? -6 : 0 }
        for day in 16..<23 {
            let expected: Float = Self.isWeekend(day * Self.perDay) ? -6 : 0
            // A drop between two days stays one, to the hour.
            for hour in [0, 1, 9, 23] {
                #expect((Self.value(shape, day: day, hour: hour) - expected).magnitude < 0.75)
            }
        }
    }

    @Test(
        "what happens once is not expected, a weekend like a weekday unlearns nothing",
        arguments: [4, 5] as [UInt64])
    func ignoresWhatHappensOnce(seed: UInt64) {
        let shape = Self.shape(days: 30, seed: seed) { index in
            let week = index / (7 * Self.perDay)
            let isIncident = week == 1 && index / Self.perDay % 7 == 5
            return Self.isWeekend(index) && week != 3 ? -6 : isIncident ? 30 : 0
        }
        #expect((Self.value(shape, day: 28 + Self.saturday) + 6).magnitude < 0.7)
        #expect(Self.value(shape, day: 28 + 5).magnitude < 0.7)
    }

    @Test("a level that moves for good and a trend leave no trace", arguments: [6, 7] as [UInt64])
    func ignoresLevels(seed: UInt64) {
        let moved = Self.shape(days: 40, seed: seed) { $0 > 17 * Self.perDay ? 8 : 0 }
        let grown = Self.shape(days: 40, seed: seed) { Double($0) / Double(Self.perDay) }
        for day in 40..<47 {
            #expect(Self.value(moved, day: day).magnitude < 0.5)
            #expect(Self.value(grown, day: day).magnitude < 0.5)
        }
    }

    @Test("weekends that are no longer are given up after two", arguments: [8, 9] as [UInt64])
    func unlearns(seed: UInt64) {
        let shape = Self.shape(days: 48, seed: seed) { Self.isWeekend($0) && $0 < 28 * Self.perDay ? -6 : 0 }
        #expect(Self.value(shape, day: 49 + Self.saturday).magnitude < 0.7)
    }

    @Test("another unit is another unit, long steps have fewer parts")
    func scales() {
        var shape = Self.shape(days: 24, seed: 10) { Self.isWeekend($0) ? -6 : 0 }
        let before = Self.value(shape, day: 30)
        shape.scale(by: 1_024)
        #expect((Self.value(shape, day: 30) / before / 1_024 - 1).magnitude < 0.01)
        for step in [3_600_000, 21_600_000, 86_400_000, 604_800_000] as [UInt32] {
            var coarse = WeekShape()
            coarse.start(step: step)
            for index in 0..<600 {
                let day = Int64(index) * Int64(step) / 86_400_000
                _ = coarse.fold([2, 3].contains(day % 7) ? 40 : 100, at: Int64(index) * Int64(step))
                #expect(coarse.isSound)
            }
            let isKnown = (coarse.value(at: 2 * 86_400_000 + 43_200_000) + 60).magnitude < 1
            #expect(isKnown == (step <= 86_400_000))
        }
    }
}
