import TwinCore

/// The whole shop: one demand, two sides that must carry it. The reactive side decides by itself; the other is
/// ordered from outside. Same seed, same demand.
package struct ShopFleet: Sendable {
    package let story: ShopStory
    package private(set) var demand: ShopDemand
    package private(set) var reactive: ShopSide
    /// The side of the pipeline. Follows the reactive one until `beginLive`.
    package private(set) var twinned: ShopSide
    package private(set) var isLive = false
    /// Mean requests per second of the minute just past, by service.
    package private(set) var minuteMeans: [Double]
    /// Demand of every step of the live part.
    package private(set) var demandHistory: [[Double]] = []
    private var rules: [ReactiveRule]
    private var before: [Double]

    /// Use of a replica that both rules aim at.
    package static let targetUtilisation = 0.7

    package init(seed: UInt64, story: ShopStory) {
        self.story = story
        demand = ShopDemand(seed: seed, story: story)
        let ready = zip(Shop.services, demand.values).map { service, value in
            max(Int((value / service.capacityPerReplica / Self.targetUtilisation).rounded(.up)), service.replicasMin)
        }
        reactive = ShopSide(ready: ready)
        twinned = reactive
        minuteMeans = demand.values
        before = demand.values
        rules = Shop.services.map {
            ReactiveRule(
                capacityPerReplica: $0.capacityPerReplica, targetUtilisation: Self.targetUtilisation,
                replicasMin: $0.replicasMin, replicasMax: $0.replicasMax)
        }
    }

    /// Seconds since the epoch.
    package var time: Int64 { demand.time }

    /// From here on the sides part, and are counted.
    package mutating func beginLive() {
        isLive = true
        reactive.beginCount()
        twinned = reactive
        demandHistory = []
    }

    /// One minute more. The reactive rule looks every step, at the step before: metrics take that long to arrive.
    package mutating func advanceMinute() {
        let steps = Int(60 / Shop.stepSeconds)
        var sums = [Double](repeating: 0, count: Shop.services.count)
        for _ in 0..<steps {
            before = demand.values
            demand.advance()
            for service in sums.indices { sums[service] += demand.values[service] }
            reactive.advance(to: time, demand: demand.values)
            if isLive {
                twinned.advance(to: time, demand: demand.values)
                demandHistory.append(demand.values)
            }
            decideReactively()
        }
        for service in sums.indices { minuteMeans[service] = sums[service] / Double(steps) }
    }

    private mutating func decideReactively() {
        for service in Shop.services.indices {
            let metric = story.isSilent(service, at: time) ? nil : before[service]
            let current = reactive.sets[service].ordered
            let wanted = rules[service].decide(demand: metric, current: current, at: time)
            reactive.order(service, wanted, at: time)
        }
    }

    /// The pipeline's order.
    package mutating func order(_ service: Int, _ count: Int, at time: Int64) {
        twinned.order(service, count, at: time)
    }

    /// A service of the pipeline's side that is left to the reactive rule, as where it only recommends.
    package mutating func followReactive(_ service: Int) {
        twinned.order(service, reactive.sets[service].ordered, at: time)
    }
}
