import Foundation
import NIOCore
import Testing
import Views

@testable import API

/// Live events: who gets what, and who is sent away.
@Suite struct StreamTests {
    private func names(_ subscription: StreamHub.Subscription, _ hub: StreamHub) async -> [String] {
        hub.close()
        var found: [String] = []
        for await event in subscription.events {
            let text = String(decoding: event.readableBytesView, as: UTF8.self)
            found.append(String(text.prefix { $0 != "\n" }.dropFirst(7)))
        }
        return found
    }

    @Test func aClientGetsWhatItAskedFor() async throws {
        let server = try TestServer()
        SmallFleet.fill(server)
        let hub = server.services.hub
        let all = try #require(hub.subscribe(only: [], twins: []))
        let some = try #require(hub.subscribe(only: ["drift", "twin"], twins: ["web", "nobody"]))
        hub.publish("decision", [])
        hub.publish("drift", [])
        hub.publishTwins()
        // Nothing has changed since.
        hub.publishTwins()
        SmallFleet.fill(server)
        hub.publishTwins()
        #expect(hub.count == 2)
        #expect(await names(all, hub) == ["decision", "drift"])
        var rest: [String] = []
        for await event in some.events {
            rest.append(String(String(decoding: event.readableBytesView, as: UTF8.self).prefix { $0 != "\n" }))
        }
        #expect(rest == ["event: drift", "event: twin", "event: twin"])
        #expect(hub.subscribe(only: [], twins: []) == nil)
    }

    @Test func aSlowClientIsSentAwayAndTheOthersStay() async throws {
        let hub = StreamHub(ViewStore())
        let slow = try #require(hub.subscribe(only: [], twins: []))
        let picky = try #require(hub.subscribe(only: ["drift"], twins: []))
        for _ in 0...StreamHub.queueMax { hub.publish("decision", []) }
        #expect(hub.count == 1)
        #expect(hub.dropped == 1)
        hub.publish("drift", [])
        hub.unsubscribe(slow.id)
        #expect(hub.count == 1)
        var left = 0
        for await _ in slow.events { left += 1 }
        #expect(left == StreamHub.queueMax)
        #expect(await names(picky, hub) == ["drift"])
    }

    /// Over a real connection: whoever stops reading loses it, and nothing is kept for it.
    @Test func aClientThatReadsNoMoreLosesItsConnection() async throws {
        let server = try TestServer()
        let hub = server.services.hub
        try await server.listen { (port) async throws in
            let socket = try Socket(port: port)
            try socket.send("GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
            try await eventually { hub.count == 1 }
            // More than the buffers of both ends of a connection take.
            let event = [UInt8](repeating: UInt8(ascii: "1"), count: 65_536)
            try await eventually {
                hub.publish("decision", event)
                return hub.dropped == 1
            }
            #expect(hub.count == 0)
            try await eventually { socket.isEnded() }
        }
    }
}
