import Forecasting

/// SplitMix64: a reproducible source for tests.
struct Random {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// 0 ≤ u < 1.
    mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

    /// About normal: twelve uniforms (Irwin and Hall), exact enough within three deviations.
    mutating func normal() -> Double {
        var sum = -6.0
        for _ in 0..<12 { sum += unit() }
        return sum
    }

    /// Student's t with 3 degrees of freedom: heavy tails.
    mutating func heavy() -> Double {
        var square = 0.0
        for _ in 0..<3 {
            let x = normal()
            square += x * x
        }
        return normal() / (square / 3).squareRoot()
    }
}

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

    init() {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: SharedModels())
    }

    deinit {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }
}
