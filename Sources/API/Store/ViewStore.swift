import Messages
import StageKit
import Synchronization
import TwinCore
import Views

/// All views, shared between the one thread that folds and the many that answer. Each lock is held for one record or
/// one resource at a time, so nobody waits for a fleet to be walked.
package final class ViewStore: Sendable {
    /// Twins whose names have the same hash modulo the number of shards.
    final class Shard: Sendable {
        let view: Guarded<FleetView>

        init(_ limits: ViewLimits, resourcesMax: Int) {
            view = Guarded(FleetView(limits: limits, resourcesMax: resourcesMax))
        }
    }

    static let shardCount = 16

    package let limits: ViewLimits
    let shards: [Shard]
    let graph: Guarded<GraphView>
    let ledger: Guarded<LedgerView>
    let orders: Guarded<OrdersView>
    let letters: Guarded<DeadLetterView>
    let pipeline: Guarded<PipelineView>
    private let sight: Sight
    private let sorted = Mutex<(generation: UInt64, names: [String])>((.max, []))

    package init(limits: ViewLimits = ViewLimits()) {
        self.limits = limits
        sight = .whole
        let perShard = limits.resourcesMax / Self.shardCount + limits.resourcesMax / 64 + 64
        shards = (0..<Self.shardCount).map { _ in Shard(limits, resourcesMax: perShard) }
        graph = Guarded(GraphView(limits: limits))
        ledger = Guarded(LedgerView(limits: limits))
        orders = Guarded(OrdersView(limits: limits))
        letters = Guarded(DeadLetterView(limits: limits))
        pipeline = Guarded(PipelineView())
    }

    private init(_ other: ViewStore, _ sight: Sight) {
        limits = other.limits
        self.sight = sight
        shards = other.shards
        (graph, ledger, orders) = (other.graph, other.ledger, other.orders)
        (letters, pipeline) = (other.letters, other.pipeline)
    }

    /// The same views, of which `withTwin`, `names`, `forEachTwin` and `sees` know only the twins in sight.
    func seen(with sight: Sight) -> ViewStore { ViewStore(self, sight) }

    /// Whether there is a twin of this name that may be seen; without a bound whether or not there is one.
    func sees(_ resource: String) -> Bool { sight.isWhole || withTwin(resource) { _ in true } ?? false }

    /// Whether a policy may be seen.
    func sees(policy: JSONValue) -> Bool { sight.holds(policy) }

    /// The names in sight, to look many up; nil where there is no bound.
    func seenNames() -> Set<String>? { sight.isWhole ? nil : Set(names()) }

    /// Shows every twin in sight, each under its shard's lock.
    func forEachTwin(_ body: (TwinView) -> Void) {
        for shard in shards {
            shard.view.withLock { view in
                for index in view.twins.indices where !view.twins[index].isGone && sight.holds(view.twins[index]) {
                    body(view.twins[index])
                }
            }
        }
    }

    func shard(of resource: UnsafeRawBufferPointer) -> Shard {
        shards[Int(fnv1a64(resource) % UInt64(Self.shardCount))]
    }

    func shard(of resource: String) -> Shard { shards[Int(fnv1a64(resource) % UInt64(Self.shardCount))] }

    /// Runs the body with a twin, under its shard's lock; nil if there is none.
    func withTwin<R: Sendable>(_ resource: String, _ body: (TwinView) -> R) -> R? {
        shard(of: resource).view.withLock { view in
            guard let slot = view.find(resource), !view.twins[slot].isGone, sight.holds(view.twins[slot]) else {
                return nil
            }
            return body(view.twins[slot])
        }
    }

    /// Names of all twins, ascending. Sorted again only after one has come or gone.
    func names() -> [String] {
        let generation = shards.reduce(UInt64(0)) { sum, shard in sum &+ shard.view.withLock { $0.generation } }
        if let known = sorted.withLock({ $0.generation == generation ? $0.names : nil }) { return known }
        var names: [String] = []
        forEachTwin { names.append($0.resource) }
        names.sort()
        sorted.withLock { $0 = (generation, names) }
        return names
    }

    /// Event time that the views have reached; nil before the first sample.
    func reached() -> EventTime? {
        let newest = shards.map { $0.view.withLock { $0.reached } }.max() ?? .distantPast
        return newest == .distantPast ? nil : newest
    }

    /// Twins and series.
    func sizes() -> (resources: Int, series: Int) {
        shards.reduce(into: (0, 0)) { sum, shard in
            let (count, series) = shard.view.withLock { ($0.count, $0.seriesCount) }
            sum.0 += count
            sum.1 += series
        }
    }

    /// What all views have left out.
    func counts() -> ViewCounts {
        var sum = ViewCounts()
        for shard in shards { sum += shard.view.withLock { $0.counts } }
        sum += graph.withLock { $0.counts }
        sum += ledger.withLock { $0.counts }
        sum += orders.withLock { $0.counts }
        sum += letters.withLock { $0.counts }
        return sum
    }
}
