import Views

/// What somebody may see: every twin, or those of one tenant.
struct Sight: Sendable {
    private let bound: (tag: String, tenant: String)?

    /// Everything.
    static let whole = Sight(bound: nil)

    private init(bound: (tag: String, tenant: String)?) { self.bound = bound }

    /// Only twins whose tag has this value.
    init(tag: String, tenant: String) { self.init(bound: (tag, tenant)) }

    var isWhole: Bool { bound == nil }

    /// Whether a twin may be seen; one without the tag is nobody's.
    func holds(_ twin: TwinView) -> Bool {
        guard let bound else { return true }
        return twin.tags.contains { $0.name == bound.tag && $0.value == bound.tenant }
    }

    /// Whether a policy concerns this tenant's twins alone.
    func holds(_ policy: JSONValue) -> Bool {
        guard let bound else { return true }
        return policy["match"]?["tags"]?[bound.tag] == .string(bound.tenant)
    }
}
