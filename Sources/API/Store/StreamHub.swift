import Messages
import NIOCore
import Synchronization
import TwinCore
import Views

/// Live events to many clients. Each has a bounded queue; whoever does not keep up is disconnected, and comes again.
package final class StreamHub: Sendable {
    /// Events that wait for one client at most.
    static let queueMax = 256
    static let clientsMax = 1_000
    /// Twins that one client follows.
    static let twinsMax = 32
    /// Names of events, for `only`.
    static let names = [
        "hello", "fleet", "twin", "decision", "action", "drift", "policy", "command", "event", "deadletter",
    ]

    /// A client's queue.
    struct Subscription: Sendable {
        let id: UInt64
        let events: AsyncStream<NIOCore.ByteBuffer>
    }

    private struct Client {
        let only: [String]
        let queue: AsyncStream<NIOCore.ByteBuffer>.Continuation
        /// Its connection: whoever writes to it may be waiting for a client that reads no more.
        let disconnect: @Sendable () -> Void
        /// Twins that it follows, with the version it has seen.
        var twins: [(name: String, version: UInt64)]
    }

    private struct State {
        var clients: [UInt64: Client] = [:]
        var lastID: UInt64 = 0
        var dropped: UInt64 = 0
        var isOpen = true
    }

    private let state = Mutex(State())
    private let store: ViewStore
    /// No client, no work: read without the lock for each record that is folded.
    private let clientCount = Atomic<Int>(0)

    package init(_ store: ViewStore) { self.store = store }

    package var count: Int { clientCount.load(ordering: .relaxed) }

    /// Clients that were disconnected because they were too slow.
    package var dropped: UInt64 { state.withLock { $0.dropped } }

    /// A new client, and how to be rid of it; nil if there are too many.
    func subscribe(
        only: [String], twins: [String], _ disconnect: @escaping @Sendable () -> Void = {}
    ) -> Subscription? {
        let (stream, queue) = AsyncStream.makeStream(
            of: NIOCore.ByteBuffer.self, bufferingPolicy: .bufferingOldest(Self.queueMax))
        let id = state.withLock { state -> UInt64? in
            guard state.isOpen, state.clients.count < Self.clientsMax else { return nil }
            state.lastID += 1
            state.clients[state.lastID] = Client(
                only: only, queue: queue, disconnect: disconnect, twins: twins.map { ($0, .max) })
            return state.lastID
        }
        guard let id else { return nil }
        clientCount.add(1, ordering: .relaxed)
        return Subscription(id: id, events: stream)
    }

    func unsubscribe(_ id: UInt64) {
        let client = state.withLock { $0.clients.removeValue(forKey: id) }
        guard let client else { return }
        clientCount.subtract(1, ordering: .relaxed)
        client.queue.finish()
    }

    /// Sends every client away and takes no more.
    package func close() {
        let clients = state.withLock { state in
            state.isOpen = false
            defer { state.clients = [:] }
            return state.clients
        }
        for client in clients { client.value.queue.finish() }
        clientCount.store(0, ordering: .relaxed)
    }

    /// One event in the format of the stream; JSON has no line feeds.
    static func event(_ name: String, _ json: [UInt8]) -> NIOCore.ByteBuffer {
        var buffer = NIOCore.ByteBuffer()
        buffer.reserveCapacity(json.count + name.utf8.count + 16)
        buffer.writeString("event: ")
        buffer.writeString(name)
        buffer.writeString("\ndata: ")
        // A record from a topic may have been written over several lines.
        if json.contains(where: { $0 == 0x0a || $0 == 0x0d }) {
            buffer.writeBytes(json.lazy.map { $0 == 0x0a || $0 == 0x0d ? 0x20 : $0 })
        } else {
            buffer.writeBytes(json)
        }
        buffer.writeString("\n\n")
        return buffer
    }

    /// Sends an event to all who want it.
    func publish(_ name: String, _ json: @autoclosure () -> [UInt8]) {
        guard count > 0 else { return }
        let event = Self.event(name, json())
        send { client in client.only.isEmpty || client.only.contains(name) ? [event] : [] }
    }

    /// Sends a comment to all, so that a dead connection is noticed on both sides.
    func publishComment() {
        guard count > 0 else { return }
        let comment = NIOCore.ByteBuffer(string: ": \n\n")
        send { _ in [comment] }
    }

    /// Gives each client what `choose` picks for it, and disconnects those whose queue is full.
    private func send(_ choose: (inout Client) -> [NIOCore.ByteBuffer]) {
        let slow = state.withLock { state -> [Client] in
            var slow: [Client] = []
            for id in Array(state.clients.keys) {
                guard var client = state.clients[id] else { continue }
                var isSlow = false
                for event in choose(&client) {
                    if case .dropped = client.queue.yield(event) { isSlow = true }
                }
                if isSlow {
                    state.clients[id] = nil
                    state.dropped += 1
                    slow.append(client)
                } else {
                    state.clients[id] = client
                }
            }
            return slow
        }
        for client in slow {
            clientCount.subtract(1, ordering: .relaxed)
            client.queue.finish()
            client.disconnect()
        }
    }

    /// Tells what the folder found.
    package func publish(_ notice: Notice) {
        func json(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
            var writer = JSONWriter()
            write(&writer)
            return writer.bytes
        }
        switch notice {
        case .decision(let text): publish("decision", text)
        case .drift(let text): publish("drift", text)
        case .action(let action): publish("action", json { action.write(into: &$0) })
        case .policy(let policy): publish("policy", json { policy.write(into: &$0) })
        case .command(let command): publish("command", json { command.write(into: &$0) })
        case .event(let event): publish("event", json { event.write(into: &$0) })
        case .deadletter(let letter): publish("deadletter", letter)
        }
    }

    /// Sends each follower the twins that have changed. Called once a second.
    func publishTwins() {
        guard count > 0 else { return }
        var made: [String: (version: UInt64, event: NIOCore.ByteBuffer)] = [:]
        let wanted = state.withLock { state in
            state.clients.values.reduce(into: Set<String>()) { $0.formUnion($1.twins.map(\.name)) }
        }
        for name in wanted {
            made[name] = store.withTwin(name) { twin in
                (twin.version, Self.event("twin", TwinJSON.line(twin)))
            }
        }
        send { client in
            guard client.only.isEmpty || client.only.contains("twin") else { return [] }
            var events: [NIOCore.ByteBuffer] = []
            for index in client.twins.indices {
                guard let found = made[client.twins[index].name], found.version != client.twins[index].version else {
                    continue
                }
                client.twins[index].version = found.version
                events.append(found.event)
            }
            return events
        }
    }
}
