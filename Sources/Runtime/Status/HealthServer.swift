import Glibc
import Synchronization

/// A tiny HTTP server for probes: GET only, one connection at a time, each request bounded in size and time. Serves
/// `/health` (200, or 503 with the reason), `/status` (JSON) and `/metrics` (Prometheus' text format).
package final class HealthServer: Sendable {
    private static let requestBytesMax = 8_192
    private static let requestMillisecondsMax: Int64 = 2_000

    private let board: StatusBoard
    private let listener: Int32
    private let isStopping = Atomic<Bool>(false)
    /// Where it listens, with the port that the system picked.
    package let address: ListenAddress

    /// Binds and starts to serve on a thread of its own. Throws `refused`, naming the address.
    package init(_ board: StatusBoard, at wanted: ListenAddress) throws(StageFailure) {
        self.board = board
        (listener, address) = try Self.listen(wanted)
        let started = startThread(stackBytes: 512 << 10) { [self] in serve() }
        guard started else {
            close(listener)
            throw StageFailure(.broken, "the system gives no thread for the health server")
        }
    }

    /// Ends the server's thread within a fifth of a second.
    package func stop() { isStopping.store(true, ordering: .releasing) }

    private static func listen(_ wanted: ListenAddress) throws(StageFailure) -> (Int32, ListenAddress) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let hint = "give a free numeric address with health.listen"
        guard getaddrinfo(wanted.host, "\(wanted.port)", &hints, &found) == 0, let found else {
            throw StageFailure(.refused, "the health address '\(wanted)' is not numeric", hint: hint)
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(found.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard descriptor >= 0, bind(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0,
            Glibc.listen(descriptor, 16) == 0
        else {
            let code = errno
            if descriptor >= 0 { close(descriptor) }
            let words = code == EADDRINUSE ? "is in use" : "cannot be listened on (error \(code))"
            throw StageFailure(.refused, "the health address '\(wanted)' \(words)", hint: hint)
        }
        return (descriptor, ListenAddress(host: wanted.host, port: Self.port(of: descriptor) ?? wanted.port))
    }

    private static func port(of descriptor: Int32) -> UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes -> UInt16? in
            guard let base = bytes.baseAddress,
                getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0
            else { return nil }
            // The port stands at the same place in both families, in network order.
            return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
        }
    }

    private func serve() {
        defer { close(listener) }
        while !isStopping.load(ordering: .acquiring) {
            guard Self.wait(listener, POLLIN, milliseconds: 200) else { continue }
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { continue }
            answer(connection)
            close(connection)
        }
    }

    private static func wait(_ descriptor: Int32, _ event: Int32, milliseconds: Int64) -> Bool {
        var polled = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&polled, 1, Int32(clamping: max(milliseconds, 0))) > 0
    }

    private func answer(_ connection: Int32) {
        let deadline = monotonicMilliseconds() + Self.requestMillisecondsMax
        guard let request = Self.read(connection, deadline: deadline) else { return }
        let line = request.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
        var response: [UInt8]
        if parts.count != 3 || !parts[2].hasPrefix("HTTP/1") {
            response = Self.response(400, "Bad Request", "text/plain", Array("not an HTTP request\n".utf8))
        } else if parts[0] != "GET" {
            response = Self.response(405, "Method Not Allowed", "text/plain", Array("only GET\n".utf8))
        } else {
            response = respond(to: parts[1].prefix { $0 != "?" })
        }
        Self.write(&response, connection, deadline: deadline)
    }

    private func respond(to path: Substring) -> [UInt8] {
        switch path {
        case "/health":
            if let reason = board.unreadiness {
                return Self.response(503, "Service Unavailable", "text/plain", Array("\(reason)\n".utf8))
            }
            // An alarm is somebody's to look at; the worker is ready all the same.
            let alarms = board.current.alarms.map { "alarm \($0.kind.rawValue): \($0.detail)\n" }.joined()
            return Self.response(200, "OK", "text/plain", Array("ready\n\(alarms)".utf8))
        case "/status": return Self.response(200, "OK", "application/json", board.current.json())
        case "/metrics":
            return Self.response(200, "OK", "text/plain; version=0.0.4", Array(board.current.prometheus().utf8))
        default:
            return Self.response(404, "Not Found", "text/plain", Array("try /health, /status or /metrics\n".utf8))
        }
    }

    /// Everything up to the empty line; nil if it is too long or too slow.
    private static func read(_ connection: Int32, deadline: Int64) -> [UInt8]? {
        var request: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 2_048)
        let end = Array("\r\n\r\n".utf8)
        while request.count < requestBytesMax {
            guard wait(connection, POLLIN, milliseconds: deadline - monotonicMilliseconds()) else { return nil }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            request += buffer.prefix(count)
            if request.suffix(4) == end[...] { return request }
        }
        return nil
    }

    private static func write(_ bytes: inout [UInt8], _ connection: Int32, deadline: Int64) {
        var done = 0
        while done < bytes.count {
            guard wait(connection, POLLOUT, milliseconds: deadline - monotonicMilliseconds()) else { return }
            let count = bytes.withUnsafeBytes { all in
                let rest = UnsafeRawBufferPointer(rebasing: all[done...])
                return send(connection, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return }
            done += count
        }
    }

    private static func response(_ code: Int, _ words: String, _ type: String, _ body: [UInt8]) -> [UInt8] {
        let head =
            "HTTP/1.1 \(code) \(words)\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n"
            + "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + body
    }
}
