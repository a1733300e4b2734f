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
            if let old = localityIndex.find(cell.pointee.locality, 1) {
                localities.write(old).pointee.resources &-= 1
            }
            cell.pointee.isCounted = 0
        }
        cell.pointee.locality = locality
        guard let new = localitySlot(locality) else { return }
        localities.write(new).pointee.resources &+= 1
        cell.pointee.isCounted = 1
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
        let resource = resources.write(slot)
        if resource.pointee.isCounted != 0, let place = localityIndex.find(resource.pointee.locality, 1) {
            localities.write(place).pointee.resources &-= 1
        }
        resource.pointee.isCounted = 0
        var next = resource.pointee.firstSeries
        while next != 0 {
            let cell = series.write(Int(next) &- 1)
            cell.pointee.forget()
            detectors.forget(Int(next) &- 1)
            next = cell.pointee.nextOfResource
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
        detectors.append()
        resources.write(owner).pointee.firstSeries = UInt32(slot + 1)
        seriesIndex.insert(resource, metric, slot)
        return slot
    }
}
