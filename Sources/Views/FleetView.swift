import Messages
import StageKit
import TwinCore

/// The twins of one shard of the fleet: a fold over `twins`, `outlooks`, `forecasts` and `decisions`. Which shard a
/// resource belongs to is the owner's affair; each part of a twin comes from one partition of one topic, and what
/// stands later there counts, whatever its event time.
package struct FleetView: ~Copyable {
    package private(set) var counts = ViewCounts()
    /// Raised when a resource comes or goes.
    package private(set) var generation: UInt64 = 0
    package private(set) var twins: [TwinView] = []
    /// Event time of the newest sample, but for slips of somebody's clock.
    package private(set) var reached = EventTime.distantPast
    private let names: NameTable
    private let limits: ViewLimits
    private var changes: UInt64 = 0

    /// - Parameter resourcesMax: of this shard.
    package init(limits: ViewLimits, resourcesMax: Int) {
        self.limits = limits
        names = NameTable(namesMax: resourcesMax)
    }

    /// Index of a resource's twin, which may be gone; nil if there never was one.
    package func find(_ resource: UnsafeRawBufferPointer) -> Int? { names.find(resource).map { Int($0) - 1 } }

    /// Index of a resource's twin.
    package func find(_ resource: String) -> Int? {
        var resource = resource
        return resource.withUTF8 { find(UnsafeRawBufferPointer($0)) }
    }

    /// Twins that are there.
    package var count: Int { twins.reduce(0) { $0 + ($1.isGone ? 0 : 1) } }

    /// Series of all twins.
    package var seriesCount: Int { twins.reduce(0) { $0 + $1.series.count } }

    private mutating func slot(_ resource: UnsafeRawBufferPointer) -> Int? {
        guard let name = names.intern(resource) else {
            counts.refused &+= 1
            return nil
        }
        let slot = Int(name) - 1
        if slot == twins.count {
            twins.append(TwinView(resource: String(decoding: resource, as: UTF8.self)))
            generation &+= 1
        }
        return slot
    }

    private mutating func touch(_ slot: Int) {
        changes &+= 1
        twins[slot].version = changes
        if twins[slot].isGone {
            twins[slot].isGone = false
            generation &+= 1
        }
    }

    /// Folds an outlook.
    package mutating func receiveOutlook(
        _ entry: Entry, resource: UnsafeRawBufferPointer, metric: UnsafeRawBufferPointer, at place: OutlookPlace
    ) {
        guard let slot = slot(resource) else { return }
        let index: Int
        if let found = twins[slot].series.firstIndex(where: { $0.metric.utf8.elementsEqual(metric) }) {
            index = found
        } else {
            guard twins[slot].series.count < limits.seriesPerResourceMax else {
                counts.refused &+= 1
                return
            }
            index = twins[slot].series.count
            twins[slot].series.append(SeriesView(metric: String(decoding: metric, as: UTF8.self), limits: limits))
        }
        let before = twins[slot].series[index].time
        guard twins[slot].series[index].receive(entry, at: place, limits: limits) else {
            counts.malformed &+= 1
            return
        }
        let time = twins[slot].series[index].time
        if time < before, before >= reached { reached = newest(upTo: place.timeMax) }
        if time <= place.timeMax ?? time { reached = max(reached, time) }
        touch(slot)
    }

    /// The newest sample of all; asked for only where the newest one was taken back.
    private func newest(upTo timeMax: EventTime?) -> EventTime {
        var newest = EventTime.distantPast
        for twin in twins where !twin.isGone {
            for series in twin.series where series.time <= timeMax ?? series.time { newest = max(newest, series.time) }
        }
        return newest
    }

    /// Folds a record of `twins`; nil is a tombstone.
    package mutating func receiveSummary(_ value: JSONValue?, resource: UnsafeRawBufferPointer) {
        guard let value else {
            guard let slot = find(resource), !twins[slot].isGone else { return }
            let name = twins[slot].resource
            twins[slot] = TwinView(resource: name)
            touch(slot)
            twins[slot].isGone = true
            generation &+= 1
            return
        }
        guard let slot = slot(resource) else { return }
        twins[slot].summaryTime = value["time"]?.time
        twins[slot].summaryUnits = value["readyUnits"]?.number
        identify(slot, value)
        if let locality = value["locality"]?.text { twins[slot].locality = locality }
        touch(slot)
    }

    /// Folds a `tags` entry of `forecasts`: class and tags as JSON, the locality as name.
    package mutating func receiveTags(
        _ text: UnsafeRawBufferPointer, resource: UnsafeRawBufferPointer, locality: UnsafeRawBufferPointer
    ) {
        guard let slot = slot(resource) else { return }
        do throws(JSONError) { identify(slot, try JSONValue(text)) } catch { counts.malformed &+= 1 }
        if !locality.isEmpty { twins[slot].locality = String(decoding: locality, as: UTF8.self) }
        touch(slot)
    }

    private mutating func identify(_ slot: Int, _ value: JSONValue) {
        if let name = value["class"]?.text { twins[slot].className = name }
        guard let tags = value["tags"] else { return }
        let found = tags.members.prefix(64).compactMap { member in member.value.text.map { (member.name, $0) } }
        if !found.isEmpty { twins[slot].tags = found.sorted { $0.0 < $1.0 } }
    }

    /// Folds a decision about a resource, which its decider makes after all that stand before it in the log.
    package mutating func receiveDecision(_ facts: DecisionFacts, resource: String, locality: String?) {
        var name = resource
        guard let slot = name.withUTF8({ self.slot(UnsafeRawBufferPointer($0)) }) else { return }
        var facts = facts
        // A price is said only where one unit is wanted at least; it does not vanish for that.
        facts.pricePerUnitHour = facts.pricePerUnitHour ?? twins[slot].decision?.pricePerUnitHour
        twins[slot].decision = facts
        if twins[slot].locality == nil { twins[slot].locality = locality }
        touch(slot)
    }

    /// The proposal of a resource was answered.
    package mutating func settle(proposal: String, resource: String) {
        guard let slot = find(resource), twins[slot].decision?.proposal == proposal else { return }
        twins[slot].decision?.proposal = nil
        touch(slot)
    }
}

