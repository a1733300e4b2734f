import Foundation
import Glibc
import Kafka
import StageKit
import Testing
import TwinCore

@Suite("Starting against what should not be", .serialized, .tags(.integration))
struct StartTests {
    /// How a process ended and what it said.
    struct Ending {
        var code: Int32?
        var text: String
    }

    /// Runs one stage's executable until it ends; code nil if it was still running after `secondsMax`.
    static func run(
        _ stage: StageName, _ arguments: [String], directory: TemporaryDirectory, secondsMax: Double = 30
    ) throws -> Ending {
        let log = "\(directory.path)/start.log"
        unlink(log)
        let process = try ChildProcess("\(Fleet.binaries)/\(stage.text)", arguments, log: log)
        _ = process.waitForExit(seconds: secondsMax)
        let code = process.isRunning ? nil : process.exitCode
        process.killNow()
        let text = tail(log, lines: 200)
        if getenv("TWINSCALE_TEST_LOG") != nil { say("\(stage.text) \(arguments.suffix(2)):\n\(tail(log, lines: 4))") }
        return Ending(code: code, text: text)
    }

    private static func setUp(
        topics: [TopicName] = TopicName.allCases, partitions: Int32 = 3
    ) throws -> (EmbeddedTestBroker, Fleet, TemporaryDirectory) {
        let directory = try TemporaryDirectory()
        let broker = try EmbeddedTestBroker()
        let layout = TopicLayout(partitions: partitions)
        for topic in topics { try broker.createTopic(topic.text, partitions: Int(layout[topic])) }
        return (broker, Fleet(broker, layout: layout, directory: directory), directory)
    }

