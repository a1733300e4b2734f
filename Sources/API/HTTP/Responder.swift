import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Runtime
import TwinCore
import Views

/// What a request brings beside itself.
package struct APIContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The client's address without the port; nil where there is no network.
    let address: String?
    /// Ends the client's connection at once.
    let disconnect: @Sendable () -> Void

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        address = source.channel.remoteAddress?.ipAddress
        let channel = source.channel
        disconnect = { channel.close(mode: .all, promise: nil) }
    }
}

/// Answers every request: finds the route, asks who it is, reads the body, and dresses the answer. Everything that all
/// routes share stands here.
package struct Responder: HTTPResponder {
    /// What comes beside a request.
    package typealias Context = APIContext

    /// Paths longer than this are nobody's.
    private static let pathBytesMax = 4_096

    private let services: Services
    private let table: RouteTable
    private let headers: HTTPFields

    /// Answers with these services.
    package init(_ services: Services) {
        self.services = services
        table = RouteTable(routes: Routes.all(services.settings))
        headers = SecurityHeaders.all(isTLS: services.settings.isTLS)
    }

    /// Answers one request; never throws.
    package func respond(to request: Request, context: APIContext) async throws -> Response {
        var entry = AuditLog.Entry(
            time: EventTime(milliseconds: wallMilliseconds()), who: "-", role: "-", method: request.method.rawValue,
            path: String(request.uri.path.prefix(512)), status: 0, address: context.address, detail: nil)
        var reply: Reply
        do throws(Problem) {
            reply = try await answer(request, context, &entry)
        } catch {
            reply = Reply(.bytes(error.json))
            reply.type = "application/problem+json"
            reply.status = error.status
            reply.headers = error.headers
            reply.detail = error.detail
        }
        entry.status = Int(reply.status.code)
        entry.detail = reply.detail.map { String($0.prefix(512)) }
        services.requests.count(status: entry.status)
        let isRead = [.get, .head, .options].contains(request.method)
        if !isRead || entry.status == 401 || entry.status == 403 { services.audit.note(entry) }
        return dress(reply, request)
    }

    private func answer(
        _ request: Request, _ context: APIContext, _ entry: inout AuditLog.Entry
    ) async throws(Problem) -> Reply {
        guard request.uri.path.utf8.count <= Self.pathBytesMax, let path = RouteTable.split(request.uri.path) else {
            throw .invalid("the path is too long, or not percent-encoded UTF-8")
        }
        try checkOrigin(request)
        if !services.access.isOpen, let wait = services.limiter.wait(for: context.address ?? "-") {
            throw Problem(
                .tooManyRequests, "rateLimited", "too many requests; wait \(wait) s",
                headers: [.retryAfter: String(wait)])
        }
        if request.method == .options { return try preflight() }
        switch table.find(request.method, path) {
        case .none: return try file(request, path)
        case .methods(let methods):
            let allowed = Array(Set(methods.map(\.rawValue))).sorted().joined(separator: ", ")
            throw Problem(
                .methodNotAllowed, "methodNotAllowed", "this path knows \(allowed)", headers: [.allow: allowed])
        case .route(let route, let parameters):
            let principal = try await authorise(route, request, &entry)
            let query = try Query(request.uri.query)
            try query.check(names: route.queryNames)
            let body = try await read(request, upTo: route.bodyBytesMax)
            return try await route.answer(
                Call(
                    method: request.method, parameters: parameters, query: query, headers: request.headers, body: body,
                    principal: principal, disconnect: context.disconnect),
                services.seen(by: principal))
        }
    }

    /// A page of somebody else must not use a browser to give orders, nor a name of its own to read.
    private func checkOrigin(_ request: Request) throws(Problem) {
        let host = request.head.authority ?? ""
        if services.access.isOpen, !SecurityHeaders.isLoopback(host: host) {
            throw Problem(.misdirectedRequest, "wrongHost", "without authentication only a loopback host is served")
        }
        guard let origin = request.headers[.origin], origin != services.settings.corsOrigin else { return }
        let isOwn = origin == "http://\(host)" || origin == "https://\(host)"
        guard isOwn else {
            throw Problem(.forbidden, "crossOrigin", "requests from other origins are not taken")
        }
    }

    private func preflight() throws(Problem) -> Reply {
        guard services.settings.corsOrigin != nil else {
            throw Problem(.methodNotAllowed, "methodNotAllowed", "requests from other origins are not taken")
        }
        var reply = Reply(.none)
        reply.status = .noContent
        reply.headers[.accessControlAllowMethods] = "GET, POST, PUT, DELETE"
        reply.headers[.accessControlAllowHeaders] = "authorization, content-type, if-match, if-none-match"
        reply.headers[.accessControlMaxAge] = "600"
        return reply
    }

    private func file(_ request: Request, _ path: [String]) throws(Problem) -> Reply {
        guard let file = services.files[path.joined(separator: "/")] else { throw .notFound("such path") }
        guard request.method == .get || request.method == .head else {
            throw Problem(.methodNotAllowed, "methodNotAllowed", "files can be read only", headers: [.allow: "GET"])
        }
        var reply = Reply(.file(file))
        reply.type = file.type
        reply.tag = file.tag
        return reply
    }

    private func authorise(
        _ route: Route, _ request: Request, _ entry: inout AuditLog.Entry
    ) async throws(Problem) -> Principal {
        guard let role = route.role else {
            return Principal(name: "anybody", role: .viewer, isAuthenticated: false)
        }
        guard
            case .allowed(let principal) = await services.access.verdict(
                authorization: request.headers[.authorization])
        else {
            throw Problem(
                .unauthorized, "unauthorized", "a valid bearer token is needed",
                headers: [.wwwAuthenticate: "Bearer realm=\"twinscale\""])
        }
        entry.who = String(principal.name.prefix(256))
        entry.role = principal.role.text
        guard principal.role >= role else {
            throw Problem(
                .forbidden, "forbidden",
                "this needs the role \(role.text); '\(principal.name)' is \(principal.role.text)")
        }
        guard principal.tenant == nil || route.isForTenants else {
            throw Problem(.forbidden, "tenantBound", "this tells of all tenants; '\(principal.name)' belongs to one")
        }
        return principal
    }

    private func read(_ request: Request, upTo limit: Int) async throws(Problem) -> [UInt8] {
        guard request.method == .post || request.method == .put else { return [] }
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased() ?? ""
        // Browsers send none of these across origins without asking first.
        guard
            ["application/json", "application/x-ndjson", "application/x-protobuf"].contains(
                type.filter { !$0.isWhitespace })
        else {
            throw Problem(.unsupportedMediaType, "unsupportedMediaType", "send content-type: application/json")
        }
        var bytes: [UInt8] = []
        do {
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limit else { throw tooLarge(limit) }
                bytes.append(contentsOf: part.readableBytesView)
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.badRequest, "malformed", "the body could not be read")
        }
        return try unpack(bytes, request.headers[.contentEncoding], upTo: limit)
    }

    /// A body as it was before a client compressed it, which OpenTelemetry's do.
    private func unpack(_ bytes: [UInt8], _ encoding: String?, upTo limit: Int) throws(Problem) -> [UInt8] {
        switch encoding?.lowercased() {
        case nil, "identity": return bytes
        case "gzip":
            guard let whole = Gzip.decompress(bytes, bytesMax: limit) else {
                throw Problem(.badRequest, "malformed", "the body is not gzip of \(limit) bytes at most")
            }
            return whole
        default: throw Problem(.unsupportedMediaType, "unsupportedEncoding", "send content-encoding: gzip, or none")
        }
    }

    private func tooLarge(_ limit: Int) -> Problem {
        Problem(.contentTooLarge, "tooLarge", "the body is larger than \(limit) bytes")
    }
}

