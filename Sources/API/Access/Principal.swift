/// What somebody may do. Each role may do all that the ones before it may.
package enum Role: Int, Sendable, Comparable, CaseIterable {
    /// Sees.
    case viewer = 1
    /// Gives orders: commands, planned events, previews; writes telemetry.
    case `operator` = 2
    /// Writes policies, reads the audit log.
    case admin = 3

    package var text: String { String(describing: self) }

    package init?(text: String) {
        guard let match = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = match
    }

    package static func < (a: Role, b: Role) -> Bool { a.rawValue < b.rawValue }
}

/// Who asks.
package struct Principal: Sendable, Equatable {
    package let name: String
    package let role: Role
    /// False where authentication is off.
    package let isAuthenticated: Bool
    /// The value of the tenant's tag that bounds what is seen; nil: no bound.
    package let tenant: String?

    package init(name: String, role: Role, isAuthenticated: Bool, tenant: String? = nil) {
        self.name = name
        self.role = role
        self.isAuthenticated = isAuthenticated
        self.tenant = tenant
    }

    /// Whoever reaches a loopback address of a server without authentication.
    static let local = Principal(name: "local", role: .admin, isAuthenticated: false)
}
