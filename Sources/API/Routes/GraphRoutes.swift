import Messages
import Synchronization
import TwinCore
import Views

/// Who talks to whom.
enum GraphRoutes {
    private static let pathsMax = 1_000
    private static let neighboursMax = 100

    /// An edge by the names of its ends.
    private struct NamedEdge: Sendable {
        var source: String
        var target: String
        var edge: GraphEdge
    }

    static func graph(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let limit = try call.query.limit()
        let around = try call.query.name("around")
        let locality = try call.query.name("locality")
        let hops = try call.query.integer("hops", 1...8) ?? 2
        let found = services.store.graph.withLock { graph -> (edges: [NamedEdge], isCut: Bool)? in
            var node: UInt32?
            if let around {
                guard let known = graph.find(around) else { return nil }
                node = known
            }
            let (edges, isCut) = graph.heaviest(
                limit: locality == nil ? limit : services.store.limits.edgesMax, around: node, hops: hops)
            return (
                edges.map {
                    NamedEdge(source: graph.name($0.source), target: graph.name($0.target), edge: $0)
                }, isCut
            )
        }
        if let around, !services.store.sees(around) { throw .notFound("resource '\(around)'") }
        // A resource without calls is a graph of its own, if there is such a twin.
        if found == nil, let around, services.store.withTwin(around, { _ in true }) == nil {
            throw .notFound("resource '\(around)'")
        }
        var edges = found?.edges ?? []
        var localities: [String: String?] = [:]
        for edge in edges {
            for name in [edge.source, edge.target] where localities[name] == nil {
                localities[name] = .some(services.store.withTwin(name) { $0.locality } ?? nil)
            }
        }
        if let seen = services.store.seenNames() {
            edges = edges.filter { seen.contains($0.source) && seen.contains($0.target) }
        }
        if let locality {
            edges = edges.filter { localities[$0.source] == locality || localities[$0.target] == locality }
        }
        let isCut = found?.isCut ?? false || edges.count > limit
        edges = Array(edges.prefix(limit))
        var nodes = edges.isEmpty ? around.map { [$0] } ?? [] : []
        var seen = Set<String>(nodes)
        for edge in edges {
            for name in [edge.source, edge.target] where seen.insert(name).inserted { nodes.append(name) }
        }
        return .json(capacityBytes: 16_384) { writer in
            writer.beginObject()
            writer.key("nodes")
            writer.beginArray()
            for name in nodes { writeNode(name, services, into: &writer) }
            writer.endArray()
            writer.key("edges")
            writer.beginArray()
            for edge in edges {
                let crosses = localities[edge.source] != localities[edge.target]
                writeEdge(edge, crossesLocality: crosses, into: &writer)
            }
            writer.endArray()
            writer.member("truncated", isCut)
            writer.endObject()
        }
    }

    private static func writeNode(_ name: String, _ services: Services, into writer: inout JSONWriter) {
        let json = services.store.withTwin(name) { twin -> [UInt8] in
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("resource", name)
            writer.member("locality", twin.locality)
            writer.member("class", twin.className)
            let risk = twin.risk(withinSeconds: TwinJSON.horizonSecondsDefault)
            writer.member("utilisation", risk?.utilisation)
            let series = twin.primary
            writer.member("level", series?.level)
            let shares = series.map { series in
                (0..<series.horizonCount).map { series.influence($0) }.filter(\.isFinite)
            }
            writer.member("influence", shares?.max { $0.magnitude < $1.magnitude } ?? .nan)
            writer.endObject()
            return writer.bytes
        }
        if let json { return json.withUnsafeBytes { writer.raw($0) } }
        writer.beginObject()
        writer.member("resource", name)
        writer.member("locality", String?.none)
        writer.member("class", String?.none)
        writer.member("utilisation", Double?.none)
        writer.member("level", Double?.none)
        writer.member("influence", Double?.none)
        writer.endObject()
    }

    private static func writeEdge(_ edge: NamedEdge, crossesLocality: Bool, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("source", edge.source)
        writer.member("target", edge.target)
        writer.member("rate", edge.edge.rate)
        writer.member("bytesPerSecond", edge.edge.bytesPerSecond)
        writer.member("latencySeconds", edge.edge.latencySeconds)
        writer.member("time", edge.edge.time)
        writer.member("crossesLocality", crossesLocality)
        writer.endObject()
    }

    /// Whom a resource calls and who calls it, the heaviest first, with their share of all its calls in that direction.
    static func writeNeighbours(of resource: String, _ services: Services, into writer: inout JSONWriter) {
        let found = services.store.graph.withLock { graph -> (calls: [NamedEdge], calledBy: [NamedEdge]) in
            guard let node = graph.find(resource) else { return ([], []) }
            let (outgoing, incoming) = graph.edges(of: node)
            func named(_ edges: [GraphEdge]) -> [NamedEdge] {
                edges.map { NamedEdge(source: graph.name($0.source), target: graph.name($0.target), edge: $0) }
            }
            return (named(outgoing), named(incoming))
        }
        writer.beginArray()
        for (direction, edges) in [("calls", found.calls), ("calledBy", found.calledBy)] {
            let sum = edges.reduce(0) { $0 + ($1.edge.rate.isFinite ? $1.edge.rate : 0) }
            let heaviest = edges.sorted { a, b in
                a.edge.rate != b.edge.rate ? a.edge.rate > b.edge.rate : (a.source, a.target) < (b.source, b.target)
            }
            for edge in heaviest.prefix(neighboursMax)
            where services.store.sees(direction == "calls" ? edge.target : edge.source) {
                writer.beginObject()
                writer.member("resource", direction == "calls" ? edge.target : edge.source)
                writer.member("direction", direction)
                writer.member("rate", edge.edge.rate)
                writer.member("share", sum > 0 ? edge.edge.rate / sum : nil)
                writer.endObject()
            }
        }
        writer.endArray()
    }

    static func paths(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        guard let from = try call.query.name("from") else { throw .invalid("'from' is missing") }
        let to = try call.query.name("to")
        let hops = try call.query.integer("hopsMax", 1...16) ?? 4
        let found = services.store.graph.withLock { graph -> [(names: [String], rate: Double)]? in
            guard let node = graph.find(from) else { return nil }
            var target: UInt32?
            if let to {
                guard let known = graph.find(to) else { return [] }
                target = known
            }
            return graph.paths(from: node, to: target, hopsMax: hops, limit: pathsMax).map { path in
                (path.nodes.map { graph.name($0) }, path.rateMin)
            }
        }
        if found == nil, services.store.withTwin(from, { _ in true }) == nil {
            throw .notFound("resource '\(from)'")
        }
        return .json { writer in
            writer.beginObject()
            writer.member("from", from)
            writer.key("paths")
            writer.beginArray()
            for path in found ?? [] {
                writer.beginObject()
                writer.member("to", path.names.last)
                writer.member("hops", path.names.count - 1)
                writer.key("resources")
                writer.beginArray()
                for name in path.names { writer.string(name) }
                writer.endArray()
                writer.member("rateMin", path.rate)
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        }
    }
}
