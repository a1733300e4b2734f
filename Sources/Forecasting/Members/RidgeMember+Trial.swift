// MARK: Champion and challenger

extension RidgeMember {
    /// Errors that a trial needs, and by how much the challenger must be better; less of both where its level lies far
    /// from the champion's, in mean errors of one step.
    private static let errorsMin = 24
    private static let margin: Float = 0.7
    private static let errorsMinFar = 6
    private static let marginFar: Float = 0.9
    private static let far: Float = 3
    private static let stepsMax: UInt32 = 62

    /// Lets levels that know only the steps since a change forecast these steps, beside what the front's own levels
    /// read at the time: both through the same weights, at every horizon, each error in the horizon's usual error.
    /// - Returns: the levels, if they were better; else nil.
    mutating func challenger(
        _ front: SeriesFront, since first: UInt32, isUsualKnown: Bool, anchorCount: Int, anchorSteps: [6 of UInt32]
    ) -> Levels? {
        let now = front.step
        guard ring.stride == 1, now > first else { return nil }
        let count = min(now &- first &+ 1, Self.stepsMax)
        guard let start = ring.place(of: now &- count &+ 1) else { return nil }
        var levels = Levels(ring.base(start), usual: ring.usual(start))
        var losses = Losses()
        for seen in 1...count {
            let step = now &- count &+ seen
            guard let place = ring.place(of: step) else { continue }
            let base = ring.base(place)
            let usual = ring.usual(place)
            levels.learn(base, usual: usual, front.pace(Float(seen), 1))
            let old = ring.readings(place)
            var new = old
            let inverse = 1 / ring.unit(place)
            levels.read(base, usual: usual, isUsualKnown: isUsualKnown, inverse: inverse, into: &new)
            for anchor in 1..<max(anchorCount, 1) {
                guard step &+ anchorSteps[anchor] <= now, let then = ring.place(of: step &+ anchorSteps[anchor])
                else { continue }
                let later = clamped((ring.usual(then) - usual) * inverse, 200)
                let change = clamped((ring.base(then) - base) * inverse, 500)
                compare(anchor, old, new, later: later, change: change, &losses)
            }
        }
        let isFar = (levels.normal - front.levels.normal).magnitude > Self.far * front.unit * stepSpread()
        let margin = isFar ? Self.marginFar : Self.margin
        guard losses.count >= (isFar ? Self.errorsMinFar : Self.errorsMin),
            losses.challenger < margin * losses.champion
        else { return nil }
        return levels
    }

    /// Summed errors.
    private struct Losses {
        var count = 0
        var champion: Float = 0
        var challenger: Float = 0
    }

    @inline(__always)
    private mutating func compare(
        _ anchor: Int, _ old: Moment.Readings, _ new: Moment.Readings, later: Float, change: Float,
        _ losses: inout Losses
    ) {
        var old = old
        var new = new
        old[Moment.Reading.later] = later
        new[Moment.Reading.later] = later
        let inverse = 1 / max(bands[anchor].spread, 1e-3)
        losses.count += 1
        losses.champion += min((change - regressions[anchor].predict(old)).magnitude * inverse, 20)
        losses.challenger += min((change - regressions[anchor].predict(new)).magnitude * inverse, 20)
    }
}
