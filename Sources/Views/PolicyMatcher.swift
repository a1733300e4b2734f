/// Which twins a policy is for, as the deciders see it: every condition must hold, none matches all.
package struct PolicyMatcher: Sendable {
    private let resource: String?
    private let className: String?
    private let locality: String?
    private let tags: [(name: String, value: String)]

    package init(_ policy: JSONValue) {
        let match = policy["match"]
        resource = match?["resource"]?.text
        className = match?["class"]?.text
        locality = match?["locality"]?.text
        tags = (match?["tags"]?.members ?? []).compactMap { member in member.value.text.map { (member.name, $0) } }
    }

    /// Whether the policy is for this twin, more specific ones aside.
    package func matches(_ twin: borrowing TwinView) -> Bool {
        if let resource, twin.resource != resource { return false }
        if let className, twin.className != className { return false }
        if let locality, twin.locality != locality { return false }
        for tag in tags where !twin.tags.contains(where: { $0.name == tag.name && $0.value == tag.value }) {
            return false
        }
        return true
    }
}
