import Foundation
import HTTPTypes
import Messages
import Scaling
import Testing
import TwinCore
import Views

@testable import API

/// Kinds of the ledger's records: every list of them holds all.
@Suite struct LedgerKindTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: TestServer.sources.appendingPathComponent(path), encoding: .utf8)
    }

    /// The words that the description of the API allows for a question of a route.
    private static func described(_ name: String, route: String) throws -> [String] {
        let parts = try text("openapi.yaml").components(separatedBy: "\n  \(route):\n")
        let lines = try #require(parts.last).split(separator: "\n").prefix(20)
        let line = try #require(lines.first { $0.contains("{name: \(name), in: query") })
        let words = try #require(line.firstMatch(of: /enum: \[([^\]]*)\]/)).1
        return words.components(separatedBy: ", ")
    }

    @Test func eachKindCanBeAskedForByItself() async throws {
        let server = try TestServer()
        for kind in LedgerKind.allCases {
            server.fold(
                .decisions, key: "web",
                #"{"id":"\#(kind)","type":"x","subject":"web","time":"2026-11-18T10:20:00Z","data":{"kind":"\#(kind)","#
                    + #""resource":"web"}}"#)
        }
        try await server.test { (ask) async throws in
            for kind in LedgerKind.allCases {
                let found = try await ask(.get, "/v1/decisions?kind=\(kind)").json()
                #expect(found["items"]?.elements.compactMap { $0["id"]?.text } == ["\(kind)"])
            }
            #expect(try await ask(.get, "/v1/decisions?kind=other").status == 400)
            for kind in DriftKind.allCases where kind != .none {
                #expect(try await ask(.get, "/v1/drift?kind=\(kind.text)").status == 200)
            }
        }
    }

    @Test func theDescriptionAndTheDashboardKnowThemAll() throws {
        #expect(try Self.described("kind", route: "/v1/decisions") == LedgerKind.allCases.map(\.rawValue))
        #expect(try Self.described("mode", route: "/v1/decisions") == PolicyMode.allCases.map(\.text))
        let drifts = DriftKind.allCases.filter { $0 != .none }.map(\.text)
        #expect(try Set(Self.described("kind", route: "/v1/drift")) == Set(drifts + ["restored"]))
        let page = try Self.text("Dashboard/pages/decisions.js")
        for kind in LedgerKind.allCases { #expect(page.contains("\n      \(kind): \""), "\(kind)") }
        let drift = try Self.text("Dashboard/pages/drift.js")
        for kind in drifts { #expect(drift.contains("\"\(kind)\""), "\(kind)") }
        let statuses = OutcomeSample.Status.allCases.map { "\($0)" }
        #expect(
            try Self.text("openapi.yaml").contains(
                "ActionStatus: {enum: [\((["pending"] + statuses + ["superseded"]).joined(separator: ", "))]}"))
    }

    @Test func theSchemaOfTheTopicKnowsThemAll() throws {
        let schema = try Self.text("../../topics/schemas/decision.schema.json")
        let value = try Array(schema.utf8).withUnsafeBytes { try JSONValue($0) }
        var kinds: [String] = []
        for member in value["$defs"]?.members ?? [] {
            let kind = member.value["properties"]?["kind"]
            kinds += (kind?["const"]?.text).map { [$0] } ?? kind?["enum"]?.elements.compactMap(\.text) ?? []
        }
        #expect(Set(kinds) == Set(LedgerKind.allCases.map(\.rawValue)) && kinds.count == LedgerKind.allCases.count)
    }
}
