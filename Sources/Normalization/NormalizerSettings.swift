import Messages
import TwinCore

/// What the operator declares about a metric, by its name. What a sample says itself goes before.
package struct MetricDeclaration: Sendable, Equatable {
    package var name: String
    /// Nil: by the table of well-known names.
    package var role: MetricRole?
    /// The unit of samples that name none; nil: canonical already.
    package var unit: String?
    /// Nil: a counter if the name ends with `_total`.
    package var isCounter: Bool?

    package init(name: String, role: MetricRole? = nil, unit: String? = nil, isCounter: Bool? = nil) {
        self.name = name
        self.role = role
        self.unit = unit
        self.isCounter = isCounter
    }
}

/// What the operator can set for the normalizer. Everything but `heartbeatsSkippedMax` is part of the fingerprint.
package struct NormalizerSettings: Sendable {
    /// A line of the explicit table of partitions.
    package struct LocalityPartition: Sendable, Equatable {
        package var locality: String
        /// Taken modulo the number of partitions.
        package var partition: Int32

        package init(locality: String, partition: Int32) {
            self.locality = locality
            self.partition = partition
        }
    }

    /// The type of tag, or types joined by `/`, whose value is the unit of partitioning.
    package var localityType = "cluster"
    /// Localities whose partition is given instead of hashed.
    package var partitionTable: [LocalityPartition] = []
    package var metrics: [MetricDeclaration] = []
    /// How late a record may come and still count: the watermark stays this far behind the largest event time.
    package var latenessSecondsMax: Int64 = 120
    /// A larger step forward of event time moves the watermark only when it is confirmed; see `EventClock`.
    package var futureSecondsMax: Int64 = 3_600
    /// A record whose time lies further ahead than this is a dead letter, unless the step is confirmed by several
    /// sources, or by one for long; see `EventClock`. Never less than `futureSecondsMax`.
    package var aheadSecondsMax: Int64 = 86_400
    /// Consecutive records that must agree on such a step.
    package var jumpConfirmations: UInt64 = 3
    /// A record beyond this is a dead letter.
    package var recordBytesMax = 4_194_304
    /// A policy or a command beyond this is a dead letter; protects the frames that carry them on.
    package var policyBytesMax = 65_536
    /// Resources in the directory of one task.
    package var resourcesMax = 250_000
    /// What is known of a resource is said again after so much event time, as inboxes are trimmed by their retention.
    package var restateSeconds: Int64 = 21_600
    /// A resource, or a pair that calls, of which nothing was heard for so long is forgotten; 8 days of event time:
    /// longer than a twin is kept, so that nothing that its partition would still know is sent to another.
    package var expireSeconds: Int64 = 691_200
    /// Dead letters written for one record; the rest is summed up in one more.
    package var deadLettersPerRecordMax = 100
    /// Series whose unknown unit is counted by series.
    package var unknownUnitSeriesMax = 10_000
    /// Encodings of raw topics, where records name none and they should not be sniffed.
    package var encodings: [TopicName: RecordEncoding] = [:]
    /// How OpenTelemetry's attributes become identity, tags and calls.
    package var otlp = OTLPMapping()
    /// Derives and counters of collectd come as rates, as it writes them by itself.
    package var collectdStoresRates = true
    /// Pairs whose totals of calls one task remembers.
    package var callPairsMax = 100_000
    /// Epochs of raw topics that have been recreated; 1 for all others.
    package var epochs: [TopicName: UInt16] = [:]
    /// How many heartbeats that say nothing new are held back between two that are sent.
    package var heartbeatsSkippedMax = 9

    package init() {}

    /// The topics that normalizer tasks read.
    package static let rawTopics: [TopicName] = [
        .telemetry, .interactions, .environment, .outcomes, .policies, .commands,
    ]

    /// The epoch of a topic; 1 where none is set.
    package func epoch(of topic: TopicName) -> UInt16 { epochs[topic] ?? 1 }

    /// Adds everything that can change outputs.
    package func hash(into digest: inout Digest) {
        digest.combine(text: localityType)
        digest.combine(UInt64(partitionTable.count))
        for line in partitionTable {
            digest.combine(text: line.locality)
            digest.combine(UInt64(UInt32(bitPattern: line.partition)))
        }
        digest.combine(UInt64(metrics.count))
        for metric in metrics {
            digest.combine(text: metric.name)
            digest.combine(UInt64(metric.role?.rawValue ?? 255))
            digest.combine(text: metric.unit ?? "\u{0}")
            digest.combine(metric.isCounter.map { $0 ? 1 : 0 } ?? 2)
        }
        for bound in [
            latenessSecondsMax, futureSecondsMax, Int64(recordBytesMax), Int64(policyBytesMax), Int64(resourcesMax),
            Int64(deadLettersPerRecordMax), Int64(callPairsMax), restateSeconds,
            expireSeconds, aheadSecondsMax,
        ] { digest.combine(UInt64(bitPattern: bound)) }
        digest.combine(jumpConfirmations)
        digest.combine(collectdStoresRates ? 1 : 0)
        otlp.hash(into: &digest) { $0.combine(text: $1) }
        for topic in Self.rawTopics {
            digest.combine(UInt64(encodings[topic]?.rawValue ?? 0))
            digest.combine(UInt64(epoch(of: topic)))
        }
    }
}
