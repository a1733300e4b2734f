import HTTPTypes
import Testing
import TwinCore
import Views

@testable import API

/// Who is bound to a tenant sees its twins, and nothing from which others could be told.
@Suite struct TenantTests {
    private static let made = TokenFile.make(name: "ann", role: .admin, tenant: "a")

    /// The small shop, zone `a` (web, cart) and zone `b` (db) being tenants; and the token of one bound to `a`.
    private static func shop() throws -> TestServer {
        let lines = TestServer.tokens.map(\.line) + [made.line]
        let server = try TestServer(
            access: Access(tokens: try TokenFile(text: lines.joined(separator: "\n"))), tenantTag: "zone")
        SmallFleet.fill(server)
        for (name, zone) in [("one", "a"), ("two", "b")] {
            server.fold(.policies, key: name, #"{"name":"\#(name)","version":1,"match":{"tags":{"zone":"\#(zone)"}}}"#)
        }
        return server
    }

    @Test func everyRouteIsEitherBoundedOrClosed() async throws {
        try await Self.shop().test { (ask) async throws in
            for route in Routes.all(APISettings()) where route.role != nil && route.template != "/v1/stream" {
                let path = AuthorisationTests.path(route.template)
                let body = route.method == .post || route.method == .put ? "{}" : nil
                let answer = try await ask(route.method, path, token: Self.made.token, body: body)
                let isClosed = try answer.status == 403 && answer.json()["code"]?.text == "tenantBound"
                #expect(isClosed == !route.isForTenants, "\(route.method) \(path): \(answer.status)")
            }
        }
    }

    @Test func nothingOfAnotherTenantIsTold() async throws {
        try await Self.shop().test { (ask) async throws in
            func get(_ path: String) async throws -> Answer { try await ask(.get, path, token: Self.made.token) }
            for path in [
                "/v1/fleet", "/v1/fleet?localityType=zone", "/v1/twins", "/v1/twins?q=d", "/v1/localities",
                "/v1/localities/zone/b", "/v1/graph", "/v1/graph?around=cart", "/v1/drift", "/v1/decisions",
                "/v1/proposals", "/v1/actions", "/v1/commands", "/v1/policies", "/v1/twins/cart",
            ] {
                let answer = try await get(path)
                #expect(answer.status == 200, "\(path)")
                for secret in ["\"db\"", "\"p-1\"", "d-db", "\"two\""] {
                    #expect(!answer.text.contains(secret), "\(path): \(answer.text)")
                }
            }
            for path in [
                "/v1/twins/db", "/v1/twins/db/history", "/v1/twins/db/forecast", "/v1/twins/db/accuracy",
                "/v1/keda/db", "/v1/decisions/d-db", "/v1/graph?around=db", "/v1/policies/two",
            ] { #expect(try await get(path).status == 404, "\(path)") }
            #expect(try await get("/v1/effectiveness?resource=db").status == 400)
            #expect(try await get("/v1/fleet").json()["resources"]?.integer == 2)
            #expect(try await get("/v1/fleet").json()["proposals"]?.integer == 0)
            #expect(try await get("/v1/twins/web").json()["actions"]?.elements.count == 1)
            #expect(try await get("/v1/me").json()["tenant"]?.text == "a")
        }
    }

    @Test func anOrderIsAboutOnesOwn() async throws {
        let server = try Self.shop()
        try await server.test { (ask) async throws in
            func order(_ body: String) async throws -> Int {
                try await ask(.post, "/v1/commands", token: Self.made.token, body: body).status
            }
            #expect(try await order(#"{"verb":"pause","resource":"web"}"#) == 202)
            for body in [
                #"{"verb":"pause","resource":"db"}"#, #"{"verb":"pause","resource":"nobody"}"#,
                #"{"verb":"pause","policy":"one"}"#, #"{"verb":"approve","action":"p-1"}"#,
                #"{"verb":"approve","action":"p-1","resource":"web"}"#, #"{"verb":"pause"}"#,
            ] { #expect(try await order(body) == 403, "\(body)") }
        }
        #expect(server.sink.records.count == 1)
    }

    @Test func aTenantStandsInItsLineAndOthersSeeAll() async throws {
        let file = try TokenFile(text: Self.made.line)
        #expect(file.principal(of: Self.made.token)?.tenant == "a")
        try await Self.shop().test { (ask) async throws in
            let twins = try await ask(.get, "/v1/twins", token: TestServer.tokens[0].token).json()
            #expect(twins["total"]?.integer == 3)
        }
    }
}
