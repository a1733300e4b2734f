import Messages

/// What is known of a metric before its first sample: how its values become canonical, and the code of its samples.
/// For tools that feed samples past the normalizer and must read them as it does.
package struct MetricReading: BitwiseCopyable, Sendable {
    /// Role and kind, as declared or as the name tells.
    package let code: SampleCode
    /// The unit is not understood; values stay as they are.
    package let isUnknownUnit: Bool
    private let multiplier: Double
    private let divisor: Double

    /// - Parameters:
    ///   - name: the metric's name; decides what is not declared.
    ///   - unit: as in telemetry; nil leaves values as they are.
    package init(name: String, unit: String?, role: MetricRole?, isCounter: Bool?) {
        var name = name
        (code, isUnknownUnit, multiplier, divisor) = name.withUTF8 { bytes in
            let name = UnsafeRawBufferPointer(bytes)
            let text = Array((unit ?? "").utf8)
            let conversion = text.withUnsafeBytes {
                UnitTable().conversion($0, isProcessor: MetricNames.isProcessor(name))
            }
            let code = SampleCode(
                role: role ?? MetricNames.role(of: name, dimension: conversion?.dimension ?? .plain),
                isCounter: isCounter ?? MetricNames.isTotal(name))
            return (code, conversion == nil, conversion?.multiplier ?? 1, conversion?.divisor ?? 1)
        }
    }

    /// The value in canonical units.
    package func canonical(_ value: Double) -> Double { value * multiplier / divisor }
}
