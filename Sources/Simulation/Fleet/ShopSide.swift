/// The shop's replicas under one rule, and what came of it.
package struct ShopSide: Sendable {
    package private(set) var sets: [ReplicaSet]
    /// Seconds in which a service was asked for more than it can serve well, by service.
    package private(set) var shortSeconds: [Int64]
    /// Replicas × seconds that were paid for, by service.
    package private(set) var replicaSeconds: [Int64]
    package private(set) var ordersUp = 0
    package private(set) var ordersDown = 0
    /// How many replicas were ordered at the end of every step of the live part, by step, then service.
    package private(set) var history: [[Int]] = []
    /// Services that were short in the step just past.
    package private(set) var shortNow: [Bool]

    /// A replica beyond this use answers slowly.
    package static let sloUtilisation = 0.85

    package init(ready: [Int]) {
        sets = zip(Shop.services, ready).map { ReplicaSet(ready: $1, provisioningSeconds: $0.provisioningSeconds) }
        shortSeconds = [Int64](repeating: 0, count: ready.count)
        replicaSeconds = shortSeconds
        shortNow = [Bool](repeating: false, count: ready.count)
    }

    /// Starts counting anew, from these replicas.
    package mutating func beginCount() { self = ShopSide(ready: sets.map(\.ordered)) }

    /// Requests per second that a service serves well.
    package func capacity(of service: Int) -> Double {
        Double(sets[service].ready) * Shop.services[service].capacityPerReplica * Self.sloUtilisation
    }

    /// Orders a number of replicas; nothing is counted if it is the present one.
    package mutating func order(_ service: Int, _ count: Int, at time: Int64) {
        let bounded = min(max(count, Shop.services[service].replicasMin), Shop.services[service].replicasMax)
        let before = sets[service].ordered
        if bounded == before { return }
        if bounded > before { ordersUp += 1 } else { ordersDown += 1 }
        sets[service].order(bounded, at: time)
    }

    /// One step with this demand, ending at `time`.
    package mutating func advance(to time: Int64, demand: [Double]) {
        for service in sets.indices {
            sets[service].advance(to: time)
            let isShort = demand[service] > capacity(of: service)
            shortNow[service] = isShort
            if isShort { shortSeconds[service] += Shop.stepSeconds }
            replicaSeconds[service] += Int64(sets[service].ordered) * Shop.stepSeconds
        }
        history.append(sets.map(\.ordered))
    }

    package var shortMinutes: Double { Double(shortSeconds.reduce(0, +)) / 60 }
    package var replicaHours: Double { Double(replicaSeconds.reduce(0, +)) / 3_600 }
    package var orders: Int { ordersUp + ordersDown }

    /// What the replicas cost.
    package var cost: Double {
        zip(replicaSeconds, Shop.services).reduce(0) { $0 + Double($1.0) / 3_600 * $1.1.pricePerHour }
    }
}
