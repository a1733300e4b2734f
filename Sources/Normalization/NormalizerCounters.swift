import StageKit

/// What the normalizer counts since it started; published by the shell, no part of the state.
struct NormalizerCounters {
    var records: UInt64 = 0
    var samples: UInt64 = 0
    var interactions: UInt64 = 0
    var events: UInt64 = 0
    var outcomes: UInt64 = 0
    var policies: UInt64 = 0
    var commands: UInt64 = 0
    /// Tombstones where they mean nothing.
    var tombstonesIgnored: UInt64 = 0
    /// Entries that went to all partitions because a locality was unknown.
    var unrouted: UInt64 = 0
    /// Samples in a unit that is not understood, and series that had one.
    var unknownUnits: UInt64 = 0
    var unknownUnitSeries: UInt64 = 0
    /// Resources that changed locality: each starts afresh there.
    var resourcesMoved: UInt64 = 0
    var tagsChanged: UInt64 = 0
    /// Descriptions older than the last change, which were passed over.
    var descriptionsOutdated: UInt64 = 0
    /// Elements dropped because the table of names is full.
    var namesRefused: UInt64 = 0
    /// Faulty elements beyond the limit per record, without a dead letter of their own.
    var faultsSummed: UInt64 = 0
    /// Samples and interactions so far ahead that they are not believed yet.
    var refusedAhead: UInt64 = 0

    func list(resourcesRefused: UInt64, samplesAhead: UInt64) -> [StageCounter] {
        [
            StageCounter("records", records), StageCounter("samples", samples),
            StageCounter("interactions", interactions), StageCounter("events", events),
            StageCounter("outcomes", outcomes), StageCounter("policies", policies), StageCounter("commands", commands),
            StageCounter("tombstonesIgnored", tombstonesIgnored), StageCounter("unrouted", unrouted),
            StageCounter("unknownUnits", unknownUnits), StageCounter("unknownUnitSeries", unknownUnitSeries),
            StageCounter("resourcesMoved", resourcesMoved), StageCounter("tagsChanged", tagsChanged),
            StageCounter("descriptionsOutdated", descriptionsOutdated), StageCounter("namesRefused", namesRefused),
            StageCounter("resourcesRefused", resourcesRefused), StageCounter("samplesAhead", samplesAhead),
            StageCounter("faultsSummed", faultsSummed), StageCounter("refusedAhead", refusedAhead),
        ]
    }
}
