import Crypto
import Foundation

/// Bearer tokens, kept only as SHA-256 of 256 random bits, so a stolen file opens nothing.
package struct TokenFile: Sendable {
    private struct Entry: Sendable {
        let name: String
        let role: Role
        let hash: [UInt8]
        let tenant: String?
    }

    private let entries: [Entry]

    /// Lines of one file at most.
    static let entriesMax = 10_000
    static let bytesMax = 4 << 20
    /// Characters of a token that are looked at; ours have 43 and the prefix.
    static let tokenCharactersMax = 512

    /// Why a file cannot be used; names the line.
    package struct Fault: Error, Equatable {
        package let reason: String
    }

    /// Reads lines of `NAME ROLE SHA256 [TENANT]`; empty lines and those after `#` are skipped.
    package init(text: String) throws(Fault) {
        var entries: [Entry] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            if words.isEmpty { continue }
            guard (3...4).contains(words.count), let role = Role(text: String(words[1])),
                let hash = Self.bytes(hex: words[2])
            else { throw Fault(reason: "line \(number + 1) is not: NAME viewer|operator|admin SHA256 [TENANT]") }
            guard entries.count < Self.entriesMax else {
                throw Fault(reason: "there are more than \(Self.entriesMax) tokens")
            }
            let tenant = words.count > 3 ? String(words[3]) : nil
            entries.append(Entry(name: String(words[0]), role: role, hash: hash, tenant: tenant))
        }
        self.entries = entries
    }

    private static func bytes(hex: Substring) -> [UInt8]? {
        guard hex.utf8.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var rest = hex[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// Somebody is bound to a tenant.
    var hasTenants: Bool { entries.contains { $0.tenant != nil } }

    /// Whose token it is. Every entry is compared to its last byte, so time tells nothing.
    package func principal(of token: String) -> Principal? {
        guard token.utf8.count <= Self.tokenCharactersMax else { return nil }
        let hash = Array(SHA256.hash(data: Data(token.utf8)))
        var found: Int?
        for (index, entry) in entries.enumerated() {
            var difference: UInt8 = 0
            for position in 0..<32 { difference |= entry.hash[position] ^ hash[position] }
            if difference == 0 { found = index }
        }
        guard let found else { return nil }
        let entry = entries[found]
        return Principal(name: entry.name, role: entry.role, isAuthenticated: true, tenant: entry.tenant)
    }

    /// A new token, and the line of the file that lets it in.
    package static func make(name: String, role: Role, tenant: String? = nil) -> (token: String, line: String) {
        let key = SymmetricKey(size: .bits256)
        let random = key.withUnsafeBytes { Data($0) }
        let text = random.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
        let token = "twin_" + text
        let hash = SHA256.hash(data: Data(token.utf8)).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        return (token, "\(name) \(role.text) \(hash.joined())" + (tenant.map { " \($0)" } ?? ""))
    }
}
