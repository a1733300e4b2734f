import Glibc
import TestKit
import Testing

@testable import DriftDetection

@Suite struct NormalScoresTests {
    @Test func `the deviate of a probability is the normal distribution's`() {
        for step in 1..<1_000 {
            let probability = Float(step) / 1_000
            let back = 0.5 * erfcf(-NormalScores.deviate(probability) / Float(2).squareRoot())
            #expect((back - probability).magnitude < 5e-4)
        }
    }

    @Test func `a new series has the scores of normal residuals`() {
        for step in -20...20 {
            let residual = Float(step) / 10
            var scores = NormalScores()
            #expect((scores.score(residual) - residual).magnitude < 0.35, "\(residual)")
        }
    }

    /// Heavy tails, one side, clusters, and counts of a few values: the classes cost some of the variance.
    @Test(arguments: [Residuals.normal, .student3, .skewed, .clustered, .wideNormal])
    func `scores are normal whatever the residuals are`(_ residuals: Residuals) {
        let seed: UInt64 = 31
        for step in [0.0, 1.5] {
            var random = SeededRandom(seed: seed)
            var before = 0.0
            var scores = NormalScores()
            var (sum, squares, beyond) = (0.0, 0.0, 0.0)
            for index in 0..<24_000 {
                let value = residuals.next(&random, &before)
                let score = Double(scores.score(Float(step > 0 ? (value / step).rounded() * step : value)))
                guard index >= 4_000 else { continue }
                sum += score
                squares += score * score
                beyond += score.magnitude > 2.5 ? 1 : 0
            }
            print("scores, \(residuals), steps of \(step), seed \(seed): mean \(sum / 2e4), square \(squares / 2e4)")
            #expect((sum / 20_000).magnitude < 0.06)
            #expect(squares / 20_000 < 1.06)
            #expect(squares / 20_000 > (step > 0 ? 0.4 : 0.85))
            #expect(beyond / 20_000 < 0.02)
        }
    }

    @Test func `a value that comes again and again is no departure`() {
        for value in [Float(0), 0.13, -2, 40] {
            var scores = NormalScores()
            var last: Float = 0
            for _ in 0..<4_000 { last = scores.score(value) }
            #expect(last.magnitude < 0.1, "\(value)")
        }
    }

    @Test func `a change that is found is not learned, one that is not is learned in the end`() {
        var random = SeededRandom(seed: 5)
        var scores = NormalScores()
        for _ in 0..<1_500 { _ = scores.score(Float(random.normal())) }
        for _ in 0..<20 {
            for _ in 0..<30 { #expect(scores.score(8) > 2.8) }
            scores.forgetWaiting()
        }
        var last: Float = 0
        for _ in 0..<2_000 { last = scores.score(8) }
        #expect(last < 1)
    }

    @Test func `what is no number has a class`() {
        for value in [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude] {
            #expect((0..<NormalScores.classes).contains(NormalScores.place(of: value)))
        }
    }

    @Test func `an alarm that is excused leaves the thresholds as they were`() {
        let tuning = CusumFamily.tuning(averageRunLength: 10_000)
        var random = SeededRandom(seed: 6)
        var detector = CusumFamily()
        for index in 0..<2_000 {
            let before = detector.restlessness
            guard detector.update(Float(random.normal() + (index < 200 ? 0 : 0.6)), tuning).change == .level
            else { continue }
            #expect(detector.restlessness > before + 0.2)
            detector.excuse()
            #expect((detector.restlessness - before).magnitude < 1e-3)
            return
        }
        Issue.record("no alarm, seed 6")
    }
}
