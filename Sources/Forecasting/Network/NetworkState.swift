/// What the network knows of one series: hidden state, the spread of changes over each horizon, and the windows from
/// which it will learn.
///
/// Outputs are in spreads: a horizon's spread is the running mean of |change| there, times √(unit / usual unit), so it
/// follows a livelier or quieter time at once but not all the way.
package struct NetworkState: BitwiseCopyable {
    static let windowsMax = 3
    private static let noWindow: UInt8 = 255
    /// A second and third window do not wait for horizons longer than this.
    private static let patienceSteps: UInt32 = 64
    private static let memory: Float = 1 / 150

    var hidden: [16 of Float] = InlineArray(repeating: 0)
    /// Mean |change| over each horizon, in the series' unit, freed of liveliness.
    private var spreads: [6 of Float] = InlineArray(repeating: 0)
    private var anchorSteps: [6 of UInt32] = InlineArray(repeating: 0)
    private var usualUnit: Float = 0
    private var factor: Float = 1
    var windows: [3 of NetworkWindow] = InlineArray(repeating: NetworkWindow())
    /// Forecasts judged per horizon, up to 1000.
    private var judged: [6 of UInt16] = InlineArray(repeating: 0)
    private var seen: UInt16 = 0
    /// What the network read at the last step.
    private(set) var inputs: [24 of Int8] = InlineArray(repeating: 0)
    private(set) var distances: [6 of Int8] = InlineArray(repeating: 0)
    private var open = noWindow
    private(set) var anchorCount: UInt8 = 0
    private var spare: UInt16 = 0

    package init() {}

    /// Every index inside is in range and every number finite, whatever the bytes came from.
    package var isSound: Bool {
        for index in 0..<Network.width where !(hidden[index].magnitude <= 1.5) { return false }
        for anchor in 0..<Moment.anchorsMax where !(spreads[anchor] >= 0 && spreads[anchor] < 1e30) { return false }
        for index in 0..<Self.windowsMax where !windows[index].isSound { return false }
        guard usualUnit >= 0, usualUnit < 1e30, factor >= 0, factor <= 10 else { return false }
        let isOpenSound = open == Self.noWindow || (open < Self.windowsMax && windows[Int(open)].isClosed == 0)
        guard isOpenSound else { return false }
        return anchorCount <= UInt8(Moment.anchorsMax)
    }
}

// MARK: Observing

extension NetworkState {
    /// Folds a step: takes in what has come due, learns from a window whose targets are complete, reads the step.
    package mutating func observe(_ m: UnsafePointer<Moment>, pool: UnsafeMutablePointer<Network>) {
        adoptAnchors(m)
        guard anchorCount > 0 else { return }
        takeTargets(m)
        for index in 0..<Self.windowsMax where windows[index].isClosed != 0 && isDue(index, m.pointee.step) {
            pool.pointee.learn(&windows[index], anchorCount: Int(anchorCount), steps: anchorSteps)
            windows[index] = NetworkWindow()
        }
        measure(m)
        read(m)
        keep(m)
        pool.pointee.advance(&hidden, inputs)
    }

    /// Another step or other horizons: what was learned of them is dropped.
    private mutating func adoptAnchors(_ m: UnsafePointer<Moment>) {
        let count = UInt8(min(max(m.pointee.anchorCount, 0), Moment.anchorsMax))
        var isSame = count == anchorCount
        for anchor in 0..<Int(count) where m.pointee.anchorSteps[anchor] != anchorSteps[anchor] { isSame = false }
        guard !isSame else { return }
        self = NetworkState()
        anchorCount = count
        for anchor in 0..<Int(count) { anchorSteps[anchor] = max(m.pointee.anchorSteps[anchor], 1) }
    }

