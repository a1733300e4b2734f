import TestKit
import Testing
import TwinCore

@testable import Forecasting

@Suite("The clock that days are learned by")
struct LocalClockTests {
    private static let rule = "CET-1CEST,M3.5.0,M10.5.0/3"
    private static let day: Int64 = 86_400_000

    /// Mean errors at one hour in the week before the clocks change, and in the three days after, of a series that is
    /// busy from 9 to 17 by the clock of Berlin.
    private func errors(around change: Int64, clock: LocalTime) throws -> (before: Float, after: Float) {
        let berlin = try #require(LocalTime(posix: Self.rule))
        let shared = SharedBox(clock: clock)
        let plan = HorizonPlan(seconds: [900, 3_600])
        var random = SeededRandom(seed: 3)
        var model = SeriesModel()
        var said: [(at: Int64, value: Float)] = []
        var sums: (before: Float, after: Float) = (0, 0)
        var counts: (before: Float, after: Float) = (0, 0)
        let room = UnsafeMutablePointer<Float>.allocate(capacity: ForecastLevels.forecastCount)
        defer { room.deallocate() }
        var now = change - 21 * Self.day
        while now < change + 3 * Self.day {
            let hour = (now + berlin.offset(at: now)) % Self.day / 3_600_000
            let value = (hour >= 9 && hour < 17 ? 900 : 100) + 5 * random.normal()
            if let first = said.first, first.at == now {
                said.removeFirst()
                let error = (Float(value) - first.value).magnitude
                if now >= change {
                    sums.after += error
                    counts.after += 1
                } else if now >= change - 7 * Self.day {
                    sums.before += error
                    counts.before += 1
                }
            }
            _ = model.fold(value, at: now, plan: plan, shared: shared.pointer)
            model.forecast(horizonSeconds: 3_600, into: room)
            said.append((now + 3_600_000, room[2]))
            now += 900_000
        }
        return (sums.before / counts.before, sums.after / counts.after)
    }

    @Test(
        "moves with the clocks in March and in October, and a day by UTC does not",
        arguments: [1_711_846_800_000, 1_729_990_800_000] as [Int64])
    func changes(change: Int64) throws {
        let local = try errors(around: change, clock: try #require(LocalTime(posix: Self.rule)))
        let universal = try errors(around: change, clock: .utc)
        #expect(local.after < 1.4 * local.before + 5, "\(local)")
        #expect(universal.after > 1.5 * local.after, "by UTC \(universal), by the local clock \(local)")
    }
}
