/// What may go wrong, each with its probability per opportunity. All of it is survived, none of it is silent.
package struct Faults: Sendable {
    /// A flush fails; any subset of the queued frames has reached the log, in any gap pattern.
    package var flushFails = 0.0
    /// A frame reaches the log twice.
    package var frameTwice = 0.0
    /// A commit fails and is not applied.
    package var commitFails = 0.0
    /// A commit is applied but its reply is lost.
    package var commitReplyLost = 0.0
    /// At a crash the broker forgets commits: an older offset stands there again, below what snapshots have seen.
    package var commitForgotten = 0.0
    /// A poll fails in a way that can be retried.
    package var pollFails = 0.0
    /// Per step of a worker: it is killed between two actions.
    package var crash = 0.0
    /// Per step of a worker: the group gives it up while it goes on.
    package var zombie = 0.0
    /// Per step: a member joins or leaves.
    package var rebalance = 0.0
    /// A snapshot that was written is torn, flipped or lost.
    package var snapshotDamaged = 0.0
    /// A hole of offsets before a record is appended.
    package var offsetGap = 0.0
    /// Per step: superseded policies go from the log.
    package var compaction = 0.0
    /// A batch ends after each record.
    package var tinyBatch = 0.0

    package init() {}

    /// Nothing goes wrong.
    package static let none = Faults()

    /// A random subset of faults with wildly different weights (swarm testing).
    package static func swarm(_ generator: inout SeededGenerator) -> Faults {
        var faults = Faults()
        func weight(_ g: inout SeededGenerator, _ values: [Double]) -> Double {
            g.chance(0.4) ? 0 : values[g.int(0...values.count - 1)]
        }
        faults.flushFails = weight(&generator, [0.01, 0.05, 0.3])
        faults.frameTwice = weight(&generator, [0.01, 0.1])
        faults.commitFails = weight(&generator, [0.01, 0.05, 0.2])
        faults.commitReplyLost = weight(&generator, [0.01, 0.05, 0.2])
        faults.commitForgotten = weight(&generator, [0.1, 0.5])
        faults.pollFails = weight(&generator, [0.01, 0.05])
        faults.crash = weight(&generator, [0.001, 0.005, 0.02])
        faults.zombie = weight(&generator, [0.001, 0.005])
        faults.rebalance = weight(&generator, [0.0005, 0.002])
        faults.snapshotDamaged = weight(&generator, [0.05, 0.5, 1])
        faults.offsetGap = weight(&generator, [0.01, 0.1])
        faults.tinyBatch = weight(&generator, [0.1, 0.9])
        faults.compaction = weight(&generator, [0.002, 0.02])
        return faults
    }
}
