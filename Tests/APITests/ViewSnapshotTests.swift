import Foundation
import HTTPTypes
import Kafka
import StageKit
import TestKit
import Testing
import TwinCore
import Views

@testable import API

/// Views that are written and read back answer as before.
@Suite struct ViewSnapshotTests {
    private static func file() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("views-\(UUID().uuidString)").path
    }

    /// The small shop with a policy, a command with its answer, and an event.
    private static func shop() throws -> TestServer {
        let server = try TestServer()
        SmallFleet.fill(server)
        server.fold(.policies, key: "shop", #"{"name":"shop","version":3,"mode":"act","match":{"class":"service"}}"#)
        server.fold(.policies, key: "shop", #"{"name":"shop","version":4,"mode":"observe"}"#)
        server.fold(.commands, #"{"id":"c-1","verb":"pause","resource":"web","ts":"2026-11-18T10:00:00Z"}"#)
        server.fold(
            .decisions,
            #"{"id":"d-c","subject":"web","time":"2026-11-18T10:31:00Z","data":{"kind":"commandAccepted","#
                + #""command":"c-1","verb":"pause"}}"#)
        server.fold(
            .environment,
            #"{"id":"sale","start":"2026-11-27T06:00:00Z","end":"2026-11-27T22:00:00Z","kind":"campaign","#
                + #""scope":{"key":"cluster","value":"shop-1"},"uplift":1.8}"#)
        return server
    }

    private static let paths = [
        "/v1/fleet?horizonSeconds=3600", "/v1/twins", "/v1/twins/web", "/v1/twins/db", "/v1/twins/web/history",
        "/v1/twins/web/forecast", "/v1/twins/web/accuracy", "/v1/graph", "/v1/decisions", "/v1/proposals",
        "/v1/actions", "/v1/drift", "/v1/policies", "/v1/policies/shop/versions", "/v1/commands", "/v1/events",
        "/v1/deadletters", "/v1/localities", "/v1/effectiveness",
    ]

    private static func answers(_ server: TestServer) async throws -> [String] {
        nonisolated(unsafe) var answers: [String] = []
        try await server.test { (ask) async throws in
            for path in paths {
                let answer = try await ask(.get, path)
                #expect(answer.status == 200, "\(path)")
                answers.append(answer.text)
            }
        }
        return answers
    }

    @Test func everyAnswerIsTheSameAfterwards() async throws {
        let path = Self.file()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let before = try Self.shop()
        let positions = [KafkaPartition("outlooks", 1): Int64(42), KafkaPartition("twins", 0): 7]
        let snapshot = ViewSnapshot(path: path, origin: 9)
        try snapshot.write(before.store, positions)
        let after = try TestServer()
        #expect(try snapshot.read(into: after.store) == positions)
        let (old, new) = (try await Self.answers(before), try await Self.answers(after))
        for (index, path) in Self.paths.enumerated() { #expect(new[index] == old[index], "\(path)") }
        // What follows is folded as it would have been.
        for server in [before, after] { server.fold(.decisions, SmallFleet.decision("web", id: "d-later")) }
        #expect(try await Self.answers(before) == Self.answers(after))
    }

    @Test func aDamagedOrForeignFileIsNotTakenOver() throws {
        let path = Self.file()
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try ViewSnapshot(path: path, origin: 9).read(into: ViewStore()) == nil)
        try ViewSnapshot(path: path, origin: 9).write(try Self.shop().store, [:])
        #expect(throws: ViewSnapshot.Fault.self) { try ViewSnapshot(path: path, origin: 8).read(into: ViewStore()) }
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var bytes = whole
            if Bool.random(using: &random) {
                bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))
            } else {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            try bytes.write(to: URL(fileURLWithPath: path))
            let store = ViewStore()
            #expect(throws: ViewSnapshot.Fault.self, "seed \(seed)") {
                try ViewSnapshot(path: path, origin: 9).read(into: store)
            }
            #expect(store.names().isEmpty)
        }
    }
}
