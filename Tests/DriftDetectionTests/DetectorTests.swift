import Glibc
import TestKit
import Testing

@testable import DriftDetection

/// Streams of residuals without any change, and with one.
enum Residuals: String, CaseIterable, Sendable {
    case normal, wideNormal, student5, student3, correlated5, correlated8, anticorrelated, correlatedStudent
    /// Exponential; volatility that comes in clusters; a slow wave that the reference has not taken out.
    case skewed, clustered, wavy

    func next(_ random: inout SeededRandom, _ before: inout Double) -> Double {
        switch self {
        case .normal: return random.normal()
        case .wideNormal: return 2 * random.normal()
        case .student5: return random.student(5) / 1.29
        case .student3: return random.student(3) / 1.73
        case .correlated5: before = 0.5 * before + 0.866 * random.normal()
        case .correlated8: before = 0.8 * before + 0.6 * random.normal()
        case .anticorrelated: before = -0.3 * before + 0.954 * random.normal()
        case .correlatedStudent: before = 0.5 * before + 0.6 * random.student(4)
        case .skewed: return -log(1 - random.uniform()) - 1
        case .clustered:
            // GARCH(1, 1); `before` carries the variance.
            let variance = before == 0 ? 1 : before
            let value = variance.squareRoot() * random.normal()
            before = 0.02 + 0.1 * value * value + 0.88 * variance
            return value
        case .wavy:
            before += 1
            let phase = before.truncatingRemainder(dividingBy: 288) / 288
            return random.normal() + 0.15 * (phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase)
        }
        return before
    }
}

@Suite struct DetectorTests {
    /// Alarms in so many streams of so many samples.
    static func alarms<D: DriftDetector>(
        _ type: D.Type, _ residuals: Residuals, runLength: Double, streams: Int, samples: Int, seed: UInt64
    ) -> (drifts: Int, anomalies: Int) {
        let tuning = D.tuning(averageRunLength: runLength)
        var drifts = 0
        var anomalies = 0
        for stream in 0..<streams {
            var random = SeededRandom(seed: seed &+ UInt64(stream) &* 7_919)
            var before = 0.0
            var detector = D()
            for _ in 0..<samples {
                let verdict = detector.update(Float(residuals.next(&random, &before)), tuning)
                if verdict.change == .anomaly {
                    anomalies += 1
                } else if verdict.change != .none {
                    drifts += 1
                    detector.restart()
                }
            }
        }
        return (drifts, anomalies)
    }

    /// 60 streams × 4 000 samples at a run length of 2 000 expect at most 120 alarms; the bound adds three standard
    /// deviations of a Poisson count. `swift test --filter DetectorTests` is also how the shares in `CusumFamily` are
    /// checked after a change; the printed counts are what they were chosen by.
    @Test(arguments: Residuals.allCases.filter { $0 != .clustered })
    func `stationary streams alarm no more often than stated`(_ residuals: Residuals) {
        let seed: UInt64 = 11
        let found = Self.alarms(
            CusumFamily.self, residuals, runLength: 2_000, streams: 60, samples: 4_000, seed: seed)
        print("run length, \(residuals), seed \(seed): \(found.drifts) drifts, \(found.anomalies) anomalies in 240 000")
        #expect(found.drifts <= 120 + 33)
        #expect(found.anomalies <= 120 + 33)
    }

    /// What no model of the noise foresees is learned from the alarms themselves: the rate is kept in the long run. The
    /// bound adds the alarms that the first rise of the thresholds takes. A million samples of each of 100 seeds, in a
    /// release build outside the tests: 0.06 normal, 0.05 Student t, 0.09 clustered, 0.04 skewed per 1 000.
    @Test(arguments: [Residuals.skewed, .clustered, .student3, .wavy])
    func `restless streams keep the rate in the long run`(_ residuals: Residuals) {
        let seed: UInt64 = 23
        let found = Self.alarms(
            CusumFamily.self, residuals, runLength: 2_000, streams: 4, samples: 60_000, seed: seed)
        print("long run, \(residuals), seed \(seed): \(found.drifts) drifts in 240 000")
        #expect(found.drifts <= 120 + 33 + 4 * 6)
    }

    /// Young series among them: by size alone, without ranks, one-sided residuals alarm twice as often as stated.
    @Test(arguments: [Residuals.normal, .student3, .skewed])
    func `the default run length holds, and is not wasted`(_ residuals: Residuals) {
        let found = Self.alarms(
            CusumFamily.self, residuals, runLength: 10_000, streams: 50, samples: 8_000, seed: 5)
        print("run length 10 000, \(residuals), seed 5: \(found.drifts) drifts in 400 000")
        #expect(found.drifts <= 40 + 19)
        #expect(found.drifts >= 8)
    }