// MARK: - Answers

extension Responder {
    /// Adds headers, tag and compression; a client that has the content already gets none.
    private func dress(_ reply: Reply, _ request: Request) -> Response {
        var fields = headers
        for field in reply.headers { fields.append(field) }
        if let origin = services.settings.corsOrigin, request.headers[.origin] == origin {
            fields[.accessControlAllowOrigin] = origin
            fields[.vary] = "origin, accept-encoding"
        } else {
            fields[.vary] = "accept-encoding"
        }
        let isHead = request.method == .head
        func whole(_ bytes: [UInt8]) -> Response {
            let body =
                isHead
                ? ResponseBody(contentLength: bytes.count) { writer in try await writer.finish(nil) }
                : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
            return Response(status: reply.status, headers: fields, body: body)
        }
        fields[.cacheControl] = "no-store"
        switch reply.content {
        case .none: return Response(status: reply.status, headers: fields)
        case .stream(let body):
            fields[.contentType] = reply.type
            fields[.cacheControl] = "no-store"
            return Response(status: reply.status, headers: fields, body: isHead ? ResponseBody() : body)
        case .bytes(let bytes):
            fields[.contentType] = reply.type
            let isRead = request.method == .get || isHead
            if reply.status == .ok, isRead {
                fields[.cacheControl] = "no-cache"
                let tag = reply.tag ?? Self.tag(of: bytes)
                fields[.eTag] = "\"\(tag)\""
                if Self.holds(request.headers[.ifNoneMatch], tag) {
                    return Response(status: .notModified, headers: fields)
                }
            } else if let tag = reply.tag {
                fields[.eTag] = "\"\(tag)\""
            }
            if bytes.count >= Gzip.bytesMin, Gzip.isAccepted(request.headers[.acceptEncoding]),
                let small = Gzip.compress(bytes)
            {
                fields[.contentEncoding] = "gzip"
                return whole(small)
            }
            return whole(bytes)
        case .file(let file):
            fields[.contentType] = file.type
            fields[.cacheControl] = "no-cache"
            fields[.eTag] = "\"\(file.tag)\""
            if Self.holds(request.headers[.ifNoneMatch], file.tag) {
                return Response(status: .notModified, headers: fields)
            }
            if let small = file.gzip, Gzip.isAccepted(request.headers[.acceptEncoding]) {
                fields[.contentEncoding] = "gzip"
                return whole(small)
            }
            return whole(file.bytes)
        }
    }

    private static func tag(of bytes: [UInt8]) -> String {
        var digest = Digest()
        bytes.withUnsafeBytes { digest.combine($0) }
        return String(digest.value, radix: 16)
    }

    /// Whether a list of tags holds this one, or all.
    static func holds(_ header: String?, _ tag: String) -> Bool {
        guard let header, header.utf8.count <= 8_192 else { return false }
        return header.split(separator: ",").contains { part in
            let word = part.filter { !$0.isWhitespace }
            return word == "*" || word == "\"\(tag)\"" || word == "W/\"\(tag)\""
        }
    }
}
