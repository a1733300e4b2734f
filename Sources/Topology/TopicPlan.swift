import TwinCore

/// Somebody who writes or reads topics without being a stage.
package enum Outsider: String, Sendable, CaseIterable, BitwiseCopyable {
    /// What the twins are twins of: its exporters, collectors, tracers and planners.
    case platform
    /// What carries out actions, and says how they went.
    case actuators
    /// `twin-api`.
    case api
    /// `twinscale`.
    case cli
    /// Whatever wakes people.
    case alerting
}

/// A writer or reader of a topic.
package enum Party: Hashable, Sendable, BitwiseCopyable {
    case stage(StageName)
    case outsider(Outsider)

    /// The name in `topics/` and in the topology's description.
    package var text: String {
        switch self {
        case .stage(let stage): stage.text
        case .outsider(let outsider): outsider.rawValue
        }
    }
}

/// What decides the partition of a topic's record.
package enum TopicKey: String, Sendable, CaseIterable, BitwiseCopyable {
    /// Nothing that matters: any spread will do.
    case anything
    /// The policy's name; compaction keeps the last record of each.
    case policy
    /// The command's id; there is one partition, so the order is the same for everybody.
    case command
    /// FNV-1a 64 of the locality's value, or the configured table.
    case locality
    /// FNV-1a 64 of the resource's name.
    case resource
    /// The partition of the task that wrote the record.
    case source
    /// Task, slot and frame of a snapshot.
    case slot
}

/// How many partitions a topic has.
package enum PartitionRule: String, Sendable, CaseIterable, BitwiseCopyable {
    /// As many as its file says, fixed for a namespace.
    case standard
    /// Exactly one.
    case one
}

/// What the broker does with old records.
package enum Cleanup: String, Sendable, CaseIterable, BitwiseCopyable {
    /// They go when retention has passed.
    case delete
    /// The last record of each key stays.
    case compact
}

/// One topic as the code means it; `topics/<name>.yaml` must say the same.
package struct TopicPlan: Sendable, Equatable {
    /// Nil for a store, which is no part of the flow.
    package let topic: TopicName?
    /// The name on the broker, without the namespace.
    package let name: String
    package let key: TopicKey
    package let partitions: PartitionRule
    package let cleanup: Cleanup
    /// ISO 8601 duration, such as `P7D`; nil for a compacted topic.
    package let retention: String?
    /// Further settings of a compacted topic on the broker: the file's, unless an operator has tuned them there.
    package let compaction: [TopicFile.Setting]
    /// Largest record that the broker takes (`max.message.bytes`).
    package let recordBytesMax: Int
    /// File below `topics/schemas`.
    package let schema: String
    /// Raised when the topic is recreated.
    package let epoch: UInt16
    /// Writers that are not stages; the stages' part stands in `Topology.stages`.
    package let outsideWriters: [Outsider]
    /// Readers that are not stages.
    package let outsideReaders: [Outsider]
    /// What is in it, in one line.
    package let summary: String

    /// Kafka's own default, which every client takes without further settings.
    package static let recordBytesDefault = 1_048_588

    init(
        _ topic: TopicName, key: TopicKey, _ partitions: PartitionRule = .standard, keep retention: String?,
        compact: [TopicFile.Setting] = [], schema: String, from writers: [Outsider] = [], to readers: [Outsider] = [],
        _ summary: String
    ) {
        self.init(
            topic: topic, name: topic.text, key: key, partitions: partitions, retention: retention, compact: compact,
            schema: schema, from: writers, to: readers, summary)
    }

    init(store name: String, key: TopicKey, compact: [TopicFile.Setting], schema: String, _ summary: String) {
        self.init(
            topic: nil, name: name, key: key, partitions: .standard, retention: nil, compact: compact, schema: schema,
            from: [], to: [], summary)
    }

    /// The settings of a compacted topic, times in hours.
    static func compaction(dirtyRatio: String, segmentMinutes: Int, tombstoneHours: Int) -> [TopicFile.Setting] {
        [
            TopicFile.Setting("min.cleanable.dirty.ratio", dirtyRatio),
            TopicFile.Setting("segment.ms", "\(segmentMinutes * 60_000)"),
            TopicFile.Setting("delete.retention.ms", "\(tombstoneHours * 3_600_000)"),
        ]
    }

    private init(
        topic: TopicName?, name: String, key: TopicKey, partitions: PartitionRule, retention: String?,
        compact: [TopicFile.Setting], schema: String, from writers: [Outsider], to readers: [Outsider],
        _ summary: String
    ) {
        self.topic = topic
        self.name = name
        self.key = key
        self.partitions = partitions
        self.cleanup = retention == nil ? .compact : .delete
        self.retention = retention
        self.compaction = compact
        self.recordBytesMax = Self.recordBytesDefault
        self.schema = schema
        self.epoch = 1
        self.outsideWriters = writers
        self.outsideReaders = readers
        self.summary = summary
    }
}

/// One topic → stage or stage → topic edge, and what travels along it.
package struct Flow: Sendable, Equatable {
    package let topic: TopicName
    /// The kinds of entries, in a few words.
    package let carries: String

    init(_ topic: TopicName, _ carries: String) {
        self.topic = topic
        self.carries = carries
    }
}

/// One stage with every edge that it has.
package struct StagePlan: Sendable, Equatable {
    package let stage: StageName
    /// One inbox; the normalizer alone has several, each partition of each being a task of its own.
    package let reads: [Flow]
    package let writes: [Flow]

    init(_ stage: StageName, reads: [Flow], writes: [Flow]) {
        self.stage = stage
        self.reads = reads
        self.writes = writes
    }
}