    @Test func `Page-Hinkley keeps its run length on independent normal residuals`() {
        let found = Self.alarms(
            PageHinkley.self, .normal, runLength: 10_000, streams: 50, samples: 8_000, seed: 7)
        print("Page-Hinkley, normal, seed 7: \(found.drifts) drifts in 400 000")
        #expect(found.drifts <= 40 + 19)
    }

    @Test func `adaptive windowing and Kolmogorov-Smirnov keep their run length on normal residuals`() {
        let adwin = Self.alarms(Adwin.self, .normal, runLength: 2_000, streams: 20, samples: 6_000, seed: 3)
        let kswin = Self.alarms(Kswin.self, .normal, runLength: 2_000, streams: 20, samples: 6_000, seed: 4)
        print("run length 2 000, normal: ADWIN \(adwin.drifts), KSWIN \(kswin.drifts) drifts in 120 000")
        #expect(adwin.drifts <= 60 + 23)
        #expect(kswin.drifts <= 60 + 23)
    }

    @Test func `the alternatives find a shift`() {
        func isFound<D: DriftDetector>(_ type: D.Type, _ shift: (Int, Double) -> Double) -> Bool {
            let found = Self.delays(D.self, seeds: 20, shift: shift)
            return found.delays.count >= 19
        }
        #expect(isFound(Adwin.self) { $1 + 1 })
        #expect(isFound(PageHinkley.self) { $1 + 1 })
        #expect(isFound(Kswin.self) { $1 + 2 })
    }

