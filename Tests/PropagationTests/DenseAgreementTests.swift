import Messages
import StageKit
import TestKit
import Testing
import TwinCore

@testable import Propagation

/// A random graph with forecasts, and what the formulas say about it, computed at once over all of it.
struct RandomGraph {
    var changes: [Double] = []
    var levels: [Double] = []
    var edges: [(source: Int, target: Int, rate: Double)] = []

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let count = 2 + random.below(14)
        for _ in 0..<count {
            changes.append(random.below(3) == 0 ? 0 : random.uniform() * 1.6 - 0.6)
            levels.append(10 + 90 * random.uniform())
        }
        var seen: Set<Int> = []
        for _ in 0..<random.below(count * 4 + 1) {
            let source = random.below(count)
            let target = random.below(count)
            if seen.insert(source * 100 + target).inserted {
                edges.append((source, target, 1 + 99 * random.uniform()))
            }
        }
    }

    /// The outlook's mean one hour ahead of every resource.
    func naive(_ settings: PropagationSettings) -> [Double] {
        var x = changes
        var largest = [Double](repeating: -1, count: changes.count)
        for _ in 0..<settings.hopsMax {
            var next = [Double](repeating: 0, count: changes.count)
            for target in changes.indices {
                let inbound = edges.filter { $0.target == target }
                let total = inbound.reduce(0) { $0 + $1.rate }
                for edge in inbound { next[target] += edge.rate / total * x[edge.source] }
                next[target] *= Double(settings.damping)
            }
            x = next
            for node in x.indices { largest[node] = max(largest[node], x[node]) }
        }
        return changes.indices.map { node in
            let influence = max(largest[node], 0)
            return levels[node] * (1 + changes[node] + max(min(influence - changes[node], influence), 0))
        }
    }
}

@Suite struct DenseAgreementTests {
    @Test(arguments: Array(UInt64(1)...40))
    func `at rest outlooks are those of a dense recomputation, however resources are spread`(_ seed: UInt64) throws {
        let graph = RandomGraph(seed: seed)
        let settings = InfluenceTests.exact
        let expected = graph.naive(settings)
        for partitions in Int32(1)...4 {
            var random = SeededRandom(seed: seed &+ UInt64(partitions) &* 1_000)
            let homes = graph.changes.map { _ in Int32(random.below(Int(partitions))) }
            let wiring = try Wiring(partitions: partitions, settings: settings)
            func forecast(_ node: Int, _ change: Double) throws {
                let entry = TestEntry.forecast("n\(node)", value: graph.levels[node], change: change)
                try wiring.feed(entry, to: homes[node])
            }
            // Forecasts and edges in any order, with other values on the way there.
            var steps: [() throws -> Void] = []
            for node in graph.changes.indices {
                steps.append { try forecast(node, graph.changes[node] + 0.3) }
                steps.append { try forecast(node, -0.2) }
            }
            for edge in graph.edges {
                steps.append {
                    try wiring.interact(
                        "n\(edge.source)", homes[edge.source], "n\(edge.target)", homes[edge.target], edge.rate)
                }
            }
            for index in steps.indices.reversed() { steps.swapAt(index, random.below(index + 1)) }
            for step in steps { try step() }
            for node in graph.changes.indices { try forecast(node, graph.changes[node]) }
            for node in graph.changes.indices {
                let last = try #require(wiring.outlooks(of: "n\(node)").last)
                // The refreshed outlook is within its own tolerance, `refreshShare` of the level.
                let limit = graph.levels[node] * Double(settings.refreshShare) * 1.5 + 1e-3
                #expect(
                    abs(last.mean(4) - expected[node]) < limit,
                    "seed \(seed), \(partitions) partitions, node \(node): \(last.mean(4)) for \(expected[node])")
            }
        }
    }
}
