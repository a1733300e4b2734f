import ArgumentParser
import Foundation
import HummingbirdCore
import Testing
import TwinCore
import Views

@testable import API
@testable import CLI

/// The subcommands that ask a server, over a real connection.
@Suite struct RemoteCommandTests {
    /// What a command line prints.
    private static func run(_ url: String, _ arguments: [String]) async throws -> String {
        let parsed = try TwinscaleCommand.parseAsRoot(arguments + ["--server", url])
        let command = try #require(parsed as? any RemoteCommand, "\(arguments)")
        return try await command.output()
    }

    private static func shop(
        _ server: TestServer? = nil,
        _ body: @Sendable (@Sendable ([String]) async throws -> String) async throws -> Void
    ) async throws {
        let server = try server ?? TestServer()
        SmallFleet.fill(server)
        try await server.listen { port in
            try await body { try await run("http://127.0.0.1:\(port)", $0) }
        }
    }

    @Test(arguments: [
        (["twin", "list"], ["RESOURCE", "cart", "shop-1"]),
        (["twin", "fleet", "--within", "60"], ["At risk", "NEEDED OF READY, 60 MIN", "130.6 %"]),
        (["twin", "show", "web"], ["Metrics", "requests", "more is coming", "calls"]),
        (["twin", "history", "web"], ["CAPACITY", "160"]),
        (["twin", "forecast", "web"], ["99.9 %", "RARE SEEN", "60 min"]),
        (["twin", "accuracy", "web", "--horizon", "60"], ["100 %"]), (["graph", "edges"], ["cart", "50"]),
        (["graph", "paths", "web", "--to", "db"], ["web → cart → db"]), (["graph", "localities"], ["zone", "shop-1"]),
        (["decisions", "list"], ["4 → 5", "more is coming"]), (["decisions", "waiting"], ["p-1", "db"]),
        (["decisions", "show", "d-web"], ["\"kind\": \"decision\""]), (["actions", "list"], ["a-1", "3 → 4"]),
        (["actions", "show", "a-1"], ["\"status\": \"pending\""]), (["actions", "effect"], ["By resource"]),
        (["drift"], ["level", "higher"]), (["policy", "list"], ["every resource is observed"]),
        (["event", "list"], ["Nothing is planned."]), (["commands"], ["No orders."]),
    ])
    func aQuestionIsAnsweredAsTableAndAsJSON(arguments: [String], words: [String]) async throws {
        try await Self.shop { (ask) async throws in
            let text = try await ask(arguments)
            for word in words { #expect(text.contains(word), "\(arguments): \(text)") }
            for line in try await ask(arguments + ["--json"]).split(separator: "\n") {
                #expect(throws: Never.self) { try JSONValue(Array(line.utf8)) }
            }
        }
    }

    @Test func listsAreFollowedOverPages() async throws {
        try await Self.shop { (ask) async throws in
            #expect(try await ask(["twin", "list", "--tag", "zone:a", "--json"]).split(separator: "\n").count == 2)
            let two = try await ask(["twin", "list", "--limit", "2"])
            #expect(two.contains("there are more"))
            #expect(!two.contains("web"))
        }
    }

    @Test func aPolicyIsCheckedComparedWrittenAndRolledBack() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("policy-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func file(_ name: String, _ text: String) throws -> String {
            let url = folder.appendingPathComponent(name)
            try Data(text.utf8).write(to: url)
            return url.path
        }
        let first = try file("first.yaml", "match: {class: service}\nmode: act\ncapacityPerReplica: 40\n")
        let second = try file(
            "second.json", #"{"match":{"tags":{"zone":"a"}},"mode":"observe","capacityPerReplica":40}"#)
        let wrong = try file("wrong.yaml", "mode: maybe\n")
        let nobodys = try file("nobodys.yaml", "match: {class: queue}\ncapacityPerReplica: 40\n")
        try await Self.shop { (ask) async throws in
            #expect(try await ask(["policy", "validate", "shop", first]) == "valid")
            #expect(try await ask(["policy", "validate", "shop", wrong]).hasPrefix("not valid: "))
            #expect(try await ask(["policy", "put", "shop", first]) == "shop is version 1 now")
            let diff = try await ask(["policy", "diff", "shop", second])
            #expect(diff.contains("match.tags.zone") && diff.contains("lost") && diff.contains("db"))
            #expect(try await ask(["policy", "put", "shop", second, "--if-version", "1"]) == "shop is version 2 now")
            await #expect(throws: ToolError.self) {
                try await ask(["policy", "put", "shop", second, "--if-version", "1"])
            }
            #expect(try await ask(["policy", "get", "shop"]).contains("\"mode\": \"observe\""))
            #expect(try await ask(["policy", "rollback", "shop"]) == "shop is version 3 now")
            #expect(try await ask(["policy", "get", "shop"]).contains("\"mode\": \"act\""))
            #expect(try await ask(["policy", "delete", "shop"]) == "shop is withdrawn")
            await #expect(throws: ToolError.self) { try await ask(["policy", "get", "shop"]) }
            #expect(try await ask(["policy", "put", "queues", nobodys]).contains("but it matches no twin"))
        }
    }