// MARK: - Snapshots

extension FleetView: RestorableView {
    package func freeze(into coder: inout StateCoder) {
        coder.write(reached.milliseconds)
        coder.write(list: twins.filter { !$0.isGone }) { twin, coder in
            coder.write(text: twin.resource)
            coder.write(maybe: twin.locality)
            coder.write(maybe: twin.className)
            coder.write(list: twin.tags) { tag, coder in
                coder.write(text: tag.name)
                coder.write(text: tag.value)
            }
            coder.write(maybe: twin.summaryTime)
            coder.write(twin.summaryUnits ?? .nan)
            coder.write(list: twin.series) { $0.freeze(into: &$1) }
            coder.write(maybe: twin.decision?.id)
            guard let facts = twin.decision else { return }
            coder.write(facts.time.milliseconds)
            coder.write(facts.pricePerUnitHour ?? .nan)
            facts.data.withUnsafeBytes { coder.write(bytes: $0) }
        }
    }

    package mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        reached = max(reached, EventTime(milliseconds: try decoder.readInt64()))
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            var twin = TwinView(resource: try decoder.readText())
            twin.locality = try decoder.readMaybeText()
            twin.className = try decoder.readMaybeText()
            for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
                twin.tags.append((try decoder.readText(), try decoder.readText()))
            }
            twin.summaryTime = try decoder.readMaybeTime()
            let units = try decoder.readDouble()
            twin.summaryUnits = units.isNaN ? nil : units
            for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
                twin.series.append(try SeriesView(from: &decoder, limits: limits))
            }
            twin.decision = try Self.decision(from: &decoder)
            var name = twin.resource
            guard let slot = name.withUTF8({ self.slot(UnsafeRawBufferPointer($0)) }) else { continue }
            twins[slot] = twin
            touch(slot)
        }
    }

    private static func decision(from decoder: inout StateDecoder) throws(StateError) -> DecisionFacts? {
        guard let id = try decoder.readMaybeText() else { return nil }
        let time = EventTime(milliseconds: try decoder.readInt64())
        let price = try decoder.readDouble()
        let bytes = try decoder.readBytes()
        guard let data = try? JSONValue(bytes) else { throw .invalid("a decision that is no JSON") }
        var facts = DecisionFacts(id: id, time: time, data: data)
        facts.pricePerUnitHour = price.isNaN ? nil : price
        return facts
    }
}
