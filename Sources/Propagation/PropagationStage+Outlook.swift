import Messages
import StageKit
import TwinCore

extension PropagationStage {
    /// Keeps the forecast of the leading metric.
    mutating func keep(_ entry: Entry, _ slot: Int) {
        var place = Int(nodes.read(slot).pointee.forecast) &- 1
        if place < 0 {
            guard let made = forecasts.append(ForecastCell()) else { return }
            place = made
            nodes.write(slot).pointee.forecast = UInt32(made + 1)
        }
        let cell = forecasts.write(place)
        let count = min(entry.numbers.count, ForecastCell.numbersMax)
        cell.pointee.time = entry.time.milliseconds
        cell.pointee.level = entry.value
        cell.pointee.code = entry.code
        cell.pointee.count = UInt32(count)
        withUnsafeMutableBytes(of: &cell.pointee.numbers) { room in
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: entry.numbers.bytes.prefix(count &* 4)))
        }
    }

    /// Remembers what the outlook at hand shows.
    mutating func remember(_ slot: Int) {
        nodes.write(slot).pointee.shown = scratch.total
    }

    /// What the influence adds to a mean: what level · (1 + x) is above it, at most level · x. So a rise that the own
    /// forecast expects already is not added twice, and a slight influence does not undo a fall that it expects.
    @inline(__always)
    private func addition(mean: Float, level: Float, change: Float) -> Float {
        guard change > 0, level > 0 else { return 0 }
        let added = min(level * (1 + change) - mean, level * change)
        return added > 0 && added.isFinite ? added : 0
    }

    /// The forecast, whose numbers are in `scratch.numbers`, with the influence in `scratch.total` added to mean and
    /// quantiles.
    /// - Parameter felt: what the influence is relative to, where that is not the present level.
    mutating func emitOutlook(_ entry: Entry, horizons: Int, feels: Bool, felt: Float = 0, into out: Emitter) {
        let numbers = scratch.numbers
        let level = felt > 0 ? felt : Float(entry.value)
        let isFelt = feels && larger(scratch.total, SIMD8()) != SIMD8()
        for horizon in 0..<horizons {
            let block = ForecastNumbers.block(horizon)
            var added: Float = 0
            if isFelt {
                let change = grid.value(scratch.total, at: numbers[block])
                added = addition(mean: numbers[block &+ 1], level: level, change: change)
            }
            numbers[ForecastNumbers.influence(horizon, of: horizons)] = added
            if added > 0 { for index in (block &+ 1)..<(block &+ 8) { numbers[index] += added } }
        }
        counts.outlooks &+= 1
        var outlook = entry
        outlook.kind = .outlook
        outlook.numbers = FloatSlice(
            start: UnsafeRawPointer(numbers), count: ForecastNumbers.outlookCount(horizons: horizons))
        out.emit(outlook, to: .outlooks, partition: task.partition)
    }

    /// Publishes anew the outlooks of the resources that this entry has moved, each at most once.
    mutating func refreshTouched(except own: Int, into out: Emitter) {
        guard hasWork else { return }
        for position in scratch.touched.indices {
            let slot = Int(scratch.touched[position])
            if slot != own { refresh(slot, into: out) }
        }
        scratch.touched.removeAll(keepingCapacity: true)
    }

    private mutating func refresh(_ slot: Int, into out: Emitter) {
        let node = nodes.read(slot)
        guard node.pointee.forecast != 0, node.pointee.isHere == 1 else { return }
        let place = Int(node.pointee.forecast) &- 1
        let resource = node.pointee.name
        let metric = node.pointee.metric
        guard forecasts.read(place).pointee.count > 0 else { return }
        accumulate(slot, from: 1, to: hopsMax)
        totalInfluence()
        guard isMaterial(slot, forecasts.read(place)) else { return }
        remember(slot)
        counts.refreshes &+= 1
        let cell = forecasts.read(place)
        let count = Int(cell.pointee.count)
        for index in 0..<count { scratch.numbers[index] = cell.pointee.numbers[index] }
        let entry = Entry(
            kind: .forecast, code: cell.pointee.code, resource: resource, object: metric,
            time: EventTime(milliseconds: cell.pointee.time), value: cell.pointee.level)
        let numbers = FloatSlice(start: UnsafeRawPointer(scratch.numbers), count: count)
        guard let horizons = ForecastNumbers.horizons(in: numbers, isOutlook: false) else { return }
        emitOutlook(entry, horizons: horizons, feels: true, felt: usualIfAsleep(slot), into: out)
    }

    /// A resource without units has no level that anything could be relative to: its usual demand is.
    func usualIfAsleep(_ slot: Int) -> Float {
        let cell = nodes.read(slot)
        return cell.pointee.isAsleep ? cell.pointee.usual.value : 0
    }

    /// Whether some mean of the outlook moves by more than the configured share of the level.
    private func isMaterial(_ slot: Int, _ forecast: UnsafePointer<ForecastCell>) -> Bool {
        let usual = usualIfAsleep(slot)
        let level = usual > 0 ? usual : Float(forecast.pointee.level)
        guard level > 0, forecast.pointee.count >= UInt32(ForecastNumbers.headerCount) else { return false }
        let horizons = (Int(forecast.pointee.count) &- ForecastNumbers.headerCount) / ForecastNumbers.blockCount
        let shown = nodes.read(slot).pointee.shown
        // No mean can move by more than the influence does.
        let bound = larger(scratch.total, SIMD8()) - larger(shown, SIMD8())
        guard exceeds(bound, settings.refreshShare) else { return false }
        for horizon in 0..<horizons {
            let block = ForecastNumbers.block(horizon)
            let at = forecast.pointee.numbers[block]
            let mean = forecast.pointee.numbers[block &+ 1]
            let before = addition(mean: mean, level: level, change: grid.value(shown, at: at))
            let now = addition(mean: mean, level: level, change: grid.value(scratch.total, at: at))
            if abs(now - before) > settings.refreshShare * level { return true }
        }
        return false
    }
}
