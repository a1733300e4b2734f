import AsyncHTTPClient
import Foundation
import Messages
import NIOCore
import NIOHTTP1
import NIOSSL
import Views

/// A running twin-api.
struct Remote: Sendable {
    /// A longer answer is refused.
    private static let answerBytesMax = 64 << 20
    /// Entries of one request for a page.
    private static let pageMax = 1_000

    private let address: ServerAddress
    private let client: HTTPClient
    private let seconds: Int64

    /// Runs the body with a server to ask, and lets go of it.
    static func with<R>(
        _ options: ServerOptions, _ body: (Remote) async throws -> R
    ) async throws -> R {
        let address = try ServerAddress(options)
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.timeout.connect = .seconds(Int64(min(options.timeout, 10)))
        if let ca = address.ca {
            do {
                var tls = TLSConfiguration.makeClientConfiguration()
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(ca))
                configuration.tlsConfiguration = tls
            } catch {
                throw ToolError("the certificates in '\(ca)' cannot be read")
            }
        }
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let result: Result<R, any Error>
        do {
            result = .success(try await body(Remote(address: address, client: client, seconds: Int64(options.timeout))))
        } catch {
            result = .failure(error)
        }
        try? await client.shutdown()
        return try result.get()
    }

    /// What a request does.
    enum Method: String { case get = "GET", post = "POST", put = "PUT", delete = "DELETE" }

    /// What the server says, without a body where it has nothing to say.
    struct Answer: Sendable {
        var value: JSONValue
        /// Without quotes.
        var tag: String?
    }

    /// Reads.
    func get(_ path: [String], _ query: [(String, String?)] = []) async throws -> JSONValue {
        try await ask(.get, path, query).value
    }

    /// Sends anything; nil as body sends none.
    func ask(
        _ method: Method, _ path: [String], _ query: [(String, String?)] = [], body: JSONValue? = nil,
        ifMatch: String? = nil
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: address.url + Self.target(path, query))
        request.method = HTTPMethod(rawValue: method.rawValue)
        request.headers.add(name: "accept", value: "application/json")
        if let token = address.token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        if let ifMatch { request.headers.add(name: "if-match", value: "\"\(ifMatch)\"") }
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(body.bytes)
        }
        let response: HTTPClientResponse
        let bytes: [UInt8]
        do {
            response = try await client.execute(request, timeout: .seconds(seconds))
            bytes = Array((try await response.body.collect(upTo: Self.answerBytesMax)).readableBytesView)
        } catch { throw unreachable(error, method) }
        let value = try? JSONValue(bytes)
        guard (200..<300).contains(response.status.code) else { throw refusal(Int(response.status.code), value) }
        guard let value = bytes.isEmpty ? .null : value else {
            throw ToolError("\(address.url) answers, but not as twin-api does", hint: "check the address")
        }
        let tag = response.headers.first(name: "etag")?.filter { $0 != "\"" }
        return Answer(value: value, tag: tag)
    }

    /// Follows the pages of a list up to `limit` entries that are wanted.
    func list(
        _ path: [String], _ query: [(String, String?)] = [], limit: Int,
        where isWanted: (JSONValue) -> Bool = { _ in true }
    ) async throws -> (items: [JSONValue], hasMore: Bool) {
        var items: [JSONValue] = []
        var cursor: String?
        repeat {
            let count = min(limit - items.count, Self.pageMax)
            let page = try await get(path, query + [("limit", String(count)), ("cursor", cursor)])
            items += (page["items"]?.elements ?? []).prefix(count).filter(isWanted)
            cursor = page["next"]?.text
        } while cursor != nil && items.count < limit
        return (items, cursor != nil)
    }

    // MARK: addresses

    /// Path and query, everything outside RFC 3986's unreserved characters escaped.
    static func target(_ path: [String], _ query: [(String, String?)]) -> String {
        let pairs = query.compactMap { name, value in value.map { "\(name)=\(escaped($0))" } }
        return path.map { "/" + escaped($0) }.joined() + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&"))
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"),
                UInt8(ascii: "."):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        // A path of dots would be taken for a way up.
        return result.allSatisfy { $0 == "." } ? result.replacing(".", with: "%2E") : result
    }

    // MARK: errors

    func unreachable(_ error: any Error, _ method: Method) -> ToolError {
        let failure = error as? HTTPClientError
        return switch error {
        case is NIOTooManyBytesError: ToolError("the answer is larger than \(Self.answerBytesMax) bytes")
        case _ where method != .get && (failure == .deadlineExceeded || failure == .readTimeout):
            ToolError(
                "\(address.url) does not answer within \(seconds) s; what was sent may still take effect",
                hint: "look whether it did before you send it again, or wait longer with --timeout")
        case _ where failure == .deadlineExceeded || failure == .readTimeout:
            ToolError("\(address.url) does not answer within \(seconds) s", hint: "wait longer with --timeout")
        case _ where error is NIOSSLError || error is NIOSSLExtraError || failure == .tlsHandshakeTimeout:
            ToolError(
                "no trusted connection to \(address.url): \(printable("\(error)", bytesMax: 300))",
                hint: "name the certificates that it is signed with: --ca FILE")
        default:
            ToolError(
                "no server answers at \(address.url)",
                hint: "does twin-api run there? Name another with --server URL or TWINSCALE_SERVER")
        }
    }

    private func refusal(_ status: Int, _ problem: JSONValue?) -> ToolError {
        let detail = problem?["detail"]?.text.map { printable($0) }
        return switch status {
        case 401:
            ToolError(
                address.token == nil ? "no token was sent, and the server wants one" : "the server does not know you",
                hint: "give your token: TWINSCALE_TOKEN or --token-file FILE; an admin makes one with twin-api token")
        case 403: ToolError("you may not do that: \(detail ?? "no reason given")")
        case 404 where problem?["code"] == nil:
            ToolError("there is no twin-api at \(address.url)", hint: "check the address")
        case 404: ToolError(detail ?? "there is no such thing")
        case 412: ToolError("it was changed meanwhile: \(detail ?? "")", hint: "look at what is there and try again")
        case 429, 503:
            ToolError("the server cannot do it now: \(detail ?? "status \(status)")", hint: "try again in a moment")
        case 500...: ToolError("the server failed: \(detail ?? "status \(status)")", hint: "see its log")
        default: ToolError(detail ?? "the server refuses it with status \(status)")
        }
    }
}
