import Messages
import StageKit
import TwinCore

extension PropagationStage {
    /// The node of a resource, made if it is new; nil when the graph is full.
    @inline(__always)
    mutating func node(_ resource: NameNumber) -> Int? {
        if let slot = nodeIndex.find(resource, 1) { return slot }
        return newNode(resource)
    }

    @inline(never)
    private mutating func newNode(_ resource: NameNumber) -> Int? {
        guard let slot = nodes.append(NodeCell(name: resource)) else {
            counts.resourcesRefused &+= 1
            return nil
        }
        nodeIndex.insert(resource, 1, slot)
        return slot
    }

    /// Traffic between two resources, at least one of which lives here.
    mutating func receiveInteraction(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, entry.object != 0 else {
            counts.malformed &+= 1
            return
        }
        let otherEnd = InteractionCode(raw: entry.code).otherEnd ?? -1
        let partition = Int(otherEnd) < scratch.reached.count ? otherEnd : -1
        guard let source = node(entry.resource), let target = node(entry.object) else { return }
        if partition == task.partition {
            nodes.write(source).pointee.isHere = 1
            nodes.write(target).pointee.isHere = 1
        }
        let kind = settings.takesDeclaredWeights ? EdgeCell.Kind.declared : EdgeCell.Kind.traffic
        let isNew = edgeIndex.find(UInt32(source + 1), UInt32(target + 1)) == nil
        guard let slot = edge(source, target, kind, entry.time) else { return }
        let edge = edges.write(slot)
        let hasMoved = partition >= 0 && edge.pointee.partition != partition
        if partition >= 0 { edge.pointee.partition = partition }
        learn(edge, entry, kind)
        let sourceCell = nodes.read(source)
        let isTargetHere = nodes.read(target).pointee.isHere == 1
        if sourceCell.pointee.active != 0 || nodes.read(target).pointee.isAsleep {
            if isTargetHere {
                for level in 1..<(hopsMax + 1) { enqueue(target, level: level) }
            } else if (isNew || hasMoved) && sourceCell.pointee.isHere == 1 && isForeign(partition) {
                for hop in 0..<hopsMax where sourceCell.pointee.active & 1 << UInt32(hop) != 0 {
                    send(source, hop: hop, to: target, partition: partition, into: out)
                }
            }
        }
        propagate(entry.time, into: out)
        refreshTouched(except: -1, into: out)
    }

    /// The edge between two nodes, made if it is new; nil when one of the limits is reached.
    private mutating func edge(_ source: Int, _ target: Int, _ kind: UInt32, _ time: EventTime) -> Int? {
        if let slot = edgeIndex.find(UInt32(source + 1), UInt32(target + 1)) { return slot }
        let cell = EdgeCell(
            seen: time.milliseconds, source: UInt32(source), target: UInt32(target), rate: 0, observations: 0,
            partition: -1, kind: kind)
        guard Int(nodes.read(source).pointee.outCount) < settings.edgesPerResourceMax,
            Int(nodes.read(target).pointee.inCount) < settings.edgesPerResourceMax, let slot = edges.append(cell)
        else {
            counts.edgesRefused &+= 1
            return nil
        }
        edgeIndex.insert(UInt32(source + 1), UInt32(target + 1), slot)
        let from = nodes.write(source)
        from.pointee.outCount &+= 1
        if from.pointee.lastOut == 0 {
            from.pointee.firstOut = UInt32(slot + 1)
        } else {
            edges.write(Int(from.pointee.lastOut) - 1).pointee.nextOut = UInt32(slot + 1)
        }
        from.pointee.lastOut = UInt32(slot + 1)
        let to = nodes.write(target)
        to.pointee.inCount &+= 1
        if to.pointee.lastIn == 0 {
            to.pointee.firstIn = UInt32(slot + 1)
        } else {
            edges.write(Int(to.pointee.lastIn) - 1).pointee.nextIn = UInt32(slot + 1)
        }
        to.pointee.lastIn = UInt32(slot + 1)
        return slot
    }

    /// The rate follows the newest value the more, the longer it has not been seen; a rate that is not given counts as
    /// one call per second.
    private func learn(_ edge: UnsafeMutablePointer<EdgeCell>, _ entry: Entry, _ kind: UInt32) {
        let isMeasured = kind == EdgeCell.Kind.traffic
        let raw = entry.value.isFinite ? Float(min(max(entry.value, 0), 1e12)) : 1
        let value = isMeasured ? raw : min(raw, settings.declaredWeightMax)
        if entry.time.milliseconds >= edge.pointee.seen { edge.pointee.latest = entry.value.isFinite ? raw : 0 }
        if edge.pointee.observations == 0 || !isMeasured || edge.pointee.kind != kind {
            edge.pointee.rate = value
            edge.pointee.kind = kind
        } else {
            let age = entry.time.milliseconds(since: EventTime(milliseconds: edge.pointee.seen))
            let learned = 1 - halved(age: max(age, 0), halfLife: settings.rateHalfLifeSeconds &* 1_000)
            let gain = min(max(learned, 1 / (edge.pointee.observations + 1)), 1)
            edge.pointee.rate += gain * (value - edge.pointee.rate)
        }
        edge.pointee.observations = min(edge.pointee.observations + 1, 1_000)
        edge.pointee.seen = max(edge.pointee.seen, entry.time.milliseconds)
    }

    /// Proximity: each resource is the neighbour of the one that joined its locality before it, so that a locality is a
    /// chain and not a clique.
    mutating func joinLocality(_ slot: Int, _ locality: NameNumber, _ time: EventTime) {
        guard let place = localityIndex.find(locality, 2) else {
            let cell = LocalityCell(locality: locality, newest: UInt32(slot + 1))
            if let place = localities.append(cell) { localityIndex.insert(locality, 2, place) }
            return
        }
        let before = Int(localities.read(place).pointee.newest) - 1
        localities.write(place).pointee.newest = UInt32(slot + 1)
        guard before != slot else { return }
        for (source, target) in [(before, slot), (slot, before)] {
            guard let made = edge(source, target, EdgeCell.Kind.proximity, time) else { continue }
            edges.write(made).pointee.partition = task.partition
        }
    }
}