    @Test("A missing topic is named, with the command that makes it", .timeLimit(.minutes(1)))
    func missingTopic() async throws {
        try await checking { findings in
            let (_, fleet, directory) = try Self.setUp(topics: TopicName.allCases.filter { $0 != .forecasts })
            let ending = try Self.run(.twinUpdater, fleet.arguments(.twinUpdater), directory: directory)
            findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains("topics are missing: forecasts"), ending.text)
            findings.expect(ending.text.contains("twinscale topics apply"), ending.text)
        }
    }

    @Test("Another partition count is named, both numbers with it", .timeLimit(.minutes(1)))
    func partitionCount() async throws {
        try await checking { findings in
            let (_, fleet, directory) = try Self.setUp()
            let ending = try Self.run(
                .twinUpdater, fleet.arguments(.twinUpdater) + ["--partitions", "5"], directory: directory)
            findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains("has 3 partitions, configured are 5"), ending.text)
        }
    }

    @Test("Without a broker the start ends in time and says where it looked", .timeLimit(.minutes(1)))
    func missingBroker() async throws {
        try await checking { findings in
            let directory = try TemporaryDirectory()
            let ending = try Self.run(
                .normalizer,
                ["--kafka", "bootstrap.servers=127.0.0.1:1", "--start-timeout-milliseconds", "1500"],
                directory: directory)
            findings.expect(ending.code == 3, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains("no Kafka broker answered at 127.0.0.1:1 within 1500 ms"), ending.text)
        }
    }

    @Test("Refused credentials are an error that does not print them", .timeLimit(.minutes(1)))
    func credentials() async throws {
        try await checking { findings in
            let (_, fleet, directory) = try Self.setUp()
            let ending = try Self.run(
                .twinUpdater,
                fleet.arguments(.twinUpdater) + [
                    "--kafka", "security.protocol=SASL_PLAINTEXT", "--kafka", "sasl.mechanisms=PLAIN",
                    "--kafka", "sasl.username=twin", "--kafka", "sasl.password=hunter2",
                    "--start-timeout-milliseconds", "4000",
                ], directory: directory)
            findings.expect(ending.code == 2 || ending.code == 3, "exit code \(ending.code ?? -1)")
            findings.expect(ending.text.contains("SASL") || ending.text.contains("credentials"), ending.text)
            findings.expect(!ending.text.contains("hunter2"), "the password is printed")
        }
    }

    @Test(
        "What cannot be configured is named", .timeLimit(.minutes(1)),
        arguments: [
            (["--partitons", "3"], "partitions"), (["--partitions", "many"], "whole number"),
            (["--kafka", "enable.auto.commit=true"], "enable.auto.commit"),
            (["--kafka", "bootstrap.server=x"], "bootstrap.server"),
            (["--snapshots-url", "s3://bucket"], "file:///directory or kafka:topic"),
            (["--rebuild-from-start"], "--incarnation 2"), (["--config", "/nowhere/twinscale.yaml"], "/nowhere"),
        ])
    func configuration(arguments: [String], expected: String) async throws {
        try await checking { findings in
            let directory = try TemporaryDirectory()
            let ending = try Self.run(.twinUpdater, arguments, directory: directory, secondsMax: 20)
            findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains(expected), ending.text)
        }
    }

    @Test("A log that has lost its beginning is refused, with the choices", .timeLimit(.minutes(2)))
    func lostBeginning() async throws {
        try await checking { findings in
            let (broker, fleet, directory) = try Self.setUp()
            try Self.overfill(broker, "observations")
            let ending = try Self.run(.twinUpdater, fleet.arguments(.twinUpdater), directory: directory)
            findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains("the log starts at offset"), ending.text)
            findings.expect(ending.text.contains("--rebuild-from-start"), ending.text)
        }
    }

    @Test("Snapshots of a log that was made anew are refused, with the choices", .timeLimit(.minutes(2)))
    func recreatedTopic() async throws {
        try await checking { findings in
            let run = try PipelineRun(.embedded, seed: 3, records: 600)
            try run.fleet.start(perStage: 1)
            let verdict = try run.finish(run.feed(seconds: 6))
            findings.expectNone(verdict.violations)
            // Another broker with empty topics of the same names, and the snapshots of the first.
            let fresh = try EmbeddedTestBroker()
            for topic in TopicName.allCases { try fresh.createTopic(topic.text, partitions: Int(run.layout[topic])) }
            let arguments =
                run.fleet.arguments(.twinUpdater) + [
                    "--kafka", "bootstrap.servers=\(fresh.bootstrapServers)",
                ]
            let ending = try Self.run(.twinUpdater, arguments, directory: run.fleet.directory)
            findings.expect(ending.code == 2, "exit code \(ending.code ?? -1): \(ending.text)")
            findings.expect(ending.text.contains("lies beyond the log's end"), ending.text)
            findings.expect(ending.text.contains("raise the topic's epoch"), ending.text)
        }
    }

    @Test("A worker that retention has overtaken stops and says so", .timeLimit(.minutes(2)))
    func overtaken() async throws {
        try await checking { findings in
            let (broker, fleet, _) = try Self.setUp()
            let slot = try fleet.add(.twinUpdater)
            guard let process = fleet.slots[slot].process else { throw Trouble("no process") }
            let joined = monotonicSeconds() + 20
            while !tail(fleet.log(fleet.slots[slot]), lines: 100).contains("task recovered"),
                monotonicSeconds() < joined
            {
                usleep(50_000)
            }
            process.send(SIGSTOP)
            try Self.overfill(broker, "observations")
            process.send(SIGCONT)
            findings.expect(process.waitForExit(seconds: 60), "it goes on as if nothing were missing")
            let text = tail(fleet.log(fleet.slots[slot]), lines: 20)
            findings.expect(process.exitCode == 2 || process.exitCode == 3, "\(process.ending)\n\(text)")
            findings.expect(text.contains("offset"), text)
            if getenv("TWINSCALE_TEST_LOG") != nil { say(text) }
        }
    }

    /// Writes more than the embedded broker keeps into partition 0, so that its log no longer starts at 0.
    private static func overfill(_ broker: any TestBroker, _ topic: String) throws {
        var properties = broker.properties
        properties["compression.type"] = "none"
        var producer = try Producer(properties: properties)
        for _ in 0..<16 {
            try producer.write(topic, 0, key: nil, Array(repeating: 0, count: 600_000))
            try producer.flush(timeoutMilliseconds: 20_000)
        }
        producer.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
    }
}
