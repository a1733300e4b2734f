import Crypto
import Foundation
import JWTKit
import Runtime
import Synchronization
import Testing

@testable import API

/// Tokens and JWTs: who gets in, and who does not.
@Suite struct AccessTests {
    @Test func aTokenIsKnownByItsHashAlone() throws {
        let made = TokenFile.make(name: "ann", role: .operator)
        #expect(!made.line.contains(made.token))
        let file = try TokenFile(text: "# people\n\n\(made.line)  # on duty\n")
        #expect(file.principal(of: made.token) == Principal(name: "ann", role: .operator, isAuthenticated: true))
        #expect(file.principal(of: made.token + "x") == nil)
        #expect(file.principal(of: "") == nil)
        #expect(file.principal(of: String(repeating: "a", count: 100_000)) == nil)
        for line in ["ann", "ann boss \(String(repeating: "0", count: 64))", "ann admin 00"] {
            #expect(throws: TokenFile.Fault.self) { try TokenFile(text: line) }
        }
    }

    @Test func aTokenThatIsTakenOutOfTheFileOpensNothing() throws {
        let (ann, bob) = (TokenFile.make(name: "ann", role: .admin), TokenFile.make(name: "bob", role: .viewer))
        let text = Mutex<String?>("\(ann.line)\n\(bob.line)")
        let complaints = Mutex<[String]>([])
        let reads = Atomic<Int>(0)
        let first = try #require(text.withLock { $0 })
        let tokens = Tokens(
            try TokenFile(text: first), text: first, mayBindTenants: false,
            read: {
                reads.add(1, ordering: .relaxed)
                return text.withLock { $0 }
            },
            complain: { reason in complaints.withLock { $0.append(reason) } })
        func isIn(_ token: String) -> Bool {
            tokens.look()
            return tokens.principal(of: token) != nil
        }
        #expect(isIn(ann.token) && isIn(bob.token))
        text.withLock { $0 = ann.line }
        let before = reads.load(ordering: .relaxed)
        for _ in 0..<100 { #expect(tokens.principal(of: bob.token) != nil) }
        #expect(reads.load(ordering: .relaxed) == before, "who asks reads nothing")
        #expect(!isIn(bob.token) && isIn(ann.token))
        // A file that cannot be used takes nobody's token away, and is complained about once.
        for broken in [nil, "nonsense", TokenFile.make(name: "eve", role: .viewer, tenant: "t").line] {
            text.withLock { $0 = broken }
            #expect(isIn(ann.token) && isIn(ann.token) && !isIn(bob.token))
        }
        #expect(complaints.withLock { $0.count } == 3)
        text.withLock { $0 = "" }
        #expect(!isIn(ann.token))
        text.withLock { $0 = bob.line }
        #expect(isIn(bob.token))
    }

    @Test func theFileIsLookedAtWhileTheServerRuns() async throws {
        let (ann, bob) = (TokenFile.make(name: "ann", role: .admin), TokenFile.make(name: "bob", role: .viewer))
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tokens-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let complaints = Mutex<[String]>([])
        try Data(ann.line.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        let tokens = Tokens(
            try TokenFile(text: ann.line), text: ann.line, mayBindTenants: true,
            read: { FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } },
            complain: { reason in complaints.withLock { $0.append(reason) } })
        #expect(tokens.start(every: 5))
        defer { tokens.stop() }
        func becomesTrue(_ condition: () -> Bool) async throws -> Bool {
            for _ in 0..<1_000 where !condition() { try await Task.sleep(for: .milliseconds(10)) }
            return condition()
        }
        try FileManager.default.removeItem(atPath: path)
        #expect(try await becomesTrue { complaints.withLock { $0 } == ["it cannot be read"] })
        try await Task.sleep(for: .milliseconds(50))
        #expect(complaints.withLock { $0.count } == 1, "said once")
        #expect(tokens.principal(of: ann.token) != nil, "the last good file stays in force")
        try Data(bob.line.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        #expect(try await becomesTrue { tokens.principal(of: bob.token) != nil })
        #expect(tokens.principal(of: ann.token) == nil)
    }

    @Test func aTokensFaultIsNamed() {
        #expect(APIProcess.tokenFault(["x", "admin"]) == nil)
        #expect(APIProcess.tokenFault(["x", "viewer", "t"]) == nil)
        #expect(APIProcess.tokenFault(["x", "root"])?.contains("'root' is none of viewer, operator, admin") == true)
        #expect(APIProcess.tokenFault(["a b", "admin"])?.contains("'a b'") == true)
        #expect(APIProcess.tokenFault(["x", "admin", ""])?.contains("tenant") == true)
        #expect(APIProcess.tokenFault(["x"]) != nil)
    }

    private struct Claims: JWTPayload {
        var sub = "ann"
        var iss = "https://id.example"
        var aud: [String] = ["twinscale"]
        var exp = Date().timeIntervalSince1970 + 300
        var nbf: Double?
        var roles: [String] = ["viewer", "operator"]
        var tenant: String?

        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    private static func issuer(tenantClaim: String? = nil, _ jwks: @escaping @Sendable () -> String) -> Issuer {
        Issuer(
            Issuer.Settings(
                issuer: "https://id.example", audience: "twinscale", rolesClaim: "roles", tenantClaim: tenantClaim,
                readKeys: { jwks() }))
    }

    /// A key set with one public key.
    private static func jwks(_ key: P256.Signing.PrivateKey) -> String {
        let raw = key.publicKey.rawRepresentation
        func base64(_ data: Data) -> String {
            data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        }
        return #"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k","#
            + #""x":"\#(base64(raw.prefix(32)))","y":"\#(base64(raw.suffix(32)))"}]}"#
    }

    private static func sign(_ claims: Claims, _ key: P256.Signing.PrivateKey) async throws -> String {
        let keys = JWTKeyCollection()
        await keys.add(ecdsa: try ES256PrivateKey(pem: key.pemRepresentation), kid: "k")
        return try await keys.sign(claims, kid: "k")
    }

    @Test func aClaimBindsToATenantAndOnlyAnAdminIsWithout() async throws {
        let key = P256.Signing.PrivateKey()
        let issuer = Self.issuer(tenantClaim: "tenant") { Self.jwks(key) }
        let bound = await issuer.principal(of: try await Self.sign(Claims(tenant: "a"), key))
        #expect(bound?.tenant == "a")
        #expect(await issuer.principal(of: try await Self.sign(Claims(), key)) == nil)
        let admin = await issuer.principal(of: try await Self.sign(Claims(roles: ["admin"]), key))
        #expect(admin?.role == .admin && admin?.tenant == nil)
    }

    @Test func aJWTMustBeRightInEveryPoint() async throws {
        let key = P256.Signing.PrivateKey()
        let issuer = Self.issuer { Self.jwks(key) }
        let good = try await Self.sign(Claims(), key)
        #expect(
            await issuer.principal(of: good) == Principal(name: "ann", role: .operator, isAuthenticated: true))
        let wrong: [(String, Claims)] = [
            ("issuer", Claims(iss: "https://evil.example")), ("audience", Claims(aud: ["other"])),
            ("expired", Claims(exp: Date().timeIntervalSince1970 - 100)),
            ("too early", Claims(nbf: Date().timeIntervalSince1970 + 100)), ("no role", Claims(roles: ["guest"])),
        ]
        for (what, claims) in wrong {
            let token = try await Self.sign(claims, key)
            #expect(await issuer.principal(of: token) == nil, "\(what)")
        }
        let stranger = try await Self.sign(Claims(), P256.Signing.PrivateKey())
        #expect(await issuer.principal(of: stranger) == nil)
        // Unsigned, and signed with the public key as if it were a secret.
        let parts = good.split(separator: ".").map(String.init)
        let none = Data(#"{"alg":"none","typ":"JWT"}"#.utf8).base64EncodedString().replacing("=", with: "")
        #expect(await issuer.principal(of: "\(none).\(parts[1]).") == nil)
        #expect(await issuer.principal(of: "\(none).\(parts[1]).\(parts[2])") == nil)
        for text in ["", "..", "a.b.c", "\(parts[0]).\(parts[1])"] {
            #expect(await issuer.principal(of: text) == nil)
        }
    }

    @Test func onlyALoopbackNameIsServedWithoutAuthentication() {
        for host in ["localhost", "localhost:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:80", ""] {
            #expect(SecurityHeaders.isLoopback(host: host), "\(host)")
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]:80"] {
            #expect(!SecurityHeaders.isLoopback(host: host), "\(host)")
        }
        #expect(!SecurityHeaders.isLoopback(address: "0.0.0.0"))
        #expect(!SecurityHeaders.isLoopback(address: "::"))
    }

    @Test func aLimiterForgetsRatherThanGrow() {
        let limiter = RateLimiter(requestsPerSecond: 1, burst: 2)
        for client in 0..<(RateLimiter.clientsMax * 2) { #expect(limiter.wait(for: "\(client)", now: 0) == nil) }
        #expect(limiter.wait(for: "x", now: 0) == nil)
        #expect(limiter.wait(for: "x", now: 0) == nil)
        #expect(limiter.wait(for: "x", now: 0) == 1)
        #expect(limiter.wait(for: "x", now: 1_000) == nil)
    }
}
