import Messages
import StageKit
import TwinCore

extension DriftStage {
    /// Identity: the locality, and the version whose change explains a drift.
    mutating func receiveTags(_ entry: Entry) {
        guard entry.resource != 0, let slot = resourceSlot(entry.resource) else { return }
        moveResource(slot, to: entry.object)
        guard let version = Self.version(in: entry.text) else { return }
        let cell = resources.write(slot)
        if cell.pointee.version != 0 && cell.pointee.version != version {
            cell.pointee.versionTime = entry.time.milliseconds
        }
        cell.pointee.version = version
    }

    /// Traffic: its ends are neighbours, whose drifts may have one cause. Ends that are not known here yet are not made
    /// known by it.
    mutating func receiveInteraction(_ entry: Entry) {
        guard entry.resource != 0, entry.object != 0, entry.resource != entry.object else { return }
        if let slot = resourceIndex.find(entry.resource, 1) { resources.write(slot).pointee.meet(entry.object) }
        if let slot = resourceIndex.find(entry.object, 1) { resources.write(slot).pointee.meet(entry.resource) }
    }

    /// Counts the resource where it lives.
    private mutating func moveResource(_ slot: Int, to locality: NameNumber) {
        let cell = resources.write(slot)
        if cell.pointee.isCounted != 0 {
            guard cell.pointee.locality != locality else { return }
            cell.pointee.isCounted = 0
            leaveLocality(cell.pointee.locality)
        }
        cell.pointee.locality = locality
        guard let new = localitySlot(locality) else { return }
        localities.write(new).pointee.resources &+= 1
        cell.pointee.isCounted = 1
    }

    private mutating func leaveLocality(_ locality: NameNumber) {
        guard let slot = localityIndex.find(locality, 1) else { return }
        localities.write(slot).pointee.resources &-= 1
        freeIfEmpty(slot)
    }

    /// Forgets a locality in which nothing is known and nothing drifted of late.
    mutating func freeIfEmpty(_ slot: Int) {
        let cell = localities.read(slot).pointee
        guard cell.resources == 0, cell.opened == .max else { return }
        localityIndex.remove(cell.name, 1)
        localities.free(slot, leaving: .free)
    }

    /// A hash of the tag `version` in `{"tags": {…}}`, never 0; nil if there is none.
    private static func version(in text: UnsafeRawBufferPointer) -> UInt64? {
        var reader = JSONReader(text)
        guard (try? reader.enterObject()) != nil else { return nil }
        while let key = try? reader.nextKey() {
            if reader.matches(key, "tags"), reader.peekKind() == .object {
                guard (try? reader.enterObject()) != nil else { return nil }
            } else if reader.matches(key, "version"), reader.peekKind() == .string {
                guard let string = try? reader.readString() else { return nil }
                return fnv1a64(reader.raw(string)) | 1
            } else {
                guard (try? reader.skipValue()) != nil else { return nil }
            }
        }
        return nil
    }

    /// The resource lives elsewhere now: if it ever comes back it is watched anew.
    mutating func receiveGone(_ entry: Entry) {
        guard let slot = resourceIndex.find(entry.resource, 1) else { return }
        let resource = resources.read(slot).pointee
        if resource.isCounted != 0 { leaveLocality(resource.locality) }
        var next = resource.firstSeries
        while next != 0 {
            let place = Int(next) &- 1
            next = series.read(place).pointee.nextOfResource
            seriesIndex.remove(entry.resource, series.read(place).pointee.metric)
            series.free(place, leaving: SeriesCell(resource: 0, metric: 0))
            detectors.forget(place)
        }
        resourceIndex.remove(entry.resource, 1)
        resources.free(slot, leaving: DriftResourceCell(resource: 0))
    }

    package func mark(_ names: inout NameMarks) {
        for slot in 0..<resources.count {
            let cell = resources.read(slot)
            names.mark(cell.pointee.resource)
            names.mark(cell.pointee.locality)
            for index in 0..<DriftResourceCell.neighboursMax { names.mark(cell.pointee.neighbours[index]) }
        }
        for slot in 0..<series.count { names.mark(series.read(slot).pointee.metric) }
        for slot in 0..<localities.count {
            let cell = localities.read(slot)
            names.mark(cell.pointee.name)
            names.mark(cell.pointee.resource)
            names.mark(cell.pointee.metric)
            for index in 0..<4 { names.mark(cell.pointee.examples[index]) }
        }
    }

    mutating func resourceSlot(_ resource: NameNumber) -> Int? {
        if let slot = resourceIndex.find(resource, 1) { return slot }
        guard let slot = resources.append(DriftResourceCell(resource: resource)) else { return nil }
        resourceIndex.insert(resource, 1, slot)
        return slot
    }

    mutating func localitySlot(_ name: NameNumber) -> Int? {
        if let slot = localityIndex.find(name, 1) { return slot }
        guard let slot = localities.append(LocalityCell(name: name)) else { return nil }
        localityIndex.insert(name, 1, slot)
        return slot
    }

    @inline(__always)
    mutating func slot(_ resource: NameNumber, _ metric: NameNumber) -> Int? {
        if let slot = seriesIndex.find(resource, metric) { return slot }
        return newSlot(resource, metric)
    }

    @inline(never)
    private mutating func newSlot(_ resource: NameNumber, _ metric: NameNumber) -> Int? {
        guard let owner = resourceSlot(resource) else { return nil }
        var cell = SeriesCell(resource: resource, metric: metric)
        cell.nextOfResource = resources.read(owner).pointee.firstSeries
        guard let slot = series.append(cell) else { return nil }
        detectors.add(slot)
        resources.write(owner).pointee.firstSeries = UInt32(slot + 1)
        seriesIndex.insert(resource, metric, slot)
        return slot
    }
}
