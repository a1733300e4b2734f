/// A moment of event time: milliseconds since the Unix epoch, as the telemetry says it.
///
/// Event time comes with the records; no stage ever asks a clock.
package struct EventTime: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var milliseconds: Int64

    @inlinable package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// A moment given in whole seconds since the epoch.
    @inlinable package init(seconds: Int64) { self.milliseconds = seconds * 1_000 }

    /// Before every real moment; the watermark of a sender that has not spoken.
    @inlinable package static var distantPast: EventTime { EventTime(milliseconds: .min) }

    /// After every real moment; the watermark of a sender that declares itself idle.
    @inlinable package static var distantFuture: EventTime { EventTime(milliseconds: .max) }

    /// Seconds since the epoch, with fraction.
    @inlinable package var seconds: Double { Double(milliseconds) / 1_000 }

    @inlinable package static func < (a: EventTime, b: EventTime) -> Bool { a.milliseconds < b.milliseconds }

    /// This moment moved by `milliseconds`; saturates at the ends of the range instead of trapping,
    /// because the operand may come from outside.
    @inlinable package func advanced(byMilliseconds delta: Int64) -> EventTime {
        let (sum, overflow) = milliseconds.addingReportingOverflow(delta)
        return EventTime(milliseconds: overflow ? (delta < 0 ? .min : .max) : sum)
    }

    /// Milliseconds from `other` to this moment, saturating.
    @inlinable package func milliseconds(since other: EventTime) -> Int64 {
        let (difference, overflow) = milliseconds.subtractingReportingOverflow(other.milliseconds)
        return overflow ? (self < other ? .min : .max) : difference
    }

    /// The range that a record from outside may claim: 1990-01-01 to 2100-01-01. Anything else is a
    /// wrong unit or a broken clock and becomes a dead letter.
    package static let plausible = EventTime(seconds: 631_152_000)..<EventTime(seconds: 4_102_444_800)
}
