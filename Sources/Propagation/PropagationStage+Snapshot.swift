import StageKit
import TwinCore

extension PropagationStage {
    private static var nodesTag: UInt32 { StateSection.graphNodes.tag }
    private static var edgesTag: UInt32 { StateSection.graphEdges.tag }
    private static var forecastsTag: UInt32 { StateSection.graphForecasts.tag }
    private static var localitiesTag: UInt32 { StateSection.graphLocalities.tag }
    private static var clockTag: UInt32 { StateSection.graphTime.tag }

    package mutating func freeze(into writer: inout StateWriter) {
        nodes.freeze(tag: Self.nodesTag, into: &writer)
        edges.freeze(tag: Self.edgesTag, into: &writer)
        forecasts.freeze(tag: Self.forecastsTag, into: &writer)
        localities.freeze(tag: Self.localitiesTag, into: &writer)
        var coder = StateCoder()
        coder.write(clock.milliseconds)
        writer.add(tag: Self.clockTag, bytes: coder.bytes)
    }

    package mutating func restore(from reader: StateReader) throws(StateError) {
        try nodes.restore(tag: Self.nodesTag, from: reader) { $0.pointee.name == 0 }
        try edges.restore(tag: Self.edgesTag, from: reader) { $0.pointee.isFree }
        try forecasts.restore(tag: Self.forecastsTag, from: reader) { $0.pointee.isFree }
        try localities.restore(tag: Self.localitiesTag, from: reader) { $0.pointee.locality == 0 }
        var decoder = try reader.decoder(tag: Self.clockTag)
        clock = EventTime(milliseconds: try decoder.readInt64())
        for slot in 0..<nodes.count where nodes.read(slot).pointee.name != 0 {
            let cell = nodes.read(slot).pointee
            guard isName(cell.name), nodeIndex.find(cell.name, 1) == nil, cell.metric == 0 || isName(cell.metric),
                cell.locality == 0 || isName(cell.locality), Int(cell.forecast) <= forecasts.count,
                cell.lastIn <= UInt32(edges.count), cell.lastOut <= UInt32(edges.count), cell.inCount >= 0,
                cell.outCount >= 0, cell.past.isSound
            else { throw .invalid("graph: an impossible resource") }
            guard cell.forecast == 0 || !forecasts.read(Int(cell.forecast) - 1).pointee.isFree else {
                throw .invalid("graph: a resource with a forecast that is free")
            }
            nodeIndex.insert(cell.name, 1, slot)
        }
        for slot in 0..<edges.count where !edges.read(slot).pointee.isFree {
            let cell = edges.read(slot).pointee
            guard Int(cell.source) < nodes.count, Int(cell.target) < nodes.count, cell.kind <= 2,
                nodes.read(Int(cell.source)).pointee.name != 0, nodes.read(Int(cell.target)).pointee.name != 0,
                Int(cell.nextIn) <= edges.count, Int(cell.nextOut) <= edges.count, cell.lag.isSound,
                edgeIndex.find(cell.source + 1, cell.target + 1) == nil
            else { throw .invalid("graph: an impossible edge") }
            edgeIndex.insert(cell.source + 1, cell.target + 1, slot)
        }
        for slot in 0..<forecasts.count
        where !forecasts.read(slot).pointee.isFree
            && forecasts.read(slot).pointee.count > UInt32(ForecastCell.numbersMax)
        {
            throw .invalid("graph: an impossible forecast")
        }
        for slot in 0..<localities.count where localities.read(slot).pointee.locality != 0 {
            let cell = localities.read(slot).pointee
            guard isName(cell.locality), cell.newest > 0, Int(cell.newest) <= nodes.count,
                nodes.read(Int(cell.newest) - 1).pointee.name != 0,
                localityIndex.find(cell.locality, 2) == nil
            else { throw .invalid("graph: an impossible locality") }
            localityIndex.insert(cell.locality, 2, slot)
        }
        try checkLists(.inbound)
        try checkLists(.outbound)
    }

    private func isName(_ name: NameNumber) -> Bool { name > 0 && Int(name) <= names.count }

    /// Every edge stands once in its target's list and once in its source's.
    private func checkLists(_ list: EdgeList) throws(StateError) {
        var isListed = [Bool](repeating: false, count: edges.count)
        var listed = 0
        for slot in 0..<nodes.count {
            let node = nodes.read(slot).pointee
            var (before, next, left) = (UInt32(0), node[keyPath: list.first], node[keyPath: list.count])
            while next != 0 {
                guard left > 0, Int(next) <= edges.count, !isListed[Int(next) - 1] else {
                    throw .invalid("graph: a list of edges too long")
                }
                isListed[Int(next) - 1] = true
                let edge = edges.read(Int(next) - 1).pointee
                guard edge[keyPath: list.owner] == UInt32(slot) else { throw .invalid("graph: a broken list of edges") }
                listed += 1
                (before, next, left) = (next, edge[keyPath: list.next], left - 1)
            }
            guard before == node[keyPath: list.last], left == 0 else {
                throw .invalid("graph: a list of edges without its end")
            }
        }
        guard listed == edges.liveCount else { throw .invalid("graph: edges outside every list") }
    }
}
