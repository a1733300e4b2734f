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
        let now = clock.milliseconds
        let hops: UInt32 = (1 << UInt32(last)) &- (1 << UInt32(first &- 1))
        while next != 0 {
            let edge = edges.read(Int(next) &- 1)
            next = edge.pointee.nextIn
            let isTraffic = edge.pointee.kind == EdgeCell.Kind.traffic
            let age = isTraffic ? age(edge) : 0
            if age > settings.edgeExpirySeconds &* 1_000 { continue }
            if isTraffic { rates += edge.pointee.rate }
            let source = nodes.read(Int(edge.pointee.source))
            if source.pointee.active & hops == 0 { continue }
            let weight = weight(edge, age: age)
            if weight == 0 { continue }
            for hop in first..<(last &+ 1) where source.pointee.active & 1 << UInt32(hop &- 1) != 0 {
                let expiry = source.pointee.expiry[hop &- 1]
                if expiry <= now { continue }
                scratch.expiries[hop] = max(scratch.expiries[hop], expiry)
                let part = source.pointee.published[hop &- 1] * weight
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
    }

    /// How long an edge has not been seen, milliseconds; 0 before the task knows the time.
    @inline(__always)
    private func age(_ edge: UnsafePointer<EdgeCell>) -> Int64 {
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
        guard hop < hopsMax else { return }
        let cell = nodes.write(slot)
        let change = scratch.changes[hop]
        let hasMoved = exceeds(change - cell.pointee.published[hop], settings.epsilon)
        if !hasMoved && cell.pointee.active & 1 << UInt32(hop) == 0 { return }
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
        guard hasMoved || (gained > 0 && gained >= ahead / 3) else { return }
        cell.pointee.sentExpiry[hop] = cell.pointee.expiry[hop]
        cell.pointee.version[hop] = max(cell.pointee.version[hop], time.milliseconds)
        tellNeighbours(slot, hop: hop, into: out)
    }

    /// Puts the targets that live here to the next level, and sends one entry to each partition where others live.
    mutating func tellNeighbours(_ slot: Int, hop: Int, into out: Emitter) {
        guard hop < hopsMax else { return }
        scratch.sending &+= 1
        let isHere = nodes.read(slot).pointee.isHere == 1
        var next = nodes.read(slot).pointee.firstOut
        while next != 0 {
            let edge = edges.read(Int(next) &- 1).pointee
            next = edge.nextOut
            if nodes.read(Int(edge.target)).pointee.isHere == 1 {
                enqueue(Int(edge.target), level: hop &+ 1)
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
        counts.influencesSent &+= 1
        out.emit(
            Entry(
                kind: .influence, code: UInt32(hop), resource: cell.pointee.name,
                object: nodes.read(target).pointee.name, time: EventTime(milliseconds: cell.pointee.expiry[hop]),
                value: Double(cell.pointee.version[hop]),
                numbers: FloatSlice(start: UnsafeRawPointer(scratch.sent), count: grid.count)),
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
