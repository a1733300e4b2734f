import ArgumentParser
import Foundation

/// `twinscale health`: one question to a stage's health server, for containers and scripts.
package struct HealthCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask a running stage whether it is well.",
        discussion: """
            Prints what the stage answers at /health. Exit code 0 if it is well, 1 if it is not, 2 if nobody answers; \
            a container's health check can call it. A stage listens where its setting health.listen says.
            """)

    @Option(help: ArgumentHelp("Where the stage listens: IPv4 address and port.", valueName: "address:port"))
    var address = "127.0.0.1:9464"

    @Option(help: ArgumentHelp("How long to wait for an answer.", valueName: "seconds"))
    var timeout = 4

    package init() {}

    package func validate() throws {
        if Self.endpoint(address) == nil { throw ValidationError("--address is of the form 127.0.0.1:9464") }
        if !(1...60).contains(timeout) { throw ValidationError("--timeout is 1 to 60 seconds") }
    }

    package func run() throws {
        guard let endpoint = Self.endpoint(address), let answer = Self.ask(endpoint, seconds: timeout),
            let (status, body) = Self.parse(answer)
        else { throw failure("no stage answers at \(address); is it running, and is health.listen set?") }
        print(body.trimmingCharacters(in: .whitespacesAndNewlines))
        if status != 200 { throw ExitCode(1) }
    }

    /// Host and port of `host:port`; nil if that is not what it says.
    private static func endpoint(_ text: String) -> sockaddr_in? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        var endpoint = sockaddr_in()
        endpoint.sin_family = sa_family_t(AF_INET)
        endpoint.sin_port = port.bigEndian
        let host = parts[0] == "localhost" ? "127.0.0.1" : String(parts[0])
        return inet_pton(AF_INET, host, &endpoint.sin_addr) == 1 ? endpoint : nil
    }

    /// Bytes of an answer at most; a health server says a line.
    private static let answerBytesMax = 65_536

    private static func ask(_ endpoint: sockaddr_in, seconds: Int) -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var wait = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, size)
        let isConnected = withUnsafeBytes(of: endpoint) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { address in
                address.baseAddress.map { connect(descriptor, $0, socklen_t(bytes.count)) == 0 } ?? false
            }
        }
        let request = Array("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n".utf8)
        guard isConnected, send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
        else { return nil }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while answer.count < answerBytesMax {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 { return nil }
            if count == 0 { break }
            answer.append(contentsOf: chunk[..<count])
        }
        return String(decoding: answer, as: UTF8.self)
    }

    /// Status and body of an HTTP answer; nil for anything else.
    package static func parse(_ answer: String) -> (status: Int, body: String)? {
        guard answer.hasPrefix("HTTP/1."), let end = answer.range(of: "\r\n\r\n") else { return nil }
        let words = answer.prefix { $0 != "\r\n" }.split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else { return nil }
        return (status, String(answer[end.upperBound...]))
    }
}
