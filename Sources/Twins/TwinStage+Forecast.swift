import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    /// Writes a series' forecast from its last sample on. Horizons below one step are given the forecast of one step.
    /// - Parameter isMeasured: a sample was just folded; otherwise the residuals are NaN, as nothing was measured.
    mutating func emitForecast(_ slot: Int, isMeasured: Bool, into out: Emitter) {
        let cell = series.write(slot)
        let twin = resources.read(Int(cell.pointee.resource))
        let quality = DataQuality(rawValue: cell.pointee.quality) ?? .missing
        var code = ForecastCode(
            quality: quality, role: MetricRole(rawValue: cell.pointee.role) ?? .unknown,
            isDistrusted: cell.isDistrusted, isYoung: cell.pointee.model.status.isYoung)
        if cell.pointee.isCounter != 0 { code.raw |= 8 }
        code.hasEvent = cell.pointee.activeEvents != 0
        if cell.pointee.capacityMoves != twin.pointee.capacityMoves {
            cell.pointee.capacityMoves = twin.pointee.capacityMoves
            code.raw |= 32
        }
        numbers[ForecastNumbers.residual] = isMeasured ? cell.pointee.model.status.residual : .nan
        numbers[ForecastNumbers.referenceResidual] = isMeasured ? cell.pointee.model.status.referenceResidual : .nan
        numbers[ForecastNumbers.stepSeconds] = Float(cell.pointee.model.status.stepMilliseconds) / 1_000
        numbers[ForecastNumbers.horizonCount] = Float(plan.count)
        numbers[ForecastNumbers.readyUnits] = twin.pointee.readyUnits
        numbers[ForecastNumbers.sampleCount] = Float(cell.pointee.model.status.steps)
        numbers[ForecastNumbers.unitsAgeSeconds] = twin.pointee.unitsAgeSeconds(at: cell.pointee.lastTime)
        for horizon in 0..<plan.count {
            let block = numbers + ForecastNumbers.block(horizon)
            block[0] = horizons[horizon]
            if forecast(cell, horizon: horizons[horizon], mask: twin.pointee.eventMask, into: block + 1) {
                code.expectsEvent = true
            }
        }
        let slice = FloatSlice(start: numbers, count: ForecastNumbers.count(horizons: plan.count))
        out.emit(
            Entry(
                kind: .forecast, code: code.raw, resource: twin.pointee.name, object: cell.pointee.metric,
                time: EventTime(milliseconds: cell.pointee.lastTime), value: Double(cell.pointee.level),
                numbers: slice),
            to: .forecasts, partition: task.partition)
    }

    /// Mean and quantiles for one horizon, lifted by the events that overlap it.
    /// - Returns: true if other events are in force then than now.
    @inline(__always) @discardableResult
    func forecast(
        _ cell: UnsafeMutablePointer<SeriesCell>, horizon: Float, mask: UInt64,
        into block: UnsafeMutablePointer<Float>
    ) -> Bool {
        cell.pointee.model.forecast(horizonSeconds: horizon, into: block)
        guard mask != 0 else { return false }
        let ahead = cell.pointee.lastTime &+ Int64(horizon) &* 1_000
        let then = events.active(in: mask, at: ahead, learned: memory(of: cell))
        guard then.mask != 0 || cell.pointee.activeEvents != 0 else { return false }
        // Those in force now go on as measured, those to come count as announced.
        var lift: Float = 1
        if then.mask & cell.pointee.activeEvents == 0 {
            lift = then.announced
        } else {
            lift = cell.pointee.factor * then.announced / max(cell.pointee.announced, 1e-3)
        }
        for index in 0..<(1 + QuantileLevels.count) { block[index] *= min(max(lift, 0), 1_000_000) }
        return then.mask != cell.pointee.activeEvents
    }
}

// MARK: Silence

extension TwinStage {
    /// Series whose quality changes by the silence up to `boundary`.
    mutating func findSilence(until boundary: Int64, into out: Emitter) {
        for slot in 0..<dues.count where dues[slot] <= boundary {
            let cell = series.write(slot)
            if cell.missingTime <= boundary {
                cell.pointee.quality = DataQuality.missing.rawValue
                count.becameMissing &+= 1
            } else {
                cell.pointee.quality = DataQuality.stale.rawValue
                count.becameStale &+= 1
            }
            dues[slot] = cell.due
            // A counter that was read only once has nothing to forecast.
            guard cell.pointee.model.status.steps > 0 else { continue }
            emitForecast(slot, isMeasured: false, into: out)
            summariseIfDue(slot, at: cell.pointee.lastTime, into: out)
        }
    }
}
