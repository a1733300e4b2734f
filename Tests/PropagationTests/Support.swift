import Messages
import TestKit
import TwinCore

extension TestEntry {
    /// A forecast whose mean goes from `value` now by `change` (relative) over the hour, in a straight line. Steps are
    /// short beside the horizons, so that the level itself is what changes are relative to.
    static func forecast(
        _ resource: String, _ metric: String = "rps", time: Int64 = 0, value: Double, change: Double = 0,
        horizons: [Int] = [60, 300, 900, 1_800, 3_600], role: MetricRole = .demand, quality: DataQuality = .fresh,
        young: Bool = false
    ) -> TestEntry {
        var numbers: [Float] = [0, 0, 30, Float(horizons.count), .nan, 1_000, .nan]
        for horizon in horizons {
            let mean = value * (1 + change * Double(horizon) / 3_600)
            numbers.append(Float(horizon))
            numbers.append(Float(mean))
            for step in 0..<6 { numbers.append(Float(mean * (0.9 + 0.05 * Double(step)))) }
            numbers.append(300)
        }
        return TestEntry(
            kind: .forecast,
            code: ForecastCode(quality: quality, role: role, isDistrusted: false, isYoung: young).raw,
            resource: resource, object: metric, time: time, value: value, numbers: numbers)
    }

    static func interaction(
        _ source: String, _ target: String, _ rate: Double, time: Int64 = 0, otherEnd: Int32 = 0
    ) -> TestEntry {
        TestEntry(
            kind: .interaction, code: UInt32(bitPattern: otherEnd), resource: source, object: target, time: time,
            value: rate, numbers: [.nan, .nan])
    }
    /// Horizons, means and influence of an outlook.
    var horizonCount: Int { numbers.count > 3 ? Int(numbers[3]) : 0 }
    func mean(_ horizon: Int) -> Double { Double(numbers[ForecastNumbers.block(horizon) + 1]) }
    func influence(_ horizon: Int) -> Double {
        Double(numbers[ForecastNumbers.influence(horizon, of: horizonCount)])
    }
}
