/// The replicas of one service: capacity follows orders, after the time that a replica takes to become ready.
package struct ReplicaSet: Sendable, Equatable {
    package let provisioningSeconds: Int64
    /// Replicas that serve now.
    package private(set) var ready: Int
    /// When replicas that were ordered become ready, in order.
    package private(set) var starting: [Int64] = []

    package init(ready: Int, provisioningSeconds: Int64) {
        self.ready = ready
        self.provisioningSeconds = provisioningSeconds
    }

    /// How many there will be when all that is under way has ended; what is paid for.
    package var ordered: Int { ready + starting.count }

    /// Orders so many in all. More start now; of fewer, those still starting go first, then ready ones, at once.
    package mutating func order(_ count: Int, at time: Int64) {
        let count = max(count, 0)
        if count > ordered {
            let moment = time + provisioningSeconds
            starting += Array(repeating: moment, count: count - ordered)
            starting.sort()
            return
        }
        let excess = ordered - count
        let unborn = min(excess, starting.count)
        starting.removeLast(unborn)
        ready -= excess - unborn
    }

    /// Lets time pass: what was to be ready by then is.
    package mutating func advance(to time: Int64) {
        let born = starting.prefix { $0 <= time }.count
        starting.removeFirst(born)
        ready += born
    }
}
