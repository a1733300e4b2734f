import HTTPTypes

/// One operation of the API; the table of them all is `Routes.all`, and `openapi.yaml` says the same.
struct Route: Sendable {
    let method: HTTPRequest.Method
    /// As in the document: parts in braces are parameters.
    let template: String
    /// The least role; nil: anybody.
    let role: Role?
    let bodyBytesMax: Int
    /// Those who are bound to a tenant may ask, as it tells of twins in sight only.
    private(set) var isForTenants = false
    /// What its query may say; all else is refused.
    private(set) var queryNames: [String] = []
    private let handler: Handler
    private let parts: [Part]

    /// What answers: most routes read memory, those that write wait for the broker.
    private enum Handler: Sendable {
        case now(@Sendable (Call, Services) throws(Problem) -> Reply)
        case later(@Sendable (Call, Services) async throws(Problem) -> Reply)
    }

    private enum Part: Sendable {
        case word(String)
        case parameter(String)
    }

    /// Bodies of orders.
    static let orderBytesMax = 65_536

    /// A route that answers from memory.
    init(
        _ method: HTTPRequest.Method, _ template: String, _ role: Role?,
        _ handler: @escaping @Sendable (Call, Services) throws(Problem) -> Reply
    ) {
        self.init(method, template, role, Self.orderBytesMax, .now(handler))
    }

    /// A route that writes.
    init(
        _ method: HTTPRequest.Method, _ template: String, _ role: Role?, bodyBytesMax: Int = Route.orderBytesMax,
        writing handler: @escaping @Sendable (Call, Services) async throws(Problem) -> Reply
    ) {
        self.init(method, template, role, bodyBytesMax, .later(handler))
    }

    private init(
        _ method: HTTPRequest.Method, _ template: String, _ role: Role?, _ bodyBytesMax: Int, _ handler: Handler
    ) {
        self.method = method
        self.template = template
        self.role = role
        self.bodyBytesMax = bodyBytesMax
        self.handler = handler
        parts = template.split(separator: "/").map { part in
            part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .word(String(part))
        }
    }

    /// The same, with these names in its query.
    func asking(_ names: String...) -> Route {
        var route = self
        route.queryNames = names
        return route
    }

    /// The same, open to those who are bound to a tenant.
    var forTenants: Route {
        var route = self
        route.isForTenants = true
        return route
    }

    func answer(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        switch handler {
        case .now(let handler): try handler(call, services)
        case .later(let handler): try await handler(call, services)
        }
    }

    /// The values of its parameters, if the route's path is this one.
    func match(_ path: [String]) -> [(name: String, value: String)]? {
        guard path.count == parts.count else { return nil }
        var parameters: [(name: String, value: String)] = []
        for (part, value) in zip(parts, path) {
            switch part {
            case .word(let word): if word != value { return nil }
            case .parameter(let name): parameters.append((name, value))
            }
        }
        return parameters
    }
}

/// Which route a request is for.
struct RouteTable: Sendable {
    /// The outcome.
    enum Found {
        case route(Route, [(name: String, value: String)])
        /// The path is ours, the method is not; those that are.
        case methods([HTTPRequest.Method])
        case none
    }

    let routes: [Route]

    /// The parts of a path, each decoded; nil if one is not percent-encoded UTF-8.
    static func split(_ path: String) -> [String]? {
        var parts: [String] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            guard let text = Percent.decode(part) else { return nil }
            parts.append(text)
        }
        return parts
    }

    /// Literal parts win over parameters.
    func find(_ method: HTTPRequest.Method, _ path: [String]) -> Found {
        let wanted = method == .head ? .get : method
        var methods: [HTTPRequest.Method] = []
        var found: (route: Route, parameters: [(name: String, value: String)])?
        for route in routes {
            guard let parameters = route.match(path) else { continue }
            methods.append(route.method)
            if route.method == wanted, found.map({ parameters.count < $0.parameters.count }) ?? true {
                found = (route, parameters)
            }
        }
        if let found { return .route(found.route, found.parameters) }
        return methods.isEmpty ? .none : .methods(methods)
    }
}
