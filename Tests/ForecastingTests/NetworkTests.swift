import TestKit
import Testing

@testable import Forecasting

/// The least front that a network needs: means, scale, changes.
private struct Front {
    var moment = Moment()
    private var means: [Float] = [0, 0, 0]
    private var scale: Float = 1
    private var lastChange: Float = 0

    init() {
        moment.anchorCount = 3
        moment.anchorSteps[0] = 1
        moment.anchorSteps[1] = 3
        moment.anchorSteps[2] = 6
    }

    mutating func fold(_ value: Float, elapsed: UInt32 = 1) {
        let before = moment.step == 0 ? value : moment.base
        if moment.step == 0 { means = [value, value, value] }
        moment.step &+= elapsed
        moment.elapsed = elapsed
        moment.milliseconds += Int64(elapsed) * 60_000
        moment.value = value
        moment.base = value
        scale += 0.05 * ((value - before).magnitude - scale)
        moment.unit = max(scale, 1e-6)
        for (index, gain) in [Float(0.5), 0.1, 0.02].enumerated() {
            means[index] += gain * (value - means[index])
            moment.inputs[index] = (value - means[index]) / moment.unit
        }
        moment.change = (value - before) / moment.unit
        moment.inputs[3] = moment.change
        moment.inputs[4] = lastChange
        lastChange = moment.change
    }
}

/// A network with one series.
private final class Rig {
    let pool: UnsafeMutablePointer<Network>
    var state = NetworkState()
    var front = Front()
    private let room = UnsafeMutablePointer<Float>.allocate(capacity: 6)

    init() {
        pool = .allocate(capacity: 1)
        pool.initialize(to: Network())
    }

    deinit {
        pool.deinitialize(count: 1)
        pool.deallocate()
        room.deallocate()
    }

    func fold(_ value: Float, elapsed: UInt32 = 1) {
        front.fold(value, elapsed: elapsed)
        observe()
    }

    func observe() { withUnsafePointer(to: front.moment) { state.observe($0, pool: pool) } }

    /// The quantiles of the change over the horizon of an anchor, units.
    func forecast(_ anchor: Int) -> [Float] {
        _ = withUnsafePointer(to: front.moment) { state.forecast(anchor, $0, pool: pool, into: room) }
        return (0..<ForecastLevels.spoken).map { room[$0] }
    }

    var bytes: [UInt8] { Array(pool.pointee.bytes) }

    var isFinite: Bool {
        pool.pointee.bytes.bindMemory(to: Float.self).allSatisfy { $0.isFinite }
    }
}

private func bits(_ numbers: [Float]) -> [UInt32] { numbers.map(\.bitPattern) }

private func stateBytes(_ state: NetworkState) -> [UInt8] { withUnsafeBytes(of: state) { Array($0) } }

@Suite("The recurrent network")
struct NetworkTests {
    /// A window of random readings whose targets stand clear of the quantiles, where the loss has no kink.
    private func window(_ random: inout SeededRandom) -> NetworkWindow {
        var window = NetworkWindow()
        window.count = 7
        for index in 0..<16 { window.state[index] = Int8(random.uniform() * 160 - 80) }
        for index in 0..<192 { window.inputs[index] = Int8(random.uniform() * 160 - 80) }
        for index in 0..<48 {
            window.distances[index] = Int8(random.uniform() * 120 - 60)
            window.seasonal[index] = Int8(random.uniform() * 120 - 60)
        }
        for anchor in 0..<6 { window.spreads[anchor] = Float(1 + random.uniform()) }
        for place in 0..<42 where place % 6 < 4 && place % 5 != 0 {
            let size = Int16(500 + 400 * random.uniform())
            window.targets[place] = random.uniform() < 0.5 ? -size : size
        }
        return window
    }

