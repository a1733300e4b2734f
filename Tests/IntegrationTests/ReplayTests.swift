import ArgumentParser
import Foundation
import Kafka
import Logging
import Messages
import Runtime
import StageKit
import Testing
import Topology
import TwinCore

@testable import CLI

/// A running stage behind one type.
struct RunningStage: Sendable {
    let board: StatusBoard
    let run: @Sendable () async throws -> Void
    let stop: @Sendable () -> Void
}

/// Makes services of stages.
struct ServiceMaker: StageVisitor {
    func visit<Logic: TaskLogic & SendableMetatype>(
        _ definition: StageDefinition<Logic>, _ configuration: RuntimeConfiguration
    ) throws -> RunningStage {
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = StageService(definition, configuration, log: log)
        return RunningStage(board: service.board, run: { try await service.run() }, stop: { service.requestStop() })
    }
}

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
            try StageCatalogue.visit(
                stage,
                arguments: [
                    "--namespace", broker.namespace, "--partitions", "2", "--clock", "event",
                    "--snapshots-url", "file://\(directory)", "--loop-snapshot-interval-milliseconds", "20",
                    "--snapshots-generations-kept", "900",
                    "--loop-commit-interval-milliseconds", "50",
                ] + broker.arguments, environment: [:], ServiceMaker())
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
        for stage in stages { stage.stop() }
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
    private func settle(_ stages: [RunningStage]) async throws {
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

@Suite("A stage replayed over its recorded inbox writes the same entries", .serialized)
struct ReplayTests {
    @Test("On the embedded broker, each stage, from the beginning and from a moment with a snapshot")
    func embedded() async throws {
        let broker = try EmbeddedBroker()
        let namespaces = ["live"] + StageName.allCases.flatMap { ["whole-\($0.text)", "part-\($0.text)"] }
        for namespace in namespaces {
            for topic in TopicName.allCases {
                let isSingle = topic == .policies || topic == .commands
                try broker.createTopic(
                    Topology.brokerName(topic, namespace: namespace), partitions: isSingle ? 1 : 2)
            }
        }
        try await check(bootstrap: broker.bootstrapServers, live: "live", suffix: "")
    }

    @Test(
        "On an outside broker, which makes the parallel topics itself",
        .enabled(if: ProcessInfo.processInfo.environment["TWINSCALE_TEST_BOOTSTRAP"] != nil))
    func outside() async throws {
        let bootstrap = ProcessInfo.processInfo.environment["TWINSCALE_TEST_BOOTSTRAP"] ?? ""
        let suffix = "-\(UInt32.random(in: 0..<1_000_000))"
        let admin = try Admin(properties: ["bootstrap.servers": bootstrap])
        try admin.createTopics(
            TopicName.allCases.map { topic in
                TopicSpecification(
                    name: Topology.brokerName(topic, namespace: "live\(suffix)"),
                    partitions: topic == .policies || topic == .commands ? 1 : 2)
            }, timeoutMilliseconds: 15_000)
        admin.close(deadline: Deadline(milliseconds: 1_000))
        try await Task.sleep(for: .seconds(1))
        try await check(bootstrap: bootstrap, live: "live\(suffix)", suffix: suffix)
    }

    private func check(bootstrap: String, live: String, suffix: String) async throws {
        var pipeline = try RecordedPipeline(bootstrap: bootstrap, namespace: live)
        defer { try? FileManager.default.removeItem(atPath: pipeline.directory) }
        try await pipeline.record(rounds: 40)
        let moment = "@\(pipeline.middle.timeIntervalSince1970)"
        for stage in StageName.allCases {
            let whole = try pipeline.replay(["--stage", stage.text, "--into", "whole-\(stage.text)\(suffix)"])
            #expect(whole.comparison?.differences == [], "\(stage.text) from the beginning")
            let entries = whole.comparison?.entriesCompared ?? 0
            if stage != .driftDetector { #expect(entries > 20, "\(stage.text)") }

            let part = try pipeline.replay([
                "--stage", stage.text, "--into", "part-\(stage.text)\(suffix)", "--from", moment, "--store",
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
            _ = try pipeline.replay(["--stage", "twin-updater", "--into", "whole-twin-updater\(suffix)"])
        }
    }
}
