import TestKit
import Testing

@testable import Forecasting

@Suite("The reference that drift is judged against")
struct ReferenceTests {
    private static let step: UInt32 = 300_000

    /// An autoregressive series around a daily wave, 100 to 140, five minutes a step; deviation of its noise 1.
    private struct Wave {
        var random: SeededRandom
        var noise = 0.0
        var index = 0
        var shift = 0.0

        init(seed: UInt64) { random = SeededRandom(seed: seed) }

        mutating func next() -> (value: Float, time: Int64) {
            noise = 0.6 * noise + random.normal()
            index += 1
            let phase = Double(index % 288) / 288
            // A triangle: more than the first harmonics hold.
            let shape = 40 * (phase < 0.5 ? 2 * phase : 2 - 2 * phase)
            return (Float(100 + shape + shift + noise), Int64(index) * 300_000)
        }
    }

    private static func fold(_ reference: inout Reference, _ wave: inout Wave) -> Float {
        let (value, time) = wave.next()
        return reference.fold(value, at: time, steps: 1, step: step)
    }

    private static func learned(_ wave: inout Wave, steps: Int = 2_000) -> Reference {
        var reference = Reference()
        for _ in 0..<steps { _ = fold(&reference, &wave) }
        return reference
    }

    @Test("residuals of an undisturbed series are standard and hang together little", arguments: [1, 2, 3] as [UInt64])
    func isWhite(seed: UInt64) {
        var wave = Wave(seed: seed)
        var reference = Self.learned(&wave)
        var (sum, squares, products, before) = (0.0, 0.0, 0.0, 0.0)
        for _ in 0..<3_000 {
            let residual = Double(Self.fold(&reference, &wave))
            sum += residual
            squares += residual * residual
            products += residual * before
            before = residual
        }
        let variance = squares / 3_000
        print("reference, seed \(seed): mean \(sum / 3_000), variance \(variance), lag one \(products / squares)")
        #expect((sum / 3_000).magnitude < 0.1)
        #expect(variance > 0.8 && variance < 1.3)
        #expect((products / squares).magnitude < 0.1)
    }

    @Test("a shift stays visible until the reference is fitted anew", arguments: [4, 5] as [UInt64])
    func staysVisible(seed: UInt64) {
        var wave = Wave(seed: seed)
        var reference = Self.learned(&wave)
        wave.shift = 8
        var sum: Float = 0
        for _ in 0..<150 { sum += Self.fold(&reference, &wave) }
        #expect(sum / 150 > 1)

        let history: [Float] = [0, 1, 2, 3, 4, 5, 6, 7].map { _ in wave.next().value }
        history.withUnsafeBufferPointer {
            reference.refit($0, last: Int64(wave.index) * 300_000, settleSteps: 64)
        }
        // One step is not judged, so that the charts start anew.
        #expect(Self.fold(&reference, &wave).isNaN)
        sum = 0
        for _ in 0..<300 { sum += Self.fold(&reference, &wave) }
        #expect((sum / 300).magnitude < 0.35)
        wave.shift = 16
        sum = 0
        for _ in 0..<20 { sum += Self.fold(&reference, &wave) }
        #expect(sum / 20 > 1)
    }

    @Test("a false alarm is revoked: the old level is taken up again", arguments: [21, 22] as [UInt64])
    func revokes(seed: UInt64) {
        var wave = Wave(seed: seed)
        var reference = Self.learned(&wave)
        let history: [Float] = (0..<12).map { _ in wave.next().value + 3 }
        history.withUnsafeBufferPointer {
            reference.refit($0, last: Int64(wave.index) * 300_000, settleSteps: 64)
        }
        for _ in 0..<66 { _ = Self.fold(&reference, &wave) }
        var sum: Float = 0
        for _ in 0..<300 { sum += Self.fold(&reference, &wave) }
        print("revoked, seed \(seed): mean residual \(sum / 300)")
        #expect((sum / 300).magnitude < 0.3)
    }

    @Test("a series of levels is judged by its level", arguments: [31, 32] as [UInt64])
    func knowsLevels(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var reference = Reference()
        var level = 200.0
        var far: [Float] = []
        var quiet: Float = 0
        // Jumps come every 97 steps; after five far residuals in a row the change is reported, as a detector does.
        for index in 1...2_030 {
            if index % 97 == 0 { level = 190 + 40 * random.uniform() }
            let value = Float(level + 0.3 * random.normal())
            let time = Int64(index) * 240_000
            let residual = reference.fold(value, at: time, steps: 1, step: 240_000)
            if index > 1_960 && residual.isFinite { quiet = max(quiet, residual.magnitude) }
            far = residual.magnitude > 4 ? far + [value] : []
            guard far.count == 5 else { continue }
            far.withUnsafeBufferPointer { reference.refit($0, last: time, settleSteps: 5) }
            far = []
        }
        // What is below .3 % of the level is noise: a deviation is 0.6.
        let residual = reference.fold(Float(level + 5), at: 2_031 * 240_000, steps: 1, step: 240_000)
        print("levels, seed \(seed): quiet up to \(quiet), a jump of 5 gives \(residual)")
        #expect(quiet < 6)
        #expect(residual > 6 && residual < 12)
    }

