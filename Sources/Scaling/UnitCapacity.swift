import Messages
import StageKit
import TwinCore

/// What a unit really carries: demand ÷ busy units, where a resource reports a demand and a utilisation, smoothed over
/// the last hour or so of samples.
///
/// It corrects a declared capacity downwards only: a unit may well be full before its processor is, but never carries
/// more than what makes it fully busy.
struct UnitCapacity: BitwiseCopyable {
    private var mean: Float = 0
    private var count: UInt32 = 0

    /// Pairs of samples before the measured number is believed, and those that it is about the mean of.
    static let countMin: UInt32 = 30
    private static let memory: Float = 64
    /// A measured capacity within a tenth of the declared one is no news, and one below a quarter is another fault.
    private static let noise = 0.9
    private static let floor = 0.25

    mutating func learn(demand: Double, busyUnits: Double, ready: Int32) {
        // Idle units say nothing: what they do beside the demand would be taken for it.
        guard demand > 0, busyUnits.isFinite, ready > 0, busyUnits >= 0.2 * Double(ready) else { return }
        let measured = Float(demand / busyUnits)
        guard measured.isFinite else { return }
        if count < .max { count += 1 }
        mean += (measured - mean) / min(Float(count), Self.memory)
    }

    /// What a unit carries where so much is declared.
    func corrected(_ declared: Double) -> Double {
        guard count >= Self.countMin, Double(mean) < Self.noise * declared else { return declared }
        return max(Double(mean), Self.floor * declared)
    }
}

extension ScalingStage {
    /// Another metric of the resource: its utilisation beside the demand that is decided from, of about the same time.
    mutating func compare(_ entry: Entry, _ slot: Int) {
        let code = ForecastCode(raw: entry.code)
        guard code.role == .utilisation, code.quality == .fresh else { return }
        let view = cells.read(slot).pointee.view
        let decided = ForecastCode(raw: view.code)
        guard decided.role == .demand, decided.quality == .fresh, view.time != .min,
            (entry.time.milliseconds &- view.time).magnitude <= 120_000,
            let ready = Replicas.count(Double(entry.numbers[ForecastNumbers.readyUnits]))
        else { return }
        cells.write(slot).pointee.unit.learn(demand: view.level, busyUnits: entry.value, ready: ready)
    }
}
