/// What the views hold at most. What lies beyond a limit is left out and counted, or pushes out what is oldest.
package struct ViewLimits: Sendable {
    /// Twins of all shards together.
    package var resourcesMax = 100_000
    /// Series of one twin.
    package var seriesPerResourceMax = 64
    /// Recent levels per series, one per step.
    package var finePointsMax = 240
    /// Older levels per series, means of `coarseSeconds`.
    package var coarsePointsMax = 336
    package var coarseSeconds = 900
    /// Forecasts remembered per series, to be compared with what came.
    package var issuedMax = 144
    /// The least time between two of them.
    package var issuedSeconds = 300
    package var edgesMax = 200_000
    package var decisionsMax = 20_000
    package var actionsMax = 10_000
    package var driftMax = 5_000
    package var commandsMax = 5_000
    package var policiesMax = 10_000
    /// Versions remembered per policy.
    package var versionsMax = 20
    package var eventsMax = 5_000
    package var deadLettersMax = 1_000
    /// Longest record that is kept as it stands.
    package var recordBytesMax = 65_536

    package init() {}
}

/// What the views have left out.
package struct ViewCounts: Sendable, Equatable {
    /// Beyond a declared limit.
    package var refused: UInt64 = 0
    /// Records that could not be read.
    package var malformed: UInt64 = 0

    package init() {}

    package static func += (a: inout ViewCounts, b: ViewCounts) {
        a.refused &+= b.refused
        a.malformed &+= b.malformed
    }
}
