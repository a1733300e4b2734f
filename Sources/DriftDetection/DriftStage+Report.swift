import Messages
import StageKit
import TwinCore

/// What explains a drift, as far as this stage is told.
enum DriftCause: UInt8, BitwiseCopyable {
    case unknown = 0
    /// A planned event was in force.
    case event = 1
    /// The resource's version had just changed.
    case version = 2

    var text: StaticString {
        switch self {
        case .unknown: "unknown"
        case .event: "event"
        case .version: "version"
        }
    }
}

extension DriftStage {
    /// One `drift` event before it is written.
    struct Report {
        var resource: NameNumber
        var metric: NameNumber
        var locality: NameNumber
        var kind: DriftKind
        var reason: StaticString
        var score = 1.0
        var magnitude = 0.0
        var since: EventTime
        var time: EventTime
        var samples: Int64
        var value: Double
        var cause = DriftCause.unknown
        var retrains = false
        /// Forecasts are not trusted until they have proved right again.
        var distrusts = false
    }

    /// A verdict of the detector: the event, the retrain request, and the hold-off.
    mutating func reportChange(_ entry: Entry, _ verdict: DriftVerdict, _ slot: Int, into out: Emitter) {
        var report = report(entry, .anomaly, "a brief excursion that is over", samples: Int64(verdict.samplesSince))
        report.score = Double(verdict.score)
        report.magnitude = Double(verdict.magnitude)
        guard verdict.change != .anomaly else {
            counts.anomalies &+= 1
            return publish(report, into: out)
        }
        (report.kind, report.reason) = diagnose(verdict, entry, slot)
        report.cause = cause(of: report, ForecastCode(raw: entry.code))
        counts.drifts &+= 1
        series.write(slot).pointee.hold = max(settings.holdOffSamples, 1)
        series.write(slot).pointee.distrustedFor = report.kind.rawValue | report.cause.rawValue << 4
        report.distrusts = true
        report.retrains = budget.take(at: entry.time)
        publish(report, into: out)
        ask(report, settleSteps: verdict.settleSteps, slot, into: out)
        note(report, into: out)
    }

    /// What kind of change it is, judged by the series' past as well.
    ///
    /// A mean that moves to and fro within a day is a daily shape that no longer fits; one that moves on to the same
    /// side is a trend. A level that is the old one times a usual factor between units is a problem of the data.
    private mutating func diagnose(
        _ verdict: DriftVerdict, _ entry: Entry, _ slot: Int
    ) -> (DriftKind, StaticString) {
        let cell = series.write(slot)
        let isLess = verdict.change == .variance ? verdict.magnitude < 1 : verdict.magnitude < 0
        if isLess && cell.pointee.isAtCeiling { return (.saturation, "the values stay at their ceiling") }
        if verdict.change == .variance {
            return verdict.magnitude < 1
                ? (.variance, "the spread of the residuals shrank") : (.variance, "the spread of the residuals grew")
        }
        if verdict.shift > 3, Self.isOtherUnit(Float(entry.value), cell.pointee.usualValue) {
            cell.pointee.usualValue = Float(entry.value)
            return (.data, "the level is the old one in another unit")
        }
        let direction: Int8 = verdict.magnitude < 0 ? -1 : 1
        let isSoon = entry.time.milliseconds &- cell.pointee.driftTime < 86_400_000 && cell.pointee.driftTime != .min
        let isTurn = isSoon && direction != cell.pointee.direction
        let isOnward = isSoon && direction == cell.pointee.direction
        cell.pointee.turns = isTurn ? min(cell.pointee.turns &+ 1, 100) : 0
        cell.pointee.direction = direction
        cell.pointee.driftTime = entry.time.milliseconds
        if cell.pointee.turns >= 2 { return (.season, "the residuals move to and fro within a day") }
        if verdict.change == .trend || isOnward { return (.trend, "the residuals keep moving to one side") }
        return (.level, "the residuals moved to one side and stay there")
    }

