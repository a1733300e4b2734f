/// The weights of a small recurrent network, shared by all series of a task: one layer of gated recurrent units (Cho et
/// al., "Learning phrase representations using RNN encoder-decoder", 2014) that reads each series step by step, and one
/// head that turns hidden state and horizon into quantiles. It is trained as the series go on, in the order in which
/// they come, so a task's weights are a function of its partition alone.
///
/// Weights, gradient and the optimiser's moments lie in one block of memory. Rows are sixteen lanes wide and stand by
/// input, so that a product is a sum of rows and nothing is transposed.
package struct Network: ~Copyable {
    typealias Lanes = SIMD16<Float>
    typealias Outputs = SIMD8<Float>

    /// Numbers that the recurrent layer reads per step, and the head per horizon.
    static let inputCount = 24
    static let featureCount = 12
    /// Units of the recurrent layer, and of the head's hidden layer: the lanes of a row.
    static let width = 16

    // The parts of the parameters, in rows.
    static let inputRows = 0
    static let stateRows = inputRows + 3 * (inputCount + 1)
    static let headStateRows = stateRows + 3 * width
    static let headFeatureRows = headStateRows + width
    static let outputRows = headFeatureRows + featureCount + 1
    /// Two rows of outputs share a row of lanes.
    static let outputRowCount = width + featureCount + 1
    static let rows = outputRows + (outputRowCount + 1) / 2

    /// Parameters, their running mean, the optimiser's two moments and a row of counters: what a snapshot keeps.
    let parameters: UnsafeMutablePointer<Lanes>
    let averages: UnsafeMutablePointer<Lanes>
    let moments: UnsafeMutablePointer<Lanes>
    /// Sums while a window is learned from; zero otherwise.
    let gradient: UnsafeMutablePointer<Lanes>
    let counters: UnsafeMutablePointer<Float>
    /// Room for the steps of one window.
    let scratch: UnsafeMutablePointer<TrainingStep>

    static let keptRows = 4 * rows + 1

    package init() {
        let memory = UnsafeMutablePointer<Lanes>.allocate(capacity: Self.keptRows + Self.rows)
        memory.initialize(repeating: Lanes(repeating: 0), count: Self.keptRows + Self.rows)
        parameters = memory
        averages = memory + Self.rows
        moments = memory + 2 * Self.rows
        counters = UnsafeMutableRawPointer(memory + 4 * Self.rows).assumingMemoryBound(to: Float.self)
        gradient = memory + Self.keptRows
        scratch = .allocate(capacity: NetworkWindow.positionsMax)
        scratch.initialize(repeating: TrainingStep(), count: NetworkWindow.positionsMax)
        start()
    }

    deinit {
        parameters.deallocate()
        scratch.deallocate()
    }

    /// The same small numbers in every task: a counter through a mixing function (SplitMix64), with a fixed seed.
    private func start() {
        var counter: UInt64 = 0x7477_696e_7363_616c
        func uniform() -> Float {
            counter &+= 0x9e37_79b9_7f4a_7c15
            var mixed = counter
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            mixed ^= mixed >> 31
            return Float(mixed >> 40) / Float(1 << 23) - 1
        }
        func fill(_ first: Int, _ count: Int, _ limit: Float) {
            for row in first..<(first + count) {
                for lane in 0..<Self.width { parameters[row][lane] = limit * uniform() }
            }
        }
        fill(Self.inputRows, 3 * Self.inputCount, 0.25)
        fill(Self.stateRows, 3 * Self.width, 0.35)
        fill(Self.headStateRows, Self.width, 0.35)
        fill(Self.headFeatureRows, Self.featureCount, 0.3)
        // Half the units begin with a long memory.
        let bias = Self.inputRows + 3 * Self.inputCount
        for lane in 0..<Self.width { parameters[bias][lane] = lane < 8 ? 0 : 1.5 }
        // Before anything is learned: "as now", with the normal distribution's quantiles.
        let outputs = UnsafeMutableRawPointer(parameters + Self.outputRows).assumingMemoryBound(to: Outputs.self)
        for row in 0..<Self.width {
            for lane in 0..<5 { outputs[row][lane] = 0.1 * uniform() }
        }
        outputs[Self.outputRowCount - 1] = Self.initialOutputs
        averages.update(from: parameters, count: Self.rows)
    }

    /// The outputs at rest: median, then the roots of `softened` for the distances between quantiles of the normal
    /// distribution in units of its mean absolute value.
    static var initialOutputs: Outputs {
        let distances: [5 of Float] = [1.606, 1.606, 0.455, 0.854, 0.957]
        var outputs = Outputs(repeating: 0)
        for index in 0..<5 { outputs[index + 1] = distances[index] - 1 / distances[index] }
        return outputs
    }

    @inline(__always)
    static func outputs(of rows: UnsafeMutablePointer<Lanes>) -> UnsafeMutablePointer<Outputs> {
        UnsafeMutableRawPointer(rows + outputRows).assumingMemoryBound(to: Outputs.self)
    }

    /// What a snapshot keeps.
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: parameters, count: Self.keptRows * MemoryLayout<Lanes>.size)
    }

    /// Takes over what `bytes` gave.
    /// - Returns: false, with nothing changed, if the size is another one or a number is not finite.
    package mutating func restore(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count == self.bytes.count, let start = bytes.baseAddress else { return false }
        for index in 0..<(bytes.count / 4) {
            let number = bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
            guard number.magnitude < 1e20 else { return false }
        }
        let moment = bytes.count / 4 - Self.width - Self.rows * Self.width
        for index in moment..<(moment + Self.rows * Self.width) {
            guard bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self) >= 0 else { return false }
        }
        UnsafeMutableRawPointer(parameters).copyMemory(from: start, byteCount: bytes.count)
        return true
    }
}
