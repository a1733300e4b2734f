import Messages
import StageKit
import TwinCore

/// Observed traffic from one resource to another.
package struct GraphEdge: Sendable {
    package var source: NameID
    package var target: NameID
    /// Calls per second.
    package var rate: Double
    package var bytesPerSecond: Float
    package var latencySeconds: Float
    /// Event time of the newest interaction.
    package var time: EventTime
}

/// Who talks to whom: a fold over the interactions in `forecasts`. Both ends' partitions carry an interaction; the
/// newest counts, so the second changes nothing.
package struct GraphView: ~Copyable {
    package private(set) var counts = ViewCounts()
    package private(set) var edges: [GraphEdge] = []
    private let names: NameTable
    private let edgesMax: Int
    private var indexByPair: [UInt64: Int] = [:]
    /// Edges of each node, by name number.
    private var outgoing: [[Int32]] = [[]]
    private var incoming: [[Int32]] = [[]]

    package init(limits: ViewLimits) {
        names = NameTable(namesMax: limits.resourcesMax)
        edgesMax = limits.edgesMax
    }

    /// Folds an `interaction` entry.
    package mutating func receive(_ entry: Entry, source: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer) {
        guard let from = names.intern(source), let to = names.intern(target) else {
            counts.refused &+= 1
            return
        }
        while outgoing.count <= names.count {
            outgoing.append([])
            incoming.append([])
        }
        let key = UInt64(from) << 32 | UInt64(to)
        let edge = GraphEdge(
            source: from, target: to, rate: entry.value, bytesPerSecond: Self.number(entry, 0),
            latencySeconds: Self.number(entry, 1), time: entry.time)
        if let index = indexByPair[key] {
            if entry.time >= edges[index].time { edges[index] = edge }
            return
        }
        guard edges.count < edgesMax else {
            counts.refused &+= 1
            return
        }
        indexByPair[key] = edges.count
        outgoing[Int(from)].append(Int32(edges.count))
        incoming[Int(to)].append(Int32(edges.count))
        edges.append(edge)
    }

    private static func number(_ entry: Entry, _ index: Int) -> Float {
        index < entry.numbers.count ? entry.numbers[index] : .nan
    }

    /// The name of a node.
    package func name(_ id: NameID) -> String { names.text(of: id) }

    /// The node of a resource; nil if nobody was seen to call it, nor it anybody.
    package func find(_ resource: String) -> NameID? {
        var resource = resource
        return resource.withUTF8 { names.find(UnsafeRawBufferPointer($0)) }
    }

    /// Edges that leave a node, then those that reach it.
    package func edges(of node: NameID) -> (outgoing: [GraphEdge], incoming: [GraphEdge]) {
        guard Int(node) < outgoing.count else { return ([], []) }
        return (
            outgoing[Int(node)].map { edges[Int($0)] }, incoming[Int(node)].map { edges[Int($0)] }
        )
    }

    /// The heaviest edges, at most `limit`, of all or of those within `hops` of a node in either direction.
    package func heaviest(limit: Int, around node: NameID?, hops: Int) -> (edges: [GraphEdge], isCut: Bool) {
        var chosen: [GraphEdge] = edges
        if let node {
            let near = neighbourhood(of: node, hops: hops)
            chosen = edges.filter { near[Int($0.source)] && near[Int($0.target)] }
        }
        chosen.sort { a, b in
            let (left, right) = (a.rate.isFinite ? a.rate : -1, b.rate.isFinite ? b.rate : -1)
            return left != right ? left > right : (a.source, a.target) < (b.source, b.target)
        }
        return (Array(chosen.prefix(limit)), chosen.count > limit)
    }

    private func neighbourhood(of node: NameID, hops: Int) -> [Bool] {
        var isNear = [Bool](repeating: false, count: outgoing.count)
        var frontier = [Int(node)]
        if Int(node) < isNear.count { isNear[Int(node)] = true }
        for _ in 0..<hops {
            var next: [Int] = []
            for at in frontier where at < outgoing.count {
                var ends = outgoing[at].map { Int(edges[Int($0)].target) }
                ends += incoming[at].map { Int(edges[Int($0)].source) }
                for end in ends where !isNear[end] {
                    isNear[end] = true
                    next.append(end)
                }
            }
            frontier = next
        }
        return isNear
    }

    /// A way from one node to another.
    package struct Path: Sendable {
        package var nodes: [NameID]
        /// Calls per second of the thinnest edge.
        package var rateMin: Double
    }

    /// The shortest ways along calls from a node to all others within `hopsMax`, nearest first; only to `target`, if
    /// it is given. At most `limit`.
    package func paths(from node: NameID, to target: NameID?, hopsMax: Int, limit: Int) -> [Path] {
        guard Int(node) < outgoing.count else { return [] }
        var hasSeen = [Bool](repeating: false, count: outgoing.count)
        hasSeen[Int(node)] = true
        var frontier = [Path(nodes: [node], rateMin: .infinity)]
        var found: [Path] = []
        for _ in 0..<hopsMax where !frontier.isEmpty {
            var next: [Path] = []
            for path in frontier {
                guard let last = path.nodes.last else { continue }
                for index in outgoing[Int(last)] {
                    let edge = edges[Int(index)]
                    guard !hasSeen[Int(edge.target)] else { continue }
                    hasSeen[Int(edge.target)] = true
                    let rate = edge.rate.isFinite ? edge.rate : path.rateMin
                    let longer = Path(nodes: path.nodes + [edge.target], rateMin: min(path.rateMin, rate))
                    next.append(longer)
                    guard target == nil || target == edge.target else { continue }
                    found.append(longer)
                    if found.count >= limit || target != nil { return found }
                }
            }
            frontier = next
        }
        return found
    }
}

// MARK: - Snapshots

extension GraphView: RestorableView {
    package func freeze(into coder: inout StateCoder) {
        coder.write(list: edges) { edge, coder in
            coder.write(bytes: names.bytes(of: edge.source))
            coder.write(bytes: names.bytes(of: edge.target))
            coder.write(edge.rate)
            coder.write(elements: [edge.bytesPerSecond, edge.latencySeconds])
            coder.write(edge.time.milliseconds)
        }
    }

    package mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            let (source, target) = (try decoder.readBytes(), try decoder.readBytes())
            let rate = try decoder.readDouble()
            let numbers = try decoder.readElements(Float.self)
            let time = EventTime(milliseconds: try decoder.readInt64())
            numbers.withUnsafeBytes { bytes in
                let slice = FloatSlice(start: bytes.baseAddress, count: numbers.count)
                receive(
                    Entry(kind: .interaction, time: time, value: rate, numbers: slice), source: source, target: target)
            }
        }
    }
}