    @Test("an error at the same time of every day stops being news, once is news")
    func knowsTheHour() {
        var wave = Wave(seed: 6)
        var reference = Self.learned(&wave)
        var sizes: [Float] = []
        for _ in 0..<(8 * 288) {
            let (value, time) = wave.next()
            let isJob = wave.index % 288 == 100
            let residual = reference.fold(value + (isJob ? 15 : 0), at: time, steps: 1, step: Self.step)
            if isJob { sizes.append(residual) }
        }
        print("job, seed 6: \(sizes)")
        #expect(sizes[0] > 8)
        #expect(sizes[1] > 8)
        #expect(sizes.suffix(3).allSatisfy { $0 < 6 })
    }

    @Test("noise that grows with the level is no change of the spread", arguments: [7, 8] as [UInt64])
    func knowsGrowingNoise(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var reference = Reference()
        var squares = [0.0, 0.0]
        var counts = [0.0, 0.0]
        for index in 1...6_000 {
            let phase = Double(index % 288) / 288
            let level = phase < 0.5 ? 20 + 320 * phase : 340 - 320 * phase
            let value = level * (1 + 0.03 * random.normal())
            let residual = reference.fold(Float(value), at: Int64(index) * 300_000, steps: 1, step: Self.step)
            guard index > 3_000, level < 50 || level > 150 else { continue }
            squares[level < 50 ? 0 : 1] += Double(residual * residual)
            counts[level < 50 ? 0 : 1] += 1
        }
        let ratio = (squares[1] / counts[1]) / (squares[0] / counts[0])
        print("growing noise, seed \(seed): variance at high over low levels \(ratio), 19 in the series")
        #expect(ratio > 0.4 && ratio < 2.5)
    }

    @Test("least squares find the weights that made the series")
    func solves() {
        var random = SeededRandom(seed: 9)
        var fit = ReferenceFit()
        var (last, before): (Float, Float) = (0, 0)
        for index in 0..<4_000 {
            let angle = Double(index % 288) / 288
            let s = Float(angle < 0.5 ? 4 * angle - 1 : 3 - 4 * angle)
            let x: ReferenceFit.Features = [1, last, before, s, 0, 0, 0, 0, 0, 0, 0]
            let y = 3 + 0.5 * last + 0.2 * before + 2 * s + 0.1 * Float(random.normal())
            fit.fold(x, y)
            before = last
            last = y
        }
        let weights = fit.solve(hasDay: true, persistenceMax: 0.9)
        let expected: [Float] = [3, 0.5, 0.2, 2]
        for index in 0..<4 {
            let error = ((weights?[index] ?? .nan) - expected[index]).magnitude
            #expect(error < 0.05 + 0.06 * expected[index])
        }
        let bounded = fit.solve(hasDay: true, persistenceMax: 0.4)
        #expect((((bounded?[1] ?? .nan) + (bounded?[2] ?? .nan)) - 0.4).magnitude < 0.01)
    }

    @Test("another unit of measurement changes no residual")
    func scales() {
        var wave = Wave(seed: 10)
        var one = Self.learned(&wave)
        var other = one
        other.scale(by: 1_024)
        for _ in 0..<500 {
            let (value, time) = wave.next()
            let a = one.fold(value, at: time, steps: 1, step: Self.step)
            let b = other.fold(value * 1_024, at: time, steps: 1, step: Self.step)
            #expect((a - b).magnitude < 1e-3)
        }
    }

    @Test("any finite values at any times leave it sound", arguments: [11, 12] as [UInt64])
    func survives(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var reference = Reference()
        let nasty: [Float] = [0, -0, 1e30, -1e30, .leastNonzeroMagnitude, 1, -1, 1e-20]
        var time: Int64 = -(1 << 40)
        for _ in 0..<4_000 {
            let value = nasty[Int(random.next() % 8)]
            time += Int64(random.next() % 900_000)
            let steps = 1 + UInt32(random.next() % 40)
            let step: UInt32 = random.next() % 500 == 0 ? 60_000 : 300_000
            let residual = reference.fold(value, at: time, steps: steps, step: step)
            #expect(!(residual.magnitude > 50))
            if random.next() % 200 == 0 {
                [value, 1, value].withUnsafeBufferPointer { reference.refit($0, last: time, settleSteps: 5) }
            }
            #expect(reference.isSound)
        }
    }
}
