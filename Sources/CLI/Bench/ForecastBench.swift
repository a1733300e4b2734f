import Forecasting
import TwinCore

/// What forecasting itself costs: the whole ensemble of a series, one step after the other, with five horizons asked
/// for after each, the network's training included.
enum ForecastBench {
    private static let horizons: [Double] = [60, 300, 900, 1_800, 3_600]
    private static let series = 64
    /// Samples of one step, where they are only gathered.
    private static let gathered = 50

    /// CPU seconds per step, and per sample that opens no step.
    struct Cost {
        var step: Double
        var sample: Double
        var bytesPerSeries: Int
    }

    /// - Parameters:
    ///   - steps: in all, over 64 series of noise on a daily wave with bursts; a quarter of them before it is warm.
    ///   - isWarm: called once, before the steps that count.
    static func measure(steps: Int, isWarm: () -> Void = {}) -> Cost {
        let plan = HorizonPlan(seconds: horizons, stepSecondsMin: 30)
        let shared = UnsafeMutablePointer<SharedModels>.allocate(capacity: 1)
        shared.initialize(to: SharedModels())
        let models = UnsafeMutablePointer<SeriesModel>.allocate(capacity: series)
        for index in 0..<series { (models + index).initialize(to: SeriesModel(kin: UInt32(index % 4))) }
        let room = UnsafeMutablePointer<Float>.allocate(capacity: ForecastLevels.forecastCount)
        room.initialize(repeating: 0, count: ForecastLevels.forecastCount)
        defer {
            shared.deinitialize(count: 1)
            shared.deallocate()
            models.deallocate()
            room.deallocate()
        }
        var random: UInt64 = 7
        let rounds = max(steps / series, 2_000)
        let warm = rounds / 4
        var began = Usage.now.cpuSeconds
        for round in 0..<rounds {
            if round == warm {
                isWarm()
                began = Usage.now.cpuSeconds
            }
            let milliseconds = 1_600_000_000_000 + 60_000 * Int64(round)
            for index in 0..<series {
                _ = models[index].fold(value(round, &random), at: milliseconds, plan: plan, shared: shared)
                for horizon in 0..<plan.count {
                    models[index].forecast(horizonSeconds: plan[horizon], into: room)
                }
            }
        }
        let step = (Usage.now.cpuSeconds - began) / Double((rounds - warm) * series)
        let sample = gather(models, plan, shared, from: rounds, &random)
        return Cost(step: step, sample: sample, bytesPerSeries: MemoryLayout<SeriesModel>.stride)
    }

    /// Samples a millisecond apart, all within the step that the first round opened.
    private static func gather(
        _ models: UnsafeMutablePointer<SeriesModel>, _ plan: HorizonPlan,
        _ shared: UnsafeMutablePointer<SharedModels>, from round: Int, _ random: inout UInt64
    ) -> Double {
        let start = 1_600_000_000_000 + 60_000 * Int64(round - 1)
        let began = Usage.now.cpuSeconds
        for sample in 1...gathered {
            for index in 0..<series {
                let number = value(round, &random)
                _ = models[index].fold(number, at: start + Int64(sample), plan: plan, shared: shared)
            }
        }
        return (Usage.now.cpuSeconds - began) / Double(gathered * series)
    }

    private static func value(_ round: Int, _ random: inout UInt64) -> Double {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let noise = Double(random >> 40) / Double(1 << 24)
        let phase = Double(round % 1_440) / 1_440
        let burst = random >> 33 & 0xff == 0 ? 400.0 : 0
        return 1_000 + 2_400 * phase * (1 - phase) + 80 * noise + burst
    }
}