    @Test("has the gradient that finite differences have", arguments: [1, 2, 3] as [UInt64])
    func gradient(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let network = Network()
        var window = window(&random)
        let steps: [6 of UInt32] = [1, 5, 15, 30, 60, 120]
        let weights = UnsafeMutableRawPointer(network.parameters).assumingMemoryBound(to: Float.self)
        let slopes = UnsafeMutableRawPointer(network.gradient).assumingMemoryBound(to: Float.self)
        let count = Network.rows * Network.width
        for index in 0..<count { weights[index] += Float(0.1 * random.normal()) }
        #expect(network.gradient(of: &window, anchorCount: 4, steps: steps) != nil)
        let found = (0..<count).map { slopes[$0] }
        let scale = found.map(\.magnitude).max() ?? 0
        #expect(scale > 0.01)
        var checked = 0
        for _ in 0..<120 {
            let index = Int(random.next() % UInt64(count))
            let old = weights[index]
            let width: Float = 0.01
            weights[index] = old + width
            let above = network.gradient(of: &window, anchorCount: 4, steps: steps) ?? .nan
            weights[index] = old - width
            let below = network.gradient(of: &window, anchorCount: 4, steps: steps) ?? .nan
            weights[index] = old
            let expected = (above - below) / (2 * width)
            #expect(
                (found[index] - expected).magnitude <= 0.03 * expected.magnitude + 0.002 * scale,
                "seed \(seed), weight \(index): \(found[index]), by differences \(expected)")
            if expected.magnitude > 0.002 * scale { checked += 1 }
        }
        #expect(checked > 30, "seed \(seed): too few weights had a slope")
    }

    /// Pinball loss of the network and of "as now" with the same spread of bands, over the second half.
    private func losses(_ rig: Rig, steps: Int, process: (Int) -> Float) -> (ours: Float, naive: Float) {
        var ours: Float = 0
        var naive: Float = 0
        for step in 0..<steps {
            let value = process(step)
            if step > steps / 2 {
                let quantiles = rig.forecast(0)
                let change = (value - rig.front.moment.base) / rig.front.moment.unit
                for (level, share) in [Float(0.1), 0.5, 0.9].enumerated() {
                    let miss = change - quantiles[level]
                    ours += max(share * miss, (share - 1) * miss)
                    naive += max(share * change, (share - 1) * change)
                }
            }
            rig.fold(value)
        }
        return (ours, naive)
    }

    @Test("learns a process that persistence cannot follow", arguments: [1, 2] as [UInt64])
    func learns(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = Rig()
        let result = losses(rig, steps: 3_000) { step in
            Float(100 + (step % 2 == 0 ? 10 : -10) + random.normal())
        }
        #expect(result.ours < 0.3 * result.naive, "seed \(seed): \(result)")
    }

    @Test("gives the same bits twice, and after a snapshot half way", arguments: [1, 2] as [UInt64])
    func snapshot(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let values = (0..<700).map { _ in Float(50 + 5 * random.normal()) }
        let first = Rig()
        let second = Rig()
        for value in values[..<401] { first.fold(value) }
        for value in values[..<401] { second.fold(value) }
        #expect(first.bytes == second.bytes)
        #expect(stateBytes(first.state) == stateBytes(second.state))
        let restored = Rig()
        let isTaken = first.bytes.withUnsafeBytes { restored.pool.pointee.restore($0) }
        #expect(isTaken)
        #expect(restored.bytes == first.bytes)
        restored.state = first.state
        restored.front = first.front
        for value in values[401...] {
            second.fold(value)
            restored.fold(value)
            #expect(bits(second.forecast(2)) == bits(restored.forecast(2)))
        }
        #expect(second.bytes == restored.bytes)
        #expect(stateBytes(second.state) == stateBytes(restored.state))
    }

    @Test("refuses damaged weights")
    func damaged() {
        let rig = Rig()
        for step in 0..<60 { rig.fold(Float(step % 7)) }
        let before = rig.bytes
        var nan = before
        withUnsafeBytes(of: Float.nan) { nan.replaceSubrange(400..<404, with: $0) }
        #expect(!nan.withUnsafeBytes { rig.pool.pointee.restore($0) })
        #expect(!before.dropLast(4).withUnsafeBytes { rig.pool.pointee.restore($0) })
        var negative = before
        let moment = 4 * (3 * Network.rows * Network.width + 5)
        withUnsafeBytes(of: Float(-1)) { negative.replaceSubrange(moment..<(moment + 4), with: $0) }
        #expect(!negative.withUnsafeBytes { rig.pool.pointee.restore($0) })
        #expect(rig.bytes == before)
    }

    @Test("stays finite and ascending whatever it is fed", arguments: [1, 2, 3] as [UInt64])
    func hostile(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rig = Rig()
        let odd: [Float] = [.nan, .infinity, -.infinity, 3e38, -3e38, 1e-38, 0, -1, 1e18]
        func pick() -> Float {
            random.next() % 3 == 0 ? odd[Int(random.next() % UInt64(odd.count))] : Float(100 * random.normal())
        }
        for _ in 0..<600 {
            rig.front.moment.step &+= UInt32(random.next() % 5 == 0 ? random.next() % 4_000_000_000 : 1)
            rig.front.moment.elapsed = UInt32(random.next() % 9)
            rig.front.moment.value = pick()
            rig.front.moment.base = pick()
            rig.front.moment.unit = pick()
            for index in 0..<16 { rig.front.moment.inputs[index] = pick() }
            for index in 0..<4 { rig.front.moment.neighbours[index] = pick() }
            for index in 0..<6 { rig.front.moment.seasonal[index] = pick() }
            rig.observe()
            for anchor in 0..<3 {
                let quantiles = rig.forecast(anchor)
                #expect(quantiles.allSatisfy { $0.isFinite }, "seed \(seed)")
                for level in 1..<quantiles.count { #expect(quantiles[level] >= quantiles[level - 1], "seed \(seed)") }
            }
            #expect(rig.state.isSound, "seed \(seed)")
        }
        #expect(rig.isFinite, "seed \(seed)")
        rig.state.scale(by: 1e19)
        rig.state.scale(by: .nan)
        #expect(rig.state.isSound)
    }

    @Test("one hostile series spoils little of what the others taught")
    func poison() {
        func loss(hostile: Bool) -> Float {
            var random = SeededRandom(seed: 5)
            let rig = Rig()
            var enemy = NetworkState()
            var enemyFront = Front()
            var total: Float = 0
            for step in 0..<2_000 {
                let value = Float(100 + (step % 2 == 0 ? 10 : -10) + random.normal())
                if step > 1_000 {
                    let miss = (value - rig.front.moment.base) / rig.front.moment.unit - rig.forecast(0)[1]
                    total += miss.magnitude
                }
                rig.fold(value)
                guard hostile, step % 4 == 0 else { continue }
                enemyFront.fold(Float((random.next() % 1_000) * (random.next() % 7)) * 1e12)
                withUnsafePointer(to: enemyFront.moment) { enemy.observe($0, pool: rig.pool) }
            }
            return total
        }
        let alone = loss(hostile: false)
        let beside = loss(hostile: true)
        #expect(beside < 1.5 * alone + 30, "alone \(alone), beside \(beside)")
    }

    @Test("uses nothing after a gap that lies across it, and long horizons do not keep it from learning")
    func gaps() {
        let rig = Rig()
        rig.front.moment.anchorSteps[2] = 1_440
        let before = rig.bytes
        for step in 0..<120 { rig.fold(Float(step % 5), elapsed: step % 17 == 0 ? 3 : 1) }
        #expect(rig.bytes != before)
        #expect(rig.state.isSound)
    }

    @Test("fits into its cell without padding, and its weights are few")
    func sizes() {
        #expect(MemoryLayout<NetworkWindow>.size == MemoryLayout<NetworkWindow>.stride)
        #expect(MemoryLayout<NetworkState>.size == MemoryLayout<NetworkState>.stride)
        #expect(MemoryLayout<NetworkState>.stride <= 1_792)
        #expect(Network().bytes.count <= 64 * 1_024)
    }

    @Test("its curves are close to what they stand for, with their own slopes")
    func curves() {
        for place in -60...60 {
            let x = Float(place) * 0.1
            let lanes = Network.Lanes(repeating: x)
            let e = (0..<24).reduce((Float(1), Float(1))) { sum, n in
                let term = sum.1 * (x / 8) / Float(n + 1)
                return (sum.0 + term, term)
            }.0
            // tanh from e^(x/8), so that no mathematics library is needed.
            let power = (0..<4).reduce(e) { value, _ in value * value }
            let tanh = (power - 1) / (power + 1)
            let curve = NetworkCurves.tanh(lanes)
            #expect((curve.value[3] - tanh).magnitude < 0.025, "at \(x)")
            let wide = NetworkCurves.tanh(lanes + 0.01).value[0] - NetworkCurves.tanh(lanes - 0.01).value[0]
            #expect((curve.slope[0] - wide / 0.02).magnitude < 0.005, "at \(x)")
        }
    }
}
