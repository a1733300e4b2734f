// MARK: Champion and challenger

extension RidgeMember {
    /// What an error of one step ago counts for.
    private static let fade: Float = 0.95
    private static let stepsMax: UInt32 = 62

    /// Lets levels that know only the steps since a change forecast these steps, beside what the front's own levels
    /// read at the time: both through the same weights, at every horizon, each error in the horizon's usual error.
    /// - Returns: the levels, and by how much their errors are less, older ones faded; nil if they cannot be compared.
    mutating func challenger(
        _ front: SeriesFront, since first: UInt32, isUsualKnown: Bool, anchorCount: Int, anchorSteps: [6 of UInt32]
    ) -> (levels: Levels, lead: Float)? {
        let now = front.step
        guard ring.stride == 1, now > first else { return nil }
        let count = min(now &- first &+ 1, Self.stepsMax)
        guard let start = ring.place(of: now &- count &+ 1) else { return nil }
        var levels = Levels(ring.base(start), usual: ring.usual(start))
        var lead: Float = 0
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
                let age = now &- step &- anchorSteps[anchor]
                lead += compare(anchor, old, new, later: later, change: change) * Wave.power(Self.fade, age)
            }
        }
        return (levels, lead)
    }

    /// How much less the challenger's error is, in usual errors.
    @inline(__always)
    private mutating func compare(
        _ anchor: Int, _ old: Moment.Readings, _ new: Moment.Readings, later: Float, change: Float
    ) -> Float {
        var old = old
        var new = new
        old[Moment.Reading.later] = later
        new[Moment.Reading.later] = later
        let inverse = 1 / max(bands[anchor].spread, 1e-3)
        let champion = min((change - regressions[anchor].predict(old)).magnitude * inverse, 20)
        let challenger = min((change - regressions[anchor].predict(new)).magnitude * inverse, 20)
        return champion - challenger
    }
}
