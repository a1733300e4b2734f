import Foundation
import Runtime
import Snapshots
import StageKit
import Synchronization
import TaskLoop
import TwinCore
import Worker

/// What a replaying stage says about itself while it runs, for whoever waits for it.
final class ReplayBoard: Sendable {
    struct State: Sendable {
        var done = 0
        var total = 0
        var recordsRead = 0
        var recordsWritten = 0
        /// Up to where each partition was read when last everything read was committed, with all that it caused.
        var settled: [TopicPartition: Int64] = [:]
        var hasEnded = false
        var failure: String?
        var recoveries: [TaskID: Start] = [:]
        var notes: [String] = []
    }

    struct Start: Sendable {
        var from: Int64
        var speakFrom: Int64
        var usedSnapshot: Bool
    }

    private let state = Mutex(State())
    private let stopping = Atomic<Bool>(false)

    var current: State { state.withLock { $0 } }

    func publish(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    /// Asks the stage to commit and leave.
    func requestStop() { stopping.store(true, ordering: .releasing) }

    var isStopping: Bool { stopping.load(ordering: .acquiring) }
}

/// Runs one stage of a replay on the calling thread, until its range is read, or it is told to stop.
struct ReplayRunner {
    let board: ReplayBoard
    /// How the inbox is called.
    let inboxNaming: TopicNaming
    let ranges: [TopicPartition: ReplayRange]
    /// Where to look for snapshots of the live tasks; nil: begin without.
    let live: (any SnapshotStore)?
    /// Goes on with what an interrupted replay has left; without, nothing of an older one counts.
    let resumes: Bool

    func run(_ definition: StageDefinition, _ configuration: RuntimeConfiguration) throws {
        let own: any SnapshotStore
        do {
            own = try SnapshotStores.open(configuration)
        } catch { throw ToolError(error.reason, hint: error.hint) }
        let snapshots = ReplaySnapshots(own: own, live: live, points: ranges.mapValues(\.point))
        let world = try ReplayWorld(
            configuration, inboxes: definition.inboxes, inboxNaming: inboxNaming, ranges: ranges, snapshots: snapshots,
            resumes: resumes)
        var factory = definition.factory(configuration)
        // Where a gap was accepted, the record that says so stands in the inbox, and is read when it comes.
        factory.acceptsGaps = true
        if !resumes { for partition in world.partitions { try own.removeAll(factory.id(partition), incarnation: nil) } }
        let worker = Worker(settings: configuration.loop, factory: factory, world: world)
        var isAsked = false
        var published: Int64 = 0
        while worker.step() {
            if !isAsked, board.isStopping || isInterrupted || (world.isDone && worker.loop.isReady) {
                isAsked = true
                worker.requestStop()
            }
            if world.nowMilliseconds - published >= 50 {
                published = world.nowMilliseconds
                publish(worker, world)
            }
        }
        publish(worker, world)
        world.close()
        if let failure = worker.stopReason.flatMap({ StageFailure($0) }) {
            throw ToolError("\(definition.stage.text): \(failure.reason)", hint: failure.hint)
        }
    }

    private func publish(_ worker: Worker<ReplayWorld>, _ world: ReplayWorld) {
        let progress = world.progress
        let loop = worker.loop
        board.publish { state in
            state.done = progress.done
            state.total = progress.total
            state.recordsRead = world.recordsRead
            state.recordsWritten = world.recordsWritten
            if loop.isReady, loop.isAtBoundary {
                for partition in loop.partitions { state.settled[partition.id] = partition.next }
            }
            state.recoveries = world.recoveries.mapValues {
                ReplayBoard.Start(from: $0.from, speakFrom: $0.speakFrom, usedSnapshot: $0.usedSnapshot)
            }
            state.notes = world.failures
        }
    }
}