    /// A new level that is a thousand, 1 024, a hundred, sixty or eight times the old one, or such a part of it.
    private static func isOtherUnit(_ value: Float, _ usual: Float) -> Bool {
        guard value.magnitude > 1e-20, usual.magnitude > 1e-20, value * usual > 0 else { return false }
        let ratio = value / usual
        let factor = ratio > 1 ? ratio : 1 / ratio
        let known: [8 of Float] = [1_000, 1_024, 100, 60, 8, 1e6, 1_048_576, 3_600]
        for index in 0..<8 where (factor / known[index] - 1).magnitude < 0.03 { return true }
        return false
    }

    /// A planned event in force, or a release shortly before the change.
    private func cause(of report: Report, _ code: ForecastCode) -> DriftCause {
        if code.hasEvent { return .event }
        guard let slot = resourceIndex.find(report.resource, 1) else { return .unknown }
        let released = resources.read(slot).pointee.versionTime
        guard released != .min, settings.versionSeconds > 0 else { return .unknown }
        let age = Double(report.time.milliseconds) - Double(released)
        return age >= 0 && age <= settings.versionSeconds * 1_000 ? .version : .unknown
    }

    /// A problem of the data: the event only.
    mutating func reportData(
        _ entry: Entry, _ reason: StaticString, samples: Int32, _ slot: Int, into out: Emitter
    ) {
        counts.dataProblems &+= 1
        publish(report(entry, .data, reason, samples: Int64(samples)), into: out)
    }

    private func report(_ entry: Entry, _ kind: DriftKind, _ reason: StaticString, samples: Int64) -> Report {
        let stepSeconds = Double(entry.numbers[ForecastNumbers.stepSeconds])
        let isSane = stepSeconds >= 0 && stepSeconds < 1e9
        let back = isSane ? Int64(stepSeconds * 1_000) &* samples : 0
        var locality: NameNumber = 0
        if let slot = resourceIndex.find(entry.resource, 1) { locality = resources.read(slot).pointee.locality }
        return Report(
            resource: entry.resource, metric: entry.object, locality: locality, kind: kind, reason: reason,
            since: entry.time.advanced(byMilliseconds: -back), time: entry.time, samples: samples,
            value: entry.value)
    }
}

// MARK: Retraining

extension DriftStage {
    /// Asks the twin to fit afresh, or, where the budget does not allow it yet, to be distrusted meanwhile.
    private mutating func ask(_ report: Report, settleSteps: Int, _ slot: Int, into out: Emitter) {
        if report.retrains {
            counts.retrains &+= 1
        } else {
            counts.retrainsDelayed &+= 1
            let cell = series.write(slot)
            cell.pointee.pendingSteps = UInt16(clamping: max(settleSteps, 1))
            cell.pointee.pendingKind = report.kind.rawValue
            cell.pointee.pendingSince = report.since.milliseconds
        }
        let code = RetrainCode(kind: report.kind, isDistrustOnly: !report.retrains)
        out.emit(
            Entry(
                kind: .retrain, code: code.raw, resource: report.resource, object: report.metric, time: report.since,
                value: Double(settleSteps)),
            to: .observations, partition: task.partition)
    }

    /// A request that had to wait is made as soon as the budget allows it. Until then nothing is judged.
    @inline(never)
    mutating func askAgain(_ entry: Entry, _ slot: Int, into out: Emitter) -> Bool {
        guard budget.take(at: entry.time) else { return false }
        counts.retrains &+= 1
        let cell = series.write(slot)
        let code = RetrainCode(
            kind: DriftKind(rawValue: cell.pointee.pendingKind) ?? .level, isDistrustOnly: false)
        out.emit(
            Entry(
                kind: .retrain, code: code.raw, resource: entry.resource, object: entry.object,
                time: EventTime(milliseconds: cell.pointee.pendingSince), value: Double(cell.pointee.pendingSteps)),
            to: .observations, partition: task.partition)
        cell.pointee.pendingSteps = 0
        cell.pointee.hold = max(settings.holdOffSamples, 1)
        return false
    }

