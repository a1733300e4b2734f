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

    /// x(hops) of a node from what its neighbours published, into `scratch.changes`, with the expiry of each.
    mutating func accumulate(_ slot: Int, hops: ClosedRange<Int>) {
        let points = grid.count
        let changes = scratch.changes
        let sums = scratch.sums
        for hop in hops {
            scratch.expiries[hop] = .min
            for index in 0..<points {
                changes[hop &* Grid.pointsMax &+ index] = 0
                sums[hop &* Grid.pointsMax &+ index] = 0
            }
        }
        guard hopsMax > 0 else { return }
        counts.recomputations &+= 1
        var traffic: Float = 0
        var next = nodes.read(slot).pointee.firstIn
        while next != 0 {
            let edge = edges.read(Int(next) &- 1)
            next = edge.pointee.nextIn
            let age = clock == .distantPast
                ? 0 : clock.milliseconds(since: EventTime(milliseconds: edge.pointee.seen))
            var weight: Float
            let isTraffic = edge.pointee.kind == EdgeCell.Kind.traffic
            if isTraffic {
                if age > settings.edgeExpirySeconds &* 1_000 { continue }
                let rate = edge.pointee.rate
                traffic += rate
                weight = rate * confidence(edge, age: age)
            } else {
                weight = edge.pointee.kind == EdgeCell.Kind.declared ? edge.pointee.rate : settings.proximityWeight
            }
            let source = nodes.read(Int(edge.pointee.source))
            if weight == 0 || source.pointee.active == 0 { continue }
            let room = isTraffic ? sums : changes
            for hop in hops {
                if source.pointee.active & 1 << UInt32(hop &- 1) == 0 { continue }
                let expiry = source.pointee.expiry[hop &- 1]
                if expiry <= clock.milliseconds { continue }
                scratch.expiries[hop] = max(scratch.expiries[hop], expiry)
                for index in 0..<points {
                    room[hop &* Grid.pointsMax &+ index] +=
                        weight * source.pointee.published[(hop &- 1) &* Grid.pointsMax &+ index]
                }
            }
        }
        finish(hops, traffic)
    }

    @inline(__always)
    private func finish(_ hops: ClosedRange<Int>, _ traffic: Float) {
        let share = traffic > 0 ? 1 / traffic : 0
        for hop in hops where scratch.expiries[hop] != .min {
            for index in 0..<grid.count {
                let at = hop &* Grid.pointsMax &+ index
                let change = settings.damping * (scratch.sums[at] * share + scratch.changes[at])
                scratch.changes[at] = min(max(change, -1), settings.relativeChangeMax)
            }
        }
    }

    /// Compares x(hop) in the scratch room with what the neighbours know, and tells them if it moved by more than ε or
    /// what they know is about to expire.
    mutating func publish(_ slot: Int, hop: Int, time: EventTime, into out: Emitter) {
        guard hop < hopsMax else { return }
        let cell = nodes.write(slot)
        var moved: Float = 0
        for index in 0..<grid.count {
            let at = hop &* Grid.pointsMax &+ index
            moved = max(moved, abs(scratch.changes[at] - cell.pointee.published[at]))
        }
        let hasMoved = moved > settings.epsilon
        if !hasMoved && cell.pointee.active & 1 << UInt32(hop) == 0 { return }
        if hasMoved {
            var isActive = false
            for index in 0..<grid.count {
                let at = hop &* Grid.pointsMax &+ index
                cell.pointee.published[at] = scratch.changes[at]
                if scratch.changes[at] != 0 { isActive = true }
            }
            setActive(cell, hop, isActive)
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
            scratch.numbers[index] = cell.pointee.published[hop &* Grid.pointsMax &+ index]
        }
        counts.influencesSent &+= 1
        out.emit(
            Entry(
                kind: .influence, code: UInt32(hop), resource: cell.pointee.name,
                object: nodes.read(target).pointee.name, time: EventTime(milliseconds: cell.pointee.expiry[hop]),
                value: Double(cell.pointee.version[hop]),
                numbers: FloatSlice(start: UnsafeRawPointer(scratch.numbers), count: grid.count)),
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
                accumulate(slot, hops: level...level)
                publish(slot, hop: level, time: time, into: out)
            }
            scratch.levels[level].removeAll(keepingCapacity: true)
        }
    }

    /// What the node at hand feels: per point the largest of x(1) … x(hopsMax).
    mutating func totalInfluence() {
        for index in 0..<grid.count {
            var largest: Float = hopsMax > 0 ? -1 : 0
            for hop in 1..<(hopsMax + 1) { largest = max(largest, scratch.changes[hop &* Grid.pointsMax &+ index]) }
            scratch.total[index] = largest
        }
    }
}
