// MARK: The head

extension Network {
    typealias Features = [12 of Float]

    /// What the head reads for one horizon beside the hidden state.
    /// - Parameters:
    ///   - seasonal: what the profiles expect, in the horizon's spread; packed, like `inputs` and `distances`.
    ///   - ratio: the spread in which `distances` are, over the horizon's.
    @inline(__always)
    static func features(
        inputs: [24 of Int8], distances: [6 of Int8], seasonal: Int8, ratio: Float, steps: UInt32
    ) -> Features {
        var features: Features = InlineArray(repeating: 0)
        features[0] = 0.25 * NetworkCode.log2(Float(steps)) - 0.5
        features[1] = NetworkCode.squashed(seasonal)
        for index in 0..<6 {
            features[2 + index] = NetworkCode.squashed(
                NetworkCode.unsquashed(NetworkCode.squashed(distances[index])) * ratio)
        }
        features[8] = NetworkCode.squashed(inputs[MomentInput.changes])
        features[9] = NetworkCode.squashed(inputs[22])
        features[10] = NetworkCode.squashed(inputs[MomentInput.repeated])
        features[11] = NetworkCode.squashed(inputs[MomentInput.liveliness])
        return features
    }

    /// Quantiles in the horizon's spread, with the averaged weights.
    @inline(__always)
    func quantiles(_ hidden: [16 of Float], _ features: Features) -> [6 of Float] {
        var state = Lanes(repeating: 0)
        for index in 0..<Self.width { state[index] = hidden[index] }
        return Self.quantiles(head(headState(state, by: averages), features, by: averages).outputs).values
    }

    /// What the hidden state gives to the head's hidden layer, whatever the horizon.
    @inline(__always)
    func headState(_ state: Lanes, by weights: UnsafeMutablePointer<Lanes>) -> Lanes {
        var sum = weights[Self.headFeatureRows + Self.featureCount]
        for index in 0..<Self.width { sum += weights[Self.headStateRows + index] * state[index] }
        return sum
    }

    /// The raw outputs for one horizon, and the hidden layer with its slope. Features also reach the outputs directly.
    @inline(__always)
    func head(
        _ shared: Lanes, _ features: Features, by rows: UnsafeMutablePointer<Lanes>
    ) -> (outputs: Outputs, hidden: Lanes, slope: Lanes) {
        let weights = Self.outputs(of: rows)
        var sum = shared
        var outputs = weights[Self.outputRowCount - 1]
        for index in 0..<Self.featureCount {
            let feature = features[index]
            sum += rows[Self.headFeatureRows + index] * feature
            outputs += weights[Self.width + index] * feature
        }
        let hidden = NetworkCurves.tanh(sum)
        for index in 0..<Self.width { outputs += weights[index] * hidden.value[index] }
        return (outputs, hidden.value, hidden.slope)
    }

    /// Quantiles from raw outputs: the median, and from it outwards positive distances, so that none cross.
    @inline(__always)
    static func quantiles(_ outputs: Outputs) -> (values: [6 of Float], slope: Outputs) {
        let (distances, slope) = NetworkCurves.softened(outputs)
        let median = outputs[0]
        let p90 = median + distances[2]
        let p95 = p90 + distances[3]
        let p99 = p95 + distances[4]
        return ([median - distances[1], median, p90, p95, p99, p99 + distances[5]], slope)
    }

    /// Adds the gradient of the pinball loss at one horizon, summed over levels, to the sums. The level that is
    /// the fitted tail's is learned too: through the layers that all levels share it moves the others.
    /// - Parameter slope: of the loss by the head's hidden layer; added to.
    /// - Returns: the loss.
    @inline(__always)
    func learn(
        _ shared: Lanes, _ features: Features, target: Float, weight: Float, slope: inout Lanes
    ) -> Float {
        let (outputs, hidden, hiddenSlope) = head(shared, features, by: parameters)
        let (quantiles, distanceSlope) = Self.quantiles(outputs)
        let levels = ForecastLevels.all
        var pulls: [6 of Float] = InlineArray(repeating: 0)
        var loss: Float = 0
        for level in 0..<ForecastLevels.count {
            let miss = target - quantiles[level]
            loss += miss > 0 ? levels[level] * miss : (levels[level] - 1) * miss
            pulls[level] = miss > 0 ? -levels[level] : miss < 0 ? 1 - levels[level] : 0
        }
        let p99 = pulls[4] + pulls[5]
        let p95 = pulls[3] + p99
        let p90 = pulls[2] + p95
        var pull = Outputs(0, -pulls[0], p90, p95, p99, pulls[5], 0, 0) * distanceSlope * weight
        pull[0] = (pulls[0] + pulls[1] + p90) * weight

        let weights = Self.outputs(of: parameters)
        let sums = Self.outputs(of: gradient)
        var hiddenPull = Lanes(repeating: 0)
        for index in 0..<Self.width {
            sums[index] += pull * hidden[index]
            hiddenPull[index] = (weights[index] * pull).sum()
        }
        hiddenPull *= hiddenSlope
        for index in 0..<Self.featureCount {
            let feature = features[index]
            sums[Self.width + index] += pull * feature
            gradient[Self.headFeatureRows + index] += hiddenPull * feature
        }
        sums[Self.outputRowCount - 1] += pull
        slope += hiddenPull
        return loss * weight
    }

    /// Carries the slope by the head's hidden layer, summed over horizons, back to the hidden state.
    @inline(__always)
    func learnHeadState(_ state: Lanes, _ slope: Lanes) -> Lanes {
        gradient[Self.headFeatureRows + Self.featureCount] += slope
        var before = Lanes(repeating: 0)
        for index in 0..<Self.width {
            gradient[Self.headStateRows + index] += slope * state[index]
            before[index] = (parameters[Self.headStateRows + index] * slope).sum()
        }
        return before
    }
}
