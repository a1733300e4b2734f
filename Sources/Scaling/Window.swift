import Messages

/// Demand between now and the end of the window, read from an outlook's numbers: straight lines between the present
/// level and the horizons.
///
/// Of a distrusted forecast only the band is believed: how far its quantiles lie from its mean is what its errors were,
/// whatever has become of its centre. The band is put around the present level, with what the neighbours add. What a
/// planned event is said to bring is no guess of the model's, so where there is one the forecast counts as it stands if
/// it asks for more.
struct Window {
    /// The end of the window, seconds from now.
    let seconds: Float
    /// What capacity is meant to carry, and what must still fit before a unit is taken away.
    let quantile: QuantilePick
    let upper: QuantilePick

    /// Fills the forecast's part of a view. Numbers that are not finite leave it unusable.
    func read(_ numbers: FloatSlice, horizons: Int, into view: inout View) {
        view.windowSeconds = seconds
        let code = ForecastCode(raw: view.code)
        var peak = -Float.infinity
        var upper = -Float.infinity
        var before = Knot(level: Float(view.level))
        var isSound = horizons > 0
        var isEnded = false
        for horizon in 0..<horizons {
            let block = ForecastNumbers.block(horizon)
            var knot = Knot(
                seconds: numbers[block], mean: numbers[block &+ 1],
                predicted: quantile.value(in: numbers, horizon: horizon),
                upper: self.upper.value(in: numbers, horizon: horizon),
                influence: numbers[ForecastNumbers.influence(horizon, of: horizons)])
            if code.isDistrusted { knot = knot.distrusted(at: Float(view.level), mayRaise: code.knowsEvent) }
            guard knot.isFinite, knot.seconds > before.seconds else {
                isSound = false
                break
            }
            if knot.seconds >= seconds {
                knot = before.towards(knot, seconds: seconds)
                isEnded = true
            }
            if knot.predicted > peak {
                peak = knot.predicted
                view.horizonSeconds = knot.seconds
                view.influence = knot.influence
                view.tailCount = numbers[ForecastNumbers.tailCount(horizon)]
            }
            upper = max(upper, knot.upper)
            before = knot
            if isEnded { break }
        }
        guard isSound else {
            (view.predicted, view.upper, view.mean) = (.nan, .nan, .nan)
            (view.influence, view.influenceAtEnd, view.horizonSeconds) = (0, 0, 0)
            return
        }
        view.predicted = peak
        view.upper = max(upper, peak)
        view.mean = before.mean
        view.influenceAtEnd = before.influence
    }

    private struct Knot {
        var seconds: Float
        var mean: Float
        var predicted: Float
        var upper: Float
        var influence: Float

        init(seconds: Float, mean: Float, predicted: Float, upper: Float, influence: Float) {
            self.seconds = seconds
            self.mean = mean
            self.predicted = predicted
            self.upper = upper
            self.influence = influence
        }

        /// The present: everything is the level, nothing is added.
        init(level: Float) { self.init(seconds: 0, mean: level, predicted: level, upper: level, influence: 0) }

        var isFinite: Bool { (seconds + mean + predicted + upper + influence).isFinite }

        /// What is believed of it while the forecast is distrusted.
        func distrusted(at level: Float, mayRaise: Bool) -> Knot {
            var centred = self
            let shift = level + influence - mean
            centred.mean += shift
            centred.predicted += shift
            centred.upper += shift
            guard mayRaise else { return centred }
            centred.mean = max(mean, centred.mean)
            centred.predicted = max(predicted, centred.predicted)
            centred.upper = max(upper, centred.upper)
            return centred
        }

        func towards(_ other: Knot, seconds wanted: Float) -> Knot {
            let share = (wanted - seconds) / (other.seconds - seconds)
            return Knot(
                seconds: wanted, mean: mean + share * (other.mean - mean),
                predicted: predicted + share * (other.predicted - predicted),
                upper: upper + share * (other.upper - upper),
                influence: influence + share * (other.influence - influence))
        }
    }
}
