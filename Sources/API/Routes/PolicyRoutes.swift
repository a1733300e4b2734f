import HTTPTypes
import Messages
import Runtime
import Scaling
import Synchronization
import TwinCore
import Views

/// Policies: read, checked, compared, written.
enum PolicyRoutes {
    private static let changesMax = 1_000
    private static let namesMax = 100

    static func list(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (limit, cursor) = (try call.query.limit(), try call.query.nameCursor())
        let all = services.store.orders.withLock { $0.inForce }.filter { isSeen($0, services) }
        let rest = all.filter { policy in cursor.map { policy.name > $0 } ?? true }
        return .page(rest.prefix(limit).map(json), next: rest.count > limit ? rest[limit - 1].name : nil)
    }

    private static func isSeen(_ version: PolicyVersion, _ services: Services) -> Bool {
        services.store.sees(policy: version.text.flatMap { try? JSONValue($0) } ?? .null)
    }

    private static func json(_ version: PolicyVersion) -> [UInt8] {
        var writer = JSONWriter()
        version.write(into: &writer)
        return writer.bytes
    }

    static func one(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let name = try call.parameter("name")
        guard let policy = services.store.orders.withLock({ $0.policy(name) }), isSeen(policy, services) else {
            throw .notFound("policy '\(name)'")
        }
        return Reply(.bytes(json(policy))).with(tag: String(policy.version))
    }

    static func versions(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let name = try call.parameter("name")
        let versions = services.store.orders.withLock { $0.versions(of: name) }
        guard !versions.isEmpty else { throw .notFound("policy '\(name)'") }
        return .page(versions.reversed().prefix(try call.query.limit()).map(json), next: nil)
    }

    /// The body as a policy of the path's name.
    static func policy(_ call: Call) throws(Problem) -> (name: String, value: JSONValue) {
        let name = try call.parameter("name")
        let body = try call.object()
        if let stated = body["name"], stated != .string(name) {
            throw .invalid("'name' in the body is not the one in the path")
        }
        return (name, body.setting("name", .string(name)))
    }

    /// What is wrong with a policy, in the deciders' words.
    private static func fault(_ name: String, _ value: JSONValue) -> String? {
        OrderCheck.policy(value.bytes, name: name)?.reason
    }

    static func validate(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (name, value) = try policy(call)
        let reason = fault(name, value)
        return .json { writer in
            writer.beginObject()
            writer.member("valid", reason == nil)
            writer.member("reason", reason)
            writer.endObject()
        }
    }

    /// Refuses a policy that the deciders would refuse.
    static func check(_ name: String, _ value: JSONValue) throws(Problem) {
        if let reason = fault(name, value) {
            throw Problem(.unprocessableContent, "invalidPolicy", reason)
        }
    }

    private static func checkVersion(_ call: Call, _ current: PolicyVersion?) throws(Problem) {
        if let wanted = call.headers[.ifMatch] {
            guard let current, Responder.holds(wanted, String(current.version)) else {
                throw Problem(
                    .preconditionFailed, "changed",
                    current.map { "the version in force is \($0.version)" } ?? "there is no such policy")
            }
        }
        if call.headers[.ifNoneMatch]?.contains("*") ?? false, current != nil {
            throw Problem(.preconditionFailed, "exists", "there is such a policy")
        }
    }

    static func put(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let (name, body) = try policy(call)
        try check(name, body)
        let (current, next) = services.store.orders.withLock { ($0.policy(name), $0.nextVersion(of: name)) }
        try checkVersion(call, current)
        let value = body.setting("version", .number(Double(next)))
        try await services.write([
            OrderRecord(.policies, key: Array(name.utf8), value: value.bytes, contentType: "application/json")
        ])
        await services.comes { services.store.orders.withLock { $0.nextVersion(of: name) } > next }
        let written = PolicyVersion(
            name: name, version: next, written: EventTime(milliseconds: wallMilliseconds()), rejected: nil,
            text: value.bytes)
        var writer = JSONWriter()
        written.write(into: &writer, warning: warning(body, services))
        return Reply(.bytes(writer.bytes)).with(tag: String(next)).with(detail: "policy \(name) version \(next)")
    }

