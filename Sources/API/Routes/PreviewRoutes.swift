import HTTPTypes
import Messages
import Synchronization
import TwinCore
import Views

/// What if this policy had been in force.
enum PreviewRoutes {
    static func begin(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (name, body) = try PolicyRoutes.policy(call)
        try PolicyRoutes.check(name, body)
        let days = try call.query.number("days", 0.01...30) ?? 2
        guard let now = services.eventTime else {
            throw Problem(.conflict, "nothingRecorded", "no sample has been seen")
        }
        let study = study(name, body, days: days, now: now, services)
        guard study.resources.contains(where: \.isSubject) else {
            throw Problem(.conflict, "matchesNothing", "the policy is for none of the twins that are there")
        }
        let id = CommandRoutes.newID()
        guard let preview = services.previews.begin(study, policy: name, id: id) else {
            throw Problem(
                .tooManyRequests, "busy", "\(Previews.waitingMax) previews wait already",
                headers: [.retryAfter: "10"])
        }
        return Reply.json(.accepted) { preview.write(into: &$0) }.with(detail: "preview \(id) of policy \(name)")
    }

    static func one(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let id = try call.parameter("id")
        guard let preview = services.previews[id] else { throw .notFound("preview '\(id)' (any more)") }
        return .json(capacityBytes: 65_536) { preview.write(into: &$0) }
    }

    /// Gathers what the question rests on: subjects, who calls them, policies, planned events.
    private static func study(
        _ name: String, _ body: JSONValue, days: Double, now: EventTime, _ services: Services
    ) -> PreviewStudy {
        let act = JSONValue.string("act")
        let others = services.store.orders.withLock { $0.inForce }.compactMap { version -> JSONValue? in
            guard let text = version.text, let value = try? JSONValue(text) else { return nil }
            return value.setting("name", .string(version.name)).setting("mode", act)
        }
        // A policy that only observes decides all the same; what it would do is the question.
        let asked = body.setting("mode", act).setting("version", .number(1))
        let proposed = others.filter { $0["name"] != .string(name) } + [asked]
        let subjects = subjects(body, services)
        let (callers, edges) = callers(of: subjects.map(\.name), services)
        let resources = subjects + callers
        let from = now.advanced(byMilliseconds: -Int64(days * 86_400_000))
        return PreviewStudy(
            policy: asked, current: others.map { $0.setting("version", .number(1)) }, proposed: proposed,
            resources: resources, edges: edges,
            events: services.store.orders.withLock { $0.events }.filter { !$0.isCancelled && $0.end >= from },
            samples: RecordedSamples(
                resources: Set(resources.map(\.name)), from: from, to: now,
                samplesMax: services.settings.previewSamplesMax))
    }

    private static func subjects(_ policy: JSONValue, _ services: Services) -> [PreviewStudy.Resource] {
        let matcher = PolicyMatcher(policy)
        let metric = policy["metric"]?.text
        var found: [PreviewStudy.Resource] = []
        for resource in services.store.names() where found.count < PreviewStudy.subjectsMax {
            let one = services.store.withTwin(resource) { twin -> PreviewStudy.Resource? in
                guard matcher.matches(twin) else { return nil }
                return PreviewStudy.Resource(
                    name: twin.resource, className: twin.className, tags: twin.tags,
                    metric: metric ?? twin.primary?.metric, isSubject: true)
            }
            if let one, let one { found.append(one) }
        }
        return found
    }

    /// Those who call a subject, as their forecasts travel along the calls, and the calls.
    private static func callers(
        of subjects: [String], _ services: Services
    ) -> ([PreviewStudy.Resource], [PreviewStudy.Edge]) {
        let known = Set(subjects)
        let edges = services.store.graph.withLock { graph in
            subjects.flatMap { name -> [PreviewStudy.Edge] in
                guard let node = graph.find(name) else { return [] }
                return graph.edges(of: node).incoming.filter { $0.rate.isFinite && $0.rate > 0 }.map {
                    PreviewStudy.Edge(source: graph.name($0.source), target: name, rate: $0.rate)
                }
            }
        }
        var callers: [PreviewStudy.Resource] = []
        var seen = known
        for edge in edges where callers.count < PreviewStudy.subjectsMax && seen.insert(edge.source).inserted {
            let one = services.store.withTwin(edge.source) { twin in
                PreviewStudy.Resource(
                    name: twin.resource, className: twin.className, tags: twin.tags, metric: twin.primary?.metric,
                    isSubject: false)
            }
            if let one { callers.append(one) }
        }
        let names = known.union(callers.map(\.name))
        return (callers, edges.filter { names.contains($0.source) })
    }
}
