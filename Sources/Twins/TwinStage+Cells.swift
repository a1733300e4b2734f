import Messages
import StageKit
import TwinCore

extension TwinStage {
    /// The slot of a twin, made if it is new; nil when there is no room.
    mutating func resourceSlot(_ name: NameID) -> Int? {
        if let slot = resourceIndex.find(name, 0) { return slot }
        var cell = ResourceCell(name: name)
        cell.eventMask = events.mask(of: cell)
        guard let slot = resources.append(cell) else {
            count.resourcesRefused &+= 1
            return nil
        }
        resourceIndex.insert(name, 0, slot)
        return slot
    }

    /// The slot of a series, made if it is new; nil when there is no room.
    mutating func seriesSlot(_ resource: NameID, _ metric: NameID, _ code: SampleCode) -> Int? {
        if let slot = seriesIndex.find(resource, metric) { return slot }
        guard let owner = resourceSlot(resource) else { return nil }
        guard Int(resources.read(owner).pointee.seriesCount) < settings.seriesPerResourceMax else {
            count.seriesRefused &+= 1
            return nil
        }
        var cell = SeriesCell(resource: Int32(owner), metric: metric, code: code)
        cell.next = resources.read(owner).pointee.firstSeries
        cell.capacityMoves = resources.read(owner).pointee.capacityMoves
        guard let slot = series.append(cell) else {
            count.seriesRefused &+= 1
            return nil
        }
        if slot == dues.count { dues.append(.max) }
        seriesIndex.insert(resource, metric, slot)
        let twin = resources.write(owner)
        twin.pointee.firstSeries = Int32(slot)
        twin.pointee.seriesCount &+= 1
        if twin.pointee.usersSeries < 0 && UserMetrics.contains(names.bytes(of: metric)) {
            twin.pointee.usersSeries = Int32(slot)
        }
        return slot
    }

    /// Frees a twin's cells.
    private mutating func release(_ slot: Int) {
        let name = resources.read(slot).pointee.name
        var next = resources.read(slot).pointee.firstSeries
        while next >= 0 {
            let place = Int(next)
            next = series.read(place).pointee.next
            releaseMemory(series.read(place).pointee.memory)
            seriesIndex.remove(name, series.read(place).pointee.metric)
            series.free(
                place, leaving: SeriesCell(resource: ResourceCell.none, metric: 0, code: SampleCode(raw: 0)))
            dues[place] = .max
        }
        resourceIndex.remove(name, 0)
        resources.free(slot, leaving: ResourceCell(name: 0))
    }

    /// What a series learned of planned events; nil if nothing.
    @inline(__always)
    func memory(of cell: UnsafeMutablePointer<SeriesCell>) -> UnsafePointer<EventMemory>? {
        cell.pointee.memory < 0 ? nil : memories.read(Int(cell.pointee.memory))
    }

    /// The same to write to, made if it is new; nil when there is no room.
    mutating func ownMemory(of cell: UnsafeMutablePointer<SeriesCell>) -> UnsafeMutablePointer<EventMemory>? {
        if cell.pointee.memory < 0 {
            guard let added = memories.append(EventMemory(isOwned: true)) else { return nil }
            cell.pointee.memory = Int32(added)
        }
        return memories.write(Int(cell.pointee.memory))
    }

    private mutating func releaseMemory(_ slot: Int32) {
        guard slot >= 0 else { return }
        memories.free(Int(slot), leaving: EventMemory(isOwned: false))
    }

    /// Whether a resource lives in this partition: it has a twin here, or its name leads here and it is not known to
    /// live elsewhere.
    func livesHere(_ name: NameID) -> Bool {
        guard name != 0, !departures.contains(name) else { return false }
        return resourceIndex.find(name, 0) != nil
            || TwinCore.partition(of: names.bytes(of: name), among: layout[.observations]) == task.partition
    }

    /// A resource that lives in another partition: its twin, if it has one here, falls silent, and its cells are freed
    /// at the next look for expired twins. If it is said to live here again before, nothing was lost.
    mutating func receiveGone(_ entry: Entry, into out: Emitter) {
        let name = entry.resource
        let time = entry.time.milliseconds
        guard name != 0 else { return }
        let slot = resourceIndex.find(name, 0)
        if let slot, resources.read(slot).pointee.identifiedAt > time { return count.outdated &+= 1 }
        let wasHere = slot != nil && !departures.contains(name)
        departures.note(name, at: time)
        // Also of what was never here: a decider must know whom to leave to others.
        out.emit(entry, to: .forecasts, partition: task.partition)
        guard let slot, wasHere else { return }
        var next = resources.read(slot).pointee.firstSeries
        while next >= 0 {
            let cell = series.write(Int(next))
            cell.pointee.quality = DataQuality.missing.rawValue
            dues[Int(next)] = .max
            next = cell.pointee.next
        }
    }

    /// Forgets twins whose last sample is older than a moment, with a tombstone for their summaries, and says so; and
    /// those that are gone, whose summaries now come from elsewhere.
    mutating func expire(before moment: Int64, into out: Emitter) {
        for slot in 0..<resources.count where resources.read(slot).pointee.name != 0 {
            let cell = resources.read(slot).pointee
            let isOld = cell.lastTime < moment && cell.supplyTime < moment
            // A time more than a day ahead was none: it ages from now on. Up to that the watermark may lag: a twin that
            // is forgotten too early does not know a repeat of its last samples.
            if isFarAhead(cell.lastTime &- 86_400_000) { resources.write(slot).pointee.lastTime = sweptTo }
            let isGone = departures.contains(cell.name)
            guard isOld || isGone else { continue }
            if !isGone {
                let gone = Entry(kind: .gone, resource: cell.name, time: EventTime(milliseconds: moment))
                out.emit(gone, to: .forecasts, partition: task.partition)
            }
            if cell.isSummarised != 0 && !isGone {
                out.tombstone(to: .twins, partition: summaryPartition(of: cell.name), key: cell.name)
            }
            release(slot)
            count.expired &+= 1
        }
        departures.forget(before: moment)
    }

    package func mark(_ names: inout NameMarks) {
        for slot in 0..<resources.count where resources.read(slot).pointee.name != 0 {
            let cell = resources.read(slot)
            names.mark(cell.pointee.name)
            names.mark(cell.pointee.locality)
            names.mark(cell.pointee.className)
            names.mark(tags: Int(cell.pointee.tagCount), cell.pointee.tagKeys, cell.pointee.tagValues)
        }
        for slot in 0..<series.count { names.mark(series.read(slot).pointee.metric) }
        for slot in 0..<memories.count { memories.read(slot).pointee.mark(&names) }
        events.mark(&names)
        departures.mark(&names)
    }
}
