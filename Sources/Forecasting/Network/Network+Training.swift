// MARK: Training

extension Network {
    /// Learns from a window whose targets have come, and moves the weights.
    @inline(never)
    func learn(_ window: inout NetworkWindow, anchorCount: Int, steps: [6 of UInt32]) {
        guard gradient(of: &window, anchorCount: anchorCount, steps: steps) != nil else { return }
        update()
    }

    /// Runs through a window forwards from the state before it, then backwards (truncated backpropagation through
    /// time), and adds the gradient of its mean loss to the sums.
    /// - Returns: the loss; nil if no target has come.
    func gradient(of window: inout NetworkWindow, anchorCount: Int, steps: [6 of UInt32]) -> Float? {
        let count = min(Int(window.count), NetworkWindow.positionsMax)
        var targets = 0
        for place in 0..<(count * NetworkWindow.anchorsMax) where window.targets[place] != NetworkWindow.unknown {
            targets += 1
        }
        guard targets > 0 else { return nil }
        var loss: Float = 0
        var state = Lanes(repeating: 0)
        for index in 0..<Self.width { state[index] = Float(window.state[index]) * (1 / 127) }
        for position in 0..<count {
            let step = scratch + position
            step.pointee.before = state
            for index in 0..<Self.inputCount {
                step.pointee.inputs[index] = NetworkCode.squashed(window.inputs[position * Self.inputCount + index])
            }
            advance(step, by: parameters)
            state = step.pointee.after
            loss += learnHeads(&window, position, anchorCount, steps, weight: 1 / Float(targets))
        }
        var slope = Lanes(repeating: 0)
        for back in 0..<count {
            let step = scratch + (count - 1 - back)
            slope = retrace(step, slope: slope + step.pointee.slope)
        }
        return loss
    }

    private func learnHeads(
        _ window: inout NetworkWindow, _ position: Int, _ anchorCount: Int, _ steps: [6 of UInt32], weight: Float
    ) -> Float {
        let step = scratch + position
        let shared = headState(step.pointee.after, by: parameters)
        let reference = window.spreads[anchorCount > 1 ? 1 : 0]
        var inputs: [24 of Int8] = InlineArray(repeating: 0)
        for index in 0..<Self.inputCount { inputs[index] = window.inputs[position * Self.inputCount + index] }
        var distances: [6 of Int8] = InlineArray(repeating: 0)
        for index in 0..<6 { distances[index] = window.distances[position * 6 + index] }
        var slope = Lanes(repeating: 0)
        var loss: Float = 0
        for anchor in 0..<anchorCount {
            let place = position * NetworkWindow.anchorsMax + anchor
            let target = window.targets[place]
            guard target != NetworkWindow.unknown else { continue }
            let features = Self.features(
                inputs: inputs, distances: distances, seasonal: window.seasonal[place],
                ratio: reference / max(window.spreads[anchor], 1e-30), steps: steps[anchor])
            loss += learn(shared, features, target: Float(target) * (1 / 64), weight: weight, slope: &slope)
        }
        step.pointee.slope = learnHeadState(step.pointee.after, slope)
        return loss
    }
}
