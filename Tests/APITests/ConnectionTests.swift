import Testing
import Views

@testable import API

/// Who holds connections, and for how long.
@Suite struct ConnectionTests {
    private static func limits(all: Int, perClient: Int, headMilliseconds: Int64 = 60_000) -> Connections.Limits {
        Connections.Limits(all: all, perClient: perClient, headMilliseconds: headMilliseconds)
    }

    private func listen(
        _ connections: Connections, _ body: @Sendable (Int, TestServer) async throws -> Void
    ) async throws {
        let server = try TestServer()
        try await server.listen(try APIServer.builder(certificate: "", key: "", connections: connections)) {
            (port) async throws in try await body(port, server)
        }
    }

    @Test(arguments: [(20, 1_000), (1_000, 20)])
    func halfRequestsKeepNobodyOut(all: Int, perClient: Int) async throws {
        let connections = Connections(Self.limits(all: all, perClient: perClient))
        try await listen(connections) { (port, _) async throws in
            var half: [Socket] = []
            for _ in 0..<200 {
                let socket = try Socket(port: port)
                try? socket.send("GET /health HTT")
                half.append(socket)
                if half.count % 20 == 0 {
                    // A connection of its own: one that is kept for the next request waits like the half ones.
                    let whole = try Socket(port: port)
                    try whole.send("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                    try await eventually { whole.isEnded() }
                    #expect(whole.received.contains("ready"))
                }
            }
            #expect(connections.count <= 20)
            try await eventually { half.prefix(150).allSatisfy { $0.isEnded() } }
        }
    }

    @Test func aHeadThatTakesTooLongEndsTheConnectionAndAStreamStays() async throws {
        let connections = Connections(Self.limits(all: 100, perClient: 100, headMilliseconds: 200))
        try await listen(connections) { (port, server) async throws in
            let stream = try Socket(port: port)
            try stream.send("GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
            try await eventually { server.services.hub.count == 1 }
            let (silent, half, done) = (try Socket(port: port), try Socket(port: port), try Socket(port: port))
            try half.send("GET /health HTT")
            try done.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            try await eventually { silent.isEnded() && half.isEnded() && done.isEnded() }
            #expect(!stream.isEnded())
            // A client hears of the end a little before the server has done with it.
            try await eventually { connections.count == 1 }
            // A stream has no end of its own.
            server.services.hub.close()
            try await eventually { stream.isEnded() }
        }
    }

    @Test func whoIsAnsweredStaysAndWhoWaitsLongestGoes() throws {
        let connections = Connections(Self.limits(all: 3, perClient: 2))
        let first = try #require(connections.open(client: "a") {})
        let second = try #require(connections.open(client: "a") {})
        connections.note(first, isWaiting: false)
        connections.note(second, isWaiting: false)
        #expect(connections.open(client: "a") {} == nil)
        connections.note(first, isWaiting: true)
        let third = try #require(connections.open(client: "a") {})
        #expect(connections.count == 2)
        // The first was closed already; its end takes nothing from the others.
        connections.closed(first)
        #expect(connections.count == 2)
        connections.closed(second)
        connections.closed(third)
        #expect(connections.count == 0)
        for _ in 0..<9 { _ = try #require(connections.open(client: "b") {}) }
        #expect(connections.count == 2)
    }
}
