import Foundation
import Kafka
import Logging
import Runtime
import StageKit
import Testing
import TwinCore
import Views

@testable import API

/// Orders and views over a broker, as in production.
@Suite(.timeLimit(.minutes(2))) struct BrokerTests {
    private static func configuration(
        _ broker: EmbeddedBroker, _ more: [String] = []
    ) throws -> ProgramConfiguration {
        let sources = try ConfigurationSources(
            keys: ProgramConfiguration.knownKeys(APIKeys.all), stage: "twin-api",
            stages: StageName.allCases.map(\.text),
            arguments: ["--partitions", "2", "--kafka", "bootstrap.servers=\(broker.bootstrapServers)"] + more,
            environment: [:])
        return try ProgramConfiguration(keys: APIKeys.all, sources: sources)
    }

    private static func broker() throws -> EmbeddedBroker {
        let broker = try EmbeddedBroker()
        let layout = TopicLayout(partitions: 2)
        for topic in TopicName.allCases {
            try broker.createTopic(topic.text, partitions: Int(layout[topic]))
        }
        return broker
    }

    /// Waits until something holds; false if it has not within 30 s.
    private static func wait(_ condition: () -> Bool) async throws -> Bool {
        for _ in 0..<600 {
            if condition() { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    /// A reader over fresh views.
    private static func reader(_ configuration: ProgramConfiguration) -> (ViewReader, ViewStore) {
        let store = ViewStore()
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return (ViewReader(configuration, historyHours: 24, store: store, hub: StreamHub(store), log: log), store)
    }

    @Test func whatIsOrderedIsSeenByEveryInstance() async throws {
        let broker = try Self.broker()
        let configuration = try Self.configuration(broker)
        let sink = KafkaOrderSink(configuration)
        let policy = #"{"name":"shop","version":1,"mode":"act"}"#
        try await sink.write([OrderRecord(.policies, key: Array("shop".utf8), value: Array(policy.utf8))])
        let (early, earlyStore) = Self.reader(configuration)
        let (late, lateStore) = Self.reader(configuration)
        #expect(early.start())
        #expect(try await Self.wait { early.current.isReady })
        #expect(earlyStore.orders.withLock { $0.policy("shop")?.version } == 1)
        // What comes later is seen too, and one that starts later sees the same.
        let command = #"{"id":"c-1","verb":"pause","resource":"web","owner":"ann","ts":"2026-11-18T10:00:00Z"}"#
        try await sink.write([
            OrderRecord(.commands, key: Array("c-1".utf8), value: Array(command.utf8)),
            OrderRecord(.twins, key: Array("web".utf8), value: Array(SmallFleet.summary("web").utf8)),
            OrderRecord(.policies, key: Array("shop".utf8), value: nil),
        ])
        #expect(late.start())
        for store in [earlyStore, lateStore] {
            #expect(try await Self.wait { store.withTwin("web") { _ in true } ?? false })
            #expect(try await Self.wait { store.orders.withLock { !$0.recentCommands(on: "web", limit: 1).isEmpty } })
            #expect(try await Self.wait { store.orders.withLock { $0.policy("shop") == nil } })
        }
        #expect(try await Self.wait { late.current.topics.allSatisfy { $0.behind == 0 } })
        early.stop()
        late.stop()
    }

    @Test func anInstanceGoesOnFromASnapshotOfAnother() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("views-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let broker = try Self.broker()
        let configuration = try Self.configuration(broker, ["--api-views-snapshot", path])
        let sink = KafkaOrderSink(configuration)
        func summary(_ name: String) -> OrderRecord {
            OrderRecord(.twins, key: Array(name.utf8), value: Array(SmallFleet.summary(name).utf8))
        }
        try await sink.write([summary("web")])
        let (first, firstStore) = Self.reader(configuration)
        #expect(first.start())
        #expect(try await Self.wait { firstStore.withTwin("web") { _ in true } ?? false && first.current.isReady })
        first.stop()
        #expect(FileManager.default.fileExists(atPath: path), "written at the end")
        try await sink.write([summary("db")])
        let (second, secondStore) = Self.reader(configuration)
        #expect(second.start())
        #expect(try await Self.wait { secondStore.withTwin("db") { _ in true } ?? false })
        #expect(secondStore.names() == ["db", "web"])
        #expect(second.current.topics.first { $0.topic == .twins }?.records == 1, "web was not read again")
        second.stop()
    }

    @Test func aBrokerThatGoesAwayIsSaidAndComesBackWithoutLoss() async throws {
        let broker = try Self.broker()
        let configuration = try Self.configuration(broker)
        let (reader, store) = Self.reader(configuration)
        #expect(reader.start())
        #expect(try await Self.wait { reader.current.isReady })
        try broker.takeDown()
        #expect(try await Self.wait { !reader.current.isReady })
        // It is said for as long as it is so.
        for _ in 0..<60 {
            #expect(!reader.current.isReady)
            #expect(reader.current.reason?.hasPrefix("brokerUnreachable: ") == true)
            try await Task.sleep(for: .milliseconds(50))
        }
        try broker.bringUp()
        #expect(try await Self.wait { reader.current.isReady })
        let summary = Array(SmallFleet.summary("db").utf8)
        try await KafkaOrderSink(configuration).write([OrderRecord(.twins, key: Array("db".utf8), value: summary)])
        #expect(try await Self.wait { store.withTwin("db") { _ in true } ?? false })
        reader.stop()
    }
}
