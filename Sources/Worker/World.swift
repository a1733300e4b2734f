import Snapshots
import StageKit
import TaskLoop
import TwinCore

/// An error of the world outside, sorted by what must be done about it.
package struct WorldError: Error, Sendable, Equatable {
    package var disposition: Disposition
    package var reason: String

    package init(_ disposition: Disposition, _ reason: String) {
        self.disposition = disposition
        self.reason = reason
    }
}

/// What a poll brings, in the order in which it happened.
package enum PollEvent {
    /// The group gave us these partitions.
    case assigned([TopicPartition])
    /// The group takes these away; the worker answers with `release` once it has committed. `lost`: it already has.
    case revoked([TopicPartition], lost: Bool)
    /// A record, borrowed for the time of the call.
    case record(TopicPartition, InboxRecord)
    /// The position has reached the end of the partition.
    case end(TopicPartition, position: Int64)
}

/// What the log knows about a partition.
package struct LogBounds: Sendable, Equatable {
    package var start: Int64
    /// Nil if the broker gives no answer that can be believed.
    package var end: Int64?

    package init(start: Int64, end: Int64?) {
        self.start = start
        self.end = end
    }
}

/// Everything a worker asks of the world outside: clocks, log, group, snapshot store. Kafka in production, an in-memory
/// log with faults in simulation. All calls come from the worker's one thread.
package protocol WorkerWorld: AnyObject {
    /// Milliseconds that only grow; no relation to event time.
    var nowMilliseconds: Int64 { get }
    /// The wall clock, where the configuration lets watermarks follow it.
    var wallClock: EventTime? { get }

    /// Waits for the first event, then takes what is there. `body` returns false to leave early; what was fetched and
    /// not yet given stays for the next poll.
    func poll(timeoutMilliseconds: Int64, _ body: (PollEvent) -> Bool) throws(WorldError)
    /// Lets some time pass.
    func rest(milliseconds: Int64)
    /// Offset committed by the group of an incarnation, or nil.
    func committed(_ partition: TopicPartition, incarnation: UInt64) throws(WorldError) -> Int64?
    func bounds(_ partition: TopicPartition) throws(WorldError) -> LogBounds
    func assign(_ starts: [StartOffset]) throws(WorldError)
    func release(_ partitions: [TopicPartition]) throws(WorldError)

    /// Queues records, whose bytes are borrowed for the time of the call; may block while queues are full.
    func produce(_ records: borrowing Outbox) throws(WorldError)
    /// Writes the acceptance of a gap into an inbox itself.
    func record(_ acceptance: [UInt8], in inbox: TopicPartition) throws(WorldError)
    /// Returns once every record since the last flush is acknowledged, or throws.
    func flush(timeoutMilliseconds: Int64) throws(WorldError)
    func commit(_ offsets: [StartOffset], timeoutMilliseconds: Int64) throws(WorldError)
    /// A new producer; whatever the old one held is gone.
    func rebuildProducer(afterMilliseconds: Int64) throws(WorldError)

    /// Where snapshots are read.
    var snapshots: any SnapshotStore { get }
    /// Hands a frozen state over to be made durable; must not wait for the disk.
    func submit(_ job: SnapshotJob)

    /// For logs and metrics; called at most once a commit.
    func note(_ event: WorkerEvent)
}

extension WorkerWorld {
    /// The acceptance goes out like any other record.
    package func record(_ acceptance: [UInt8], in inbox: TopicPartition) throws(WorldError) {
        try produce(Outbox(inbox.topic, inbox.partition, value: acceptance))
    }
}

/// What a worker tells its operator.
package enum WorkerEvent: Sendable {
    case recovered(TaskID, from: Int64, speakFrom: Int64, usedSnapshot: Bool)
    case resumed(TaskID, at: Int64)
    case skippedSnapshot(TaskID, String)
    case released([TopicPartition])
    case rebuilding(String)
    case acceptedGap(TaskID, String)
    case snapshotSubmitted(TaskID, offset: Int64)
    case failed(String)
}
