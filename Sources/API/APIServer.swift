import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import Runtime
import ServiceLifecycle
import TwinCore
import UnixSignals
import Views

/// The server with everything that it is made of, as configured.
struct APIServer {
    private let configuration: ProgramConfiguration
    private let address: ListenAddress
    private let services: Services
    private let reader: ViewReader
    private let monitor: KafkaPipelineMonitor
    private let builder: HTTPServerBuilder
    private let log: Logger

    /// Longest address and header field: far beyond what is taken, so that what is too long can be told so.
    private static let headerBytesMax = 65_536
    /// Seconds that a connection may be silent.
    private static let idleSeconds: Int64 = 60

    /// Throws `refused` for a configuration that would be unsafe, or names what is not there.
    init(_ configuration: ProgramConfiguration, log: Logger) throws {
        self.configuration = configuration
        self.log = log
        guard let address = try ListenAddress.parse(configuration.text("api.listen"), key: "api.listen") else {
            throw StageFailure(.refused, "'api.listen' is empty", hint: "write 127.0.0.1:8080")
        }
        self.address = address
        let access = try AccessSettings.access(configuration, log: log)
        if access.isOpen, !SecurityHeaders.isLoopback(address: address.host) {
            throw StageFailure(
                .refused, "'\(address)' can be reached from elsewhere, and no authentication is configured",
                hint: "give api.auth.tokens or api.auth.oidc.*, or listen on a loopback address")
        }
        let store = ViewStore(limits: APIKeys.limits(configuration))
        let hub = StreamHub(store)
        reader = ViewReader(
            configuration, historyHours: configuration.number("api.views.historyHours"), store: store, hub: hub,
            log: log)
        monitor = KafkaPipelineMonitor(configuration, reader: reader, log: log)
        var settings = APISettings()
        settings.namespace = configuration.naming.namespace
        settings.isTLS = !configuration.text("api.tls.certificate").isEmpty
        settings.bodyBytesMax = configuration.integer("api.limits.bodyBytesMax")
        settings.tenantTag = configuration.text("api.tenantTag")
        settings.previewSamplesMax = configuration.integer("api.preview.samplesMax")
        settings.metricsTwinsMax = configuration.integer("api.metrics.twinsMax")
        let origin = configuration.text("api.cors.origin")
        if !origin.isEmpty { settings.corsOrigin = origin }
        let audit = configuration.text("api.audit")
        services = Services(
            settings: settings, store: store, hub: hub, sink: KafkaOrderSink(configuration), access: access,
            limiter: RateLimiter(
                requestsPerSecond: configuration.number("api.limits.requestsPerSecond"),
                burst: configuration.number("api.limits.burst")),
            audit: try AuditLog(path: audit.isEmpty ? nil : audit, log: log),
            files: try Self.files(configuration, log: log), document: try Self.document(), monitor: monitor,
            previews: Previews(KafkaRecordedSource(configuration)))
        builder = try Self.builder(
            certificate: configuration.text("api.tls.certificate"), key: configuration.text("api.tls.key"),
            connections: Connections(
                Connections.Limits(
                    all: configuration.integer("api.limits.connectionsMax"),
                    perClient: configuration.integer("api.limits.connectionsPerClientMax"),
                    headMilliseconds: Int64(configuration.number("api.limits.headSeconds") * 1_000))))
    }

    private static func files(_ configuration: ProgramConfiguration, log: Logger) throws(StageFailure) -> StaticFiles {
        let folder = configuration.text("api.dashboard")
        guard let root = folder.isEmpty ? StaticFiles.resource("Dashboard") : folder else { return StaticFiles() }
        var files = try StaticFiles(folder: root)
        let d3 = configuration.text("api.d3")
        if !files.add(script: "lib/d3.min.js", from: d3) {
            log.warning(
                "the dashboard will show nothing, as d3 cannot be read",
                metadata: ["file": "\(d3)", "hint": "install Debian's node-d3, or give api.d3"])
        }
        return files
    }

    private static func document() throws(StageFailure) -> [UInt8] {
        guard let path = StaticFiles.resource("openapi.yaml"), let data = FileManager.default.contents(atPath: path)
        else {
            throw StageFailure(
                .refused, "the folder twinscale_API.resources is not beside the program",
                hint: "install it there; the build makes it")
        }
        return [UInt8](data)
    }

    /// HTTP/1.1, over TLS where a certificate is given.
    static func builder(
        certificate: String, key: String, connections: Connections = Connections()
    ) throws -> HTTPServerBuilder {
        let plain = HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [HeadLimit(connections)],
                idleTimeout: .seconds(idleSeconds),
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: headerBytesMax, maxHeaderListSize: 2 * headerBytesMax,
                    maxHeaderFieldCount: 100)))
        guard !certificate.isEmpty else { return plain }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
            let key = try NIOSSLPrivateKey(file: key, format: .pem)
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            tls.minimumTLSVersion = .tlsv12
            return try .tls(plain, tlsConfiguration: tls)
        } catch {
            throw StageFailure(
                .refused, "TLS cannot be set up: \(error)", hint: "check api.tls.certificate and api.tls.key")
        }
    }

    /// Serves until a signal comes.
    func run() async throws {
        guard reader.start(), monitor.start(), services.access.start() else {
            throw StageFailure(.broken, "the system gives no thread to read topics and tokens")
        }
        defer {
            services.hub.close()
            services.previews.stop()
            services.access.stop()
            monitor.stop()
            reader.stop()
        }
        var quiet = log
        quiet.logLevel = max(log.logLevel, .notice)
        let (log, path) = (self.log, configuration.text("api.addressFile"))
        let scheme = services.settings.isTLS ? "https" : "http"
        let app = Application(
            responder: Responder(services), server: builder,
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: Int(address.port)), serverName: nil),
            services: [Ticker(services)],
            onServerRunning: { channel in
                guard let port = channel.localAddress?.port else { return }
                let host = channel.localAddress?.ipAddress ?? "127.0.0.1"
                let text = "\(scheme)://\(ListenAddress(host: host, port: UInt16(clamping: port)))"
                log.notice("server listens", metadata: ["address": "\(text)"])
                if !path.isEmpty { try? Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic) }
            }, logger: quiet)
        do {
            try await app.runService()
        } catch let error as IOError {
            throw StageFailure(
                .refused, "'\(address)' cannot be listened on: \(String(cString: strerror(error.errnoCode)))",
                hint: "give a free address with api.listen")
        }
    }
}

/// Once a second: what has changed goes to those who listen.
private struct Ticker: Service {
    private let services: Services
    private static let commentSeconds = 15
    private static let fleetLimit = 20

    init(_ services: Services) { self.services = services }

    func run() async throws {
        var seconds = 0
        var last: [UInt8] = []
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) } } catch { break }
            seconds += 1
            guard services.hub.count > 0 else { continue }
            services.hub.publishTwins()
            let fleet = Reply.fleet(services, limit: Self.fleetLimit)
            if fleet != last {
                services.hub.publish("fleet", fleet)
                last = fleet
            }
            if seconds % Self.commentSeconds == 0 { services.hub.publishComment() }
        }
        // Streams have no end of their own; with them open the server would not shut down.
        services.hub.close()
    }
}
