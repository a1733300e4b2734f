import Foundation
import HTTPTypes
import Testing
import Views
import Yams

@testable import API

/// Every route × every role, and the document against the table of routes.
@Suite struct AuthorisationTests {
    /// A path that the route matches.
    static func path(_ template: String) -> String {
        template.split(separator: "/").map { $0.hasPrefix("{") ? "some" : String($0) }.reduce("") { $0 + "/" + $1 }
    }

    private static func body(_ route: Route) -> String? {
        route.method == .post || route.method == .put ? "{}" : nil
    }

    @Test func aRouteIsOpenToItsRoleAndThoseAboveAndToNobodyElse() async throws {
        let server = try TestServer.guarded()
        try await server.test { (ask) async throws in
            for route in Routes.all(APISettings()) where route.template != "/v1/stream" {
                let path = Self.path(route.template)
                let nobody = try await ask(route.method, path, body: Self.body(route))
                let wrong = try await ask(route.method, path, token: "twin_wrong", body: Self.body(route))
                #expect((nobody.status == 401) == (route.role != nil), "\(route.method) \(path)")
                #expect((wrong.status == 401) == (route.role != nil), "\(route.method) \(path)")
                for (role, token, _) in TestServer.tokens {
                    let answer = try await ask(route.method, path, token: token, body: Self.body(route))
                    let isAllowed = route.role.map { role >= $0 } ?? true
                    #expect((answer.status == 403) == !isAllowed, "\(route.method) \(path) as \(role)")
                    #expect(answer.status != 401, "\(route.method) \(path) as \(role)")
                    #expect(answer.status < 500, "\(route.method) \(path) as \(role): \(answer.text)")
                }
            }
        }
    }

    @Test func theDocumentDescribesExactlyTheRoutes() throws {
        let text = try String(contentsOf: TestServer.documentURL, encoding: .utf8)
        let document = try #require(try Yams.load(yaml: text) as? [String: Any])
        let paths = try #require(document["paths"] as? [String: [String: [String: Any]]])
        var described: [String: String] = [:]
        for (path, operations) in paths {
            for (method, operation) in operations {
                let tenants = operation["x-tenant"] as? Bool ?? false
                described["\(method.uppercased()) \(path)"] =
                    (operation["x-role"] as? String).map { tenants ? "\($0), tenants" : $0 }
            }
        }
        var served: [String: String] = [:]
        for route in Routes.all(APISettings()) {
            served["\(route.method.rawValue) \(route.template)"] =
                (route.role?.text ?? "none") + (route.isForTenants ? ", tenants" : "")
        }
        #expect(described == served)
    }

    /// Names in the query of each operation, by the document.
    private static func queries() throws -> [String: [String]] {
        let text = try String(contentsOf: TestServer.documentURL, encoding: .utf8)
        let document = try #require(try Yams.load(yaml: text) as? [String: Any])
        let paths = try #require(document["paths"] as? [String: [String: [String: Any]]])
        let components = try #require(document["components"] as? [String: Any])
        let shared = try #require(components["parameters"] as? [String: [String: Any]])
        var queries: [String: [String]] = [:]
        for (path, operations) in paths {
            for (method, operation) in operations {
                let parameters = try (operation["parameters"] as? [[String: Any]] ?? []).map { parameter in
                    guard let reference = parameter["$ref"] as? String else { return parameter }
                    return try #require(shared[reference.split(separator: "/").last.map(String.init) ?? ""])
                }
                queries["\(method.uppercased()) \(path)"] =
                    parameters.filter { $0["in"] as? String == "query" }.compactMap { $0["name"] as? String }.sorted()
            }
        }
        return queries
    }

    @Test func theDocumentNamesExactlyWhatQueriesMaySay() throws {
        let described = try Self.queries()
        for route in Routes.all(APISettings()) {
            let operation = "\(route.method.rawValue) \(route.template)"
            #expect(described[operation] == route.queryNames.sorted(), "\(operation)")
        }
    }

    @Test func aRefusalIsInTheAuditLogAndReadingIsNot() async throws {
        let server = try TestServer.guarded()
        try await server.test { (ask) async throws in
            _ = try await ask(.get, "/v1/fleet", token: TestServer.tokens[0].token)
            _ = try await ask(.get, "/v1/fleet", token: "twin_wrong")
            _ = try await ask(.put, "/v1/policies/p", token: TestServer.tokens[0].token, body: "{}")
            let log = try await ask(.get, "/v1/audit", token: TestServer.tokens[2].token).json()
            let lines = log["items"]?.elements ?? []
            #expect(lines.compactMap { $0["status"]?.integer } == [403, 401])
            #expect(lines.first?["who"]?.text == "test-viewer")
        }
    }

    @Test func aRequestOfAnotherPageIsRefused() async throws {
        let server = try TestServer()
        try await server.test { (ask) async throws in
            let origin = try await ask(
                .post, "/v1/commands", headers: [.origin: "https://evil.example"],
                body: #"{"verb":"pause","resource":"web"}"#)
            #expect(origin.status == 403)
            let form = try await ask(
                .post, "/v1/commands", headers: [.contentType: "text/plain"],
                body: #"{"verb":"pause","resource":"web"}"#)
            #expect(form.status == 415)
        }
    }

    @Test func tooManyRequestsAreToldToWait() async throws {
        let file = try TokenFile(text: TestServer.tokens.map(\.line).joined(separator: "\n"))
        let server = try TestServer(access: Access(tokens: file), requestsPerSecond: 3)
        try await server.test { (ask) async throws in
            var statuses: [Int] = []
            for _ in 0..<20 { statuses.append(try await ask(.get, "/v1/me", token: TestServer.tokens[0].token).status) }
            #expect(statuses.prefix(3).allSatisfy { $0 == 200 })
            #expect(statuses.contains(429))
        }
    }
}
