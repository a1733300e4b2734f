import Messages
import StageKit
import TwinCore

extension PropagationStage {
    @inline(__always)
    func setActive(_ cell: UnsafeMutablePointer<NodeCell>, _ hop: Int, _ isActive: Bool) {
        let bit: UInt32 = 1 << UInt32(hop)
        cell.pointee.active = isActive ? cell.pointee.active | bit : cell.pointee.active & ~bit
    }

    /// How far the confidence in an edge has come, and how much of it age has left: 0…1.
    @inline(__always)
    func confidence(_ edge: UnsafePointer<EdgeCell>, age: Int64) -> Float {
        let observations = edge.pointee.observations
        return observations / (observations + settings.observationsHalf)
            * halved(age: age, halfLife: settings.edgeHalfLifeSeconds &* 1_000)
    }

    /// x(first) … x(last) of a node from what its neighbours published, into `scratch.changes`, with their expiries.
    mutating func accumulate(_ slot: Int, from first: Int, to last: Int) {
        guard first <= last else { return }
        for hop in first..<(last &+ 1) {
            scratch.changes[hop] = SIMD8()
            scratch.traffic[hop] = SIMD8()
            scratch.expiries[hop] = .min
        }
        var next = nodes.read(slot).pointee.firstIn
        guard next != 0 else { return }
        counts.recomputations &+= 1
        var rates: Float = 0
        var calls: Float = 0
        let now = clock.milliseconds
        let seen = nodes.read(slot).pointee.past.minute
        let isAsleep = nodes.read(slot).pointee.isAsleep
        let hops: UInt32 = (1 << UInt32(last)) &- (1 << UInt32(first &- 1))
        while next != 0 {
            let edge = edges.read(Int(next) &- 1)
            next = edge.pointee.nextIn
            let isTraffic = edge.pointee.kind == EdgeCell.Kind.traffic
            let age = isTraffic ? age(edge) : 0
            if age > settings.edgeExpirySeconds &* 1_000 { continue }
            if isTraffic { rates += edge.pointee.rate }
            if isAsleep && isTraffic { calls += callsInVain(edge, slot) }
            let source = nodes.read(Int(edge.pointee.source))
            let lag = edge.pointee.lag.minutes
            if source.pointee.active & hops == 0 && (lag == 0 || first > 1) { continue }
            var weight = weight(edge, age: age)
            if isAsleep { weight *= source.pointee.share }
            if weight == 0 { continue }
            for hop in first..<(last &+ 1) {
                var expiry = source.pointee.expiry[hop &- 1]
                var change = source.pointee.published[hop &- 1]
                if source.pointee.active & 1 << UInt32(hop &- 1) == 0 || expiry <= now {
                    guard hop == 1, lag > 0 else { continue }
                    change = SIMD8()
                    expiry = .min
                }
                if lag > 0 { (change, expiry) = delayed(change, expiry, source, by: edge, seen: seen) }
                if expiry <= now { continue }
                scratch.expiries[hop] = max(scratch.expiries[hop], expiry)
                let part = change * weight
                if isTraffic { scratch.traffic[hop] += part } else { scratch.changes[hop] += part }
            }
        }
        let share = rates > 0 ? 1 / rates : 0
        for hop in first..<(last &+ 1) where scratch.expiries[hop] != .min {
            let change = (scratch.traffic[hop] * share + scratch.changes[hop]) * settings.damping
            let floored = larger(change, SIMD8(repeating: -1))
            let most = SIMD8<Float>(repeating: settings.relativeChangeMax)
            scratch.changes[hop] = floored.replacing(with: most, where: floored .> most)
        }
        if first == 1, calls > 0 { wake(slot, calls) }
    }

    /// What is still to come at the far end of an edge that takes its time: what the source has gone through since,
    /// less what such comparisons are usually off by, and then what is expected of it.
    ///
    ///     x(h) = source(now + h − lag) / source(now − lag) − 1
    private func delayed(
        _ change: SIMD8<Float>, _ expiry: Int64, _ source: UnsafePointer<NodeCell>, by edge: UnsafePointer<EdgeCell>,
        seen: Int64
    ) -> (SIMD8<Float>, Int64) {
        let minutes = edge.pointee.lag.minutes
        let now = max(seen, source.pointee.past.minute)
        let present = source.pointee.past.newest
        let passed = source.pointee.past.level(in: now &- minutes)
        let base = max(passed, present / 10)
        guard base > 0 else { return (change, expiry) }
        let slack = edge.pointee.lag.error
        var total = SIMD8<Float>()
        for index in 0..<grid.count {
            let ahead = grid.seconds[index] - Float(minutes &* 60)
            let then = source.pointee.past.level(in: now &+ Int64((min(ahead, 0) / 60).rounded(.down)))
            let lived = then / base - 1
            let believed = lived > 0 ? max(lived - slack, 0) : min(lived + slack, 0)
            total[index] = ahead > 0 ? (1 + believed) * (1 + grid.value(change, at: ahead)) - 1 : believed
        }
        guard total != SIMD8() else { return (total, .min) }
        let known = (source.pointee.past.minute &+ minutes) &* 60_000 &+ settings.influenceSeconds &* 1_000
        return (total, max(expiry, known))
    }

