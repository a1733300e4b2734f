import Messages

/// Demand between now and the end of the window, read from an outlook's numbers: straight lines between the present
/// level and the horizons.
///
/// Of a distrusted forecast only the band is believed: how far its quantiles lie from its mean is what its errors were,
/// whatever has become of its centre. The band is put around the present level, with what the neighbours add. What a
/// planned event is said to bring is no guess of the model's, so where there is one the forecast counts as it stands if
/// it asks for more.
struct Window {
    /// A unit that will be asked for again within so many seconds is not worth taking away.
    static let returnSeconds: Float = 900

    /// The end of the window, seconds from now.
    let seconds: Float
    /// What capacity is meant to carry, and what must still fit before a unit is taken away.
    let quantile: QuantilePick
    let upper: QuantilePick

    /// Fills the forecast's part of a view. Numbers that are not finite leave it unusable.
    func read(_ numbers: FloatSlice, horizons: Int, into view: inout View) {
        view.windowSeconds = seconds
        var peak = -Float.infinity
        var upper = -Float.infinity
        var before = Knot(level: Float(view.level))
        var isSound = horizons > 0
        var isEnded = false
        var next = 0
        while next < horizons {
            let horizon = next
            var knot = knot(numbers, horizon, of: horizons, view)
            guard knot.isFinite, knot.seconds > before.seconds else {
                isSound = false
                break
            }
            if knot.seconds >= seconds {
                knot = before.towards(knot, seconds: seconds)
                isEnded = true
            } else {
                next &+= 1
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
            (view.later, view.laterSeconds) = (0, 0)
            return
        }
        view.predicted = peak
        view.upper = max(upper, peak)
        view.mean = before.mean
        view.influenceAtEnd = before.influence
        lookBeyond(numbers, from: next, of: horizons, before, &view)
    }

    private func knot(_ numbers: FloatSlice, _ horizon: Int, of horizons: Int, _ view: borrowing View) -> Knot {
        let block = ForecastNumbers.block(horizon)
        let knot = Knot(
            seconds: numbers[block], mean: numbers[block &+ 1],
            predicted: quantile.value(in: numbers, horizon: horizon),
            upper: upper.value(in: numbers, horizon: horizon),
            influence: numbers[ForecastNumbers.influence(horizon, of: horizons)])
        let code = ForecastCode(raw: view.code)
        return code.isDistrusted ? knot.distrusted(at: Float(view.level), mayRaise: code.knowsEvent) : knot
    }

    /// What a later look is expected to ask for: the mean as it goes on beyond the window, and as much above it as the
    /// quantile lies at the window's end. The quantiles of later horizons are wider than any look will find them.
    private func lookBeyond(_ numbers: FloatSlice, from first: Int, of horizons: Int, _ end: Knot, _ view: inout View) {
        let above = max(end.predicted - end.mean, 0)
        var before = end
        (view.later, view.laterSeconds) = (end.mean + above, end.seconds)
        for horizon in first..<horizons {
            var knot = knot(numbers, horizon, of: horizons, view)
            guard knot.isFinite else { return }
            // A horizon may lie at the window's end.
            guard knot.seconds > before.seconds else { continue }
            let isLast = knot.seconds >= Self.returnSeconds
            if isLast {
                guard Self.returnSeconds > before.seconds else { return }
                knot = before.towards(knot, seconds: Self.returnSeconds)
            }
            if knot.mean + above > view.later { (view.later, view.laterSeconds) = (knot.mean + above, knot.seconds) }
            if isLast { return }
            before = knot
        }
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
