import Testing

@testable import Backtest

@Suite struct FleetShiftTests {
    /// What `twinscale bench drift` does with 10 000 twins, with fewer and an hourly budget of as many of them.
    @Test func `a shift of all twins is one report per locality, its retraining is bounded`() throws {
        var settings = FleetShift.Settings()
        settings.twins = 600
        settings.localities = 3
        settings.seed = 7
        settings.samplesBefore = 300
        settings.samplesAfter = 400
        settings.retrainsPerHourMax = 120
        // What it costs is for the benchmark to measure.
        let report = try FleetShift(settings).run { 0 }
        let after = report.rounds[report.shiftAt...]
        var told: [String: Int] = [:]
        for round in after { told.merge(round.groups, uniquingKeysWith: +) }
        let retrains = report.retrains(mostIn: 60)
        let delays = report.distrustDelays
        print(
            "seed 7: groups \(told), distrusted \(delays.count), median after \(delays[delays.count / 2]), "
                + "drifts by round \(after.prefix(16).map(\.drifts)), retrained \(retrains.all), most an hour "
                + "\(retrains.most), last after \(report.lastRetrain ?? -1)")
        #expect(told == ["cluster-0": 1, "cluster-1": 1, "cluster-2": 1])
        #expect(delays.count >= 570)
        #expect(delays[delays.count / 2] <= 8)
        // What may be asked for at once, and an hour's worth.
        #expect(retrains.most <= 120 + 20)
        // All are retrained as soon as the budget allows.
        #expect(after.prefix(60 * (600 - 20) / 120 + 30).reduce(0) { $0 + $1.retrains } >= 570)
    }

    private static func days(shift: Double, isLooped: Bool) throws -> FleetShift.Report {
        try FleetShift(.days(twins: 100, seed: 11, shift: shift, isLooped: isLooped)).run { 0 }
    }

    /// What `twinscale bench drift` does with 1 000 twins.
    @Test(arguments: [0.0, 1, 3]) func `forecasts recover sooner with the loop, at no cost`(shift: Double) throws {
        let looped = try Self.days(shift: shift, isLooped: true)
        let alone = try Self.days(shift: shift, isLooped: false)
        #expect(alone.retrains(mostIn: 60).all == 0)
        #expect((looped.retrains(mostIn: 60).all >= 95) == (shift > 0))
        let back = (0..<3).map { (looped.recovery($0) ?? .max, alone.recovery($0) ?? .max) }
        let ratios = (0..<3).map { place in
            looped.losses[place][looped.shiftAt...].reduce(0, +) / alone.losses[place][alone.shiftAt...].reduce(0, +)
        }
        print(
            "seed 11, shift \(shift), with the loop and without, 1, 3 and 12 ahead: samples until back \(back), "
                + "loss since \(ratios)")
        #expect(ratios.allSatisfy { $0 < 1.01 })
        guard shift == 3 else { return }
        // A hundred twins tell the moment to a few samples.
        #expect(back[0].0 < back[0].1)
        #expect(Double(back[1].0) <= 0.6 * Double(back[1].1))
        #expect(Double(back[2].0) <= 0.5 * Double(back[2].1))
    }

    @Test func `lag is what the rounds take beyond their time, until it is made up for`() {
        var report = FleetShift.Report(shiftAt: 10, distrustedAfter: [])
        // At rest a round takes 8 of the 10 seconds that there are; then once 30, and 8 again.
        for seconds in [Double](repeating: 8, count: 10) + [30] + [Double](repeating: 8, count: 20) {
            report.rounds.append(FleetShift.Round(seconds: seconds))
        }
        let lag = report.lag(busy: 0.8)
        #expect(report.restSeconds == 8)
        #expect(report.dearest == 3.75)
        #expect(abs(lag.longest - 2) < 1e-9)
        // 20 seconds behind, 2 made up for in each round.
        #expect(lag.over == 10 || lag.over == 11)
    }
}
