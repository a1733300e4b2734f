import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    mutating func receiveSample(_ entry: Entry, into out: Emitter) {
        guard entry.value.magnitude <= Entry.sampleValueMax, entry.resource != 0, entry.object != 0,
            EventTime.plausible.contains(entry.time)
        else {
            count.invalid &+= 1
            return
        }
        let code = SampleCode(raw: entry.code)
        if code.isUnrouted {
            guard livesHere(entry.resource) else { return count.strangers &+= 1 }
        } else if departures.contains(entry.resource) {
            return count.elsewhere &+= 1
        }
        let time = entry.time.milliseconds
        if code.role == .supply { return receiveSupply(entry.resource, units: entry.value, time: time) }
        // Whoever has forgotten a twin has forgotten what was folded into it.
        if time < expiredBefore, seriesIndex.find(entry.resource, entry.object) == nil { return count.late &+= 1 }
        guard let slot = seriesSlot(entry.resource, entry.object, code) else { return }
        let cell = series.write(slot)
        if cell.pointee.role != code.role.rawValue || (cell.pointee.isCounter != 0) != code.isCounter {
            adopt(code, cell)
        }
        if cell.pointee.lastTime != .min && time <= cell.pointee.lastTime {
            guard isStray(time, cell) else { return receiveLate(entry.value, at: time, cell) }
            turnBack(cell, to: time)
        }
        cell.pointee.tooLate = 0
        count.accepted &+= 1
        cell.pointee.sinceStep = isStep(to: time, cell) ? 0 : min(cell.pointee.sinceStep &+ 1, Self.steadyMin)
        cell.pointee.times.append(time, after: cell.pointee.lastTime == .min ? time : cell.pointee.lastTime)
        cell.pointee.lastTime = time
        let twin = resources.write(Int(cell.pointee.resource))
        if time > twin.pointee.lastTime { twin.pointee.lastTime = time }

        guard let measured = measure(entry.value, at: time, cell) else {
            dues[slot] = cell.due
            return
        }
        let value = demand(measured, cell, units: twin.pointee.readyUnits)
        let fed = withoutEvents(value, at: time, cell, mask: twin.pointee.eventMask)
        let opens =
            if let fed {
                cell.pointee.model.fold(
                    fed, at: time, plan: plan, shared: shared, activity: activity(of: twin, besides: slot))
            } else {
                cell.pointee.model.pass(to: time, plan: plan, shared: shared)
            }
        cell.pointee.level = Float(value)
        let step = Int64(cell.pointee.model.status.stepMilliseconds)
        cell.pointee.history.append(Float(value), at: time, opens: opens, step: step)
        if opens { seekCycle(slot, cell) }
        cell.pointee.quality = DataQuality.fresh.rawValue
        dues[slot] = cell.due
        emitForecast(slot, isMeasured: true, into: out)
        summariseIfDue(slot, at: time, into: out)
    }

    /// Steps between looks for a cycle, and looks at the steps of late for one at the hours.
    private static let seekSteps: UInt32 = 32
    private static let seekTurns: UInt32 = 8
    private static let hourLooks: UInt32 = 8
    private static let hourMilliseconds: Int64 = 3_600_000

    /// Looks for a cycle every so many steps. A fleet begins at once, so series take turns.
    @inline(__always)
    private mutating func seekCycle(_ slot: Int, _ cell: UnsafeMutablePointer<SeriesCell>) {
        let turn = cell.pointee.model.status.steps &+ UInt32(truncatingIfNeeded: slot) % Self.seekTurns
        if turn % Self.seekSteps == 0 { seekCycle(cell, amongHours: turn % (Self.seekSteps * Self.hourLooks) == 0) }
    }

    /// Looks for a cycle among the last steps, and now and then among the last hours; that of the day is no news.
    @inline(never)
    private mutating func seekCycle(_ cell: UnsafeMutablePointer<SeriesCell>, amongHours: Bool) {
        let known = cell.pointee.history.steps(since: 0, into: steps)
        cell.pointee.model.seekCycle(in: UnsafeBufferPointer(start: steps, count: known))
        guard amongHours else { return }
        let hours = cell.pointee.history.hours(into: steps)
        let period = PeriodFinder.period(of: UnsafeBufferPointer(start: steps, count: hours))
        guard period > 0, 24 % period != 0 else { return }
        cell.pointee.model.adoptCycle(periodMilliseconds: Int64(period) &* Self.hourMilliseconds)
    }

    /// The metric is declared otherwise from now on: what was learned in another meaning is dropped.
    private mutating func adopt(_ code: SampleCode, _ cell: UnsafeMutablePointer<SeriesCell>) {
        let isOtherUnit = (cell.pointee.isCounter != 0) != code.isCounter || cell.pointee.countsUnits != 0
        cell.pointee.role = code.role.rawValue
        cell.pointee.isCounter = code.isCounter ? 1 : 0
        guard isOtherUnit else { return }
        cell.pointee.counterTime = .min
        cell.pointee.countsUnits = 0
        cell.pointee.model = SeriesModel(kin: cell.pointee.metric)
        cell.pointee.history = History()
    }

    /// A gauge's value, or the rate of a counter per second; nil for a counter's first reading. A reading below the
    /// one before means that the counter began again at 0.
    private mutating func measure(
        _ value: Double, at time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>
    ) -> Double? {
        guard cell.pointee.isCounter != 0 else { return value }
        let before = cell.pointee.counterValue
        let since = cell.pointee.counterTime
        cell.pointee.counterValue = value
        cell.pointee.counterTime = time
        guard since != .min, time > since else { return nil }
        var grown = value - before
        if grown < 0 {
            count.counterResets &+= 1
            grown = max(value, 0)
        }
        return grown * 1_000 / Double(time &- since)
    }

    /// Utilisation counts as demand once ready units are known.
    private func demand(_ value: Double, _ cell: UnsafeMutablePointer<SeriesCell>, units: Float) -> Double {
        guard cell.pointee.role == MetricRole.utilisation.rawValue, units >= 0 else { return value }
        if cell.pointee.countsUnits == 0 {
            guard units > 0 else { return value }
            cell.pointee.countsUnits = 1
            cell.pointee.model.scale(by: units)
            cell.pointee.history.scale(by: units)
        }
        return value * Double(units)
    }

    /// What the value would be without the events in force; nil while an event has just begun and its effect is being
    /// found out. Then and later the measured factor takes the place of the announced one, within a few steps.
    @inline(__always)
    private mutating func withoutEvents(
        _ value: Double, at time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>, mask: UInt64
    ) -> Double? {
        if mask == 0 && cell.pointee.activeEvents == 0 { return value }
        return measureEvents(value, at: time, cell, mask: mask)
    }

    @inline(never)
    private mutating func measureEvents(
        _ value: Double, at time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>, mask: UInt64
    ) -> Double? {
        var now = events.active(in: mask, at: time, learned: memory(of: cell))
        if now.mask != cell.pointee.activeEvents, cell.pointee.memory >= 0 {
            // What was learned of the events before counts from now on.
            memories.write(Int(cell.pointee.memory)).pointee.close()
            now = events.active(in: mask, at: time, learned: memory(of: cell))
        }
        if now.mask != cell.pointee.activeEvents || now.announced != cell.pointee.announced {
            let hasBegun = now.mask & ~cell.pointee.activeEvents != 0
            if now.mask == 0 {
                cell.pointee.factor = 1
            } else {
                let change = now.announced / max(cell.pointee.announced, 1e-3)
                cell.pointee.factor = min(max(cell.pointee.factor * change, 0.01), 1_000)
            }
            cell.pointee.activeEvents = now.mask
            cell.pointee.announced = now.announced
            cell.pointee.holdSteps = hasBegun ? 5 : 0
        }
        guard now.mask != 0 else { return value }
        let usual = cell.pointee.model.status.expected
        if usual > 1e-9 {
            let ratio = min(max(Float(value) / usual, 0.01), 1_000)
            if let event = events.only(in: now.mask) {
                ownMemory(of: cell)?.pointee.measure(event.kind, factor: ratio, announced: event.uplift)
            }
            let gain: Float = cell.pointee.holdSteps > 0 ? 0.5 : 0.25
            cell.pointee.factor += gain * (ratio - cell.pointee.factor)
        }
        if cell.pointee.holdSteps > 0 && cell.pointee.model.status.steps > 0 {
            cell.pointee.holdSteps &-= 1
            return nil
        }
        return value / Double(max(cell.pointee.factor, 0.01))
    }

    /// A sample that is not newer than the newest: a repeat, a late one that still finds its bucket, or too late.
    private mutating func receiveLate(_ value: Double, at time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>) {
        if cell.pointee.lastTime &- time > latenessMilliseconds {
            count.late &+= 1
            return
        }
        switch cell.pointee.times.insert(time) {
        case .seen: count.duplicates &+= 1
        case .unknown: count.late &+= 1
        case .new:
            count.mergedLate &+= 1
            // What a counter counted is in the rate between the readings around it already.
            guard cell.pointee.isCounter == 0 else { return }
            let units = resources.read(Int(cell.pointee.resource)).pointee.readyUnits
            let value = cell.pointee.countsUnits != 0 && units >= 0 ? value * Double(units) : value
            cell.pointee.history.merge(Float(value), at: time)
        }
    }

    /// Whether the newest time that was taken was none: it lies far ahead of the watermark, and nothing but samples
    /// that it makes too late has come since. Else one wrong clock would silence a series until that time has come.
    private func isStray(_ time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>) -> Bool {
        guard cell.pointee.lastTime &- time > latenessMilliseconds else { return false }
        cell.pointee.tooLate = min(cell.pointee.tooLate &+ 1, Self.tooLateMax)
        guard cell.pointee.tooLate == Self.tooLateMax, isFarAhead(cell.pointee.lastTime) else { return false }
        // Where the watermark waits for a raw partition that lags, what lies ahead of it is mostly true. A series that
        // has come there step by step is doubted only beyond an hour.
        return cell.pointee.sinceStep < Self.steadyMin || cell.pointee.lastTime > sweptTo &+ 3_600_000
    }

    /// Whether a time lies so far ahead of the watermark that it is to be doubted.
    func isFarAhead(_ time: Int64) -> Bool { sweptTo > 0 && time > sweptTo &+ aheadMilliseconds }

    /// The watermark is the allowed lateness behind anyway.
    var aheadMilliseconds: Int64 { latenessMilliseconds &+ 600_000 }

    /// Whether a series' time moves further at once than it does, and than a stray time may be ahead.
    @inline(__always)
    private func isStep(to time: Int64, _ cell: UnsafeMutablePointer<SeriesCell>) -> Bool {
        let usual = Int64(cell.pointee.model.status.stepMilliseconds)
        guard cell.pointee.lastTime != .min, usual > 0 else { return false }
        return time &- cell.pointee.lastTime > max(aheadMilliseconds, usual &* 8)
    }

    private static let tooLateMax: UInt8 = 3
    static let steadyMin: UInt8 = 8

    /// Time goes on from here; what was learned stays.
    private mutating func turnBack(_ cell: UnsafeMutablePointer<SeriesCell>, to time: Int64) {
        count.turnedBack &+= 1
        cell.pointee.times = TimeRing()
        cell.pointee.lastTime = .min
        cell.pointee.counterTime = .min
        cell.pointee.model.turnBack(to: time &- Int64(cell.pointee.model.status.stepMilliseconds))
        let twin = resources.write(Int(cell.pointee.resource))
        if isFarAhead(twin.pointee.lastTime) { twin.pointee.lastTime = time }
    }

    /// Whether the last word on ready units came from a time that was none, now that there is another.
    func isStraySupply(_ known: Int64, at time: Int64) -> Bool {
        known &- aheadMilliseconds > time && isFarAhead(known)
    }

    private mutating func receiveSupply(_ resource: NameID, units: Double, time: Int64) {
        guard let slot = resourceSlot(resource) else { return }
        let cell = resources.write(slot)
        guard time > cell.pointee.supplyTime || isStraySupply(cell.pointee.supplyTime, at: time) else {
            count.duplicates &+= 1
            return
        }
        count.accepted &+= 1
        cell.pointee.supplyTime = time
        cell.pointee.unitsAreReported = 0
        if units >= 0 { cell.pointee.readyUnits = Float(units) }
    }
}
