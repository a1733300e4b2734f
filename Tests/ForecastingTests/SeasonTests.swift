import TestKit
import Testing

@testable import Forecasting

@Suite("Cycles: the week, and those found in the data")
struct SeasonTests {
    private func period(_ values: [Float]) -> Int { values.withUnsafeBufferPointer { PeriodFinder.period(of: $0) } }

    @Test("a period is found in noisy waves and in pulses, on a slope too", arguments: [7, 12, 24, 36])
    func finds(wanted: Int) {
        var random = SeededRandom(seed: UInt64(wanted))
        let steps = 0..<120
        let waves = steps.map { Float(100 + 30 * wave(Double($0) / Double(wanted)) + random.normal()) }
        let pulses = steps.map { Float($0 % wanted == 3 ? 40 : 0) }
        let rises = steps.map { Float(10 * $0) + Float($0 % wanted == 0 ? 500 : 0) }
        #expect((period(waves) - wanted).magnitude <= wanted / 12, "waves, seed \(wanted): \(period(waves))")
        #expect(period(pulses) == wanted)
        #expect(period(rises) == wanted)
    }

    @Test("noise, wandering levels, constants and single spikes have none")
    func chance() {
        var random = SeededRandom(seed: 1)
        var found = 0
        let looks = 2_000
        for look in 0..<looks {
            var level: Float = 0
            let values = (0..<120).map { _ -> Float in
                let noise = Float(random.student(3))
                level = look % 2 == 0 ? noise : level + noise
                return level
            }
            if period(values) != 0 { found += 1 }
        }
        #expect(found <= looks / 100, "seed 1: \(found) of \(looks)")
        #expect(period(Array(repeating: 5, count: 120)) == 0)
        #expect(period((0..<120).map { $0 == 60 ? 1e9 : 0 }) == 0)
        #expect(period([1, 2, 1, 2, 1, 2]) == 0)
    }

    /// A cycle of twelve steps of a minute that has seen nothing yet.
    private var twelveMinutes: Season {
        var season = Season()
        season.reset(periodMilliseconds: 720_000, stepMilliseconds: 60_000, at: 0)
        return season
    }

    @Test("what comes again is believed, what does not is not", arguments: [3, 4] as [UInt64])
    func belief(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var cycle = twelveMinutes
        var none = twelveMinutes
        for step in 0..<1_200 {
            let time = 60_000 * Int64(step)
            cycle.fold(Float(step % 12 == 0 ? 50 : -4.5) + Float(random.normal()), at: time)
            none.fold(Float(random.normal()), at: time)
        }
        #expect(cycle.belief > 0.9 && none.belief < 0.3, "seed \(seed): \(cycle.belief), \(none.belief)")
        #expect((cycle.value(at: 720_000 * 200) - 50).magnitude < 5, "seed \(seed)")
        #expect(none.value(at: 720_000 * 200).magnitude < 1, "seed \(seed)")
        cycle.scale(by: 4)
        #expect((cycle.value(at: 720_000 * 200) - 200).magnitude < 20, "seed \(seed)")
        #expect(cycle.isSound && none.isSound)
    }

    /// A level that wanders and falls by a hundred deviations looks alike from one cycle to the next, too.
    @Test("a level is no cycle, and none takes its place", arguments: [5, 6] as [UInt64])
    func level(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var cycle = twelveMinutes
        var none = twelveMinutes
        var level: Float = 0
        for step in 0..<2_400 {
            let time = 60_000 * Int64(step)
            level += Float(random.normal()) - (step == 1_800 ? 100 : 0)
            cycle.fold(level + (step % 12 == 0 ? 50 : 0), at: time, centring: 0.5 / 12)
            none.fold(level, at: time, centring: 0.5 / 12)
        }
        #expect(cycle.belief > 0.8 && none.belief < 0.3, "seed \(seed): \(cycle.belief), \(none.belief)")
        let said = (0..<12).map { cycle.value(at: 60_000 * Int64(2_400 + $0)) }
        #expect((said[0] - said[6] - 50).magnitude < 15, "seed \(seed): \(said)")
        #expect((said.reduce(0, +) / 12).magnitude < 10, "seed \(seed): \(said)")
    }

    /// Days of 288 steps, `distance` being how far a step lies from the level.
    private func profile(days: Int, distance: (_ day: Int, _ step: Int) -> Float) -> DailyProfile {
        var profile = DailyProfile()
        profile.reset(stepMilliseconds: 300_000, at: 0, origin: 0)
        for day in 0..<days {
            for step in 0..<288 { _ = profile.fold(distance(day, step), at: Int64(288 * day + step) * 300_000) }
        }
        return profile
    }

    @Test("some hours of an incident leave little in the days after it")
    func incident() {
        var random = SeededRandom(seed: 7)
        let noise = (0..<288 * 8).map { _ in Float(random.normal()) }
        var found = profile(days: 8) { day, step in
            Float(40 * wave(Double(step) / 288)) + noise[288 * day + step]
                - (day == 7 && (100..<136).contains(step) ? 1_000 : 0)
        }
        for step in 100..<136 {
            let wanted = Float(40 * wave(Double(step) / 288))
            let error = found.value(at: Int64(288 * 8 + step) * 300_000) - wanted
            #expect(error.magnitude < 20, "seed 7, step \(step): \(error)")
        }
    }

    @Test("what stood still for days is learned as soon as it moves", arguments: [0, 1e-6, 1e-3] as [Float])
    func awakening(noise: Float) {
        var random = SeededRandom(seed: 8)
        let before = (0..<288 * 4).map { _ in noise * Float(random.normal()) }
        var found = profile(days: 6) { day, step in
            day < 4 ? before[288 * day + step] : Float(40 * wave(Double(step) / 288))
        }
        // Two visits with a gain of a fifth.
        let top = found.value(at: Int64(288 * 6 + 72) * 300_000)
        #expect((9...20).contains(top), "seed 8, noise \(noise): \(top)")
    }

    @Test("a series that pulses every twelve steps is forecast to pulse")
    func pulses() {
        let box = SharedBox()
        let plan = HorizonPlan(seconds: [300, 900, 1_800, 3_600])
        var model = SeriesModel()
        var values: [Float] = []
        var losses: (ours: Float, persistence: Float) = (0, 0)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: ForecastLevels.forecastCount) { room in
            guard let out = room.baseAddress else { return }
            var made: [Float] = []
            for step in 0..<600 {
                let value: Float = step % 12 == 5 ? 40 : 10
                values.append(value)
                _ = model.fold(Double(value), at: 300_000 * Int64(step), plan: plan, shared: box.pointer)
                if step % 32 == 31 {
                    values.suffix(120).withUnsafeBufferPointer { model.seekCycle(in: $0) }
                }
                if step > 300 {
                    losses.ours += (value - made[step - 1]).magnitude
                    losses.persistence += (value - values[step - 1]).magnitude
                }
                model.forecast(horizonSeconds: 300, into: out)
                made.append(out[2])
            }
        }
        #expect(losses.ours < 0.6 * losses.persistence, "\(losses)")
    }
}
