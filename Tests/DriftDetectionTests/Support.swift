import Messages
import TestKit
import TwinCore

extension TestEntry {
    /// What the detector reads of a forecast.
    static func forecast(
        _ resource: String, _ metric: String = "rps", time: Int64, value: Double, residual: Float, samples: Float,
        quality: DataQuality = .fresh, distrusted: Bool = false, young: Bool = false
    ) -> TestEntry {
        TestEntry(
            kind: .forecast,
            code: ForecastCode(quality: quality, role: .demand, isDistrusted: distrusted, isYoung: young).raw,
            resource: resource, object: metric, time: time, value: value,
            numbers: [residual, residual, 60, 0, .nan, samples, .nan])
    }
}
