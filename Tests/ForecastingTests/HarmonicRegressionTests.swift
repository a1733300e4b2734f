import TestKit
import Testing

@testable import Forecasting

@Suite("The harmonic regression")
struct HarmonicRegressionTests {
    private static let dayMilliseconds: Int64 = 86_400_000

    private func moment(_ value: Float, at local: Int64, step: UInt32, activity: Float = 0) -> Moment {
        var m = Moment()
        m.base = value
        m.stepMilliseconds = step
        m.clock = ClockReadings.read(local)
        m.activity = UserActivity(distance: activity, kept: 0.9, stepMilliseconds: step)
        return m
    }

    private func teach(_ model: inout HarmonicRegression, _ m: Moment) {
        withUnsafePointer(to: m) { model.learn($0) }
    }

    /// A day's wave, and less of everything at the weekend; 1970-01-01 was a Thursday.
    private func usual(at local: Int64) -> Double {
        let day = local / Self.dayMilliseconds
        let isWeekend = (day + 3) % 7 >= 5
        return 500 + 200 * wave(Double(local) / Double(Self.dayMilliseconds)) - (isWeekend ? 150 : 0)
    }

    @Test("learns a day's wave and the weekend by the clock", arguments: [1, 2, 3] as [UInt64])
    func calendar(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = HarmonicRegression()
        let step: Int64 = 300_000
        for index in 0..<Int64(28 * 288) {
            let local = index * step
            teach(&model, moment(Float(usual(at: local) + 20 * random.normal()), at: local, step: 300_000))
        }
        var error = 0.0
        for index in Int64(28 * 288)..<Int64(35 * 288) {
            let said = Double(model.value(ClockReadings.read(index * step)))
            error += (said - usual(at: index * step)).magnitude / 2_016
        }
        #expect(error < 25, "seed \(seed): \(error)")
        #expect(model.isSound)
    }

    /// U D Uᵀ.
    private func covariance(_ model: HarmonicRegression) -> [[Double]] {
        let count = HarmonicRegression.count
        func factor(_ row: Int, _ column: Int) -> Double {
            row == column ? 1 : row > column ? 0 : Double(model.upper[column * (column - 1) / 2 + row])
        }
        return (0..<count).map { row in
            (0..<count).map { column in
                (0..<count).reduce(0) { $0 + factor(row, $1) * Double(model.diagonal[$1]) * factor(column, $1) }
            }
        }
    }

    @Test("keeps the covariance that the plain update would give", arguments: [13, 14] as [UInt64])
    func factors(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = HarmonicRegression.count
        var model = HarmonicRegression()
        model.begin(at: 0, 288)
        var plain = covariance(model)
        for index in 0..<400 {
            let first = index % 2 == 0 ? 0 : random.below(count)
            var readings = ClockReadings.Lanes(repeating: 0)
            for lane in first..<count { readings[lane] = Float(random.normal()) }
            let fade: Float = index % 2 == 0 ? 0.99 : 1
            model.update(readings, from: first, 1, noise: 2, fade: fade)
            for row in 0..<count { for column in 0..<count { plain[row][column] /= Double(fade) } }
            let pull = (0..<count).map { row in
                (0..<count).reduce(0) { $0 + plain[row][$1] * Double(readings[$1]) }
            }
            let total = (0..<count).reduce(2) { $0 + pull[$1] * Double(readings[$1]) }
            for row in 0..<count {
                for column in 0..<count { plain[row][column] -= pull[row] * pull[column] / total }
            }
        }
        let factored = covariance(model)
        for row in 0..<count {
            for column in 0..<count {
                let usual = (plain[row][row] * plain[column][column]).squareRoot()
                let miss = (factored[row][column] - plain[row][column]).magnitude
                #expect(miss < 1e-3 * usual, "seed \(seed): \(row), \(column)")
            }
        }
    }