    /// Against its definition, written down with all the residuals at hand (E. S. Page, 1954; D. Hinkley, 1971): the
    /// sum of what lies beyond the mean and the tolerance, less its own minimum.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `Page-Hinkley alarms where its definition does`(_ seed: UInt64) {
        let tuning = PageHinkley.tuning(averageRunLength: 1_000)
        var random = SeededRandom(seed: seed)
        var detector = PageHinkley()
        var (up, down) = ([0.0], [0.0])
        var mean = 0.0
        for index in 1...2_000 {
            let value = Double(Float(random.normal() + (index > 700 ? 0.8 : 0)))
            let deviation = value - mean
            mean += deviation / (Double(min(index, 4_096)) + 512)
            if index > Int(PageHinkley.warmSamples) {
                up.append((up.last ?? 0) + deviation - Double(PageHinkley.slack))
                down.append((down.last ?? 0) - deviation - Double(PageHinkley.slack))
            }
            let most = max((up.last ?? 0) - (up.min() ?? 0), (down.last ?? 0) - (down.min() ?? 0))
            let isFound = detector.update(Float(value), tuning).change != .none
            // What the two kinds of floats may disagree about is not asked.
            if (most - Double(tuning.threshold)).magnitude > 1e-3 {
                #expect(isFound == (most >= Double(tuning.threshold)), "seed \(seed), sample \(index)")
            }
            if isFound { return }
        }
        Issue.record("no alarm, seed \(seed)")
    }

    /// Against the distance of Kolmogorov and Smirnov by counting.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `Kolmogorov-Smirnov windowing alarms where counting does`(_ seed: UInt64) {
        let tuning = Kswin.tuning(averageRunLength: 1_000)
        var random = SeededRandom(seed: seed)
        var detector = Kswin()
        var kept: [Float] = []
        for index in 1...1_500 {
            let value = Float(random.normal() * (index > 600 ? 1.4 : 1) + (index > 600 ? 0.8 : 0))
            kept.append(value)
            let isFound = detector.update(value, tuning).change != .none
            var distance: Float = 0
            if index % 10 == 0, index >= 120 {
                let (older, newer) = (kept.suffix(120).prefix(90), kept.suffix(30))
                for edge in kept.suffix(120) {
                    let share = Float(older.filter { $0 <= edge }.count) / 90
                    distance = max(distance, (share - Float(newer.filter { $0 <= edge }.count) / 30).magnitude)
                }
            }
            #expect(isFound == (distance > tuning.distance), "seed \(seed), sample \(index): \(distance)")
            if isFound { return }
        }
        Issue.record("no alarm, seed \(seed)")
    }

    /// The exponential histogram against the residuals themselves: both see the same means.
    @Test(arguments: [UInt64(1), 2, 3])
    func `adaptive windowing cuts where the means differ`(_ seed: UInt64) {
        let tuning = Adwin.tuning(averageRunLength: 10_000)
        var random = SeededRandom(seed: seed)
        var detector = Adwin()
        var kept: [Double] = []
        for index in 0..<3_000 {
            let value = random.normal() + (index < 1_500 ? 0 : 1.5)
            kept.append(value)
            let verdict = detector.update(Float(value), tuning)
            guard verdict.change != .none else { continue }
            let newer = kept.suffix(Int(verdict.samplesSince) + 1)
            let older = kept.dropLast(Int(verdict.samplesSince) + 1)
            let difference = newer.reduce(0, +) / Double(newer.count) - older.reduce(0, +) / Double(older.count)
            #expect(index >= 1_500)
            let error = abs(difference - Double(verdict.magnitude))
            #expect(error < 0.01)
            return
        }
        Issue.record("no cut, seed \(seed)")
    }

    /// Delays in samples, counting the one at which the change begins as 1; sorted.
    static func delays<D: DriftDetector>(
        _ type: D.Type, seeds: Int, shift: (Int, Double) -> Double
    ) -> (delays: [Int], changes: [DriftVerdict.Change], verdicts: [DriftVerdict]) {
        let tuning = D.tuning(averageRunLength: 10_000)
        var delays: [Int] = []
        var verdicts: [DriftVerdict] = []
        for seed in 0..<seeds {
            var random = SeededRandom(seed: UInt64(seed) &* 104_729 &+ 3)
            var detector = D()
            for index in 0..<1_600 {
                let noise = random.normal()
                let residual = index < 1_000 ? noise : shift(index - 1_000, noise)
                let verdict = detector.update(Float(residual), tuning)
                if verdict.change == .none { continue }
                if index < 1_000 {
                    detector.restart()
                } else {
                    delays.append(index - 999)
                    verdicts.append(verdict)
                    break
                }
            }
        }
        return (delays.sorted(), verdicts.map(\.change), verdicts)
    }

    @Test(arguments: [(1.0, 60), (2.0, 16), (3.0, 8)])
    func `a shift of a correlated series is found in time`(_ sigma: Double, _ limit: Int) {
        // What an AR(1) reference with φ = 0.6 sees of a lasting shift: all of it once, then 1 − φ of it.
        let found = Self.delays(CusumFamily.self, seeds: 200) { step, noise in
            noise + sigma * 1.25 * (step == 0 ? 1 : 0.4)
        }
        let median = found.delays[found.delays.count / 2]
        print("shift \(sigma) sigma behind an autoregression: median delay \(median) of \(found.delays.count)")
        // False alarms before have raised the thresholds of a few.
        #expect(found.delays.count >= 198)
        #expect(median <= limit)
    }

    @Test(arguments: [(1.0, 25), (2.0, 8), (3.0, 6)])
    func `a shift of the residuals is found in time and called a level shift`(_ sigma: Double, _ limit: Int) {
        let found = Self.delays(CusumFamily.self, seeds: 200) { $1 + sigma }
        let median = found.delays[found.delays.count / 2]
        print("residual shift \(sigma): median delay \(median)")
        #expect(median <= limit)
        #expect(found.changes.filter { $0 == .level }.count >= 165)
        let sizes = found.verdicts.filter { $0.change == .level }.map(\.magnitude).sorted()
        let size = Double(sizes[sizes.count / 2])
        #expect(abs(size - sigma) < 0.5)
    }

    @Test func `a wider spread is called a change of variance`() {
        let found = Self.delays(CusumFamily.self, seeds: 200) { 3 * $1 }
        // A false alarm just before the change makes it the first thing that is learned afterwards.
        #expect(found.delays.count >= 198)
        #expect(found.delays[100] <= 12)
        #expect(found.changes.filter { $0 == .variance }.count >= 140)
        #expect(found.changes.filter { $0 == .level || $0 == .trend }.count <= 30)
    }

    @Test func `a slow ramp is found before it is learned`() {
        let found = Self.delays(CusumFamily.self, seeds: 100) { $1 + 1.5 * min(Double($0) / 500, 1) }
        #expect(found.delays.count == 100)
        #expect(found.delays[50] <= 200)
    }

    @Test func `a spike of one or two samples is an anomaly, not a drift`() {
        for length in 1...2 {
            let found = Self.delays(CusumFamily.self, seeds: 200) { $0 < length ? $1 + 10 : $1 }
            #expect(found.changes.filter { $0 == .anomaly }.count >= 180)
        }
    }

    @Test func `residuals far out on one side are a new level even for a restless series`() {
        // Bursts of one to three samples have raised the thresholds before.
        let tuning = CusumFamily.tuning(averageRunLength: 10_000)
        var found: [Int] = []
        for seed in 0..<50 {
            var random = SeededRandom(seed: UInt64(seed) &+ 900)
            var detector = CusumFamily()
            for _ in 0..<6_000 {
                let burst = random.below(100) == 0 ? 8.0 : 0
                if detector.update(Float(random.normal() + burst), tuning).change == .level { detector.restart() }
            }
            for index in 1...40 where detector.update(Float(random.normal() + 10), tuning).change == .level {
                found.append(index)
                break
            }
        }
        found.sort()
        print("a jump of 10 sigma in bursts, seeds 900 to 949: \(found.count) found, median \(found[found.count / 2])")
        #expect(found.count == 50)
        #expect(found[25] <= 8)
    }

    @Test func `runs that come and go demand longer runs`() {
        var test = JumpTest()
        let logRunLength: Float = 11
        for _ in 0..<200 {
            for index in 0..<40 { _ = test.update(index < 4 ? 8 : 0, true, logRunLength) }
        }
        var needed = 0
        for index in 1...40 where test.update(8, true, logRunLength) {
            needed = index
            break
        }
        #expect(needed > 8)
    }

    @Test func `the change point is estimated near the change`() {
        // Each seed alone, so that delay and estimate belong together.
        var errors: [Int] = []
        let tuning = CusumFamily.tuning(averageRunLength: 10_000)
        for seed in 0..<200 {
            var random = SeededRandom(seed: UInt64(seed) &+ 77)
            var detector = CusumFamily()
            for index in 0..<1_400 {
                let verdict = detector.update(Float(random.normal() + (index < 1_000 ? 0 : 1)), tuning)
                if verdict.change == .none { continue }
                if index >= 1_000 {
                    errors.append(index - Int(verdict.samplesSince) - 1_000)
                    break
                }
                detector.restart()
            }
        }
        errors.sort()
        print("change point error, 1 sigma: quartiles \(errors[50]) \(errors[100]) \(errors[150])")
        #expect(errors[50] >= -10 && errors[150] <= 10)
    }

    @Test func `thresholds agree with the tabulated run length`() {
        #expect(abs(RunLength.mean(slack: 0.5, threshold: 5) - 938) < 5)
        for target in [370.0, 10_000, 1e6] {
            let threshold = RunLength.threshold(slack: 0.25, mean: target)
            #expect(abs(RunLength.mean(slack: 0.25, threshold: threshold) / target - 1) < 1e-6)
        }
    }

    @Test func `any finite residual is survived, and the detector works afterwards`() {
        let tuning = CusumFamily.tuning(averageRunLength: 10_000)
        var detector = CusumFamily()
        var random = SeededRandom(seed: 3)
        let nasty: [Float] = [.greatestFiniteMagnitude, -.greatestFiniteMagnitude, 0, -0, .leastNonzeroMagnitude, 1e30]
        for _ in 0..<2_000 { _ = detector.update(nasty[random.below(nasty.count)], tuning) }
        var finite = true
        for _ in 0..<30_000 {
            let verdict = detector.update(Float(random.normal()), tuning)
            finite = finite && verdict.score.isFinite && verdict.magnitude.isFinite
            if verdict.change != .none && verdict.change != .anomaly { detector.restart() }
        }
        #expect(finite)
        var delay = 0
        for index in 1...400 {
            delay = index
            if detector.update(Float(random.normal() + 2), tuning).change != .none { break }
        }
        #expect(delay < 60)
    }

    @Test func `the detector stays within its memory`() {
        #expect(MemoryLayout<CusumFamily>.size <= 336)
        #expect(MemoryLayout<SeriesCell>.size == MemoryLayout<SeriesCell>.stride)
        #expect(MemoryLayout<SeriesCell>.size <= 88)
        #expect(MemoryLayout<SeriesCell>.size + MemoryLayout<CusumFamily>.size <= 512)
        #expect(MemoryLayout<Adwin>.size <= 512 && MemoryLayout<Kswin>.size <= 512)
        #expect(MemoryLayout<LocalityCell>.size == MemoryLayout<LocalityCell>.stride)
        #expect(MemoryLayout<DriftResourceCell>.size == MemoryLayout<DriftResourceCell>.stride)
    }
}