    /// Counts what distrust costs, and says when trust is back.
    @inline(__always)
    mutating func followTrust(_ entry: Entry, _ code: ForecastCode, _ slot: Int, into out: Emitter) {
        let cell = series.write(slot)
        if code.isDistrusted {
            cell.pointee.distrustedSamples = min(cell.pointee.distrustedSamples &+ 1, 1_000_000_000)
            let residual = entry.numbers[ForecastNumbers.residual].magnitude
            // A normal residual's magnitude is 0.8 on average.
            if residual > 0.8 { cell.pointee.cost = min(cell.pointee.cost + residual - 0.8, 1e9) }
        } else if cell.pointee.distrustedSamples > 0 {
            counts.restored &+= 1
            publishRestored(entry, slot, into: out)
            cell.pointee.distrustedSamples = 0
            cell.pointee.cost = 0
        }
    }
}

// MARK: Groups

extension DriftStage {
    /// Takes a drift into its locality's window. One that is found late, of a cause that was reported, opens none.
    private mutating func note(_ report: Report, into out: Emitter) {
        guard let place = localitySlot(report.locality), let owner = resourceSlot(report.resource) else { return }
        let cell = localities.write(place)
        guard report.since.milliseconds >= cell.pointee.told else {
            counts.groupsJoined &+= 1
            return
        }
        let isOpen = cell.pointee.opened != .max
        let isFirst = !isOpen || resources.read(owner).pointee.window != cell.pointee.opened
        cell.pointee.take(report, isFirst: isFirst)
        if isFirst { resources.write(owner).pointee.isLinked = 0 }
        resources.write(owner).pointee.window = cell.pointee.opened
        link(owner, place)
        if !isOpen { nextClose = min(nextClose, windowEnd(cell.pointee.opened)) }
    }

    /// Counts the resource and its neighbours that drifted in the same window.
    private mutating func link(_ owner: Int, _ place: Int) {
        let resource = resources.read(owner).pointee
        for index in 0..<DriftResourceCell.neighboursMax {
            guard let other = driftedNeighbour(index, of: resource) else { continue }
            for slot in [owner, other] where resources.read(slot).pointee.isLinked == 0 {
                resources.write(slot).pointee.isLinked = 1
                localities.write(place).pointee.linked &+= 1
            }
        }
    }

    /// A neighbour that has drifted in the window in which the resource did, in the same locality.
    func driftedNeighbour(_ index: Int, of resource: DriftResourceCell) -> Int? {
        let name = resource.neighbours[index]
        guard name != 0, let other = resourceIndex.find(name, 1) else { return nil }
        let cell = resources.read(other).pointee
        let isTogether = cell.window != .min && cell.window == resource.window && cell.locality == resource.locality
        return isTogether ? other : nil
    }

    func windowEnd(_ opened: Int64) -> Int64 {
        let window = settings.groupWindowSeconds >= 0 ? min(settings.groupWindowSeconds, 1e9) : 0
        return opened > .max / 2 ? .max - 1 : opened &+ Int64(window * 1_000)
    }

    /// Windows that are over: what drifted together is reported once, and what matters most as an alarm.
    mutating func closeWindows(until watermark: EventTime, into out: Emitter) {
        nextClose = .max
        for place in 0..<localities.count where localities.read(place).pointee.opened != .max {
            let end = windowEnd(localities.read(place).pointee.opened)
            guard end <= watermark.milliseconds else {
                nextClose = min(nextClose, end)
                continue
            }
            let cell = localities.read(place).pointee
            localities.write(place).pointee.close()
            freeIfEmpty(place)
            let needed = max(Double(settings.groupResourcesMin), settings.groupShareMin * Double(cell.resources))
            let isOfLocality = Double(cell.drifted) >= needed
            let isOfEdges = !isOfLocality && Int64(cell.linked) >= Int64(settings.groupResourcesMin)
            let isGroup = isOfLocality || isOfEdges
            let isAlarm = alarms.take(impact: cell.impact, at: watermark)
            if isGroup { counts.groups &+= 1 }
            if isOfLocality { localities.write(place).pointee.told = end }
            if isAlarm { counts.alarms &+= 1 }
            guard isGroup || isAlarm else { continue }
            let scope: StaticString = isOfLocality ? "locality" : isOfEdges ? "edges" : "resource"
            publishGroup(cell, scope, isAlarm: isAlarm, at: watermark, into: out)
        }
    }
}
