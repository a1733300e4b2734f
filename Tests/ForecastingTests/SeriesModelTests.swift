import Forecasting
import TestKit
import Testing

@Suite("The model of a series")
struct SeriesModelTests {
    let plan = HorizonPlan(seconds: [60, 300, 900, 1_800, 3_600])
    private let box = SharedBox()
    private var shared: UnsafeMutablePointer<SharedModels> { box.pointer }

    private func forecast(_ model: SeriesModel, _ seconds: Float) -> [Float] {
        var model = model
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: ForecastLevels.forecastCount) { room in
            let out = room.baseAddress!
            model.forecast(horizonSeconds: seconds, into: out)
            return (0..<ForecastLevels.forecastCount).map { out[$0] }
        }
    }

    @Test("fits into its cell without padding")
    func size() {
        #expect(MemoryLayout<SeriesModel>.size == MemoryLayout<SeriesModel>.stride)
        #expect(MemoryLayout<SeriesModel>.size == partsSize(SeriesModel()))
        #expect(MemoryLayout<SeriesModel>.stride <= 11_136)
    }

    @Test("beats persistence at 30 minutes on a noisy daily wave", arguments: [1, 2, 3] as [UInt64])
    func seasonal(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        var values: [Double] = []
        var made: [Float] = []
        for minute in 0..<(6 * 1_440) {
            let value = 1_000 + 600 * wave(Double(minute) / 1_440) + 40 * random.normal()
            values.append(value)
            _ = model.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: shared)
            made.append(forecast(model, 1_800)[2])
        }
        var ours = 0.0
        var persistence = 0.0
        for minute in (3 * 1_440)..<(values.count - 30) {
            ours += (values[minute + 30] - Double(made[minute])).magnitude
            persistence += (values[minute + 30] - values[minute]).magnitude
        }
        #expect(ours < 0.6 * persistence, "seed \(seed): \(ours / persistence) of persistence's error")
    }

    @Test("covers as often as it says, whatever the noise", arguments: [false, true], [11, 12] as [UInt64])
    func coverage(isHeavy: Bool, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        let steps = 20_000
        let horizons: [(seconds: Float, steps: Int)] = [(60, 1), (300, 5), (1_800, 30)]
        var values: [Float] = []
        var made: [[[Float]]] = [[], [], []]
        for minute in 0..<steps {
            let noise = isHeavy ? random.student(3) : random.normal()
            let value = 500 + 100 * wave(Double(minute) / 1_440) + 20 * noise
            values.append(Float(value))
            _ = model.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: shared)
            for index in 0..<3 { made[index].append(forecast(model, horizons[index].seconds)) }
        }
        for index in 0..<3 {
            var below: [Double] = [0, 0, 0]
            var count = 0.0
            for minute in 3_000..<(steps - 30) {
                let actual = values[minute + horizons[index].steps]
                for level in 0..<3 where actual <= made[index][minute][3 + level] { below[level] += 1 }
                count += 1
            }
            for (level, want) in [0.9, 0.95, 0.99].enumerated() {
                let got = below[level] / count
                #expect(
                    (got - want).magnitude <= 0.03,
                    "seed \(seed), heavy \(isHeavy), \(horizons[index].seconds) s: \(got) for \(want)")
            }
        }
    }

    @Test("is not bent by a spike and follows a shift within a few steps")
    func robustness() {
        var random = SeededRandom(seed: 5)
        var model = SeriesModel()
        var minute: Int64 = 0
        func next() -> Int64 {
            minute += 60_000
            return minute
        }
        for _ in 0..<500 { _ = model.fold(100 + random.normal(), at: next(), plan: plan, shared: shared) }
        _ = model.fold(10_000, at: next(), plan: plan, shared: shared)
        #expect(forecast(model, 300)[0] < 120)
        #expect(model.status.residual == 50)
        for _ in 0..<10 { _ = model.fold(100 + random.normal(), at: next(), plan: plan, shared: shared) }
        #expect((forecast(model, 300)[0] - 100).magnitude < 5)
        for _ in 0..<6 { _ = model.fold(200 + random.normal(), at: next(), plan: plan, shared: shared) }
        #expect((forecast(model, 60)[0] - 200).magnitude < 20)
    }

    @Test("is wide while it is young, ascending always, and not negative where nothing ever was")
    func bands() {
        var random = SeededRandom(seed: 6)
        var model = SeriesModel()
        for minute in 0..<3_000 {
            let value = max(5 + 4 * random.student(3), 0)
            _ = model.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: shared)
            for seconds in [30, 60, 700, 3_600, 86_400] as [Float] {
                let numbers = forecast(model, seconds)
                #expect(numbers.allSatisfy { $0 >= 0 && $0.isFinite })
                for index in 2..<7 { #expect(numbers[index] >= numbers[index - 1]) }
            }
        }
    }

    @Test(
        "aggregates samples within a step and finds the step in jittered, holey data",
        arguments: [21, 22] as [UInt64])
    func steps(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        for index in 0..<1_000 where random.uniform() > 0.2 {
            let time = Int64(index) * 60_000 + Int64(random.uniform() * 4_000)
            _ = model.fold(10, at: time, plan: plan, shared: shared)
        }
        #expect((model.status.stepSeconds - 60).magnitude < 8, "seed \(seed): \(model.status.stepSeconds)")
        var fine = SeriesModel()
        let coarse = HorizonPlan(seconds: [300], stepSecondsMin: 30)
        var opened = 0
        for index in 0..<600 {
            let time = Int64(index) * 5_000
            if fine.fold(Double(index % 2), at: time, plan: coarse, shared: shared) { opened += 1 }
        }
        #expect(fine.status.stepSeconds == 30)
        #expect(opened < 130)
    }

    @Test("shows a shift against the reference long after the live model took it for normal")
    func reference() {
        var random = SeededRandom(seed: 7)
        var model = SeriesModel()
        var minute: Int64 = 0
        var live = 0.0
        var frozen = 0.0
        var before = 0.0
        for index in 0..<6_000 {
            minute += 300_000
            let shift = index >= 4_000 ? 60.0 : 0
            let value = 500 + 200 * wave(Double(index) / 288) + 20 * random.normal() + shift
            _ = model.fold(value, at: minute, plan: plan, shared: shared)
            if index >= 3_200 && index < 4_000 { before += Double(model.status.referenceResidual) / 800 }
            if index >= 4_100 && index < 4_500 {
                live += Double(model.status.residual) / 400
                frozen += Double(model.status.referenceResidual) / 400
            }
        }
        #expect(before.magnitude < 0.4)
        #expect(live.magnitude < 0.4)
        #expect(frozen > 1)
    }

    @Test("is distrusted when it is to be retrained and earns trust back")
    func retraining() {
        var random = SeededRandom(seed: 8)
        var model = SeriesModel()
        var minute: Int64 = 0
        for _ in 0..<2_000 {
            minute += 60_000
            _ = model.fold(100 + 3 * random.normal(), at: minute, plan: plan, shared: shared)
        }
        let since: [Float] = (0..<40).map { _ in Float(300 + 3 * random.normal()) }
        for value in since {
            minute += 60_000
            _ = model.fold(Double(value), at: minute, plan: plan, shared: shared)
        }
        since.withUnsafeBufferPointer { model.retrain(since: $0, settleSteps: 5, shared: shared) }
        #expect(model.status.isDistrusted)
        #expect((forecast(model, 900)[0] - 300).magnitude < 15)
        var taken = 0
        while model.status.isDistrusted && taken < 500 {
            minute += 60_000
            _ = model.fold(300 + 3 * random.normal(), at: minute, plan: plan, shared: shared)
            taken += 1
        }
        #expect(taken >= 10 && taken < 200, "\(taken) steps")
        var mean: Float = 0
        for _ in 0..<200 {
            minute += 60_000
            _ = model.fold(300 + 3 * random.normal(), at: minute, plan: plan, shared: shared)
            mean += model.status.referenceResidual / 200
        }
        #expect(mean.magnitude < 0.5)
    }

    @Test("measures in another unit when it is told to")
    func scaling() {
        var random = SeededRandom(seed: 9)
        var one = SeriesModel()
        for minute in 0..<3_000 {
            let value = 8 + wave(Double(minute) / 1_440) + 0.1 * random.normal()
            _ = one.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: shared)
        }
        var other = one
        other.scale(by: 4)
        for seconds in [60, 900, 3_600] as [Float] {
            let (a, b) = (forecast(one, seconds), forecast(other, seconds))
            for index in 0..<7 { #expect((a[index] * 4 - b[index]).magnitude < 0.01) }
        }
    }

    @Test("listens to a neighbour that it is told of, and to none where none is known", arguments: [1, 2] as [UInt64])
    func neighbours(seed: UInt64) {
        let plan = HorizonPlan(seconds: [60, 300])
        var errors: [Bool: Float] = [:]
        for isTold in [false, true] {
            let box = SharedBox()
            var random = SeededRandom(seed: seed)
            var model = SeriesModel()
            var before = 0.0
            var sum: Float = 0
            for minute in 0..<8_000 {
                let change = random.normal()
                let value = 100 + 20 * before + 2 * random.normal()
                if minute > 4_000 { sum += (forecast(model, 60)[2] - Float(value)).magnitude / 4_000 }
                let neighbours = SIMD4<Float>(isTold ? Float(change) : 0, 0, 0, 0)
                _ = model.fold(
                    value, at: Int64(minute) * 60_000, plan: plan, shared: box.pointer, neighbours: neighbours)
                before = change
            }
            errors[isTold] = sum
        }
        #expect((errors[true] ?? 1) < 0.8 * (errors[false] ?? 0), "seed \(seed): \(errors)")
    }

    @Test("survives any finite values at any ascending times", arguments: [31, 32, 33, 34] as [UInt64])
    func hostile(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        var time: Int64 = 700_000_000_000
        for _ in 0..<20_000 {
            time += [1, 1_000, 60_000, 60_000, 60_000, 4_000_000_000][Int(random.next() % 6)]
            let value: Double =
                switch random.next() % 6 {
                case 0: 1e18
                case 1: -1e18
                case 2: 0
                case 3: 1e-30
                default: random.normal()
                }
            _ = model.fold(value, at: time, plan: plan, shared: shared)
            if random.next() % 500 == 0 {
                [Float(value), 0, 1].withUnsafeBufferPointer {
                    model.retrain(since: $0, settleSteps: 5, shared: shared)
                }
            }
            #expect(forecast(model, 900).allSatisfy { $0.isFinite }, "seed \(seed)")
            #expect(model.status.residual.magnitude <= 50 && !(model.status.referenceResidual.magnitude > 50))
        }
    }

    @Test("is not poisoned by absurd spikes", arguments: [41, 42, 43] as [UInt64])
    func poison(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        for minute in 0..<6_000 {
            let isAbsurd = minute > 500 && minute < 4_000 && random.uniform() < 0.05
            let value = isAbsurd ? (random.uniform() < 0.5 ? 1e18 : -1e18) : 10 + random.normal()
            _ = model.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: shared)
            if minute > 300 { #expect((forecast(model, 300)[2] - 10).magnitude < 5, "seed \(seed), minute \(minute)") }
        }
        #expect((forecast(model, 300)[3] - 11.3).magnitude < 1, "seed \(seed)")
    }
}