    /// A horizon's spread, freed of liveliness; a random walk's while few forecasts were judged.
    @inline(__always)
    private mutating func spread(_ anchor: Int) -> Float {
        let floor = 0.02 * usualUnit
        if judged[anchor] >= 64 { return max(spreads[anchor], floor) }
        let guess = Float(anchorSteps[anchor]).squareRoot() * usualUnit
        let count = Float(judged[anchor])
        return max((count * spreads[anchor] + 4 * guess) / (count + 4), floor)
    }

    /// The anchor in whose spread distances are kept.
    private var reference: Int { anchorCount > 1 ? 1 : 0 }

    private mutating func takeTargets(_ m: UnsafePointer<Moment>) {
        for index in 0..<Self.windowsMax where windows[index].count > 0 {
            let since = Int64(m.pointee.step) - Int64(windows[index].first)
            for anchor in 0..<Int(anchorCount) {
                let place = since - Int64(anchorSteps[anchor])
                guard place >= 0, place < Int64(windows[index].count) else { continue }
                let position = Int(place)
                let change = clamped(m.pointee.value - windows[index].bases[position], 1e25)
                let scaled = change / (windows[index].spreads[anchor] * windows[index].factor(position))
                windows[index].targets[position * NetworkWindow.anchorsMax + anchor] = Int16(
                    clampedInt32((64 * clamped(scaled, 500)).rounded(), -32_000, 32_000))
                judge(anchor, size: change.magnitude / windows[index].factor(position))
            }
        }
    }

    private mutating func judge(_ anchor: Int, size: Float) {
        let usual = spread(anchor)
        judged[anchor] = min(judged[anchor] + 1, 1_000)
        let gain = max(1 / Float(judged[anchor]), Self.memory)
        spreads[anchor] += gain * (min(size, 12 * usual) - spreads[anchor])
    }

    /// The window's targets have all come, or can come no more.
    private func isDue(_ index: Int, _ step: UInt32) -> Bool {
        var wait = anchorSteps[0]
        for anchor in 0..<Int(anchorCount) where index == 0 || anchorSteps[anchor] <= Self.patienceSteps {
            wait = anchorSteps[anchor]
        }
        let last = Int64(windows[index].first) + Int64(windows[index].count) - 1
        return Int64(step) >= last + Int64(wait)
    }

    private mutating func measure(_ m: UnsafePointer<Moment>) {
        let unit = clampedScale(m.pointee.unit)
        seen = min(seen + 1, 1_000)
        usualUnit += max(1 / Float(seen), 1 / 400) * (unit - usualUnit)
        factor = min(max(unit / max(usualUnit, 1e-20), 0.01), 100).squareRoot()
    }

    private func clampedScale(_ unit: Float) -> Float { unit > 1e-20 ? min(unit, 1e20) : 1e-20 }

    private mutating func read(_ m: UnsafePointer<Moment>) {
        for index in 0..<16 { inputs[index] = NetworkCode.packed(m.pointee.inputs[index]) }
        for index in 0..<4 { inputs[16 + index] = NetworkCode.packed(m.pointee.neighbours[index]) }
        let unit = clampedScale(m.pointee.unit)
        let surprise = (m.pointee.value - m.pointee.base) / unit
        inputs[20] = NetworkCode.packed(surprise)
        let step = spread(0)
        inputs[21] = NetworkCode.packed(0.5 * NetworkCode.log2(spread(Int(anchorCount) - 1) / max(step, 1e-30)))
        inputs[22] = NetworkCode.packed(0.5 * NetworkCode.log2(max(step * factor / unit, 1e-30)))
        inputs[23] = NetworkCode.packed(0.25 * Float(min(max(m.pointee.elapsed, 1), 64) - 1))

        let inverse = unit / max(spread(reference) * factor, 1e-30)
        for index in 0..<3 { distances[index] = NetworkCode.packed(m.pointee.inputs[index] * inverse) }
        distances[3] = NetworkCode.packed(m.pointee.inputs[MomentInput.fromUsual] * inverse)
        distances[4] = NetworkCode.packed(m.pointee.inputs[MomentInput.fromMedian] * inverse)
        distances[5] = NetworkCode.packed(surprise * inverse)
    }

