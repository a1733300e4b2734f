import Logging
import ServiceLifecycle
import Snapshots
import StageKit
import Synchronization
import TaskLoop
import TwinCore
import Worker

/// One stage as a service: a thread of its own runs the worker; shutting down gracefully asks the worker to commit and
/// leave.
package final class StageService: Service {
    package let configuration: RuntimeConfiguration
    /// What the worker last said about itself.
    package let board: StatusBoard
    private let definition: StageDefinition
    private let log: Logger
    private let stopping = Atomic<Bool>(false)
    private let crashing = Atomic<Bool>(false)

    package init(_ definition: StageDefinition, _ configuration: RuntimeConfiguration, log: Logger) {
        self.definition = definition
        self.configuration = configuration
        self.log = log
        board = StatusBoard(stage: definition.stage, configuration)
    }

    /// Asks the worker to commit what is pending and leave. May come from any thread.
    package func requestStop() { stopping.store(true, ordering: .releasing) }

    /// Makes the worker drop everything at once, without commit or goodbye: what a crash leaves behind, for tests.
    package func crash() {
        crashing.store(true, ordering: .releasing)
        requestStop()
    }

    /// Runs until the worker stops. Throws `StageFailure` unless it was asked to.
    package func run() async throws {
        let outcome = Outcome<StageFailure?>()
        let isStarted = startThread { outcome.give(self.runWorker()) }
        guard isStarted else { throw StageFailure(.broken, "the system gives no thread for the worker") }
        let failure = await withTaskCancellationOrGracefulShutdownHandler {
            await withTaskGroup { group in
                group.addTask { await self.watch(outcome) }
                let failure = await outcome.value()
                group.cancelAll()
                return failure
            }
        } onCancelOrGracefulShutdown: {
            self.requestStop()
        }
        if let failure { throw failure }
    }

    /// Gives up waiting for the worker when the time for an orderly end is over: what it has not committed is replayed.
    private func watch(_ outcome: Outcome<StageFailure?>) async {
        while !stopping.load(ordering: .acquiring) {
            do {
                try await Task.sleep(for: .milliseconds(50))
            } catch { if !stopping.load(ordering: .acquiring) { return } else { break } }
        }
        let end = monotonicMilliseconds() + Int64(configuration.stopTimeoutMilliseconds)
        while monotonicMilliseconds() < end {
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
        }
        log.warning("worker did not end in time", metadata: ["note": "what is not committed will be replayed"])
        outcome.give(nil)
    }

    // MARK: on the worker's thread

    private func runWorker() -> StageFailure? {
        do throws(StageFailure) {
            try TopicCheck.run(configuration, topics: definition.topics, isStopping: isStopping) { reason in
                board.publish { $0.reason = "no broker: \(reason)" }
            }
            if isStopping() { return nil }
            let store = try SnapshotStores.open(configuration)
            return try run(store)
        } catch {
            board.stopped(error.description)
            return error
        }
    }

    private var isStopping: () -> Bool { { self.stopping.load(ordering: .acquiring) } }

    private func run(_ store: any SnapshotStore) throws(StageFailure) -> StageFailure? {
        let world: KafkaWorld
        do throws(WorldError) {
            world = try KafkaWorld(
                configuration, inboxes: definition.inboxes, snapshots: store, log: log, isStopping: isStopping)
        } catch { throw StageFailure(.refused, error.reason, hint: "check the kafka.* settings") }
        let factory = definition.factory(configuration)
        let worker = Worker(settings: configuration.loop, factory: factory, world: world)
        var reporter = StatusReporter(board, configuration, log: log)
        var isAsked = false
        while worker.step() {
            if !isAsked, stopping.load(ordering: .relaxed) {
                if crashing.load(ordering: .relaxed) { break }
                isAsked = true
                worker.requestStop()
                log.info("worker stops", metadata: ["stage": "\(definition.stage.text)"])
            }
            reporter.publishIfDue(worker, world)
        }
        let isCrash = crashing.load(ordering: .relaxed)
        world.close(deadlineMilliseconds: max(configuration.stopTimeoutMilliseconds / 2, 500), gracefully: !isCrash)
        reporter.publish(worker, world)
        let failure = worker.stopReason.flatMap { StageFailure($0) }
        board.stopped(failure?.description ?? "stopped as requested")
        return failure
    }
}
