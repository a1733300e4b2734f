import TwinCore

/// What the caller must do about an error of the world outside. The shell sorts every code into one of these.
package enum Disposition: Sendable, Equatable {
    /// Transient; the same call again.
    case retry
    /// What was sent since the last commit may be lost: drop the state, recover, replay.
    case restoreAndReplay
    /// Somebody newer has taken over.
    case stopFenced
    /// This record can never be handled; the stream goes on.
    case deadLetter
    /// Nothing helps from inside the process.
    case stopBroken
}

/// Why a worker stopped.
package enum StopReason: Sendable, Equatable {
    /// It was asked to.
    case requested
    /// Fenced by a newer incarnation or instance.
    case fenced(String)
    /// It refused to start; the text names the choices.
    case refused(String)
    /// Broken; the text says what and what to do.
    case broken(String)
}

/// What the loop wants done next. The loop decides, the worker does it and reports back.
package enum LoopAction: Sendable, Equatable {
    /// Read the committed offset and the log's bounds, choose and load a snapshot; report `recovered` or `refused`.
    case recover(TopicPartition)
    /// Consume exactly these from these offsets on; report `assigned`.
    case assign([StartOffset])
    /// Wait for records at most so long; report each one, then `polled`.
    case poll(timeoutMilliseconds: Int64)
    /// Close open frames with heartbeats; report `heartbeatSent`.
    case heartbeat
    /// Cut all frames, produce them and wait for every acknowledgement; report `flushed`.
    case flush(timeoutMilliseconds: Int64)
    /// Commit these offsets; report `committed`.
    case commit([StartOffset], timeoutMilliseconds: Int64)
    /// Freeze the tasks as of their committed offsets; report `snapshotTaken`.
    case snapshot([StartOffset])
    /// Let go of these partitions; report `released`.
    case release([TopicPartition])
    /// Throw away every task and the producer, wait, make a new producer; report `rebuilt`.
    case rebuild(afterMilliseconds: Int64)
    /// Close and leave.
    case stop(StopReason)
}

/// A partition and the offset to start from, or to commit: always that of the *next* record.
package struct StartOffset: Sendable, Equatable {
    package var partition: TopicPartition
    package var offset: Int64

    package init(_ partition: TopicPartition, _ offset: Int64) {
        self.partition = partition
        self.offset = offset
    }
}

/// When to commit and to take snapshots, and how long to wait.
package struct LoopSettings: Sendable, Equatable {
    /// Commit at the latest after so many records, output bytes or milliseconds, whichever comes first.
    package var commitRecordsMax: Int = 50_000
    package var commitBytesMax: Int = 8 << 20
    package var commitIntervalMilliseconds: Int64 = 100
    /// Longest wait in one poll.
    package var pollTimeoutMilliseconds: Int64 = 100
    /// A heartbeat at least so often.
    package var heartbeatIntervalMilliseconds: Int64 = 1_000
    /// A snapshot after so much input or so many milliseconds with input, whichever comes first.
    package var snapshotBytes: Int = 256 << 20
    package var snapshotIntervalMilliseconds: Int64 = 60_000
    /// Memory that snapshots alone may hold while they are written; beyond it the worker reads no further until the
    /// writer has let go of some.
    package var snapshotHeldBytesMax: Int = 128 << 20
    /// How long the broker's word that a partition ends here is good for.
    package var endSeenMillisecondsMax: Int64 = 10_000
    /// For a flush or a commit in peace. Longer than a broker's restart.
    package var flushTimeoutMilliseconds: Int64 = 30_000
    /// For flush and commit together when partitions are taken away; below the session timeout.
    package var revokeTimeoutMilliseconds: Int64 = 3_000
    /// Rebuilds wait from the first to the second, doubling.
    package var rebuildBackoffMilliseconds: Int64 = 200
    package var rebuildBackoffMillisecondsMax: Int64 = 10_000
    /// So many rebuilds in a row without a commit between them, and the worker is broken.
    package var rebuildsMax: Int = 30
    /// Retries of one commit, with a poll between them. Each waits for 50 ms at least in the shell; together they must
    /// outlast the time after which a member hears of a rebalance, its heartbeat interval.
    package var commitRetriesMax: Int = 100

    package init() {}
}
