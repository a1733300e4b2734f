import StageKit
import TwinCore

/// Freeing what nothing keeps any more, so that a fleet of ever new resources fills no table.
extension PropagationStage {
    /// Edges that have expired, resources that live elsewhere and have no edge left, and what belonged to them.
    mutating func sweep() {
        sweepEdges()
        renewLocalities()
        for slot in 0..<nodes.count where isForgotten(nodes.read(slot)) {
            let cell = nodes.read(slot).pointee
            if cell.forecast != 0 { forecasts.free(Int(cell.forecast) - 1, leaving: .free) }
            nodeIndex.remove(cell.name, 1)
            nodes.free(slot, leaving: NodeCell(name: 0))
        }
    }

    /// Nothing leads to or from the resource, and no forecast, description or unexpired influence speaks for it.
    private func isForgotten(_ cell: UnsafePointer<NodeCell>) -> Bool {
        guard cell.pointee.name != 0, cell.pointee.inCount == 0, cell.pointee.outCount == 0 else { return false }
        if cell.pointee.isHere == 1 { return cell.pointee.forecast == 0 && cell.pointee.locality == 0 }
        for hop in 0..<NodeCell.hopsLimit where cell.pointee.expiry[hop] > clock.milliseconds { return false }
        return true
    }

    private mutating func sweepEdges() {
        var hasOver = false
        for slot in 0..<edges.count where !edges.read(slot).pointee.isFree && isOver(edges.read(slot)) {
            hasOver = true
            let cell = edges.read(slot).pointee
            edgeIndex.remove(cell.source + 1, cell.target + 1)
            // Still in its lists; there this marks it.
            edges.write(slot).pointee.kind = EdgeCell.Kind.over
        }
        guard hasOver else { return }
        for slot in 0..<nodes.count where nodes.read(slot).pointee.name != 0 {
            unlink(slot, .inbound)
            unlink(slot, .outbound)
        }
        for slot in 0..<edges.count where edges.read(slot).pointee.kind == EdgeCell.Kind.over {
            edges.free(slot, leaving: .free)
        }
    }

    /// Traffic that was not seen for long; neighbours by proximity of which one has left; and what was declared of two
    /// of which neither lives here, and not again for as long.
    private func isOver(_ edge: UnsafePointer<EdgeCell>) -> Bool {
        let isOld = age(edge) > settings.edgeExpirySeconds &* 1_000
        let isSourceHere = nodes.read(Int(edge.pointee.source)).pointee.isHere == 1
        let isTargetHere = nodes.read(Int(edge.pointee.target)).pointee.isHere == 1
        switch edge.pointee.kind {
        case EdgeCell.Kind.traffic: return isOld
        case EdgeCell.Kind.proximity: return !isSourceHere || !isTargetHere
        default: return isOld && !isSourceHere && !isTargetHere
        }
    }

    /// Takes the edges that are over out of one of a node's lists. Nothing is written where nothing changes: it would
    /// cost a page's copy.
    private mutating func unlink(_ slot: Int, _ list: EdgeList) {
        var kept: (first: UInt32, last: UInt32, count: Int32) = (0, 0, 0)
        var next = nodes.read(slot).pointee[keyPath: list.first]
        while next != 0 {
            let edge = edges.read(Int(next) - 1).pointee
            if edge.kind != EdgeCell.Kind.over {
                if kept.last == 0 { kept.first = next } else { link(kept.last, to: next, list) }
                kept.last = next
                kept.count += 1
            }
            next = edge[keyPath: list.next]
        }
        guard kept.count != nodes.read(slot).pointee[keyPath: list.count] else { return }
        if kept.last != 0 { link(kept.last, to: 0, list) }
        let cell = nodes.write(slot)
        cell.pointee[keyPath: list.first] = kept.first
        cell.pointee[keyPath: list.last] = kept.last
        cell.pointee[keyPath: list.count] = kept.count
    }

    private mutating func link(_ edge: UInt32, to next: UInt32, _ list: EdgeList) {
        guard edges.read(Int(edge) - 1).pointee[keyPath: list.next] != next else { return }
        edges.write(Int(edge) - 1).pointee[keyPath: list.next] = next
    }

    /// A locality whose newest resource has left is continued by another one, or forgotten.
    private mutating func renewLocalities() {
        for place in 0..<localities.count where localities.read(place).pointee.newest != 0 {
            let cell = localities.read(place).pointee
            if !lives(Int(cell.newest) - 1, in: cell.locality) { localities.write(place).pointee.newest = 0 }
        }
        for slot in 0..<nodes.count where nodes.read(slot).pointee.locality != 0 {
            let locality = nodes.read(slot).pointee.locality
            guard lives(slot, in: locality), let place = localityIndex.find(locality, 2),
                localities.read(place).pointee.newest == 0
            else { continue }
            localities.write(place).pointee.newest = UInt32(slot + 1)
        }
        for place in 0..<localities.count {
            let cell = localities.read(place).pointee
            guard cell.newest == 0, cell.locality != 0 else { continue }
            localityIndex.remove(cell.locality, 2)
            localities.free(place, leaving: LocalityCell(locality: 0, newest: 0))
        }
    }

    private func lives(_ slot: Int, in locality: NameNumber) -> Bool {
        let cell = nodes.read(slot)
        return cell.pointee.isHere == 1 && cell.pointee.locality == locality
    }

    package func mark(_ names: inout NameMarks) {
        for slot in 0..<nodes.count {
            let cell = nodes.read(slot)
            names.mark(cell.pointee.name)
            names.mark(cell.pointee.locality)
            names.mark(cell.pointee.metric)
        }
        for place in 0..<localities.count { names.mark(localities.read(place).pointee.locality) }
    }
}