    @Test func ordersAndEventsAreSent() async throws {
        let server = try TestServer()
        try await Self.shop(server) { (ask) async throws in
            let paused = try await ask(["pause", "web", "--direction", "down", "--reason", "sale"])
            #expect(paused.hasPrefix("pauseDown web"))
            #expect(try await ask(["resume", "--policy", "shop"]).hasPrefix("resume shop"))
            #expect(try await ask(["override", "web", "--floor", "3"]).hasPrefix("floor web"))
            #expect(try await ask(["approve", "p-1"]).hasPrefix("approve p-1"))
            #expect(try await ask(["reject", "p-1"]).hasPrefix("reject p-1"))
            #expect(try await ask(["commands", "--resource", "web"]).contains("pauseDown"))
            for unknown in [["approve", "nosuch"], ["pause", "nosuch"]] {
                let error = await #expect(throws: ToolError.self) { try await ask(unknown) }
                #expect(error?.reason.contains("'nosuch'") == true)
            }
            let added = try await ask([
                "event", "add", "sale", "--start", "2026-11-27T06:00:00Z", "--end", "2026-11-27T22:00:00Z", "--scope",
                "cluster:shop-1", "--kind", "campaign", "--uplift", "1.8",
            ])
            #expect(added.contains("cluster:shop-1"))
            #expect(try await ask(["event", "show", "sale"]).contains("1.8"))
            #expect(try await ask(["event", "cancel", "sale"]).contains("called off  yes"))
        }
        let verbs = server.sink.records.filter { $0.topic == .commands }.compactMap { record in
            (try? JSONValue(record.value ?? []))?["verb"]?.text
        }
        #expect(verbs == ["pauseDown", "resume", "floor", "approve", "reject"])
    }

    @Test func whatIsWrongIsSaidWithAWayOut() async throws {
        try await Self.shop(try TestServer.guarded()) { (ask) async throws in
            let error = await #expect(throws: ToolError.self) { try await ask(["twin", "list"]) }
            #expect(error?.reason == "no token was sent, and the server wants one")
            #expect(error?.hint?.contains("TWINSCALE_TOKEN") == true)
        }
        try await Self.shop { (ask) async throws in
            let error = await #expect(throws: ToolError.self) { try await ask(["twin", "show", "no body/../x"]) }
            #expect(error?.reason == "there is no twin 'no body/../x'")
        }
        let nobody = await #expect(throws: ToolError.self) {
            try await Self.run("http://127.0.0.1:1", ["twin", "list"])
        }
        #expect(nobody?.reason == "no server answers at http://127.0.0.1:1")
    }

    @Test func aTokenIsTakenFromItsFileAndNeverSentInTheClear() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("token-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let (viewer, operatorToken) = (TestServer.tokens[0].token, TestServer.tokens[1].token)
        try Data("\(viewer)\n".utf8).write(to: URL(fileURLWithPath: path))
        try await Self.shop(try TestServer.guarded()) { (ask) async throws in
            #expect(try await ask(["twin", "list", "--token-file", path]).contains("web"))
            let refused = await #expect(throws: ToolError.self) {
                try await ask(["pause", "web", "--token-file", path])
            }
            try Data("nobody's\n".utf8).write(to: URL(fileURLWithPath: path))
            let stranger = await #expect(throws: ToolError.self) {
                try await ask(["twin", "list", "--token-file", path])
            }
            #expect(stranger?.reason == "the server does not know you")
            #expect(refused?.reason.contains("operator") == true)
        }
        var options = try ServerOptions.parse(["--server", "http://far.example"])
        let clear = #expect(throws: ToolError.self) {
            try ServerAddress(options, environment: ["TWINSCALE_TOKEN": operatorToken])
        }
        #expect(clear.map { "\($0)".contains(operatorToken) } == false)
        options = try ServerOptions.parse(["--server", "https://far.example/"])
        let address = try ServerAddress(options, environment: ["TWINSCALE_TOKEN": operatorToken])
        #expect(address.url == "https://far.example")
        #expect(address.token == operatorToken)
    }

    @Test func aFileOfTheUserIsReadBelowEnvironmentAndOptions() throws {
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("home-\(UUID().uuidString)")
        let folder = home.appendingPathComponent(".config/twinscale")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: home) }
        let file = folder.appendingPathComponent("cli.yaml")
        try Data("server: https://filed.example\n".utf8).write(to: file)
        func url(_ arguments: [String], _ environment: [String: String] = [:]) throws -> String {
            let all = environment.merging(["HOME": home.path]) { one, _ in one }
            return try ServerAddress(try ServerOptions.parse(arguments), environment: all).url
        }
        #expect(try url([]) == "https://filed.example")
        #expect(try url([], ["TWINSCALE_SERVER": "https://set.example"]) == "https://set.example")
        let option = ["--server", "http://[::1]:8"]
        #expect(try url(option, ["TWINSCALE_SERVER": "https://set.example"]) == "http://[::1]:8")
        try Data("sever: https://filed.example\n".utf8).write(to: file)
        #expect(throws: ToolError.self) { try url([]) }
        #expect(throws: ToolError.self) { try url(["--server", "ftp://x"]) }
    }

    @Test func anOrderWithoutAnAnswerMayStillTakeEffect() async throws {
        let port = try SilentPort()
        func fault(_ words: [String]) async throws -> ToolError? {
            let command = try TwinscaleCommand.parseAsRoot(
                words + ["--server", "http://127.0.0.1:\(port.number)", "--timeout", "1"])
            let remote = try #require(command as? any RemoteCommand)
            return await #expect(throws: ToolError.self) { try await remote.output() }
        }
        #expect(try await fault(["pause", "web"])?.reason.contains("may still take effect") == true)
        #expect(try await fault(["twin", "list"])?.reason.contains("may still take effect") == false)
    }

    @Test func namesAreEscapedInAddresses() {
        let target = Remote.target(["v1", "twins", "a/b ü"], [("q", "x&y"), ("none", nil)])
        #expect(target == "/v1/twins/a%2Fb%20%C3%BC?q=x%26y")
        #expect(Remote.target([".."], []) == "/%2E%2E")
    }
}
