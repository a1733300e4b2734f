import TwinCore

/// One sample as the platform sent it. The texts are views into the record (or into the reader's scratch): they live
/// until the reader is asked for the next sample, and no longer than the record. An absent text is empty.
package struct TelemetrySample: BitwiseCopyable {
    /// What a series of numbers means.
    package enum Kind: UInt8, Sendable, BitwiseCopyable {
        case unspecified = 0
        /// A level: each number stands for itself.
        case gauge = 1
        /// A total that only grows, but for restarts.
        case counter = 2
    }

    /// How a metric may be used.
    package enum Role: UInt8, Sendable, BitwiseCopyable {
        case unspecified = 0
        case demand = 1
        case utilisation = 2
        case slo = 3
        case backlog = 4
        case footprint = 5
        case supply = 6
        case unknown = 7
    }

    /// The resource's id. Never empty.
    package var resource: UnsafeRawBufferPointer
    /// The metric's name. Never empty.
    package var metric: UnsafeRawBufferPointer
    /// The number, finite, in `unit`.
    package var value: Double
    /// The moment the number belongs to, plausible.
    package var time: EventTime
    /// The unit as written; empty if not given.
    package var unit: UnsafeRawBufferPointer
    package var kind: Kind
    package var role: Role
    /// The locality the resource claims to be in; empty if not given.
    package var locality: UnsafeRawBufferPointer
    /// The resource's class (`service`, `database`, …); empty if not given.
    package var resourceClass: UnsafeRawBufferPointer
    /// Who measured; empty if not given.
    package var source: UnsafeRawBufferPointer
    /// The number the source gave to this sample, if any.
    package var sequence: Int64?
    /// Locality tags of the resource.
    package var tags: TagList
    /// Labels of the sample.
    package var labels: TagList

    /// A sample of nothing, to be filled.
    package static var empty: TelemetrySample {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return TelemetrySample(
            resource: none, metric: none, value: 0, time: EventTime(milliseconds: 0), unit: none, kind: .unspecified,
            role: .unspecified, locality: none, resourceClass: none, source: none, sequence: nil, tags: .none,
            labels: .none)
    }
}
