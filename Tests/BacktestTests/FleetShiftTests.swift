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
        let delays = report.distrustedAfter.filter { $0 >= 0 }.sorted()
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
