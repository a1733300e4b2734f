import TestKit
import Testing

@testable import Backtest

/// Services that rest on weekends, through twin-updater and drift-detector.
@Suite struct WeekendTests {
    /// What a weekend is like.
    enum Rest: String, CaseIterable {
        /// The level drops at midnight.
        case lower
        /// The day's wave is a quarter of itself.
        case flatter
    }

    private static let resources = 6
    private static let perDay = 288
    /// A Thursday.
    private static let start = 1_767_225_600
    private static let weeks = 7

    /// The series, five minutes a step, weekends on the third and fourth day of each week.
    /// - Parameter shift: what is added from a step on.
    private static func telemetry(_ rest: Rest, seed: UInt64, shift: (from: Int, by: Double)? = nil) -> String {
        var random = SeededRandom(seed: seed)
        var noise = [Double](repeating: 0, count: resources)
        var text = "timestamp,resource,metric,value\n"
        for index in 0..<(weeks * 7 * perDay) {
            let isWeekend = [2, 3].contains(index / perDay % 7)
            let phase = Double(index % perDay) / Double(perDay)
            let wave = 16 * (1 - (2 * phase - 1).magnitude)
            let amplitude = isWeekend && rest == .flatter ? 0.25 : 1
            for resource in 0..<resources {
                noise[resource] = 0.6 * noise[resource] + 0.8 * random.normal()
                var value = 100 + amplitude * wave + noise[resource]
                if isWeekend && rest == .lower { value -= 6 }
                if let shift, index >= shift.from { value += shift.by }
                text += "\(start + 300 * index),r\(resource),requests,\(value)\n"
            }
        }
        return text
    }

    /// Drifts, brief anomalies aside: the step and the resource of each.
    private static func drifts(_ telemetry: String) throws -> [(step: Int, resource: Substring)] {
        let scratch = try Scratch()
        var options = BacktestOptions(telemetry: try scratch.write("t.csv", telemetry), outputDirectory: scratch.path)
        options.origins = try scratch.write("none.csv", "resource,metric,origin\n")
        _ = try Backtest(options).run { _ in }
        return try scratch.text("drift.csv").split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: ",")
            guard let time = Int(fields[0]), fields[3] != "anomaly" else { return nil }
            return ((time - start) / 300, fields[1])
        }
    }

    private static func isAboutWeekend(_ step: Int) -> Bool {
        let day = Double(step % (7 * perDay)) / Double(perDay)
        return day >= 2 && day < 4.5
    }

    @Test("after two weekends the following ones are no drift", arguments: Rest.allCases)
    func knowsWeekends(rest: Rest) throws {
        let drifts = try Self.drifts(Self.telemetry(rest, seed: 1))
        let byWeek = (0..<Self.weeks).map { week in
            drifts.filter { $0.step / (7 * Self.perDay) == week && Self.isAboutWeekend($0.step) }.count
        }
        print("\(rest), seed 1, \(Self.resources) series: drifts about the weekends \(byWeek) of \(drifts.count)")
        #expect(byWeek[0] > Self.resources)
        // A false alarm in 10 000 samples leaves one in four of these series and weekends.
        #expect(byWeek[2...].reduce(0, +) <= 3)
    }

    @Test("a level that moves on a weekend is found as on any day")
    func findsShifts() throws {
        // The fifth Saturday, at ten.
        let from = 30 * Self.perDay + 120
        let drifts = try Self.drifts(Self.telemetry(.lower, seed: 2, shift: (from, -4)))
        let found = Set(drifts.filter { (from..<from + 72).contains($0.step) }.map(\.resource))
        print("seed 2: shift found in \(found.count) of \(Self.resources), at \(drifts.map(\.step).sorted().suffix(9))")
        #expect(found.count == Self.resources)
    }
}
