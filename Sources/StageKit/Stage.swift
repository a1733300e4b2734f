import Messages
import TwinCore

/// A record of an inbox, borrowed for the time of receiving it.
package struct InboxRecord {
    package var offset: Int64
    package var key: UnsafeRawBufferPointer?
    /// Nil is a tombstone.
    package var value: UnsafeRawBufferPointer?
    /// The `content-type` header of a record from outside, if it has one.
    package var contentType: UnsafeRawBufferPointer?

    package init(
        offset: Int64, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
        contentType: UnsafeRawBufferPointer? = nil
    ) {
        self.offset = offset
        self.key = key
        self.value = value
        self.contentType = contentType
    }
}

/// Why a task should not go on. Bad records never lead here: they are dead letters.
package enum TaskFault: Error, Equatable {
    /// Entries of a sender are missing between what was received last and what comes now, and did not come again.
    case gap(sender: TaskID, last: Sequence, found: Sequence)

    package var text: String {
        switch self {
        case .gap(let sender, let last, let found):
            "entries of \(sender) between \(last) and \(found) are missing and were not sent again: the broker lost "
                + "them. If it can be restored to hold them, restore it; else start with --accept-gap to go on without "
                + "them"
        }
    }

    /// The record that accepts the loss, for the task's own inbox: so the acceptance stands in the log, and a replay
    /// does the same.
    package var acceptance: [UInt8] {
        switch self {
        case .gap(let sender, let last, _): FrameWriter.gapAcceptance(sender: sender, after: last)
        }
    }
}

/// A number that a stage counts, for metrics and status.
///
/// `…Rejected` counts what was not valid. `…Refused`, `…Evicted` and `oversize` count what a declared limit kept out.
package struct StageCounter: Sendable, Equatable {
    package let name: String
    package let value: UInt64

    /// It counts what a declared limit kept out.
    package var isLimit: Bool { name.hasSuffix("Refused") || name.hasSuffix("Evicted") || name == "oversize" }

    package init(_ name: String, _ value: UInt64) {
        self.name = name
        self.value = value
    }
}

/// The logic of a task, as the worker drives it: records in, numbered entries out, a state that can be frozen.
///
/// A task is a deterministic state machine over one partition. It sees no clock, no randomness, no network, no file.
package protocol TaskLogic: AnyObject {
    var emitter: Emitter { get }

    /// Folds one record into the state. With `muted` the outputs are numbered but not written (replay). The record is
    /// folded even where a fault is thrown: whoever accepts the loss may go on.
    func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault)

    /// Whether event time begins here: then it is asked for heartbeats.
    var isSourceOfTime: Bool { get }

    /// Closes the open frames with a heartbeat. `wallClock` is given where the configuration lets it be followed.
    func heartbeat(isCaughtUp: Bool, wallClock: EventTime?)

    /// The sections of the state, as of now.
    func freeze() -> StateWriter

    /// The smallest event time that is still to come, as far as this task knows; nil before it knows.
    var watermark: EventTime? { get }

    /// What the stage has counted since it started.
    var stageCounters: [StageCounter] { get }

    /// Those whose frames it reads; nil where it reads raw records.
    var upstream: Senders? { get }
}

extension TaskLogic {
    package var upstream: Senders? { nil }
}

extension TaskLogic {
    /// Most stages only pass on what they hear of time.
    package var isSourceOfTime: Bool { false }
    package func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {}
}

/// A pure stage over an inbox of frames: what the five model stages but the normalizer implement.
///
/// `receive` sees one entry at a time, in the order of the partition; how entries were cut into frames is invisible.
package protocol Stage: ~Copyable {
    /// What the operator can set for the stage's logic. Part of the fingerprint.
    associatedtype Settings: Sendable

    static var name: StageName { get }
    static var inbox: TopicName { get }
    static var outputs: [TopicName] { get }
    /// Where the watermark is forwarded to, if anywhere.
    static var watermarkOutput: TopicName? { get }
    /// Raised with every change of logic that changes outputs.
    static var logicVersion: UInt32 { get }

    init(settings: Settings, task: TaskID, layout: TopicLayout, names: NameTable)

    /// Folds one entry. `entry.resource` and `entry.object` are numbers of the task's names, 0 for none.
    mutating func receive(_ entry: Entry, into out: Emitter)

    /// Event time has passed `watermark`; timers up to it are due.
    mutating func advance(to watermark: EventTime, into out: Emitter)

    /// Marks every name that the state refers to; the others are forgotten.
    func mark(_ names: inout NameMarks)

    /// Adds the stage's sections to a snapshot.
    mutating func freeze(into writer: inout StateWriter)

    /// Takes a snapshot's sections over; called on a fresh stage whose names are already restored.
    mutating func restore(from reader: StateReader) throws(StateError)

    /// Counted events, by name.
    var counters: [StageCounter] { get }
}

extension Stage where Self: ~Copyable {
    /// A stage that cannot tell keeps all.
    package func mark(_ names: inout NameMarks) { names.markAll() }
}
