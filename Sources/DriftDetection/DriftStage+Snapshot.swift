import StageKit
import TwinCore

extension DriftStage {
    private static var seriesTag: UInt32 { StateSection.driftSeries.tag }
    private static var resourcesTag: UInt32 { StateSection.driftResources.tag }
    private static var localitiesTag: UInt32 { StateSection.driftLocalities.tag }
    private static var budgetTag: UInt32 { StateSection.driftBudgets.tag }

    package mutating func freeze(into writer: inout StateWriter) {
        series.freeze(tag: Self.seriesTag, into: &writer)
        detectors.freeze(into: &writer)
        resources.freeze(tag: Self.resourcesTag, into: &writer)
        localities.freeze(tag: Self.localitiesTag, into: &writer)
        var coder = StateCoder()
        coder.write(budget.tokens)
        coder.write(budget.reached.milliseconds)
        coder.write(alarms.tokens)
        coder.write(alarms.bar)
        coder.write(alarms.reached.milliseconds)
        writer.add(tag: Self.budgetTag, bytes: coder.bytes)
    }

    package mutating func restore(from reader: StateReader) throws(StateError) {
        try series.restore(tag: Self.seriesTag, from: reader) { $0.pointee.metric == 0 }
        try detectors.restore(from: reader, count: series.count)
        try resources.restore(tag: Self.resourcesTag, from: reader) { $0.pointee.resource == 0 }
        try localities.restore(tag: Self.localitiesTag, from: reader) { $0.pointee.isFree }
        var decoder = try reader.decoder(tag: Self.budgetTag)
        let tokens = try decoder.readDouble()
        guard tokens >= 0, tokens.isFinite else { throw .invalid("drift: impossible retrain budget") }
        budget.tokens = tokens
        budget.reached = EventTime(milliseconds: try decoder.readInt64())
        let alarmTokens = try decoder.readDouble()
        let bar = try decoder.readDouble()
        guard alarmTokens >= 0, alarmTokens.isFinite, bar >= 0, bar.isFinite else {
            throw .invalid("drift: impossible alarm budget")
        }
        alarms.tokens = alarmTokens
        alarms.bar = bar
        alarms.reached = EventTime(milliseconds: try decoder.readInt64())
        try indexLocalities()
        for slot in 0..<resources.count where resources.read(slot).pointee.resource != 0 {
            let cell = resources.read(slot).pointee
            guard isName(cell.resource), cell.locality == 0 || isName(cell.locality),
                resourceIndex.find(cell.resource, 1) == nil
            else { throw .invalid("drift: a resource without a name of its own") }
            try checkNeighbours(cell)
            resourceIndex.insert(cell.resource, 1, slot)
        }
        for slot in 0..<series.count where series.read(slot).pointee.metric != 0 {
            let cell = series.read(slot).pointee
            guard isName(cell.resource), isName(cell.metric), seriesIndex.find(cell.resource, cell.metric) == nil
            else { throw .invalid("drift: a series without a name of its own") }
            seriesIndex.insert(cell.resource, cell.metric, slot)
        }
        try checkChains()
    }

    private mutating func indexLocalities() throws(StateError) {
        for slot in 0..<localities.count where !localities.read(slot).pointee.isFree {
            let cell = localities.read(slot).pointee
            guard cell.name == 0 || isName(cell.name), localityIndex.find(cell.name, 1) == nil else {
                throw .invalid("drift: a locality without a name of its own")
            }
            localityIndex.insert(cell.name, 1, slot)
            guard cell.opened != .max else { continue }
            guard isName(cell.resource), isName(cell.metric), cell.drifted > 0 else {
                throw .invalid("drift: an open window without a drift")
            }
            for index in 0..<Int(min(cell.drifted, 4)) where !isName(cell.examples[index]) {
                throw .invalid("drift: a window of unknown resources")
            }
            nextClose = min(nextClose, windowEnd(cell.opened))
        }
    }

    private func checkNeighbours(_ cell: DriftResourceCell) throws(StateError) {
        guard cell.neighbourPlace < UInt32(DriftResourceCell.neighboursMax) else {
            throw .invalid("drift: impossible neighbours")
        }
        for index in 0..<DriftResourceCell.neighboursMax {
            guard cell.neighbours[index] == 0 || isName(cell.neighbours[index]) else {
                throw .invalid("drift: a neighbour without a name")
            }
        }
    }

    private func isName(_ name: NameNumber) -> Bool { name > 0 && Int(name) <= names.count }

    /// Each series stands in its resource's chain, and once, as no chain is longer than there are series.
    private func checkChains() throws(StateError) {
        var chained = 0
        for slot in 0..<resources.count {
            let resource = resources.read(slot).pointee
            var next = resource.firstSeries
            while next != 0 {
                guard chained < series.liveCount, Int(next) <= series.count else {
                    throw .invalid("drift: a chain of series that does not end")
                }
                let cell = series.read(Int(next) - 1).pointee
                guard cell.metric != 0, cell.resource == resource.resource else {
                    throw .invalid("drift: a chain of foreign series")
                }
                chained += 1
                next = cell.nextOfResource
            }
        }
        guard chained == series.liveCount else { throw .invalid("drift: series outside every chain") }
    }
}
