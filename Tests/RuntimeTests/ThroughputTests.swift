import Glibc
import Kafka
import Messages
import Snapshots
import StageKit
import TaskLoop
import Testing
import TwinCore
import Worker

@testable import Runtime

/// No test of correctness: prints how fast records pass. Run with `TWINSCALE_BENCH=1`, in release.
@Suite("Throughput", .serialized, .enabled(if: getenv("TWINSCALE_BENCH") != nil))
struct ThroughputTests {
    @Test("Frames through the echo stage, over the embedded broker", .timeLimit(.minutes(2)))
    func frames() async throws {
        let stand = try Stand(partitions: 1)
        let sender = try Sender(stand)
        // A partition of the embedded broker keeps 5 MB.
        try sender.send(frames: 80, samples: 2_000)
        let line = try await measure(echo(), stand, offset: 80, units: 160_000, "samples")
        print("echo stage, commits and snapshots on: \(line)")
    }

    @Test("Small records through a logic that does nothing", .timeLimit(.minutes(2)))
    func records() async throws {
        let stand = try Stand(partitions: 1)
        var producer = try Producer(properties: stand.broker.properties)
        let topic = try producer.topic("observations")
        let value = [UInt8](repeating: 7, count: 40)
        for _ in 0..<90_000 {
            var failure: KafkaError?
            value.withUnsafeBytes { bytes in
                do throws(KafkaError) {
                    try producer.produce(
                        to: topic, partition: 0, key: nil, value: bytes, deadline: Deadline(milliseconds: 10_000))
                } catch { failure = error }
            }
            if let failure { throw failure }
        }
        try producer.flush(timeoutMilliseconds: 10_000)
        let definition = StageDefinition(stage: .twinUpdater, inboxes: [.observations], outputs: []) {
            configuration in
            TaskFactory(stage: .twinUpdater, incarnation: 1, fingerprint: 1) { task, _ in
                IdleTask(configuration.taskSetting(task))
            }
        }
        let line = try await measure(definition, stand, offset: 90_000, units: 90_000, "records")
        print("the shell alone: \(line)")
    }

    /// Runs a worker on this thread until a partition is committed to `offset`.
    private func measure(
        _ definition: StageDefinition, _ stand: Stand, offset: Int64, units: Int, _ unit: String
    ) async throws -> String {
        let configuration = try stand.configuration()
        let store = try SnapshotStores.open(configuration)
        let world = try KafkaWorld(configuration, inboxes: definition.inboxes, snapshots: store, log: quietLog())
        let worker = Worker(
            settings: configuration.loop, factory: definition.factory(configuration), world: world)
        let end = monotonicMilliseconds() + patienceMilliseconds
        while !worker.loop.isReady, monotonicMilliseconds() < end { _ = worker.step() }
        let (start, cpu) = (nanoseconds(CLOCK_MONOTONIC), nanoseconds(CLOCK_THREAD_CPUTIME_ID))
        while (worker.loop.partitions.first?.committed ?? 0) < offset, monotonicMilliseconds() < end {
            _ = worker.step()
        }
        let wall = Double(nanoseconds(CLOCK_MONOTONIC) - start) / 1e9
        let used = Double(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e9
        world.close(deadlineMilliseconds: 2_000)
        #expect(worker.loop.partitions.first?.committed == offset)
        return "\(units) \(unit) in \(Int(wall * 1_000)) ms, the worker's thread "
            + "\(Int(used / Double(units) * 1e9)) ns per \(unit.dropLast())"
    }

    private func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Takes records and does nothing.
private final class IdleTask: TaskLogic {
    let emitter: Emitter

    init(_ setting: TaskSetting) {
        emitter = Emitter(
            task: setting.task, incarnation: 1, layout: setting.layout, outputs: [],
            names: NameTable(namesMax: 1))
    }

    func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        emitter.begin(inputOffset: record.offset, muted: muted)
    }

    func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {}
    func freeze() -> StateWriter { StateWriter() }
    var watermark: EventTime? { nil }
    var stageCounters: [StageCounter] { [] }
}
