/// The stages of the pipeline. The raw value is written into frames and snapshots and never changes.
package enum StageName: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case normalizer = 1
    case twinUpdater = 2
    case driftDetector = 3
    case graphPropagator = 4
    case scalingDecider = 5

    /// The name in group ids, paths, logs and on the command line; also the executable's name.
    package var text: String {
        switch self {
        case .normalizer: "normalizer"
        case .twinUpdater: "twin-updater"
        case .driftDetector: "drift-detector"
        case .graphPropagator: "graph-propagator"
        case .scalingDecider: "scaling-decider"
        }
    }

    package init?(text: String) {
        guard let match = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = match
    }
}

/// The topics of the pipeline. The raw value is written into frames and snapshots and never changes.
package enum TopicName: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case telemetry = 1
    case interactions = 2
    case environment = 3
    case outcomes = 4
    case policies = 5
    case commands = 6
    case observations = 7
    case forecasts = 8
    case outlooks = 9
    case actions = 10
    case decisions = 11
    case drift = 12
    case twins = 13
    case deadletters = 14

    /// The topic's name on the broker, without the namespace prefix.
    package var text: String { String(describing: self) }

    package init?(text: String) {
        guard let match = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = match
    }
}

/// One partition of one topic.
package struct TopicPartition: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var topic: TopicName
    package var partition: Int32

    @inlinable package init(_ topic: TopicName, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package var description: String { "\(topic.text)[\(partition)]" }
}

/// A task: one stage over one partition of one inbox, with a state of its own. It is the identity of a sender of
/// frames and of a snapshot.
package struct TaskID: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var stage: StageName
    package var inbox: TopicName
    /// Raised by the operator when the inbox topic is recreated; 1 at first.
    package var epoch: UInt16
    package var partition: Int32

    @inlinable package init(stage: StageName, inbox: TopicName, epoch: UInt16, partition: Int32) {
        self.stage = stage
        self.inbox = inbox
        self.epoch = epoch
        self.partition = partition
    }

    /// All four parts in one integer, for frames, snapshots and tables: stage, inbox, epoch, partition, high to low.
    @inlinable package var packed: UInt64 {
        UInt64(stage.rawValue) << 56 | UInt64(inbox.rawValue) << 48 | UInt64(epoch) << 32
            | UInt64(UInt32(bitPattern: partition))
    }

    /// Nil if the integer names no stage, no topic or a negative partition.
    @inlinable package init?(packed: UInt64) {
        guard let stage = StageName(rawValue: UInt8(truncatingIfNeeded: packed >> 56)),
            let inbox = TopicName(rawValue: UInt8(truncatingIfNeeded: packed >> 48)),
            packed & 0x8000_0000 == 0
        else { return nil }
        self.init(
            stage: stage, inbox: inbox, epoch: UInt16(truncatingIfNeeded: packed >> 32),
            partition: Int32(truncatingIfNeeded: packed))
    }

    package var description: String { "\(stage.text)/\(inbox.text)@\(epoch)[\(partition)]" }
}

/// The number of one output entry: the offset of the input record that caused it, and the ordinal among the entries
/// which that record causes to one destination partition. Ordered; per sender and destination it only grows.
package struct Sequence: Hashable, Comparable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package var offset: Int64
    package var index: Int64

    @inlinable package init(offset: Int64, index: Int64) {
        self.offset = offset
        self.index = index
    }

    /// Before every entry: "nothing has been sent yet".
    @inlinable package static var none: Sequence { Sequence(offset: -1, index: 0) }

    @inlinable package static func < (a: Sequence, b: Sequence) -> Bool {
        a.offset != b.offset ? a.offset < b.offset : a.index < b.index
    }

    package var description: String { "\(offset).\(index)" }
}
