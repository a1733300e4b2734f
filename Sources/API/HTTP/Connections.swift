import NIOCore
import NIOHTTPTypes
import Synchronization

/// All open connections, by client. Where one more would be too many, whoever has waited longest for a client's next
/// request makes room: half a request, or silence, never keeps others out. A connection that is being answered stays.
final class Connections: Sendable {
    /// How many there may be, and how long one may take for the head of a request.
    struct Limits: Sendable {
        var all = 2_000
        var perClient = 500
        var headMilliseconds: Int64 = 10_000
    }

    /// What is known of one connection.
    private struct Connection {
        let client: String
        let close: @Sendable () -> Void
        /// Its turn among those that wait for a request; nil while one is being answered.
        var waitsSince: UInt64?
    }

    private struct State {
        var open: [UInt64: Connection] = [:]
        var byClient: [String: Int] = [:]
        /// Numbers connections and the turns of those that wait.
        var last: UInt64 = 0
    }

    let limits: Limits
    private let state = Mutex(State())

    init(_ limits: Limits = Limits()) { self.limits = limits }

    /// How many are open.
    var count: Int { state.withLock { $0.open.count } }

    /// Takes a connection, at the price of another one where there are too many; nil if there is no room.
    func open(client: String, close: @escaping @Sendable () -> Void) -> UInt64? {
        let (number, closing) = state.withLock { (state) -> (UInt64?, (@Sendable () -> Void)?) in
            let isCrowd = state.byClient[client, default: 0] >= limits.perClient
            var evicted: (@Sendable () -> Void)?
            if isCrowd || state.open.count >= limits.all {
                guard let oldest = Self.oldestWaiting(state, of: isCrowd ? client : nil) else { return (nil, nil) }
                evicted = state.open[oldest]?.close
                Self.forget(oldest, &state)
            }
            state.last += 1
            state.open[state.last] = Connection(client: client, close: close, waitsSince: state.last)
            state.byClient[client, default: 0] += 1
            return (state.last, evicted)
        }
        closing?()
        return number
    }

    private static func oldestWaiting(_ state: State, of client: String?) -> UInt64? {
        var oldest: (number: UInt64, since: UInt64)?
        for (number, connection) in state.open where client == nil || connection.client == client {
            guard let since = connection.waitsSince, since < oldest?.since ?? .max else { continue }
            oldest = (number, since)
        }
        return oldest?.number
    }

    private static func forget(_ number: UInt64, _ state: inout State) {
        guard let client = state.open.removeValue(forKey: number)?.client else { return }
        let left = state.byClient[client, default: 1] - 1
        state.byClient[client] = left > 0 ? left : nil
    }

    /// A request is being answered from now on, or the next one is waited for.
    func note(_ number: UInt64, isWaiting: Bool) {
        state.withLock { state in
            state.last += 1
            state.open[number]?.waitsSince = isWaiting ? state.last : nil
        }
    }

    /// The connection is gone.
    func closed(_ number: UInt64) { state.withLock { Self.forget(number, &$0) } }
}

/// Watches one connection: closes it where a request's head takes too long, counted from the connection's begin, a TLS
/// handshake included, or from the end of the answer before.
final class HeadLimit: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let connections: Connections
    private var number: UInt64?
    /// Requests whose answers have not ended.
    private var answering = 0
    private var timer: Scheduled<Void>?

    init(_ connections: Connections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        number = connections.open(client: channel.remoteAddress?.ipAddress ?? "-") {
            channel.close(mode: .all, promise: nil)
        }
        guard number != nil else { return channel.close(mode: .all, promise: nil) }
        startTimer(channel)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        if let number { connections.closed(number) }
    }

    private func startTimer(_ channel: any Channel) {
        timer = channel.eventLoop.scheduleTask(in: .milliseconds(connections.limits.headMilliseconds)) {
            channel.close(mode: .all, promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) {
            answering += 1
            timer?.cancel()
            if let number, answering == 1 { connections.note(number, isWaiting: false) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let isEnd = if case .end = unwrapOutboundIn(data) { true } else { false }
        context.write(data, promise: promise)
        guard isEnd else { return }
        answering -= 1
        guard answering <= 0 else { return }
        answering = 0
        if let number { connections.note(number, isWaiting: true) }
        startTimer(context.channel)
    }
}
