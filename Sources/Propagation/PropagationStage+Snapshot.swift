import StageKit
import TwinCore

extension PropagationStage {
    private static var nodesTag: UInt32 { sectionTag("gnod") }
    private static var edgesTag: UInt32 { sectionTag("gedg") }
    private static var forecastsTag: UInt32 { sectionTag("gfor") }
    private static var localitiesTag: UInt32 { sectionTag("gloc") }
    private static var clockTag: UInt32 { sectionTag("gclk") }

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
        try nodes.restore(tag: Self.nodesTag, from: reader)
        try edges.restore(tag: Self.edgesTag, from: reader)
        try forecasts.restore(tag: Self.forecastsTag, from: reader)
        try localities.restore(tag: Self.localitiesTag, from: reader)
        var decoder = try reader.decoder(tag: Self.clockTag)
        clock = EventTime(milliseconds: try decoder.readInt64())
        for slot in 0..<nodes.count {
            let cell = nodes.read(slot).pointee
            guard isName(cell.name), nodeIndex.find(cell.name, 1) == nil, cell.metric == 0 || isName(cell.metric),
                cell.locality == 0 || isName(cell.locality), Int(cell.forecast) <= forecasts.count,
                cell.lastIn <= UInt32(edges.count), cell.lastOut <= UInt32(edges.count), cell.inCount >= 0,
                cell.outCount >= 0, cell.past.isSound
            else { throw .invalid("graph: an impossible resource") }
            nodeIndex.insert(cell.name, 1, slot)
        }
        for slot in 0..<edges.count {
            let cell = edges.read(slot).pointee
            guard Int(cell.source) < nodes.count, Int(cell.target) < nodes.count, cell.kind <= 2,
                Int(cell.nextIn) <= edges.count, Int(cell.nextOut) <= edges.count, cell.lag.isSound,
                edgeIndex.find(cell.source + 1, cell.target + 1) == nil
            else { throw .invalid("graph: an impossible edge") }
            edgeIndex.insert(cell.source + 1, cell.target + 1, slot)
        }
        for slot in 0..<forecasts.count where forecasts.read(slot).pointee.count > UInt32(ForecastCell.numbersMax) {
            throw .invalid("graph: an impossible forecast")
        }
        for slot in 0..<localities.count {
            let cell = localities.read(slot).pointee
            guard isName(cell.locality), cell.newest > 0, Int(cell.newest) <= nodes.count,
                localityIndex.find(cell.locality, 2) == nil
            else { throw .invalid("graph: an impossible locality") }
            localityIndex.insert(cell.locality, 2, slot)
        }
        try checkLists()
    }

    private func isName(_ name: NameNumber) -> Bool { name > 0 && Int(name) <= names.count }

    /// Every edge stands once in its target's list and once in its source's. Lists only lead to newer edges, so they
    /// end.
    private func checkLists() throws(StateError) {
        var inbound = 0
        var outbound = 0
        for slot in 0..<nodes.count {
            let node = nodes.read(slot).pointee
            var before: UInt32 = 0
            var next = node.firstIn
            while next != 0 {
                guard next > before, Int(next) <= edges.count, edges.read(Int(next) - 1).pointee.target == UInt32(slot)
                else { throw .invalid("graph: a broken list of edges") }
                inbound += 1
                before = next
                next = edges.read(Int(next) - 1).pointee.nextIn
            }
            guard before == node.lastIn else { throw .invalid("graph: a list of edges without its end") }
            before = 0
            next = node.firstOut
            while next != 0 {
                guard next > before, Int(next) <= edges.count, edges.read(Int(next) - 1).pointee.source == UInt32(slot)
                else { throw .invalid("graph: a broken list of edges") }
                outbound += 1
                before = next
                next = edges.read(Int(next) - 1).pointee.nextOut
            }
            guard before == node.lastOut else { throw .invalid("graph: a list of edges without its end") }
        }
        guard inbound == edges.count, outbound == edges.count else { throw .invalid("graph: edges outside every list") }
    }
}
