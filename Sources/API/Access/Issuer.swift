import Foundation
import JWTKit
import Synchronization

/// JWTs of an OpenID Connect provider: signature by its public keys, issuer, audience, time, roles.
final class Issuer: Sendable {
    /// What is taken for proof.
    struct Settings: Sendable {
        var issuer: String
        var audience: String
        var rolesClaim: String
        /// The claim that names the tenant; nil: nobody is bound to one.
        var tenantClaim: String?
        /// Reads the key set (JWKS).
        var readKeys: @Sendable () throws -> String
    }

    /// Any claim set, with the few claims that matter.
    private struct Claims: JWTPayload {
        var subject: String
        var issuer: String
        var audience: [String]
        var expiry: Date
        var notBefore: Date?
        /// Every claim that is a text or a list of texts.
        var lists: [String: [String]] = [:]

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(_ name: String) { stringValue = name }
            init?(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let claims = try decoder.container(keyedBy: Key.self)
            subject = try claims.decode(String.self, forKey: Key("sub"))
            issuer = try claims.decode(String.self, forKey: Key("iss"))
            audience = try Self.list(claims, "aud")
            expiry = Date(timeIntervalSince1970: try claims.decode(Double.self, forKey: Key("exp")))
            notBefore = try claims.decodeIfPresent(Double.self, forKey: Key("nbf"))
                .map { Date(timeIntervalSince1970: $0) }
            for key in claims.allKeys.prefix(256) {
                if let list = try? Self.list(claims, key.stringValue) { lists[key.stringValue] = list }
            }
        }

        /// A claim that is a list, or one text that stands for a list of one.
        private static func list(_ claims: KeyedDecodingContainer<Key>, _ name: String) throws -> [String] {
            if let one = try? claims.decode(String.self, forKey: Key(name)) {
                return one.split(separator: " ").map(String.init)
            }
            return try claims.decode([String].self, forKey: Key(name))
        }

        func encode(to encoder: any Encoder) throws {
            var claims = encoder.container(keyedBy: Key.self)
            try claims.encode(subject, forKey: Key("sub"))
        }

        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    /// Clocks that differ by so much are taken for equal.
    private static let leewaySeconds = 30.0
    private static let tokenCharactersMax = 16_384

    private let settings: Settings
    private struct Loaded {
        var text = ""
        var keys: JWTKeyCollection?
        var checkedAt = Date.distantPast
    }
    private let loaded = Mutex(Loaded())

    init(_ settings: Settings) { self.settings = settings }

    /// Whom a JWT is about; nil unless everything about it is right.
    func principal(of token: String) async -> Principal? {
        guard token.utf8.count <= Self.tokenCharactersMax, let keys = await keys() else { return nil }
        guard let claims = try? await keys.verify(token, as: Claims.self) else { return nil }
        let now = Date()
        guard claims.issuer == settings.issuer, claims.audience.contains(settings.audience),
            claims.expiry.addingTimeInterval(Self.leewaySeconds) > now,
            claims.notBefore.map({ $0.addingTimeInterval(-Self.leewaySeconds) <= now }) ?? true,
            let role = (claims.lists[settings.rolesClaim] ?? []).compactMap({ Role(text: $0) }).max()
        else { return nil }
        guard let claim = settings.tenantClaim else {
            return Principal(name: claims.subject, role: role, isAuthenticated: true)
        }
        // Who should be bound and is not sees nothing, rather than everything; admins of the whole have no tenant.
        let tenant = claims.lists[claim]?.first
        guard tenant != nil || role == .admin else { return nil }
        return Principal(name: claims.subject, role: role, isAuthenticated: true, tenant: tenant)
    }

    /// The issuer's keys, read again when the file has changed; looked at every ten seconds at most.
    private func keys() async -> JWTKeyCollection? {
        let (known, text, isDue) = loaded.withLock { loaded in
            let isDue = loaded.checkedAt.timeIntervalSinceNow < -10
            if isDue { loaded.checkedAt = Date() }
            return (loaded.keys, loaded.text, isDue)
        }
        guard isDue else { return known }
        guard let new = try? settings.readKeys(), new != text else { return known }
        let keys = JWTKeyCollection()
        guard (try? await keys.add(jwksJSON: new)) != nil else { return known }
        loaded.withLock { loaded in
            loaded.text = new
            loaded.keys = keys
        }
        return keys
    }
}