    @Test("stays sound and alert where nothing new comes for long")
    func windUp() {
        var model = HarmonicRegression()
        // The clock stands still: of most coefficients nothing is learned.
        for _ in 0..<1_000_000 { teach(&model, moment(7, at: 40_000_000, step: 60_000)) }
        #expect(model.isSound)
        #expect((model.value(ClockReadings.read(40_000_000)) - 7).magnitude < 0.01)
        #expect(model.value(ClockReadings.read(90_000_000)).magnitude < 50)
        var random = SeededRandom(seed: 4)
        for index in 0..<Int64(10 * 1_440) {
            teach(&model, moment(Float(7 + random.normal()), at: 40_000_000 + index * 60_000, step: 60_000))
        }
        #expect((model.value(ClockReadings.read(90_000_000)) - 7).magnitude < 1)
    }

    @Test("is bent by a spike no more than by a large error", arguments: [5, 6] as [UInt64])
    func robust(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = HarmonicRegression()
        for index in 0..<Int64(2 * 288) {
            let value = index == 500 ? 1e9 : Float(100 + 10 * random.normal())
            teach(&model, moment(value, at: index * 300_000, step: 300_000))
        }
        for hour in 0..<24 {
            let said = model.value(ClockReadings.read(Int64(48 + hour) * 3_600_000))
            #expect((said - 100).magnitude < 30, "seed \(seed), hour \(hour): \(said)")
        }
    }

    @Test("learns how long errors last", arguments: [0, 0.5, 0.9] as [Float], [7, 8] as [UInt64])
    func persistence(rho: Float, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = HarmonicRegression()
        var error: Float = 0
        for index in 0..<Int64(10 * 288) {
            error = rho * error + Float(random.normal())
            teach(&model, moment(100 + error, at: index * 300_000, step: 300_000))
        }
        #expect((model.kept - rho).magnitude < 0.2, "seed \(seed): \(model.kept) for \(rho)")
    }

    @Test("has no scale of its own", arguments: [1e-12, 1e12] as [Float])
    func scale(factor: Float) {
        var random = SeededRandom(seed: 9)
        var plain = HarmonicRegression()
        var scaled = HarmonicRegression()
        var changed = HarmonicRegression()
        for index in 0..<Int64(3 * 288) {
            let value = Float(usual(at: index * 300_000) + 20 * random.normal())
            if index == 500 { changed.scale(by: factor) }
            teach(&plain, moment(value, at: index * 300_000, step: 300_000))
            teach(&scaled, moment(value * factor, at: index * 300_000, step: 300_000))
            teach(&changed, moment(index < 500 ? value : value * factor, at: index * 300_000, step: 300_000))
        }
        for hour in 0..<24 {
            let clock = ClockReadings.read(Int64(72 + hour) * 3_600_000)
            let expected = plain.value(clock)
            #expect((scaled.value(clock) / factor - expected).magnitude < 1)
            #expect((changed.value(clock) / factor - expected).magnitude < 1)
        }
    }

    @Test("learns what users do, shrunk, and nothing where they do nothing", arguments: [10, 11] as [UInt64])
    func users(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = HarmonicRegression()
        var without = HarmonicRegression()
        for index in 0..<Int64(5 * 288) {
            let users = Float(2 * random.normal())
            let value = 100 + 10 * users + Float(random.normal())
            teach(&model, moment(value, at: index * 300_000, step: 300_000, activity: users))
            teach(&without, moment(value, at: index * 300_000, step: 300_000))
        }
        let effect = model.effect(of: 1)
        #expect(effect > 3 && effect < 10, "seed \(seed): \(effect)")
        #expect(without.effect(of: 1) == 0)
    }

    @Test("tells of its own users once it knows what is usual, and what is left of it later")
    func activity() {
        var random = SeededRandom(seed: 12)
        var model = HarmonicRegression()
        #expect(model.activity(stepMilliseconds: 300_000).distance == 0)
        for index in 0..<Int64(288) {
            teach(&model, moment(Float(50 + random.normal()), at: index * 300_000, step: 300_000))
        }
        teach(&model, moment(60, at: 288 * 300_000, step: 300_000))
        #expect(model.activity(stepMilliseconds: 300_000).distance > 3)
        let activity = UserActivity(distance: 1, kept: 0.5, stepMilliseconds: 60_000)
        #expect(activity.left(after: 120_000) == 0.25)
        #expect(UserActivity().left(after: 60_000) == 0)
    }
}