    /// What keeps a policy from deciding anything, if something does.
    private static func warning(_ policy: JSONValue, _ services: Services) -> String? {
        let matcher = PolicyMatcher(policy)
        var (matched, withoutUnits) = (0, 0)
        services.store.forEachTwin { twin in
            guard matcher.matches(twin) else { return }
            matched += 1
            if twin.readyUnits == nil { withoutUnits += 1 }
        }
        if matched == 0 { return "it matches no twin that is known now" }
        guard withoutUnits == matched else { return nil }
        return
            "no twin that it matches has told how many units are ready, so nothing is decided: send a metric of role "
            + "supply, e.g. replicas"
    }

    static func delete(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let name = try call.parameter("name")
        guard let current = services.store.orders.withLock({ $0.policy(name) }) else {
            throw .notFound("policy '\(name)'")
        }
        try checkVersion(call, current)
        try await services.write([OrderRecord(.policies, key: Array(name.utf8), value: nil)])
        var reply = Reply(.none)
        reply.status = .noContent
        return reply.with(detail: "policy \(name) withdrawn")
    }

    // MARK: comparing

    static func diff(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (name, body) = try policy(call)
        try check(name, body)
        let current = services.store.orders.withLock { $0.policy(name) }
        let before = try current?.text.map { (text) throws(Problem) -> JSONValue in
            do throws(JSONError) { return try JSONValue(text) } catch {
                throw Problem(.internalServerError, "internal", "the policy in force cannot be read")
            }
        }
        var changes: [(path: String, before: JSONValue, after: JSONValue)] = []
        compare(before ?? .object([]), body, at: "", into: &changes)
        let old = before.map { PolicyMatcher($0) }
        let new = PolicyMatcher(body)
        var (count, gained, lost) = (0, [String](), [String]())
        for resource in services.store.names() {
            let both = services.store.withTwin(resource) { (old?.matches($0) ?? false, new.matches($0)) }
            guard let (was, now) = both else { continue }
            if now { count += 1 }
            if now, !was, gained.count < namesMax { gained.append(resource) }
            if was, !now, lost.count < namesMax { lost.append(resource) }
        }
        return .json { writer in
            writer.beginObject()
            writer.member("name", name)
            writer.member("version", current?.version)
            writer.member("isNew", current == nil)
            writer.key("changes")
            writer.beginArray()
            for change in changes.prefix(changesMax) {
                writer.beginObject()
                writer.member("path", change.path)
                writer.key("before")
                change.before.write(into: &writer)
                writer.key("after")
                change.after.write(into: &writer)
                writer.endObject()
            }
            writer.endArray()
            writer.member("resources", count)
            for (key, names) in [("gained" as StaticString, gained), ("lost", lost)] {
                writer.key(key)
                writer.beginArray()
                for name in names { writer.string(name) }
                writer.endArray()
            }
            writer.endObject()
        }
    }

    /// Members that differ, those of objects by their own.
    private static func compare(
        _ before: JSONValue, _ after: JSONValue, at path: String,
        into changes: inout [(path: String, before: JSONValue, after: JSONValue)]
    ) {
        var names = before.members.map(\.name)
        for member in after.members where !names.contains(member.name) { names.append(member.name) }
        for name in names where !(path.isEmpty && ["name", "version"].contains(name)) {
            let (old, new) = (before[name] ?? .null, after[name] ?? .null)
            guard old != new else { continue }
            let place = path.isEmpty ? name : "\(path).\(name)"
            if !old.members.isEmpty || !new.members.isEmpty, old.text == nil, new.text == nil {
                compare(old, new, at: place, into: &changes)
            } else {
                changes.append((place, old, new))
            }
        }
    }
}
