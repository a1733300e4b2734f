import Foundation
import HTTPTypes
import Messages
import NIOCore
import TestKit
import Testing
import TwinCore
import Views

@testable import API

/// Whatever comes from outside is answered, never obeyed by accident, and never crashes.
@Suite struct HostileTests {

    private static let bodies = [
        #"{"match":{"class":"service","tags":{"zone":"a"}},"mode":"act","replicas":{"min":1,"max":9},"quantile":0.9}"#,
        #"{"verb":"set","resource":"web","value":5,"until":"2026-11-18T12:00:00Z","reason":"because"}"#,
        #"{"start":"2026-11-27T06:00:00Z","end":"2026-11-27T22:00:00Z","#
            + #""scope":{"key":"cluster","value":"x"},"kind":"k"}"#,
        #"[{"resource":"web","metric":"cpu","value":0.5,"ts":1795521600,"tags":{"a":"b"}}]"#,
        #"{"source":"web","target":"cart","ts":1795521600,"rate":12.5}"#,
        #"{"action":"a-1","resource":"web","status":"ready","readyReplicas":5,"ts":1795521600}"#,
    ]

    /// A body with some bytes changed, cut, doubled or nested.
    private static func mutated(_ text: String, _ random: inout SeededRandom) -> String {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(place...)
            case 2: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
            case 3: bytes.insert(contentsOf: Array(repeating: UInt8(ascii: "["), count: 100), at: place)
            case 4: bytes.insert(contentsOf: Array("1e308".utf8), at: place)
            default: bytes.insert(contentsOf: Array(#"\u0000<script>alert(1)</script>"#.utf8), at: place)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: 1...8) func mutatedBodiesAreAnsweredWithoutServerErrors(seed: UInt64) async throws {
        let server = try TestServer()
        SmallFleet.fill(server)
        try await server.test { (ask) async throws in
            var random = SeededRandom(seed: seed)
            let routes = Routes.all(APISettings()).filter { $0.method == .post || $0.method == .put }
            for _ in 0..<60 {
                for route in routes where !route.template.hasSuffix("/preview") {
                    guard let body = Self.bodies.randomElement(using: &random) else { continue }
                    let path = AuthorisationTests.path(route.template)
                    let sent = Self.mutated(body, &random)
                    let answer = try await ask(route.method, path, body: sent)
                    #expect(answer.status < 500, "seed \(seed): \(route.method) \(path) \(sent)")
                    if answer.status >= 400 {
                        #expect(answer.headers[.contentType] == "application/problem+json")
                        let problem = try answer.json()
                        #expect(problem["status"]?.integer == answer.status)
                    }
                }
            }
            #expect(try await ask(.get, "/v1/policies").status == 200)
        }
    }

    @Test(arguments: 1...8) func mutatedRecordsLeaveTheViewsWhole(seed: UInt64) async throws {
        let server = try TestServer()
        SmallFleet.fill(server)
        var random = SeededRandom(seed: seed)
        let records: [(TopicName, String)] = [
            (.twins, SmallFleet.summary("web")), (.decisions, SmallFleet.decision("web", id: "d", proposal: "p")),
            (.actions, SmallFleet.action("a", resource: "web")), (.drift, SmallFleet.drift("r", resource: "web")),
            (.policies, Self.bodies[0]), (.commands, #"{"id":"c","verb":"pause","resource":"web"}"#),
            (.environment, Self.bodies[2]), (.deadletters, #"{"id":"x","stage":"s","reason":"r"}"#),
            (.outlooks, "no frame"), (.forecasts, "no frame"),
        ]
        for _ in 0..<300 {
            guard let (topic, text) = records.randomElement(using: &random) else { continue }
            server.fold(topic, key: "web", Self.mutated(text, &random))
        }
        try await server.test { (ask) async throws in
            for route in Routes.all(APISettings()) where route.method == .get && route.template != "/v1/stream" {
                let path = route.template.replacing("{resource}", with: "web").replacing("{name}", with: "web")
                let answer = try await ask(.get, AuthorisationTests.path(path) + "?from=web&days=1")
                #expect(answer.status < 500, "seed \(seed): \(path): \(answer.text)")
            }
        }
    }

    @Test(arguments: 1...8) func mutatedPathsAndQueriesAreAnswered(seed: UInt64) async throws {
        let server = try TestServer()
        SmallFleet.fill(server)
        var random = SeededRandom(seed: seed)
        var paths: [String] = []
        let parts = [
            "%", "%2", "%ff", "%00", "..", "%2e%2e", "a%2Fb", "web", "é", "+", "&", "=", "?", "x=1", "limit=-1",
            "limit=99999999999999999999", "at=2026-13-45T99:99:99Z", "at=1e400", "cursor=-5", "horizonSeconds=nan",
        ]
        for _ in 0..<200 {
            var path = "/v1/twins/"
            for _ in 0..<Int.random(in: 1...6, using: &random) { path += parts.randomElement(using: &random) ?? "" }
            paths.append(path)
        }
        try await server.test { [paths] (ask) async throws in
            for path in paths where path.allSatisfy({ $0.isASCII }) {
                #expect(try await ask(.get, path).status < 500, "seed \(seed): \(path)")
            }
        }
    }

    @Test func markupInNamesStaysText() async throws {
        let server = try TestServer()
        let name = "<img src=x onerror=alert(1)>"
        server.fold(.twins, key: name, SmallFleet.summary("x"))
        try await server.test { (ask) async throws in
            let answer = try await ask(.get, "/v1/twins")
            #expect(answer.headers[.contentType] == "application/json")
            #expect(answer.headers[.xContentTypeOptions] == "nosniff")
            let metrics = try await ask(.get, "/metrics").text
            #expect(!metrics.contains("\nonerror"))
        }
    }

    @Test func anEventOfTheStreamIsOneEventWhateverItHolds() {
        let event = StreamHub.event("decision", Array("{\n\"a\":\r\n1}\n\nevent: forged\ndata: {}".utf8))
        let lines = String(decoding: event.readableBytesView, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 4)
        #expect(lines[0] == "event: decision")
    }
}
