import Messages
import StageKit
import TwinCore

extension NormalizerCore {
    mutating func receiveTelemetry(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        telemetry.open(value)
        while true {
            switch telemetry.next() {
            case .sample: receiveSample(telemetry.sample, record, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    @inline(__always)
    mutating func receiveSample(_ sample: TelemetrySample, _ record: InboxRecord, into out: Emitter) {
        guard clock.observe(sample.time, of: sample.resource) else {
            return refuseAhead(sample.time, of: sample.resource, record, into: out)
        }
        guard let resource = names.intern(sample.resource), let metric = names.intern(sample.metric) else {
            counters.namesRefused &+= 1
            return
        }
        let memo = memos.find(metric, name: sample.metric, unit: sample.unit)
        let value = memo.canonical(sample.value)
        guard value.magnitude <= Entry.sampleValueMax else {
            return refuse(0..<0, of: record, "value is out of range: beyond 1e18 in canonical units", into: out)
        }
        counters.samples &+= 1
        if memo.isUnknownUnit { noteUnknownUnit(resource, metric) }
        var code = SampleCode(
            role: Self.role(sample.role) ?? memo.role,
            isCounter: sample.kind == .unspecified ? memo.isCounter : sample.kind == .counter)
        let partition =
            if let slot = directory.find(resource), isKnown(directory.read(slot), sample) {
                directory.read(slot).pointee.partition
            } else {
                identify(sample, resource, into: out)
            }
        if partition < 0 {
            code.isUnrouted = true
            counters.unrouted &+= 1
        }
        let entry = Entry(
            kind: .sample, code: code.raw, resource: resource, object: metric, time: sample.time, value: value)
        if partition >= 0 {
            out.emit(entry, to: .observations, partition: partition)
        } else {
            out.emitToAll(entry, topic: .observations)
        }
    }

    private static func role(_ role: TelemetrySample.Role) -> MetricRole? {
        switch role {
        case .unspecified: nil
        case .demand: .demand
        case .utilisation: .utilisation
        case .slo: .slo
        case .backlog: .backlog
        case .footprint: .footprint
        case .supply: .supply
        case .unknown: .unknown
        }
    }

    @inline(never)
    private mutating func noteUnknownUnit(_ resource: NameID, _ metric: NameID) {
        counters.unknownUnits &+= 1
        guard unknownUnitSeries.count < settings.unknownUnitSeriesMax,
            unknownUnitSeries.find(resource, metric) == nil
        else { return }
        unknownUnitSeries.insert(resource, metric, 0)
        counters.unknownUnitSeries &+= 1
    }

    /// Whether the sample says nothing about its resource that is not known, and nothing is due to be said again; what
    /// it does not say stays as it is.
    @inline(__always)
    private func isKnown(_ cell: UnsafePointer<DirectoryCell>, _ sample: TelemetrySample) -> Bool {
        if sample.time.milliseconds >= Int64(cell.pointee.dueSeconds) &* 1_000 { return false }
        if !sample.locality.isEmpty, !names.bytes(of: cell.pointee.locality).equals(sample.locality) { return false }
        if !sample.resourceClass.isEmpty,
            !names.bytes(of: cell.pointee.resourceClass).equals(sample.resourceClass)
        {
            return false
        }
        return sample.tags.raw.isEmpty || Self.digest(sample.tags.raw) == cell.pointee.tagsRaw
    }

    /// Never zero, which stands for "no tags yet".
    @inline(__always)
    private static func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var digest = Digest(seed: UInt64(bytes.count))
        digest.combine(bytes)
        return digest.value | 1
    }
}

// MARK: - Identity

/// What a sample says about its resource, names resolved.
private struct Description {
    /// 0 where the sample does not say it.
    var locality: NameID = 0
    var resourceClass: NameID = 0
    /// The tags in canonical form; nil where the sample has none.
    var tags: [UInt8]?
    var tagsRaw: UInt64 = 0
    var tagsCanonical: UInt64 = 0
}

extension NormalizerCore {
    /// Learns what the sample says about its resource and announces what has changed. Returns the resource's
    /// partition, or -1 if it is not known. Seldom, so it may allocate.
    @inline(never)
    private mutating func identify(_ sample: TelemetrySample, _ resource: NameID, into out: Emitter) -> Int32 {
        let slot = directory.find(resource)
        if let slot, sample.time.milliseconds < directory.read(slot).pointee.since {
            counters.descriptionsOutdated &+= 1
            return directory.read(slot).pointee.partition
        }
        let description = describe(sample)
        if let slot { return update(slot, description, sample, into: out) }
        var cell = DirectoryCell(resource: resource)
        cell.locality = description.locality
        if cell.locality != 0 { cell.partition = rules.partition(of: names.bytes(of: cell.locality)) }
        cell.resourceClass = description.resourceClass
        cell.tagsRaw = description.tagsRaw
        cell.tagsCanonical = description.tagsCanonical
        if let tags = description.tags { cell.keep(tags: tags) }
        date(&cell, sample.time)
        // Without room in the directory nothing is announced, as it would have to be with every sample.
        if directory.add(cell) { announce(cell, tags: description.tags ?? [], from: fallback(resource), into: out) }
        return cell.partition
    }

    /// What is known is known as of this moment, and is said again some time later.
    private func date(_ cell: inout DirectoryCell, _ time: EventTime) {
        cell.since = since(time)
        let known = cell.since == .min ? time.milliseconds : cell.since
        cell.dueSeconds = UInt32(clamping: known / 1_000 + max(settings.restateSeconds, 60))
    }

    private mutating func describe(_ sample: TelemetrySample) -> Description {
        var description = Description()
        var locality = [UInt8](sample.locality)
        if !sample.tags.raw.isEmpty {
            let tags = IdentityTag.sorted(sample.tags)
            if locality.isEmpty { locality = rules.compose(tags) ?? [] }
            let text = IdentityTag.canonical(tags)
            description.tagsRaw = Self.digest(sample.tags.raw)
            description.tagsCanonical = text.withUnsafeBytes { Self.digest($0) }
            description.tags = text
        }
        if !locality.isEmpty {
            if let name = locality.withUnsafeBytes({ names.intern($0) }) {
                description.locality = name
            } else {
                counters.namesRefused &+= 1
            }
        }
        if !sample.resourceClass.isEmpty {
            if let name = names.intern(sample.resourceClass) {
                description.resourceClass = name
            } else {
                counters.namesRefused &+= 1
            }
        }
        return description
    }

    private mutating func update(
        _ slot: Int, _ description: Description, _ sample: TelemetrySample, into out: Emitter
    ) -> Int32 {
        let cell = directory.write(slot)
        let hasMoved = description.locality != 0 && description.locality != cell.pointee.locality
        let hasNewClass = description.resourceClass != 0 && description.resourceClass != cell.pointee.resourceClass
        let hasNewTags = description.tags != nil && description.tagsCanonical != cell.pointee.tagsCanonical
        let isDue = sample.time.milliseconds >= Int64(cell.pointee.dueSeconds) * 1_000
        if description.tags != nil { cell.pointee.tagsRaw = description.tagsRaw }
        guard hasMoved || hasNewClass || hasNewTags || isDue else { return cell.pointee.partition }
        if hasNewClass { cell.pointee.resourceClass = description.resourceClass }
        if hasNewTags, let tags = description.tags {
            cell.pointee.tagsCanonical = description.tagsCanonical
            cell.pointee.keep(tags: tags)
        }
        var left = isDue || hasMoved ? fallback(cell.pointee.resource) : nil
        if hasMoved {
            if cell.pointee.partition >= 0 {
                counters.resourcesMoved &+= 1
                left = cell.pointee.partition
            }
            cell.pointee.locality = description.locality
            cell.pointee.partition = rules.partition(of: names.bytes(of: description.locality))
        }
        if hasNewClass || hasNewTags { counters.tagsChanged &+= 1 }
        // Said again without a word about where it is, it is no news of that.
        let since = cell.pointee.since
        date(&cell.pointee, sample.time)
        if !hasMoved, description.locality == 0 { cell.pointee.since = since }
        announce(cell.pointee, tags: description.tags ?? cell.pointee.keptTags, from: left, into: out)
        return cell.pointee.partition
    }

    /// The moment of a change; not beyond what the clock believes, so that a stray time cannot freeze a description.
    func since(_ time: EventTime) -> Int64 { min(time, clock.largest).milliseconds }

    /// Writes the `tags` entry of a resource to where it lives, and `gone` to where it has left, or would be looked for
    /// without its locality. `tags` is missing in the text where they are too long to be kept and the record at hand
    /// does not hold them: they are what they were.
    private mutating func announce(
        _ cell: DirectoryCell, tags: [UInt8]?, from left: Int32?, into out: Emitter
    ) {
        let home = cell.partition >= 0 ? cell.partition : fallback(cell.resource)
        let time = EventTime(milliseconds: max(cell.since, 0))
        if let left, left != home {
            let gone = Entry(
                kind: .gone, code: UInt32(home), resource: cell.resource, object: cell.locality, time: time)
            out.emit(gone, to: .observations, partition: left)
        }
        json.removeAll()
        json.beginObject()
        if cell.resourceClass != 0 {
            json.key("class")
            json.string(names.bytes(of: cell.resourceClass))
        }
        if let tags {
            json.key("tags")
            if tags.isEmpty {
                json.beginObject()
                json.endObject()
            } else {
                tags.withUnsafeBytes { json.raw($0) }
            }
        }
        json.endObject()
        json.withBytes { text in
            out.emit(
                Entry(kind: .tags, resource: cell.resource, object: cell.locality, time: time, text: text),
                to: .observations, partition: home)
        }
    }
}
