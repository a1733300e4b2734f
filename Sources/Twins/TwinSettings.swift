import Forecasting
import TwinCore

/// What the operator can set for the twin-updater. Everything here changes outputs.
package struct TwinSettings: Sendable, Equatable {
    /// Horizons of the forecasts, seconds; at most `HorizonPlan.horizonsMax`.
    package var horizonSeconds: [Double] = [60, 300, 900, 1_800, 3_600]
    /// Samples of a series closer together than this are one step, seconds.
    package var stepSecondsMin = 1.0
    /// A sample may be older than the newest of its series by this much and still be merged, seconds.
    package var allowedLatenessSeconds: Int64 = 600
    /// Twins of one task.
    package var resourcesMax = 200_000
    /// Series of one task.
    package var seriesMax = 400_000
    /// Series of one twin.
    package var seriesPerResourceMax = 64
    /// Planned events known at a time; at most 64.
    package var eventsMax = 64
    /// A twin's summary is restated at most every so many seconds of event time.
    package var summarySeconds: Int64 = 900
    /// A twin without any sample for so long is forgotten, seconds; 7 days.
    package var expireSeconds: Int64 = 604_800

    /// The clock by which days and weeks are learned.
    package var clock = LocalTime.utc

    package init() {}

    /// Adds everything that changes outputs to a fingerprint.
    package func hash(into digest: inout Digest) {
        digest.combine(UInt64(horizonSeconds.count))
        for seconds in horizonSeconds { digest.combine(seconds.bitPattern) }
        digest.combine(stepSecondsMin.bitPattern)
        for number in [
            allowedLatenessSeconds, Int64(resourcesMax), Int64(seriesMax), Int64(seriesPerResourceMax),
            Int64(eventsMax), summarySeconds, expireSeconds,
        ] {
            digest.combine(UInt64(bitPattern: number))
        }
        clock.hash(into: &digest)
    }
}

/// What the twin-updater has counted since it started.
package struct TwinCounters {
    /// Counters that begin so tell what each member of the ensemble carried of the judged forecasts, in thousandths.
    package static let carriedPrefix = "carriedBy"

    /// Samples accepted in order.
    var accepted: UInt64 = 0
    /// Samples that came out of order and were merged into the history.
    var mergedLate: UInt64 = 0
    /// Same series, same time: dropped.
    var duplicates: UInt64 = 0
    /// Too late, or so late that it cannot be known whether they are new: dropped.
    var late: UInt64 = 0
    /// Not finite, or beyond all sense: dropped.
    var invalid: UInt64 = 0
    var counterResets: UInt64 = 0
    var resourcesRefused: UInt64 = 0
    var seriesRefused: UInt64 = 0
    var eventsRefused: UInt64 = 0
    var tagsRefused: UInt64 = 0
    var retrainings: UInt64 = 0
    var becameStale: UInt64 = 0
    var becameMissing: UInt64 = 0
    var expired: UInt64 = 0
    /// Series whose newest time was far ahead, and that went on from an earlier one.
    var turnedBack: UInt64 = 0
    /// Went to all partitions and is kept in another one: dropped here.
    var strangers: UInt64 = 0
    /// Came to a partition where the resource lives no more, or by an old record: dropped.
    var elsewhere: UInt64 = 0
    /// Word of where a resource lives, older than what is known.
    var outdated: UInt64 = 0
    var summaries: UInt64 = 0
}