    /// Calls to a resource that has no units to answer them, per second, as they were reported since.
    private func callsInVain(_ edge: UnsafePointer<EdgeCell>, _ target: Int) -> Float {
        let isOld =
            clock.milliseconds(since: EventTime(milliseconds: edge.pointee.seen))
            > settings.influenceSeconds &* 1_000
        return isOld || edge.pointee.seen <= nodes.read(target).pointee.asleepSince ? 0 : edge.pointee.latest
    }

    /// A resource without units is expected to be asked for what it is called for in vain, at least.
    private mutating func wake(_ slot: Int, _ calls: Float) {
        let usual = nodes.read(slot).pointee.usual.value
        guard usual > 0 else { return }
        let share = min(calls / usual, settings.relativeChangeMax)
        scratch.changes[1] = larger(scratch.changes[1], SIMD8(repeating: share))
        for index in grid.count..<8 { scratch.changes[1][index] = 0 }
        let expiry = clock.advanced(byMilliseconds: settings.influenceSeconds &* 1_000).milliseconds
        scratch.expiries[1] = max(scratch.expiries[1], expiry)
    }

    /// How long an edge has not been seen, milliseconds; 0 before the task knows the time.
    @inline(__always)
    func age(_ edge: UnsafePointer<EdgeCell>) -> Int64 {
        clock == .distantPast ? 0 : clock.milliseconds(since: EventTime(milliseconds: edge.pointee.seen))
    }

    /// Rate times confidence of a measured edge (its share of the target's traffic is taken later), or the weight.
    @inline(__always)
    private func weight(_ edge: UnsafePointer<EdgeCell>, age: Int64) -> Float {
        switch edge.pointee.kind {
        case EdgeCell.Kind.traffic: edge.pointee.rate * confidence(edge, age: age)
        case EdgeCell.Kind.declared: edge.pointee.rate
        default: settings.proximityWeight
        }
    }

    /// Compares x(hop) in the scratch room with what the neighbours know, and tells them if it moved by more than ε or
    /// what they know is about to expire.
    mutating func publish(_ slot: Int, hop: Int, time: EventTime, into out: Emitter) {
        guard hop < hopsMax, !publishChange(slot, hop: hop, time: time, into: out), hop == 0 else { return }
        if hasLeapt(nodes.read(slot)) { tellAbroad(slot, time: time, into: out) }
    }

    /// - Returns: true if neighbours were told.
    private mutating func publishChange(_ slot: Int, hop: Int, time: EventTime, into out: Emitter) -> Bool {
        let cell = nodes.write(slot)
        let change = scratch.changes[hop]
        let hasMoved = exceeds(change - cell.pointee.published[hop], settings.epsilon)
        if !hasMoved && cell.pointee.active & 1 << UInt32(hop) == 0 { return false }
        if hasMoved {
            cell.pointee.published[hop] = change
            setActive(cell, hop, change != SIMD8())
        }
        let expiry = scratch.expiries[hop]
        cell.pointee.expiry[hop] = hasMoved ? expiry : max(expiry, cell.pointee.expiry[hop])
        // Told again when a third of its life has passed: a reader never sees a steady value expire.
        let ahead = EventTime(milliseconds: expiry).milliseconds(since: time)
        let gained = EventTime(milliseconds: expiry).milliseconds(
            since: EventTime(milliseconds: cell.pointee.sentExpiry[hop]))
        guard hasMoved || (gained > 0 && gained >= ahead / 3) else { return false }
        cell.pointee.sentExpiry[hop] = cell.pointee.expiry[hop]
        cell.pointee.version[hop] = max(cell.pointee.version[hop], time.milliseconds)
        if hop == 0 { cell.pointee.sentLevel = cell.pointee.past.newest }
        tellNeighbours(slot, hop: hop, into: out)
        return true
    }

    /// Whether the level is another one than other partitions were told.
    private func hasLeapt(_ cell: UnsafePointer<NodeCell>) -> Bool {
        let (told, now) = (cell.pointee.sentLevel, cell.pointee.past.newest)
        return (now - told).magnitude > settings.refreshShare * max(told, now)
    }

