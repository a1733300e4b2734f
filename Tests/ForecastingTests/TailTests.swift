import Glibc
import TestKit
import Testing

@testable import Forecasting

@Suite("The fitted tail")
struct TailTests {
    /// An excess of a generalised Pareto distribution with scale 0.5.
    private func excess(_ shape: Double, _ random: inout SeededRandom) -> Float {
        let rest = 1 - Double.random(in: 0..<1, using: &random)
        return Float(shape == 0 ? -0.5 * log(rest) : 0.5 / shape * (pow(rest, -shape) - 1))
    }

    private func exact(_ shape: Double) -> Float {
        Float(shape == 0 ? 0.5 * log(10) : 0.5 / shape * (pow(50, shape) - pow(5, shape)))
    }

    @Test("finds how far the thousandth lies beyond the hundredth", arguments: [-0.2, 0, 0.3, 0.5])
    func reach(shape: Double) {
        // One tail strays by a quarter; on average over many there is little bias.
        var random = SeededRandom(seed: 4)
        var sum: Float = 0
        for _ in 0..<60 {
            var kin = Tail()
            for _ in 0..<3_000 { kin.learn(excess(shape, &random), memory: Tail.classMemory) }
            #expect(kin.isSound)
            sum += Tail().reach(like: kin)
        }
        let ratio = sum / 60 / exact(shape)
        #expect((ratio - 1).magnitude < 0.12, "\(ratio), seed 4")
    }

    @Test("a young tail is its class's, an old one its own")
    func shrinkage() {
        var random = SeededRandom(seed: 9)
        var kin = Tail()
        for _ in 0..<3_000 { kin.learn(excess(0.3, &random), memory: Tail.classMemory) }
        let usual = Tail().reach(like: kin)
        var own = Tail()
        var before = usual
        for count in 1...2_000 {
            own.learn(excess(-0.2, &random), memory: Tail.memory)
            if count == 10 { before = own.reach(like: kin) }
        }
        #expect(before > 1.2 * exact(-0.2) && before < usual, "seed 9")
        #expect(own.count == Tail.memory && own.isSound)
        #expect(own.reach(like: kin) < before && own.reach(like: kin) < 1.8 * exact(-0.2), "seed 9")
    }

    @Test("nothing known is an exponential tail, and nonsense does no harm")
    func extremes() {
        #expect((Tail().reach(like: Tail()) - 0.4343 * 2.3026).magnitude < 0.01)
        var wild = Tail()
        for value in [1e30, 1e-30, .infinity, 0] as [Float] { wild.learn(value, memory: Tail.memory) }
        #expect(wild.isSound && wild.reach(like: wild).isFinite && wild.reach(like: wild) >= 0)
    }

    @Test("99.9 % are covered, and the forecast says on how much that rests", arguments: [1, 2] as [UInt64])
    func coverage(seed: UInt64) {
        let box = SharedBox()
        let plan = HorizonPlan(seconds: [60, 300])
        var random = SeededRandom(seed: seed)
        var model = SeriesModel()
        var said: Float = .infinity
        var (missed, count): (Int, Int) = (0, 0)
        var rare: Float = -1
        withUnsafeTemporaryAllocation(of: Float.self, capacity: ForecastLevels.forecastCount) { room in
            guard let out = room.baseAddress else { return }
            for minute in 0..<9_000 {
                // Exponential spikes on noise: 99.9 % lie about thrice as far out as 95 %.
                let spike = Double.random(in: 0..<1, using: &random) < 0.1 ? 20 * Double(excess(0, &random)) : 0
                let value = 500 + 2 * random.normal() + spike
                if minute > 3_000 {
                    count += 1
                    if Float(value) > said { missed += 1 }
                }
                _ = model.fold(value, at: Int64(minute) * 60_000, plan: plan, shared: box.pointer)
                model.forecast(horizonSeconds: 60, into: out)
                said = out[6]
                if minute == 10 { rare = out[7] }
            }
            #expect(rare <= 2 && out[7] > 200, "\(rare), \(out[7])")
        }
        // Six are to be expected.
        #expect((1...24).contains(missed), "\(missed) of \(count), seed \(seed)")
    }
}
