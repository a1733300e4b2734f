import Messages
import TwinCore

/// What the operator can set for drift detection. Part of the task's fingerprint.
package struct DriftSettings: Sendable, Equatable {
    /// The detectors that can be chosen, by name.
    package enum Detector: UInt8, Sendable, CaseIterable {
        /// The CUSUM family, robust to heavy tails and correlation.
        case cusum = 1
        /// Page–Hinkley, the classical alternative.
        case pageHinkley = 2
        /// Adaptive windowing.
        case adwin = 3
        /// Kolmogorov–Smirnov on sliding windows.
        case kswin = 4
    }

    package var detector: Detector = .cusum
    /// Samples between false alarms of a drift, per series; at least 50.
    package var averageRunLength: Double = 10_000
    /// Series that a task watches; the rest is counted and passed by.
    package var seriesMax = 200_000
    /// Samples after a drift in which nothing is reported unless the reference is refitted earlier.
    package var holdOffSamples: Int32 = 144
    /// Retrain requests of a task per hour of event time; a fleet-wide change is spread over time by it.
    package var retrainsPerHourMax: Double = 2_000
    /// Equal values in a row, at least, before a series that used to vary is called frozen.
    package var frozenSamplesMin: Int32 = 12
    /// Other metrics of the resource that are named in an event because they drift too.
    package var affectedMetricsMax = 8
    /// Drifts of one locality within so long a time are looked at together.
    package var groupWindowSeconds: Double = 300
    /// So many resources, and such a share of the locality's, make drifts a shared cause.
    package var groupResourcesMin: Int32 = 3
    package var groupShareMin: Double = 0.2
    /// A drift so soon after a change of the resource's version is explained by it.
    package var versionSeconds: Double = 3_600
    /// Alarms for operators a day, of the whole fleet; tasks share it equally.
    package var alarmsPerDay: Double = 5

    package init() {}

    /// Adds every setting to a fingerprint, in a fixed order.
    package func hash(into digest: inout Digest) {
        digest.combine(UInt64(detector.rawValue))
        digest.combine(averageRunLength.bitPattern)
        digest.combine(UInt64(bitPattern: Int64(seriesMax)))
        digest.combine(UInt64(bitPattern: Int64(holdOffSamples)))
        digest.combine(retrainsPerHourMax.bitPattern)
        digest.combine(UInt64(bitPattern: Int64(frozenSamplesMin)))
        digest.combine(UInt64(bitPattern: Int64(affectedMetricsMax)))
        digest.combine(groupWindowSeconds.bitPattern)
        digest.combine(UInt64(bitPattern: Int64(groupResourcesMin)))
        digest.combine(groupShareMin.bitPattern)
        digest.combine(versionSeconds.bitPattern)
        digest.combine(alarmsPerDay.bitPattern)
    }
}
