import Messages
import TestKit
import Testing

@testable import Scaling

@Suite struct ArithmeticTests {
    /// current, level, per replica at target, expected; tolerance 0.1.
    @Test(
        arguments: [
            (4, 280.0, 70.0, 4), (4, 300.0, 70.0, 4), (4, 308.0, 70.0, 4), (4, 309.0, 70.0, 5), (4, 560.0, 70.0, 8),
            (4, 253.0, 70.0, 4), (4, 251.0, 70.0, 4), (4, 140.0, 70.0, 2), (4, 0.0, 70.0, 1),
            (4, 1e300, 70.0, 1_000_000),
            (0, 140.0, 70.0, 2), (1, 70.0, 70.0, 1), (10, 630.0, 70.0, 10), (10, 629.0, 70.0, 9),
        ] as [(Int32, Double, Double, Int32)])
    func `the reactive rule is the arithmetic of the horizontal autoscaler`(
        _ current: Int32, _ level: Double, _ per: Double, _ expected: Int32
    ) {
        #expect(Replicas.reactive(level: level, current: current, perReplica: per, tolerance: 0.1) == expected)
    }

    @Test func `no number leads outside one to a million`() {
        for demand in [Double.nan, .infinity, -.infinity, -5, 0, 1e-300, 1e300, .greatestFiniteMagnitude] {
            for per in [1e-300, 1e-9, 1, 1e15] {
                let needed = Replicas.needed(demand: demand, perReplica: per)
                #expect(needed >= 1 && needed <= 1_000_000)
            }
        }
        #expect(Replicas.count(.nan) == nil)
        #expect(Replicas.count(-1) == nil)
        #expect(Replicas.count(.infinity) == 1_000_000)
        #expect(Replicas.count(5.9) == 5)
    }

    @Test func `a whole quotient is not raised by the rounding of its input`() {
        #expect(Replicas.needed(demand: Double(Float(0.7)) * 10, perReplica: 0.7) == 10)
        #expect(Replicas.needed(demand: 7.001, perReplica: 0.7) == 11)
    }

    @Test func `deviates of the normal distribution agree with tables`() {
        let table = [
            (0.5, 0.0), (0.9, 1.2815515655), (0.95, 1.6448536270), (0.975, 1.9599639845), (0.999, 3.0902323062),
        ]
        for (probability, deviate) in table {
            #expect((NormalDistribution.deviate(at: probability) - deviate).magnitude < 1e-9)
        }
    }

    @Test func `levels that travel are read as they are and others lie between`() {
        for (level, index) in [(0.5, 1), (0.9, 2), (0.95, 3), (0.99, 4)] {
            let pick = QuantilePick(level: level)
            #expect(pick.lower == Int32(index) && pick.weight.magnitude < 1e-5, "\(level)")
        }
        #expect((QuantilePick(level: 0.999).weight - 1).magnitude < 1e-5)
        #expect((QuantilePick(level: 0.975).weight - 0.4625).magnitude < 1e-3)
        #expect(QuantilePick(level: 0.9999).weight > 1.5)
        #expect(QuantilePick(level: .nan).level == 0.95)
    }

    @Test func `a tail that rests on few values is stretched, and nothing else is`() {
        func value(_ level: Double, count: Float) -> Float {
            let numbers: [Float] = [0, 0, 60, 1, 1, 500, 0, 60, 10, 5, 10, 15, 20, 30, 50, count]
            return numbers.withUnsafeBytes {
                let slice = FloatSlice(start: $0.baseAddress, count: numbers.count)
                return QuantilePick(level: level).value(in: slice, horizon: 0)
            }
        }
        #expect((value(0.95, count: 0) - 20).magnitude < 1e-3)
        #expect((value(0.999, count: 300) - 50).magnitude < 1e-3)
        // 30 + 20 · (1 + 1 − 1 / √101), and with three values 30 + 20 · (1 + 1/2 − 1 / √101).
        #expect((value(0.999, count: 0) - 68.01).magnitude < 0.01)
        #expect((value(0.999, count: 3) - 58.01).magnitude < 0.01)
        #expect(value(0.999, count: .nan) == value(0.999, count: 0))
    }

    @Test func `the rolling extreme is the largest of the window`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var largest = RollingExtreme.largest
            var smallest = RollingExtreme.smallest
            var past: [(Int64, Int32)] = []
            var time: Int64 = 0
            let window = Int64.random(in: 1...400, using: &random)
            for _ in 0..<100 {
                time += Int64.random(in: 1...60, using: &random)
                // At most sixteen different values: the queue is exact.
                past.append((time, Int32.random(in: 1...16, using: &random)))
                let inside = past.filter { $0.0 >= time - window }.map(\.1)
                #expect(
                    largest.add(past[past.count - 1].1, at: time, windowMilliseconds: window) == inside.max(),
                    "seed \(seed)")
                #expect(
                    smallest.add(past[past.count - 1].1, at: time, windowMilliseconds: window) == inside.min(),
                    "seed \(seed)")
            }
        }
    }

    @Test func `a rolling extreme that runs out of room errs on the side of holding longer`() {
        var largest = RollingExtreme.largest
        for step in 0..<40 {
            let value = largest.add(Int32(1_000 - step), at: Int64(step), windowMilliseconds: 20)
            let exact = Int32(1_000 - max(step - 20, 0))
            #expect(value >= exact)
        }
        #expect(largest.isSound)
    }

    @Test func `the learned lead time lies near the 95th percentile`() {
        var lead = LeadTime()
        #expect(lead.learnedSeconds == nil)
        let seed: UInt64 = 7
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            // Sum of twelve uniforms: mean 60, deviation 10.
            let normal = (0..<12).reduce(0.0) { sum, _ in sum + Double.random(in: 0...1, using: &random) } - 6
            lead.learn(seconds: 60 + 10 * normal)
        }
        let learned = lead.learnedSeconds ?? 0
        #expect(learned > 68 && learned < 85, "\(learned)")
        lead.learn(seconds: .nan)
        lead.learn(seconds: -4)
        #expect(lead.learnedSeconds == learned)
    }

    @Test func `numbers for people are short`() {
        #expect(short(412.345) == "412.3")
        #expect(short(0) == "0")
        #expect(short(0.000123456) == "0.000123")
        #expect(short(1_234_567.8) == "1234568")
        #expect(short(.nan) == "unknown")
        #expect(duration(seconds: 300) == "5 min")
        #expect(duration(seconds: 90) == "90 s")
        #expect(duration(seconds: 7_200) == "2 h")
    }
}
