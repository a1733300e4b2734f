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
///                          over its in-edges, in order of their first appearance.
///
/// **Edges take their time.** How many minutes a change needs along an edge is learned from how both ends moved
/// (`EdgeLag`). Along an edge with a lag, what the source has gone through and the target has not is felt as well:
///
///     x(h) = source(now + h − lag) / source(now − lag) − 1, less what such comparisons are usually off by
///
/// For that, other partitions are told a level whenever it has moved by a tenth.
///
/// **A resource without units** has no telemetry and so no level that anything could be relative to. Its influence is
/// absolute: changes of its neighbours count as parts of their usual demand (`UsualLevel`), and make such a part of its
/// own; and it is expected to be asked for at least what it has been called for in vain since it went to sleep.
///
/// Traffic counts by its share of what the target receives. A value is told to the neighbours only when it moved by
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
    package static var logicVersion: UInt32 { 5 }

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
    /// What nothing keeps is freed at these boundaries of event time, milliseconds.
    static let sweepMilliseconds: Int64 = 3_600_000
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

    package mutating func advance(to watermark: EventTime, into out: Emitter) {
        let isDue = watermark.milliseconds / Self.sweepMilliseconds > clock.milliseconds / Self.sweepMilliseconds
        clock = max(clock, watermark)
        if isDue { sweep() }
    }

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
            follow(entry, code, slot)
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
        emitOutlook(entry, horizons: horizons, feels: feels, felt: isLeading ? usualIfAsleep(slot) : 0, into: out)
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

    /// Levels, sleep, and what they say of the edges that lead here.
    private mutating func follow(_ entry: Entry, _ code: ForecastCode, _ slot: Int) {
        let cell = nodes.write(slot)
        if entry.numbers[ForecastNumbers.readyUnits] == 0 {
            if !cell.pointee.isAsleep { cell.pointee.asleepSince = entry.time.milliseconds }
            return
        }
        cell.pointee.asleepSince = .max
        guard code.quality == .fresh, entry.value >= 0, entry.value < 1e18 else { return }
        cell.pointee.usual.learn(Float(entry.value))
        guard cell.pointee.past.note(Float(entry.value), at: entry.time.milliseconds) else { return }
        var next = cell.pointee.firstIn
        while next != 0 {
            let edge = edges.write(Int(next) &- 1)
            next = edge.pointee.nextIn
            guard edge.pointee.kind != EdgeCell.Kind.proximity else { continue }
            edge.pointee.lag.learn(
                source: nodes.read(Int(edge.pointee.source)).pointee.past, target: cell.pointee.past)
        }
    }

    /// x(0): the change that the own forecast expects, nothing while it says nothing.
    private mutating func publishOwn(
        _ entry: Entry, _ code: ForecastCode, horizons: Int, _ slot: Int, into out: Emitter
    ) {
        let speaks = code.quality != .missing && !code.isYoung && !nodes.read(slot).pointee.isAsleep
        let step = entry.numbers[ForecastNumbers.stepSeconds]
        let (changes, base) = grid.relativeChange(
            scratch.numbers, horizons: speaks ? horizons : 0, level: entry.value, step: step,
            limit: settings.relativeChangeMax)
        scratch.changes[0] = changes
        nodes.write(slot).pointee.base = base
        let own = step > 0 && step < 1e7 ? Int64(step * 3_000) : 0
        let lifetime = max(settings.influenceSeconds &* 1_000, own)
        scratch.expiries[0] = entry.time.advanced(byMilliseconds: lifetime).milliseconds
        publish(slot, hop: 0, time: entry.time, into: out)
    }

    /// What another partition says of a resource that lives there.
    private mutating func receiveInfluence(_ entry: Entry, into out: Emitter) {
        let hop = Int(entry.code)
        guard entry.resource != 0, entry.object != 0, hop >= 0, hop < hopsMax, entry.numbers.count == influenceCount
        else {
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
        if hop == 0 { takeLevel(entry, cell, at: version) }
        tellNeighbours(source, hop: hop, into: out)
        propagate(entry.time, into: out)
        refreshTouched(except: -1, into: out)
    }

    /// Numbers of an influence entry: the changes, the level, what the changes are relative to, the usual level.
    var influenceCount: Int { grid.count &+ PropagationScratch.sentLevels }

    private func takeLevel(_ entry: Entry, _ cell: UnsafeMutablePointer<NodeCell>, at time: Int64) {
        func number(_ place: Int) -> Float {
            let raw = entry.numbers[grid.count &+ place]
            return raw.isFinite ? min(max(raw, 0), 1e18) : 0
        }
        _ = cell.pointee.past.note(number(0), at: time)
        cell.pointee.base = number(1)
        cell.pointee.usual = UsualLevel(number(2))
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
        // What is known of one that lives elsewhere stays.
        guard nodes.read(slot).pointee.isHere == 1 else { return }
        for hop in 0..<hopsMax {
            scratch.changes[hop] = SIMD8()
            scratch.expiries[hop] = entry.time.milliseconds
            publish(slot, hop: hop, time: entry.time, into: out)
        }
        let cell = nodes.write(slot)
        cell.pointee.isHere = 0
        cell.pointee.locality = 0
        cell.pointee.metric = 0
        cell.pointee.rank = 0
        cell.pointee.asleepSince = .max
        // What was withdrawn within ε is gone as well.
        for hop in 0..<NodeCell.hopsLimit { cell.pointee.published[hop] = SIMD8() }
        cell.pointee.active = 0
        if cell.pointee.forecast != 0 { forecasts.write(Int(cell.pointee.forecast) &- 1).pointee.count = 0 }
        propagate(entry.time, into: out)
        refreshTouched(except: slot, into: out)
    }

    package var counters: [StageCounter] {
        [
            StageCounter("resources", UInt64(nodes.liveCount)), StageCounter("edges", UInt64(edges.liveCount)),
            StageCounter("edgesRefused", counts.edgesRefused),
            StageCounter("resourcesRefused", counts.resourcesRefused),
            StageCounter("malformedEntries", counts.malformed), StageCounter("influencesSent", counts.influencesSent),
            StageCounter("influencesReceived", counts.influencesReceived),
            StageCounter("influencesStale", counts.influencesStale), StageCounter("outlooks", counts.outlooks),
            StageCounter("refreshes", counts.refreshes), StageCounter("recomputations", counts.recomputations),
        ]
    }
}