    /// What the profiles expect at an anchor, in its spread.
    @inline(__always)
    private mutating func seasonal(_ anchor: Int, _ m: UnsafePointer<Moment>) -> Int8 {
        let scale = max(spread(anchor) * factor, 1e-30)
        return NetworkCode.packed(m.pointee.seasonal[anchor] * clampedScale(m.pointee.unit) / scale)
    }

    /// Takes the step into the open window; a gap ends a window, as positions stand step by step.
    private mutating func keep(_ m: UnsafePointer<Moment>) {
        if open != Self.noWindow {
            let next = windows[Int(open)].first &+ UInt32(windows[Int(open)].count)
            if m.pointee.step != next { close() }
        }
        if open == Self.noWindow {
            guard let free = freeWindow() else { return }
            open = UInt8(free)
            windows[free].first = m.pointee.step
            for index in 0..<Network.width {
                windows[free].state[index] = Int8(clampedInt32(127 * hidden[index], -127, 127))
            }
            for anchor in 0..<Int(anchorCount) { windows[free].spreads[anchor] = max(spread(anchor), 1e-25) }
        }
        let place = Int(open)
        let position = Int(windows[place].count)
        windows[place].bases[position] = clamped(m.pointee.base, 1e25)
        windows[place].setFactor(position, factor)
        for index in 0..<Network.inputCount {
            windows[place].inputs[position * Network.inputCount + index] = inputs[index]
        }
        for index in 0..<6 { windows[place].distances[position * 6 + index] = distances[index] }
        for anchor in 0..<Int(anchorCount) { windows[place].seasonal[position * 6 + anchor] = seasonal(anchor, m) }
        windows[place].count += 1
        if windows[place].count == UInt8(NetworkWindow.positionsMax) { close() }
    }

    private func freeWindow() -> Int? {
        for index in 0..<Self.windowsMax where windows[index].count == 0 { return index }
        return nil
    }

    private mutating func close() {
        windows[Int(open)].isClosed = 1
        open = Self.noWindow
    }
}

// MARK: Forecasting

extension NetworkState {
    /// Writes quantiles of the change from the base over the horizon of an anchor, in units, ascending. Nothing but the
    /// network's own reading of the step enters, so `m` is that of the last `observe`.
    /// - Returns: false, and nothing is written, if the anchor is none of the series.
    package mutating func forecast(
        _ anchor: Int, _ m: UnsafePointer<Moment>, pool: UnsafeMutablePointer<Network>,
        into out: UnsafeMutablePointer<Float>
    ) -> Bool {
        guard anchor >= 0, anchor < Int(anchorCount) else { return false }
        let scale = spread(anchor) * factor
        let features = Network.features(
            inputs: inputs, distances: distances, seasonal: seasonal(anchor, m),
            ratio: spread(reference) / max(spread(anchor), 1e-30), steps: anchorSteps[anchor])
        let quantiles = pool.pointee.quantiles(hidden, features)
        let units = scale / clampedScale(m.pointee.unit)
        for level in 0..<ForecastLevels.spoken { out[level] = clamped(quantiles[level] * units, 1e15) }
        return true
    }

    /// Measures in another unit from now on.
    package mutating func scale(by factor: Float) {
        guard factor > 0, factor < 1e20 else { return }
        for anchor in 0..<Int(anchorCount) { spreads[anchor] = min(spreads[anchor] * factor, 1e25) }
        usualUnit = min(usualUnit * factor, 1e20)
        for index in 0..<Self.windowsMax {
            for position in 0..<NetworkWindow.positionsMax {
                windows[index].bases[position] = clamped(windows[index].bases[position] * factor, 1e25)
            }
            for anchor in 0..<Int(anchorCount) {
                windows[index].spreads[anchor] = min(max(windows[index].spreads[anchor] * factor, 1e-25), 1e25)
            }
        }
    }
}
