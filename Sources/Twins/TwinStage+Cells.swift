import Messages
import StageKit
import TwinCore

extension TwinStage {
    /// The slot of a twin, made if it is new; nil when there is no room.
    mutating func resourceSlot(_ name: NameID) -> Int? {
        if let slot = resourceIndex.find(name, 0) { return slot }
        var cell = ResourceCell(name: name)
        cell.eventMask = events.mask(of: cell)
        let slot: Int
        if freeResource >= 0 {
            slot = Int(freeResource)
            freeResource = resources.read(slot).pointee.nextFree
            resources.write(slot).pointee = cell
        } else {
            guard let added = resources.append(cell) else {
                count.resourcesRefused &+= 1
                return nil
            }
            slot = added
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
        let slot: Int
        if freeSeries >= 0 {
            slot = Int(freeSeries)
            freeSeries = series.read(slot).pointee.next
            series.write(slot).pointee = cell
        } else {
            guard let added = series.append(cell) else {
                count.seriesRefused &+= 1
                return nil
            }
            slot = added
            dues.append(.max)
        }
        seriesIndex.insert(resource, metric, slot)
        let twin = resources.write(owner)
        twin.pointee.firstSeries = Int32(slot)
        twin.pointee.seriesCount &+= 1
        return slot
    }

    /// Marks a twin's cells free for reuse. The index still points at them until it is rebuilt.
    mutating func release(_ slot: Int) {
        var next = resources.read(slot).pointee.firstSeries
        while next >= 0 {
            let place = Int(next)
            next = series.read(place).pointee.next
            releaseMemory(series.read(place).pointee.memory)
            var empty = SeriesCell(resource: ResourceCell.none, metric: 0, code: SampleCode(raw: 0))
            empty.next = freeSeries
            series.write(place).pointee = empty
            freeSeries = Int32(place)
            dues[place] = .max
        }
        var empty = ResourceCell(name: 0)
        empty.nextFree = freeResource
        resources.write(slot).pointee = empty
        freeResource = Int32(slot)
    }

    /// What a series learned of planned events; nil if nothing.
    @inline(__always)
    func memory(of cell: UnsafeMutablePointer<SeriesCell>) -> UnsafePointer<EventMemory>? {
        cell.pointee.memory < 0 ? nil : memories.read(Int(cell.pointee.memory))
    }

    /// The same to write to, made if it is new; nil when there is no room.
    mutating func ownMemory(of cell: UnsafeMutablePointer<SeriesCell>) -> UnsafeMutablePointer<EventMemory>? {
        if cell.pointee.memory < 0 {
            if freeMemory >= 0 {
                cell.pointee.memory = freeMemory
                freeMemory = memories.read(Int(freeMemory)).pointee.nextFree
                memories.write(Int(cell.pointee.memory)).pointee = EventMemory()
            } else {
                guard let added = memories.append(EventMemory()) else { return nil }
                cell.pointee.memory = Int32(added)
            }
        }
        return memories.write(Int(cell.pointee.memory))
    }

    private mutating func releaseMemory(_ slot: Int32) {
        guard slot >= 0 else { return }
        var empty = EventMemory()
        empty.nextFree = freeMemory
        memories.write(Int(slot)).pointee = empty
        freeMemory = slot
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
        guard let slot, wasHere else { return }
        out.emit(entry, to: .forecasts, partition: task.partition)
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
        var hasReleased = false
        for slot in 0..<resources.count where resources.read(slot).pointee.name != 0 {
            let cell = resources.read(slot).pointee
            let isOld = cell.lastTime < moment && cell.supplyTime < moment
            // A time far ahead was none: it ages from now on.
            if isFarAhead(cell.lastTime) { resources.write(slot).pointee.lastTime = sweptTo }
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
            hasReleased = true
            count.expired &+= 1
        }
        if hasReleased { rebuildIndex() }
        departures.forget(before: moment)
    }

    /// The index from the cells alone.
    mutating func rebuildIndex() {
        resourceIndex = PairIndex()
        seriesIndex = PairIndex()
        for slot in 0..<resources.count where resources.read(slot).pointee.name != 0 {
            resourceIndex.insert(resources.read(slot).pointee.name, 0, slot)
        }
        for slot in 0..<series.count where series.read(slot).pointee.metric != 0 {
            let cell = series.read(slot)
            let owner = resources.read(Int(cell.pointee.resource)).pointee.name
            seriesIndex.insert(owner, cell.pointee.metric, slot)
        }
    }
}
