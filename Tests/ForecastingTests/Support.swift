import Forecasting
import TwinCore

/// A day's wave between −1 and 1, by Bhaskara's rational sine, so that no mathematics library is needed.
func wave(_ phase: Double) -> Double {
    let turn = phase - phase.rounded(.down)
    let half = turn < 0.5 ? turn * 2 : turn * 2 - 1
    let x = half * 180
    let sine = 4 * x * (180 - x) / (40_500 - x * (180 - x))
    return turn < 0.5 ? sine : -sine
}

/// The bytes of a value's parts, without what lies between them. Arrays of one type have nothing between.
func partsSize(_ value: Any) -> Int {
    let mirror = Mirror(reflecting: value)
    let isArray = String(describing: type(of: value)).hasPrefix("InlineArray")
    if isArray || mirror.children.isEmpty { return wholeSize(value) }
    return mirror.children.reduce(0) { $0 + partsSize($1.value) }
}

private func wholeSize(_ value: Any) -> Int {
    func size<T>(_ value: T) -> Int { MemoryLayout<T>.size }
    return _openExistential(value, do: size)
}

/// What the series of a test share.
final class SharedBox {
    let pointer: UnsafeMutablePointer<SharedModels>

    init(clock: LocalTime = .utc) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: SharedModels(clock: clock))
    }

    deinit {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }
}