    /// The level, to where targets of lagging edges may live; those that live here see it anyway.
    private mutating func tellAbroad(_ slot: Int, time: EventTime, into out: Emitter) {
        let cell = nodes.write(slot)
        cell.pointee.sentLevel = cell.pointee.past.newest
        cell.pointee.version[0] = max(cell.pointee.version[0], time.milliseconds)
        cell.pointee.expiry[0] = max(cell.pointee.expiry[0], scratch.expiries[0])
        tellNeighbours(slot, hop: 0, onlyAbroad: true, into: out)
    }

    /// Puts the targets that live here to the next level, unless they know, and sends one entry to each partition where
    /// others live.
    mutating func tellNeighbours(_ slot: Int, hop: Int, onlyAbroad: Bool = false, into out: Emitter) {
        guard hop < hopsMax else { return }
        scratch.sending &+= 1
        let isHere = nodes.read(slot).pointee.isHere == 1
        var next = nodes.read(slot).pointee.firstOut
        while next != 0 {
            let edge = edges.read(Int(next) &- 1).pointee
            next = edge.nextOut
            if nodes.read(Int(edge.target)).pointee.isHere == 1 {
                if !onlyAbroad { enqueue(Int(edge.target), level: hop &+ 1) }
            } else if isHere, isForeign(edge.partition), scratch.reached[Int(edge.partition)] != scratch.sending {
                scratch.reached[Int(edge.partition)] = scratch.sending
                send(slot, hop: hop, to: Int(edge.target), partition: edge.partition, into: out)
            }
        }
    }

    @inline(__always)
    func isForeign(_ partition: Int32) -> Bool {
        partition >= 0 && partition != task.partition && Int(partition) < scratch.reached.count
    }

    /// x(hop) of a resource that lives here, to the partition of one of its targets.
    mutating func send(_ slot: Int, hop: Int, to target: Int, partition: Int32, into out: Emitter) {
        let cell = nodes.read(slot)
        for index in 0..<grid.count {
            scratch.sent[index] = cell.pointee.published[hop][index]
        }
        scratch.sent[grid.count] = cell.pointee.past.newest
        scratch.sent[grid.count + 1] = cell.pointee.isAsleep ? cell.pointee.usual.value : cell.pointee.base
        scratch.sent[grid.count + 2] = cell.pointee.usual.value
        counts.influencesSent &+= 1
        out.emit(
            Entry(
                kind: .influence, code: UInt32(hop), resource: cell.pointee.name,
                object: nodes.read(target).pointee.name, time: EventTime(milliseconds: cell.pointee.expiry[hop]),
                value: Double(cell.pointee.version[hop]),
                numbers: FloatSlice(start: UnsafeRawPointer(scratch.sent), count: influenceCount)),
            to: .forecasts, partition: partition)
    }

    /// Marks x(level) of a node as out of date; each pair once for an entry.
    mutating func enqueue(_ slot: Int, level: Int) {
        guard level <= hopsMax else { return }
        while scratch.stamps.count < nodes.count { scratch.stamps.append(0) }
        var stamp = scratch.stamps[slot]
        if stamp >> 8 != scratch.entry {
            stamp = scratch.entry << 8
            scratch.touched.append(UInt32(slot))
        }
        let bit: UInt64 = 1 << UInt64(level)
        if stamp & bit == 0 { scratch.levels[level].append(UInt32(slot)) }
        scratch.stamps[slot] = stamp | bit
    }

    @inline(__always)
    var hasWork: Bool { !scratch.touched.isEmpty }

    /// Recomputes level by level. A level only ever adds to the one above it, so this ends.
    mutating func propagate(_ time: EventTime, into out: Emitter) {
        for level in 1..<(hopsMax + 1) {
            var position = 0
            while position < scratch.levels[level].count {
                let slot = Int(scratch.levels[level][position])
                position += 1
                // The last level is not told to anybody; what it means for the node itself is looked at in the end.
                guard level < hopsMax else { continue }
                accumulate(slot, from: level, to: level)
                publish(slot, hop: level, time: time, into: out)
            }
            scratch.levels[level].removeAll(keepingCapacity: true)
        }
    }

    /// What the node at hand feels: per point the largest of x(1) … x(hopsMax).
    mutating func totalInfluence() {
        guard hopsMax > 0 else { return }
        var largest = scratch.changes[1]
        for hop in 1..<(hopsMax + 1) {
            largest = larger(largest, scratch.changes[hop])
        }
        scratch.total = largest
    }
}
