import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    private static var resourcesTag: UInt32 { StateSection.twinResources.tag }
    private static var seriesTag: UInt32 { StateSection.twinSeries.tag }
    private static var memoriesTag: UInt32 { StateSection.eventMemories.tag }
    private static var stateTag: UInt32 { StateSection.twinState.tag }
    private static var sharedTag: UInt32 { StateSection.sharedModels.tag }

    package mutating func freeze(into writer: inout StateWriter) {
        resources.freeze(tag: Self.resourcesTag, into: &writer)
        series.freeze(tag: Self.seriesTag, into: &writer)
        memories.freeze(tag: Self.memoriesTag, into: &writer)
        var coder = StateCoder()
        coder.write(sweptTo)
        coder.write(expiredTo)
        events.encode(into: &coder)
        departures.encode(into: &coder)
        writer.add(tag: Self.stateTag, bytes: coder.bytes)
        writer.add(tag: Self.sharedTag, bytes: shared.pointee.bytes)
    }

    package mutating func restore(from reader: StateReader) throws(StateError) {
        try resources.restore(tag: Self.resourcesTag, from: reader) { $0.pointee.name == 0 }
        try series.restore(tag: Self.seriesTag, from: reader) { $0.pointee.metric == 0 }
        try memories.restore(tag: Self.memoriesTag, from: reader) { $0.pointee.isFree }
        var decoder = try reader.decoder(tag: Self.stateTag)
        sweptTo = try decoder.readInt64()
        expiredTo = try decoder.readInt64()
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

    /// What was learned of events belongs to one series.
    private func checkMemories() throws(StateError) {
        var owned = [Bool](repeating: false, count: memories.count)
        for place in 0..<memories.count where !memories.read(place).pointee.isSound {
            throw .invalid("what was learned of events is damaged")
        }
        for place in 0..<series.count where series.read(place).pointee.metric != 0 {
            let slot = Int(series.read(place).pointee.memory)
            guard slot >= 0 else { continue }
            guard slot < memories.count, !owned[slot], !memories.read(slot).pointee.isFree else {
                throw .invalid("what was learned of events belongs to two series")
            }
            owned[slot] = true
        }
        for place in 0..<memories.count where !memories.read(place).pointee.isFree && !owned[place] {
            throw .invalid("what was learned of events belongs to no series")
        }
    }

    /// The lists of series end, and hold each cell once.
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
            let users = Int(resources.read(place).pointee.usersSeries)
            guard users < series.count, users < 0 || Int(series.read(users).pointee.resource) == place else {
                throw .invalid("a twin's users are counted elsewhere")
            }
        }
        guard listed == seriesIndex.count else { throw .invalid("a series stands in no list") }
    }
}
