import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    /// A change was found: the model distrusts what it knew and learns from the steps since.
    mutating func receiveRetrain(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, !departures.contains(entry.resource),
            let slot = seriesIndex.find(entry.resource, entry.object)
        else { return }
        let cell = series.write(slot)
        guard cell.pointee.model.status.steps > 0 else { return }
        if RetrainCode(raw: entry.code).isDistrustOnly {
            cell.pointee.model.distrust()
            return emitForecast(slot, isMeasured: false, into: out)
        }
        count.retrainings &+= 1
        let known = cell.pointee.history.steps(since: entry.time.milliseconds, into: steps)
        if cell.pointee.activeEvents != 0 {
            let factor = max(cell.pointee.factor, 0.01)
            for index in 0..<known { steps[index] /= factor }
        }
        let settleSteps = entry.value >= 0 ? UInt32(min(entry.value, 10_000)) : 0
        cell.pointee.model.retrain(
            since: UnsafeBufferPointer(start: steps, count: known), settleSteps: settleSteps, shared: shared)
        emitForecast(slot, isMeasured: false, into: out)
        summariseIfDue(slot, at: cell.pointee.lastTime, into: out)
    }

    /// How the text of an outcome begins that names an action of a decider.
    private static var ownAction: StaticString { "{\"action\":\"scaling-decider-outlooks-" }

    /// What an actuator reports of an action: how many units are ready.
    mutating func receiveOutcome(_ entry: Entry) {
        guard entry.resource != 0, !departures.contains(entry.resource),
            let slot = resourceIndex.find(entry.resource, 0)
        else { return }
        guard entry.value >= 0, entry.value <= 1e9, entry.text.begins(with: Self.ownAction) else { return }
        let cell = resources.write(slot)
        let time = entry.time.milliseconds
        // Ahead of the watermark and of all samples of the twin.
        guard !isFarAhead(time) || time <= cell.pointee.lastTime &+ aheadMilliseconds else { return }
        guard time >= cell.pointee.supplyTime || isStraySupply(cell.pointee.supplyTime, at: time) else { return }
        cell.pointee.supplyTime = time
        cell.pointee.unitsAreReported = 1
        if cell.pointee.readyUnits != Float(entry.value) { cell.pointee.capacityMoves &+= 1 }
        cell.pointee.readyUnits = Float(entry.value)
    }

    /// A planned event: kept, replaced or called off.
    mutating func receiveEvent(_ entry: Entry) {
        guard entry.object != 0 else { return }
        var event = PlannedEvent()
        var isCancelled = entry.value == 0
        if !isCancelled {
            eventReader.open(entry.text)
            guard case .event = eventReader.next() else {
                count.eventsRefused &+= 1
                return
            }
            isCancelled = eventReader.event.isCancelled
            event.uplift = Float(min(max(eventReader.event.uplift, 0), EventJSON.upliftMax))
            event.start = eventReader.event.start.milliseconds
            event.end = eventReader.event.end.milliseconds
            guard setScope(of: &event), setKind(of: &event) else {
                count.eventsRefused &+= 1
                return
            }
        }
        if isCancelled {
            if let place = events.remove(id: entry.object) { clearEvents(1 << UInt64(place)) }
            return
        }
        event.id = entry.object
        guard event.end > sweptTo, let place = events.set(event) else {
            count.eventsRefused &+= 1
            return
        }
        let bit: UInt64 = 1 << UInt64(place)
        for slot in 0..<resources.count where resources.read(slot).pointee.name != 0 {
            let covered = event.covers(resources.read(slot).pointee) ? bit : 0
            guard resources.read(slot).pointee.eventMask & bit != covered else { continue }
            resources.write(slot).pointee.eventMask ^= bit
        }
    }

    /// Turns the event's scope into names; false if there is no room for them.
    private mutating func setScope(of event: inout PlannedEvent) -> Bool {
        let read = eventReader.event
        guard let value = names.intern(read.scopeValue) else { return false }
        event.value = value
        if read.scopeKey.spells("resource") || read.scopeKey.spells("service") {
            event.scope = .resource
        } else if read.scopeKey.spells("class") {
            event.scope = .className
        } else if read.scopeKey.spells("locality") {
            event.scope = .locality
        } else {
            guard let key = names.intern(read.scopeKey) else { return false }
            event.scope = .tag
            event.key = key
        }
        return true
    }

    private mutating func setKind(of event: inout PlannedEvent) -> Bool {
        guard let kind = names.intern(eventReader.event.kind) else { return false }
        event.kind = kind
        return true
    }

    /// Takes events out of all twins' masks.
    mutating func clearEvents(_ mask: UInt64) {
        for slot in 0..<resources.count where resources.read(slot).pointee.eventMask & mask != 0 {
            resources.write(slot).pointee.eventMask &= ~mask
        }
    }

    /// Traffic: for the graph, where one of its ends lives here.
    func receiveInteraction(_ entry: Entry, into out: Emitter) {
        if InteractionCode(raw: entry.code).isUnrouted, !livesHere(entry.resource), !livesHere(entry.object) { return }
        out.emit(entry, to: .forecasts, partition: task.partition)
    }

    /// Identity: the resource lives here, of this locality, class and tags. Tags that are not in the text are what they
    /// were.
    mutating func receiveTags(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0 else { return }
        guard departures.admits(entry.resource, at: entry.time.milliseconds) else { return count.outdated &+= 1 }
        departures.remove(entry.resource)
        out.emit(entry, to: .forecasts, partition: task.partition)
        guard let slot = resourceSlot(entry.resource) else { return }
        var cell = resources.read(slot).pointee
        cell.identifiedAt = max(cell.identifiedAt, entry.time.milliseconds)
        if entry.object != 0 { cell.locality = entry.object }
        if cell.lastTime == 0 { cell.lastTime = entry.time.milliseconds }
        readTags(entry.text, into: &cell)
        cell.eventMask = events.mask(of: cell)
        resources.write(slot).pointee = cell
    }

    private mutating func readTags(_ text: UnsafeRawBufferPointer, into cell: inout ResourceCell) {
        guard let identity = IdentityText(text, names: names) else { return }
        if identity.className != 0 { cell.className = identity.className }
        guard let tags = identity.tags else { return }
        let kept = tags.prefix(ResourceCell.tagsMax)
        count.tagsRefused &+= UInt64(identity.refused + tags.count - kept.count)
        cell.tagCount = UInt16(kept.count)
        cell.tagKeys = InlineArray(repeating: 0)
        cell.tagValues = InlineArray(repeating: 0)
        for (place, tag) in kept.enumerated() {
            cell.tagKeys[place] = tag.key
            cell.tagValues[place] = tag.value
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func begins(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount
            && prefix(text.utf8CodeUnitCount).elementsEqual(
                UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
