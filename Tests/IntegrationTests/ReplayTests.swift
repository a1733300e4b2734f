import ArgumentParser
import Foundation
import Kafka
import Logging
import Messages
import Runtime
import Simulation
import StageKit
import Synchronization
import Testing
import Topology
import TwinCore

@testable import CLI

/// A broker with the pipeline's topics, and the pipeline run over a recorded feed.
struct RecordedPipeline {
    let broker: BrokerOptions
    let directory: String
    /// Between the two halves of the feed.
    var middle = Date.distantPast

    init(bootstrap: String, namespace: String) throws {
        broker = try BrokerOptions.parse([
            "--bootstrap", bootstrap, "--namespace", namespace, "--kafka", "session.timeout.ms=6000",
        ])
        directory = NSTemporaryDirectory() + "twinscale-replay-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    /// Feeds twice, runs all five stages until they have taken all of it, and stops them.
    mutating func record(rounds: Int) async throws {
        let stages = try StageName.allCases.map { stage in
            let (definition, configuration) = try StageCatalogue.stage(
                stage,
                arguments: [
                    "--namespace", broker.namespace, "--partitions", "2", "--clock", "event",
                    "--snapshots-url", "file://\(directory)", "--loop-snapshot-interval-milliseconds", "20",
                    "--snapshots-generations-kept", "900",
                    "--loop-commit-interval-milliseconds", "50",
                ] + broker.arguments, environment: [:])
            return StageService(
                definition, configuration, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
        let running = stages.map { stage in Task { try await stage.run() } }
        let start = Int64(Date().timeIntervalSince1970 * 1_000) - Int64(rounds) * 120_000
        var fleet = FleetGenerator(resources: 12, metrics: 2, localities: 3, seed: 11)
        try feed(&fleet, rounds: 0..<rounds, start: start)
        try await settle(stages)
        middle = Date()
        try await Task.sleep(for: .milliseconds(50))
        try feed(&fleet, rounds: rounds..<(2 * rounds), start: start)
        try await settle(stages)
        for stage in stages { stage.requestStop() }
        for task in running { try await task.value }
    }

    private func feed(_ fleet: inout FleetGenerator, rounds: Range<Int>, start: Int64) throws {
        var producer = try Producer(properties: broker.properties)
        let topic = try producer.topic(Topology.brokerName(.telemetry, namespace: broker.namespace))
        let policies = try producer.topic(Topology.brokerName(.policies, namespace: broker.namespace))
        var failure: KafkaError?
        BenchFeed.policy(metric: "requests_per_second").withUnsafeBytes { value in
            do throws(KafkaError) {
                try producer.produce(
                    to: policies, partition: 0, key: UnsafeRawBufferPointer(rebasing: value[9..<12]), value: value,
                    deadline: Deadline(milliseconds: 10_000))
            } catch { failure = error }
        }
        for round in rounds {
            for resource in 0..<fleet.resources {
                var writer = JSONWriter()
                for metric in 0..<fleet.metrics {
                    fleet.write(
                        resource: resource, metric: metric, at: start + Int64(round) * 60_000, into: &writer)
                    writer.endLine()
                }
                writer.bytes.withUnsafeBytes { value in
                    do throws(KafkaError) {
                        try producer.produce(
                            to: topic, partition: fleet.partition(resource: resource, among: 2), key: nil, value: value,
                            deadline: Deadline(milliseconds: 10_000))
                    } catch { failure = error }
                }
            }
        }
        if let failure { throw failure }
        try producer.flush(timeoutMilliseconds: 10_000)
    }

    /// Waits until nothing moves any more and nobody is behind.
    private func settle(_ stages: [StageService]) async throws {
        let end = Date().addingTimeInterval(60)
        var last: [UInt64] = []
        var calm = 0
        while Date() < end {
            try await Task.sleep(for: .milliseconds(300))
            let states = stages.map(\.board.current)
            if let stopped = states.compactMap(\.stopped).first { throw ToolError("a stage stopped: \(stopped)") }
            let isRead = states.allSatisfy { state in
                state.isReady && !state.tasks.isEmpty && state.tasks.allSatisfy { $0.isCaughtUp && ($0.lag ?? 0) == 0 }
            }
            let folded = states.map { state in state.tasks.reduce(0) { $0 + UInt64(max($1.nextOffset, 0)) } }
            let hasStarted = states.allSatisfy { $0.recordsFolded > 0 }
            calm = isRead && hasStarted && folded == last ? calm + 1 : 0
            last = folded
            // The boards are published once a second.
            if calm >= 8 { return }
        }
        throw ToolError("the pipeline did not settle")
    }

    func replay(_ arguments: [String]) throws -> ReplayReport {
        let command = try ReplayCommand.parse(
            [
                "--bootstrap", broker.bootstrap, "--namespace", broker.namespace, "--verify",
                "--set", "loop-snapshot-interval-milliseconds=200",
            ] + arguments)
        return try Replay(command).run()
    }
}

@Suite("What is recorded, replayed", .serialized, .tags(.integration))
struct ReplayTests {
    /// Topics that a broker without requests for that must be given; the others make the parallel ones themselves.
    private static func createTopics(_ broker: any TestBroker, namespaces: [String]) throws {
        for namespace in namespaces {
            for topic in TopicName.allCases {
                let isSingle = topic == .policies || topic == .commands
                try broker.createTopic(
                    Topology.brokerName(topic, namespace: namespace), partitions: isSingle ? 1 : 2)
            }
        }
    }

    @Test(
        "Each stage writes the same entries again, from the beginning and from a moment with a snapshot",
        .timeLimit(.minutes(6)), arguments: BrokerKind.available)
    func everyStage(kind: BrokerKind) async throws {
        let directory = try TemporaryDirectory()
        let broker = try kind.start(directory)
        let parallel = StageName.allCases.flatMap { ["whole-\($0.text)", "part-\($0.text)"] }
        try Self.createTopics(broker, namespaces: ["live"] + (kind == .embedded ? parallel : []))
        var pipeline = try RecordedPipeline(bootstrap: broker.bootstrapServers, namespace: "live")
        defer { try? FileManager.default.removeItem(atPath: pipeline.directory) }
        try await pipeline.record(rounds: 40)
        let moment = "@\(pipeline.middle.timeIntervalSince1970)"
        for stage in StageName.allCases {
            let whole = try pipeline.replay(["--stage", stage.text, "--into", "whole-\(stage.text)"])
            #expect(whole.comparison?.differences == [], "\(stage.text) from the beginning")
            let entries = whole.comparison?.entriesCompared ?? 0
            if stage != .driftDetector { #expect(entries > 20, "\(stage.text)") }

            let part = try pipeline.replay([
                "--stage", stage.text, "--into", "part-\(stage.text)", "--from", moment, "--store",
                "file://\(pipeline.directory)",
            ])
            #expect(part.comparison?.differences == [], "\(stage.text) from the middle")
            #expect(part.comparison?.entriesCompared ?? 0 < max(entries, 1) || stage == .driftDetector)
            let starts = part.stages.flatMap { $0.state.recoveries.values }
            #expect(starts.contains { $0.usedSnapshot && $0.from > 0 }, "\(stage.text) began from a snapshot")
            #expect(starts.allSatisfy { $0.from <= $0.speakFrom })
        }
        // A second replay into the same namespace would mix; it is refused.
        #expect(throws: ToolError.self) {
            _ = try pipeline.replay(["--stage", "twin-updater", "--into", "whole-twin-updater"])
        }
    }

    @Test(
        "The whole chain ends when everything recorded has passed all stages, even if the broker hangs for a while",
        .timeLimit(.minutes(5)), arguments: BrokerKind.available)
    func chain(kind: BrokerKind) async throws {
        try await checking { findings in
            let run = try PipelineRun(kind, seed: PipelineRun.chooseSeed(), records: 1_500)
            say("seed \(run.seed): TWINSCALE_KILL_SEED=\(run.seed) repeats it")
            run.fleet.stageOptions = [:]
            try run.fleet.start(perStage: 1)
            let recorded = try run.finish(run.feed(seconds: 8))
            findings.expectNone(recorded.violations)
            let copy = Fleet(run.broker, layout: run.layout, directory: run.fleet.directory)
            copy.stageOptions = [:]
            copy.options = ["--namespace", "chain"]
            if kind == .embedded {
                for topic in TopicName.allCases where !topic.isRaw {
                    try run.broker.createTopic(
                        Topology.brokerName(topic, namespace: "chain"), partitions: Int(run.layout[topic]))
                }
            }
            let command = try ReplayCommand.parse([
                "--bootstrap", run.broker.bootstrapServers, "--stage", "all", "--into", "chain", "--json",
                "--store", "file://\(run.fleet.directory.path)/snapshots", "--set",
                "loop-snapshot-interval-milliseconds=500",
            ])
            let pauses = BrokerPauses(run.broker)
            let report = try Replay(command).run()
            try pauses.stop()
            findings.expect(report.stages.allSatisfy { $0.state.hasEnded }, "a stage has not ended")
            let contents = try TopicContents(run.broker, layout: run.layout, namespace: "chain", rawNamespace: "")
            // A stage that ended too early has not said all that its inbox makes it say.
            let verdict = try Verdict(contents, copy)
            run.report("chain replayed", verdict)
            findings.expectNone(verdict.violations)
            findings.expect(verdict.samples == recorded.samples, "other samples than the live twins")
            findings.expect(verdict.snapshotsCompared > 0, "no snapshot was taken")
            findings.expect(!contents.all(.decisions).isEmpty, "no decision")
        }
    }
}

/// Makes a broker unreachable again and again, for longer than anything would rest by itself.
private final class BrokerPauses: @unchecked Sendable {
    private let broker: any TestBroker
    private let stopping = Atomic<Bool>(false)
    private let failure = Mutex<String?>(nil)
    private let isDone = Atomic<Bool>(false)

    init(_ broker: any TestBroker) {
        self.broker = broker
        startThread { [self] in
            do {
                for _ in 0..<3 where !stopping.load(ordering: .relaxed) {
                    usleep(700_000)
                    try self.broker.interrupt()
                    usleep(2_500_000)
                    try self.broker.resume()
                }
            } catch { failure.withLock { $0 = "\(error)" } }
            isDone.store(true, ordering: .releasing)
        }
    }

    /// Waits for the last pause to be over.
    func stop() throws {
        stopping.store(true, ordering: .relaxed)
        while !isDone.load(ordering: .acquiring) { usleep(20_000) }
        if let words = failure.withLock({ $0 }) { throw Trouble(words) }
    }
}
