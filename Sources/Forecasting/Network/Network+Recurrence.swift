/// One step of the recurrent layer as its training needs it.
struct TrainingStep: BitwiseCopyable {
    typealias Lanes = Network.Lanes

    var before = Lanes(repeating: 0)
    var after = Lanes(repeating: 0)
    /// Gates: how much of the old state stays, how much of it is read, what is new; with their slopes.
    var keep = Lanes(repeating: 0)
    var keepSlope = Lanes(repeating: 0)
    var read = Lanes(repeating: 0)
    var readSlope = Lanes(repeating: 0)
    var new = Lanes(repeating: 0)
    var newSlope = Lanes(repeating: 0)
    /// The old state's part in `new`, before it is gated.
    var recalled = Lanes(repeating: 0)
    /// The loss's slope by `after`, as far as the head has it.
    var slope = Lanes(repeating: 0)
    var inputs: [24 of Float] = InlineArray(repeating: 0)
}

// MARK: The recurrent layer

extension Network {
    /// Moves a series' hidden state by one step, with the averaged weights.
    @inline(__always)
    func advance(_ hidden: inout [16 of Float], _ inputs: [24 of Int8]) {
        for index in 0..<Self.width { scratch.pointee.before[index] = hidden[index] }
        for index in 0..<Self.inputCount { scratch.pointee.inputs[index] = NetworkCode.squashed(inputs[index]) }
        advance(scratch, by: averages)
        for index in 0..<Self.width { hidden[index] = scratch.pointee.after[index] }
    }

    /// keep = σ(Wₖx + Uₖh), read = σ(Wᵣx + Uᵣh), new = tanh(Wₙx + read · Uₙh); h ← keep · h + (1 − keep) · new.
    @inline(__always)
    func advance(_ step: UnsafeMutablePointer<TrainingStep>, by weights: UnsafeMutablePointer<Lanes>) {
        let bias = weights + Self.inputRows + 3 * Self.inputCount
        var keep = bias[0]
        var read = bias[1]
        var new = bias[2]
        var recalled = Lanes(repeating: 0)
        var row = weights + Self.inputRows
        for index in 0..<Self.inputCount {
            let input = step.pointee.inputs[index]
            keep += row[0] * input
            read += row[1] * input
            new += row[2] * input
            row += 3
        }
        row = weights + Self.stateRows
        for index in 0..<Self.width {
            let input = step.pointee.before[index]
            keep += row[0] * input
            read += row[1] * input
            recalled += row[2] * input
            row += 3
        }
        let keepCurve = NetworkCurves.sigmoid(keep)
        let readCurve = NetworkCurves.sigmoid(read)
        let newCurve = NetworkCurves.tanh(new + readCurve.value * recalled)
        step.pointee.keep = keepCurve.value
        step.pointee.keepSlope = keepCurve.slope
        step.pointee.read = readCurve.value
        step.pointee.readSlope = readCurve.slope
        step.pointee.new = newCurve.value
        step.pointee.newSlope = newCurve.slope
        step.pointee.recalled = recalled
        step.pointee.after = newCurve.value + keepCurve.value * (step.pointee.before - newCurve.value)
    }

    /// Adds the gradient of a step to the sums.
    /// - Parameter slope: of the loss by the state after the step.
    /// - Returns: of the loss by the state before it.
    @inline(__always)
    func retrace(_ step: UnsafeMutablePointer<TrainingStep>, slope: Lanes) -> Lanes {
        let keep = slope * (step.pointee.before - step.pointee.new) * step.pointee.keepSlope
        let new = slope * (1 - step.pointee.keep) * step.pointee.newSlope
        let recalled = new * step.pointee.read
        let read = new * step.pointee.recalled * step.pointee.readSlope
        var sum = gradient + Self.inputRows
        for index in 0..<Self.inputCount {
            let input = step.pointee.inputs[index]
            sum[0] += keep * input
            sum[1] += read * input
            sum[2] += new * input
            sum += 3
        }
        sum[0] += keep
        sum[1] += read
        sum[2] += new
        sum = gradient + Self.stateRows
        var row = parameters + Self.stateRows
        var before = slope * step.pointee.keep
        for index in 0..<Self.width {
            let input = step.pointee.before[index]
            sum[0] += keep * input
            sum[1] += read * input
            sum[2] += recalled * input
            before[index] += (row[0] * keep + row[1] * read + row[2] * recalled).sum()
            sum += 3
            row += 3
        }
        return before
    }
}
