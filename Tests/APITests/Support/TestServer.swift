import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTesting
import Logging
import Messages
import NIOCore
import StageKit
import Testing
import TwinCore
import Views

@testable import API

/// Takes what the API writes, and folds it into the views as the pipeline's topics would.
final class LoopSink: OrderSink, @unchecked Sendable {
    private let lock = NSLock()
    private let folder: ViewFolder
    private var written: [OrderRecord] = []
    var failure: OrderError?

    init(_ store: ViewStore) { folder = ViewFolder(store) }

    var records: [OrderRecord] { lock.withLock { written } }

    func write(_ records: [OrderRecord]) async throws(OrderError) {
        if let failure { throw failure }
        lock.withLock {
            written += records
            for record in records { receive(record) }
        }
    }

    private func receive(_ record: OrderRecord) {
        (record.key ?? []).withUnsafeBytes { key in
            let written = EventTime(milliseconds: 1_795_000_000_000)
            guard let value = record.value else {
                return folder.receive(record.topic, key: key, value: nil, written: written)
            }
            value.withUnsafeBytes { folder.receive(record.topic, key: key, value: $0, written: written) }
        }
    }
}

/// A pipeline that is well.
struct HealthyPipeline: PipelineMonitor {
    var status: PipelineStatus {
        var status = PipelineStatus()
        status.isReady = true
        status.reason = nil
        status.topics = ViewFolder.topics.map { ViewReader.TopicProgress(topic: $0, records: 1, behind: 0) }
        return status
    }
}

/// Two days of `requests` between 20 and 180, a sample a minute, of whoever is asked for.
struct RecordedSine: RecordedSource {
    func read(_ samples: inout RecordedSamples, isStopping: () -> Bool) throws(PreviewError) {
        let resources = samples.resources.sorted()
        for minute in 0..<2_880 {
            let time = samples.to.advanced(byMilliseconds: Int64(minute - 2_880) * 60_000)
            for resource in resources {
                samples.take(
                    resource, "requests", code: SampleCode(role: .demand, isCounter: false), time: time,
                    value: 100 - 80 * cos(Double(minute) / 1_440 * 2 * .pi))
            }
        }
    }
}

/// The server in this process, without network and without broker.
struct TestServer {
    let store = ViewStore()
    let sink: LoopSink
    let services: Services
    let responder: Responder

    /// Tokens of a viewer, an operator and an admin, made anew in each process.
    static let tokens: [(role: Role, token: String, line: String)] = Role.allCases.map { role in
        let made = TokenFile.make(name: "test-\(role.text)", role: role)
        return (role, made.token, made.line)
    }

    init(
        access: Access = .open, origin: String? = nil, requestsPerSecond: Double = 1_000_000,
        files: StaticFiles = StaticFiles(), tenantTag: String = ""
    ) throws {
        sink = LoopSink(store)
        var settings = APISettings()
        settings.corsOrigin = origin
        settings.tenantTag = tenantTag
        let document = try Data(contentsOf: Self.documentURL)
        services = Services(
            settings: settings, store: store, hub: StreamHub(store), sink: sink, access: access,
            limiter: RateLimiter(requestsPerSecond: requestsPerSecond, burst: requestsPerSecond),
            audit: try AuditLog(path: nil, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }),
            files: files, document: [UInt8](document), monitor: HealthyPipeline(),
            previews: Previews(RecordedSine()))
        responder = Responder(services)
    }

    /// With the tokens of `tokens`.
    static func guarded() throws -> TestServer {
        let file = try TokenFile(text: tokens.map(\.line).joined(separator: "\n"))
        return try TestServer(access: Access(tokens: file))
    }

    /// The folder of the module's sources.
    static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources/API")

    static var documentURL: URL { sources.appendingPathComponent("openapi.yaml") }

    /// Runs the body with a client.
    func test(_ body: @Sendable (TestRequester) async throws -> Void) async throws {
        let app = Application(responder: responder, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await app.test(.router) { client in try await body(TestRequester(client: client)) }
    }

    /// Runs the body with the port of a server on the loopback interface.
    func listen(
        _ builder: HTTPServerBuilder = .http1(), _ body: @Sendable (Int) async throws -> Void
    ) async throws {
        let app = Application(
            responder: responder, server: builder,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await app.test(.live) { client in try await body(try #require(client.port)) }
    }

    /// Folds records of a topic, as JSON.
    func fold(_ topic: TopicName, key: String = "", _ json: String) {
        let folder = ViewFolder(store)
        Array(key.utf8).withUnsafeBytes { key in
            Array(json.utf8).withUnsafeBytes {
                folder.receive(topic, key: key, value: $0, written: EventTime(milliseconds: 1_795_000_000_000))
            }
        }
    }
}

/// An answer, read.
struct Answer {
    var status: Int
    var headers: HTTPFields
    var bytes: [UInt8]

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func json() throws -> JSONValue { try JSONValue(bytes) }
}

/// Asks the server.
struct TestRequester: Sendable {
    let client: any TestClientProtocol

    func callAsFunction(
        _ method: HTTPRequest.Method, _ uri: String, token: String? = nil, headers: HTTPFields = [:],
        body: String? = nil
    ) async throws -> Answer {
        try await self(method, uri, token: token, headers: headers, bytes: body.map { Array($0.utf8) })
    }

    func callAsFunction(
        _ method: HTTPRequest.Method, _ uri: String, token: String? = nil, headers: HTTPFields = [:],
        bytes: [UInt8]?
    ) async throws -> Answer {
        var fields = headers
        if let token { fields[.authorization] = "Bearer \(token)" }
        if bytes != nil, fields[.contentType] == nil { fields[.contentType] = "application/json" }
        let response = try await client.executeRequest(
            uri: uri, method: method, headers: fields, body: bytes.map { ByteBuffer(bytes: $0) })
        return Answer(
            status: Int(response.status.code), headers: response.headers, bytes: Array(response.body.readableBytesView))
    }
}
