import Foundation
import Logging
import Runtime

/// Who may ask, from the configuration.
enum AccessSettings {
    private static let keysBytesMax = 1 << 20

    static func access(_ configuration: ProgramConfiguration, log: Logger) throws(StageFailure) -> Access {
        let tokens = try tokens(configuration)
        let hasTag = !configuration.text("api.tenantTag").isEmpty
        let hasTenants = tokens?.file.hasTenants ?? false || !configuration.text("api.auth.oidc.tenantClaim").isEmpty
        guard !hasTenants || hasTag else {
            throw StageFailure(
                .refused, "somebody is bound to a tenant, and no tag says whose a twin is", hint: "give api.tenantTag")
        }
        let watched = tokens.map { tokens in
            Tokens(
                tokens.file, text: tokens.text, mayBindTenants: hasTag,
                read: { read(tokens.path, bytesMax: TokenFile.bytesMax) },
                complain: { reason in
                    log.warning(
                        "the token file has changed and cannot be used; the former tokens stay in force",
                        metadata: ["file": "\(tokens.path)", "reason": "\(reason)"])
                })
        }
        return Access(tokens: watched, issuer: try issuer(configuration))
    }

    private static func tokens(
        _ configuration: ProgramConfiguration
    ) throws(StageFailure) -> (path: String, text: String, file: TokenFile)? {
        let path = configuration.text("api.auth.tokens")
        guard !path.isEmpty else { return nil }
        guard let text = read(path, bytesMax: TokenFile.bytesMax) else {
            throw StageFailure(.refused, "the token file '\(path)' cannot be read", hint: "check api.auth.tokens")
        }
        do throws(TokenFile.Fault) {
            let file = try TokenFile(text: text)
            guard !file.isEmpty else {
                throw TokenFile.Fault(reason: "there is no token in it")
            }
            return (path, text, file)
        } catch {
            throw StageFailure(
                .refused, "the token file '\(path)': \(error.reason)",
                hint: "make lines with: twin-api token NAME ROLE")
        }
    }

    private static func issuer(_ configuration: ProgramConfiguration) throws(StageFailure) -> Issuer? {
        let name = configuration.text("api.auth.oidc.issuer")
        guard !name.isEmpty else { return nil }
        let (audience, path) = (
            configuration.text("api.auth.oidc.audience"), configuration.text("api.auth.oidc.keys")
        )
        guard !audience.isEmpty, !path.isEmpty else {
            throw StageFailure(
                .refused, "'api.auth.oidc.issuer' needs an audience and the issuer's keys",
                hint: "give api.auth.oidc.audience and api.auth.oidc.keys")
        }
        guard read(path, bytesMax: keysBytesMax) != nil else {
            throw StageFailure(.refused, "the key set '\(path)' cannot be read", hint: "check api.auth.oidc.keys")
        }
        let tenantClaim = configuration.text("api.auth.oidc.tenantClaim")
        return Issuer(
            Issuer.Settings(
                issuer: name, audience: audience, rolesClaim: configuration.text("api.auth.oidc.rolesClaim"),
                tenantClaim: tenantClaim.isEmpty ? nil : tenantClaim,
                readKeys: { [keysBytesMax] in
                    guard let text = read(path, bytesMax: keysBytesMax) else { throw CocoaError(.fileReadUnknown) }
                    return text
                }))
    }

    private static func read(_ path: String, bytesMax: Int) -> String? {
        guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: bytesMax + 1), data.count <= bytesMax else { return nil }
        return String(decoding: data, as: UTF8.self)
    }
}
