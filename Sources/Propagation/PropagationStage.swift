import Messages
import StageKit
import TwinCore

/// The graph-propagator: learns who depends on whom, lets a change that is expected of one resource be felt by the
/// others before their own telemetry moves, and writes forecasts with that influence added as outlooks.
///
/// **Influence** is x(hop), the relative change of demand expected on each point of the grid, and always a value, never
/// a difference:
///
///     x(0) of a resource = mean(h) / level − 1 of its own forecast, and nothing else
///     x(h+1) of a target = damping · ( Σ rate·confidence·x(h) / Σ rate  +  Σ declared weight · x(h) )
///                          over its in-edges, in order of their first appearance
///
/// so traffic counts by its share of what the target receives. A value is told to the neighbours only when it moved by
/// more than ε or is about to expire, and only below `hopsMax`; each (resource, hop) is recomputed at most once for an
/// entry, so work is bounded by edges × hops and cycles end. At rest x depends on own forecasts and edges alone.
///
/// **What a resource feels** is, per point, the largest of x(1) … x(hopsMax), not their sum: hops are accounts of the
/// same cause from different distances (a neighbour's own forecast already answers what moves it), and a change that
/// comes back around a cycle comes back damped, so it never exceeds its own cause. The outlook's mean becomes
/// max(own mean, min(level · (1 + x), own mean + level · x)) for x above zero: what the own forecast expects already is
/// not added twice, the influence never adds more than itself, and nothing is ever lowered.
package struct PropagationStage: Stage, ~Copyable {
    package typealias Settings = PropagationSettings

    package static var name: StageName { .graphPropagator }
    package static var inbox: TopicName { .forecasts }
    package static var outputs: [TopicName] { [.outlooks, .forecasts] }
    package static var watermarkOutput: TopicName? { .outlooks }
    package static var logicVersion: UInt32 { 2 }

    let settings: PropagationSettings
    let task: TaskID
    let layout: TopicLayout
    let names: NameTable
    let grid: Grid
    let hopsMax: Int

    var nodes: PagedTable<NodeCell>
    var nodeIndex = PairIndex()
    var edges: PagedTable<EdgeCell>
    var edgeIndex = PairIndex()
    var forecasts: PagedTable<ForecastCell>
    var localities: PagedTable<LocalityCell>
    var localityIndex = PairIndex()
    /// The watermark: what ages is compared with it.
    var clock = EventTime.distantPast
    var counts = PropagationCounts()
    var scratch: PropagationScratch

    package init(settings: PropagationSettings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        self.task = task
        self.layout = layout
        self.names = names
        grid = Grid(settings.horizonsSeconds)
        hopsMax = min(max(settings.hopsMax, 0), NodeCell.hopsLimit)
        nodes = PagedTable(cellsMax: max(settings.resourcesMax, 1))
        edges = PagedTable(cellsMax: max(settings.edgesMax, 1))
        forecasts = PagedTable(cellsMax: max(settings.resourcesMax, 1))
        localities = PagedTable(cellsMax: max(settings.resourcesMax, 1))
        scratch = PropagationScratch(partitions: Int(layout[.forecasts]))
    }

    package mutating func receive(_ entry: Entry, into out: Emitter) {
        scratch.entry &+= 1
        switch entry.kind {
        case .forecast: receiveForecast(entry, into: out)
        case .influence: receiveInfluence(entry, into: out)
        case .interaction: receiveInteraction(entry, into: out)
        case .tags: receiveTags(entry, into: out)
        case .gone: receiveGone(entry, into: out)
        default: break
        }
    }

    package mutating func advance(to watermark: EventTime, into out: Emitter) { clock = max(clock, watermark) }

    private mutating func receiveForecast(_ entry: Entry, into out: Emitter) {
        guard entry.resource != 0, entry.object != 0,
            let horizons = ForecastNumbers.horizons(in: entry.numbers, isOutlook: false)
        else {
            counts.malformed &+= 1
            return
        }
        UnsafeMutableRawBufferPointer(start: scratch.numbers, count: entry.numbers.count &* 4)
            .copyMemory(from: entry.numbers.bytes)
        guard let slot = node(entry.resource) else {
            // No room in the graph: the forecast passes as it is.
            scratch.total = SIMD8()
            emitOutlook(entry, horizons: horizons, feels: false, into: out)
            return
        }
        nodes.write(slot).pointee.isHere = 1
        let code = ForecastCode(raw: entry.code)
        let isLeading = leads(slot, entry.object, code.role)
        if isLeading {
            keep(entry, slot)
            publishOwn(entry, code, horizons: horizons, slot, into: out)
        }
        accumulate(slot, from: 1, to: hopsMax)
        for hop in 1..<max(hopsMax, 1) { publish(slot, hop: hop, time: entry.time, into: out) }
        if hasWork { propagate(entry.time, into: out) }
        // A change that came back around a cycle has overwritten the room, and may have moved what is felt here.
        if !scratch.touched.isEmpty { accumulate(slot, from: 1, to: hopsMax) }
        totalInfluence()
        if isLeading { remember(slot) }
        let feels = isLeading || code.role == .demand || code.role == .utilisation
        emitOutlook(entry, horizons: horizons, feels: feels, into: out)
        refreshTouched(except: slot, into: out)
    }

    /// Whether this metric is the one whose forecast speaks for the resource; a better role takes over.
    private mutating func leads(_ slot: Int, _ metric: NameNumber, _ role: MetricRole) -> Bool {
        let rank = demandRank(role)
        let cell = nodes.read(slot)
        if cell.pointee.metric == metric { return true }
        guard rank > cell.pointee.rank else { return false }
        let writable = nodes.write(slot)
        writable.pointee.metric = metric
        writable.pointee.rank = rank
        return true
    }

    /// x(0): the change that the own forecast expects, nothing while it says nothing.
    private mutating func publishOwn(
        _ entry: Entry, _ code: ForecastCode, horizons: Int, _ slot: Int, into out: Emitter
    ) {
        let speaks = code.quality != .missing && !code.isYoung
        scratch.changes[0] = grid.relativeChange(
            scratch.numbers, horizons: speaks ? horizons : 0, level: entry.value, limit: settings.relativeChangeMax)
        let step = entry.numbers[ForecastNumbers.stepSeconds]
        let own = step > 0 && step < 1e7 ? Int64(step * 3_000) : 0
        let lifetime = max(settings.influenceSeconds &* 1_000, own)
        scratch.expiries[0] = entry.time.advanced(byMilliseconds: lifetime).milliseconds
        publish(slot, hop: 0, time: entry.time, into: out)
    }

    /// What another partition says of a resource that lives there.
    private mutating func receiveInfluence(_ entry: Entry, into out: Emitter) {
        let hop = Int(entry.code)
        guard entry.resource != 0, entry.object != 0, hop >= 0, hop < hopsMax, entry.numbers.count == grid.count else {
            counts.malformed &+= 1
            return
        }
        guard let source = node(entry.resource), node(entry.object) != nil else { return }
        counts.influencesReceived &+= 1
        // Where the target lives is not its neighbours' to say: it may have left meanwhile.
        let cell = nodes.write(source)
        let version = entry.value.isFinite ? Int64(min(max(entry.value, -9e15), 9e15)) : .min
        guard cell.pointee.isHere == 0, version >= cell.pointee.version[hop] else {
            counts.influencesStale &+= 1
            return
        }
        cell.pointee.version[hop] = version
        cell.pointee.expiry[hop] = entry.time.milliseconds
        var changes = SIMD8<Float>()
        for index in 0..<grid.count {
            let raw = entry.numbers[index]
            changes[index] = raw.isFinite ? min(max(raw, -1), settings.relativeChangeMax) : 0
        }
        cell.pointee.published[hop] = changes
        setActive(cell, hop, changes != SIMD8())
        tellNeighbours(source, hop: hop, into: out)
        propagate(entry.time, into: out)
        refreshTouched(except: -1, into: out)
    }

    private mutating func receiveTags(_ entry: Entry, into out: Emitter) {
        out.emit(entry, to: .outlooks, partition: task.partition)
        guard entry.resource != 0, let slot = node(entry.resource) else { return }
        let cell = nodes.write(slot)
        cell.pointee.isHere = 1
        guard entry.object != 0, cell.pointee.locality != entry.object else { return }
        cell.pointee.locality = entry.object
        joinLocality(slot, entry.object, entry.time)
    }

    /// The resource lives elsewhere now: what it expected is withdrawn, its edges lead out of here.
    private mutating func receiveGone(_ entry: Entry, into out: Emitter) {
        out.emit(entry, to: .outlooks, partition: task.partition)
        guard entry.resource != 0, let slot = nodeIndex.find(entry.resource, 1) else { return }
        for hop in 0..<hopsMax {
            scratch.changes[hop] = SIMD8()
            scratch.expiries[hop] = entry.time.milliseconds
            publish(slot, hop: hop, time: entry.time, into: out)
        }
        let cell = nodes.write(slot)
        cell.pointee.isHere = 0
        cell.pointee.metric = 0
        cell.pointee.rank = 0
        // What was withdrawn within ε is gone as well.
        for hop in 0..<NodeCell.hopsLimit { cell.pointee.published[hop] = SIMD8() }
        cell.pointee.active = 0
        if cell.pointee.forecast != 0 { forecasts.write(Int(cell.pointee.forecast) &- 1).pointee.count = 0 }
        propagate(entry.time, into: out)
        refreshTouched(except: slot, into: out)
    }

    package var counters: [StageCounter] {
        [
            StageCounter("resources", UInt64(nodes.count)), StageCounter("edges", UInt64(edges.count)),
            StageCounter("edgesRefused", counts.edgesRefused),
            StageCounter("resourcesRefused", counts.resourcesRefused),
            StageCounter("malformedEntries", counts.malformed), StageCounter("influencesSent", counts.influencesSent),
            StageCounter("influencesReceived", counts.influencesReceived),
            StageCounter("influencesStale", counts.influencesStale), StageCounter("outlooks", counts.outlooks),
            StageCounter("refreshes", counts.refreshes), StageCounter("recomputations", counts.recomputations),
        ]
    }
}
