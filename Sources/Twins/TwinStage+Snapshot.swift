import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    private static var resourcesTag: UInt32 { sectionTag("twrs") }
    private static var seriesTag: UInt32 { sectionTag("twse") }
    private static var memoriesTag: UInt32 { sectionTag("twem") }
    private static var stateTag: UInt32 { sectionTag("twst") }
    private static var sharedTag: UInt32 { sectionTag("twsh") }

    package mutating func freeze(into writer: inout StateWriter) {
        resources.freeze(tag: Self.resourcesTag, into: &writer)
        series.freeze(tag: Self.seriesTag, into: &writer)
        memories.freeze(tag: Self.memoriesTag, into: &writer)
        var coder = StateCoder()
        coder.write(sweptTo)
        coder.write(expiredTo)
        coder.write(Int64(freeResource))
        coder.write(Int64(freeSeries))
        coder.write(Int64(freeMemory))
        events.encode(into: &coder)
        departures.encode(into: &coder)
        writer.add(tag: Self.stateTag, bytes: coder.bytes)
        writer.add(tag: Self.sharedTag, bytes: shared.pointee.bytes)
    }

    package mutating func restore(from reader: StateReader) throws(StateError) {
        try resources.restore(tag: Self.resourcesTag, from: reader)
        try series.restore(tag: Self.seriesTag, from: reader)
        try memories.restore(tag: Self.memoriesTag, from: reader)
        var decoder = try reader.decoder(tag: Self.stateTag)
        sweptTo = try decoder.readInt64()
        expiredTo = try decoder.readInt64()
        freeResource = try slot(try decoder.readInt64(), below: resources.count)
        freeSeries = try slot(try decoder.readInt64(), below: series.count)
        freeMemory = try slot(try decoder.readInt64(), below: memories.count)
        try events.decode(from: &decoder)
        try departures.decode(from: &decoder, namesMax: names.count)
        guard shared.pointee.restore(try reader.section(tag: Self.sharedTag)) else {
            throw .invalid("what all series learned together is damaged")
        }
        try checkSeries()
        try checkLists()
        try checkMemories()
        dues = []
        dues.reserveCapacity(series.count)
        for place in 0..<series.count { dues.append(series.write(place).due) }
    }

    private func slot(_ value: Int64, below count: Int) throws(StateError) -> Int32 {
        guard value >= -1, value < Int64(count) else { throw .invalid("slot beyond the table") }
        return Int32(value)
    }

    /// Every series that is in use belongs to a twin that is in use, and nothing in it points outside.
    private mutating func checkSeries() throws(StateError) {
        for place in 0..<resources.count where resources.read(place).pointee.name != 0 {
            let cell = resources.read(place)
            guard Int(cell.pointee.name) <= names.count, Int(cell.pointee.tagCount) <= ResourceCell.tagsMax,
                resourceIndex.find(cell.pointee.name, 0) == nil
            else { throw .invalid("a twin's cell is damaged") }
            resourceIndex.insert(cell.pointee.name, 0, place)
        }
        for place in 0..<series.count where series.read(place).pointee.metric != 0 {
            let cell = series.read(place)
            let owner = Int(cell.pointee.resource)
            guard owner >= 0, owner < resources.count, Int(cell.pointee.metric) <= names.count,
                cell.pointee.model.isSound, cell.pointee.history.isSound, cell.pointee.times.isSound
            else { throw .invalid("a series' cell is damaged") }
            let name = resources.read(owner).pointee.name
            guard name != 0, seriesIndex.find(name, cell.pointee.metric) == nil else {
                throw .invalid("a series without a twin of its own")
            }
            seriesIndex.insert(name, cell.pointee.metric, place)
        }
    }

    /// What was learned of events belongs to one series or is free.
    private func checkMemories() throws(StateError) {
        var owned = [Bool](repeating: false, count: memories.count)
        for place in 0..<memories.count where !memories.read(place).pointee.isSound {
            throw .invalid("what was learned of events is damaged")
        }
        for place in 0..<series.count where series.read(place).pointee.metric != 0 {
            let slot = Int(series.read(place).pointee.memory)
            guard slot >= 0 else { continue }
            guard slot < memories.count, !owned[slot] else {
                throw .invalid("what was learned of events belongs to two series")
            }
            owned[slot] = true
        }
        var next = freeMemory
        while next >= 0 {
            guard Int(next) < memories.count, !owned[Int(next)] else {
                throw .invalid("the list of free places for events is damaged")
            }
            owned[Int(next)] = true
            next = memories.read(Int(next)).pointee.nextFree
        }
    }

    /// The lists of series and of free cells end, and hold each cell at most once.
    private func checkLists() throws(StateError) {
        var listed = 0
        for place in 0..<resources.count where resources.read(place).pointee.name != 0 {
            var next = resources.read(place).pointee.firstSeries
            var left = Int(resources.read(place).pointee.seriesCount)
            while next >= 0 {
                guard left > 0, Int(next) < series.count, series.read(Int(next)).pointee.metric != 0,
                    Int(series.read(Int(next)).pointee.resource) == place
                else { throw .invalid("a twin's list of series is damaged") }
                left -= 1
                listed += 1
                next = series.read(Int(next)).pointee.next
            }
            guard left == 0 else { throw .invalid("a twin's list of series is short") }
        }
        guard listed == seriesIndex.count else { throw .invalid("a series stands in no list") }
        var next = freeSeries
        var left = series.count - listed
        while next >= 0 {
            guard left > 0, Int(next) < series.count, series.read(Int(next)).pointee.metric == 0 else {
                throw .invalid("the list of free series is damaged")
            }
            left -= 1
            next = series.read(Int(next)).pointee.next
        }
        next = freeResource
        left = resources.count - resourceIndex.count
        while next >= 0 {
            guard left > 0, Int(next) < resources.count, resources.read(Int(next)).pointee.name == 0 else {
                throw .invalid("the list of free twins is damaged")
            }
            left -= 1
            next = resources.read(Int(next)).pointee.nextFree
        }
    }
}
