/// The last errors of a point forecast, and their quantiles: what turns persistence into a probabilistic forecast that
/// ours can be compared with. Sorted, of fixed size.
struct ErrorWindow {
    /// Errors that are kept; enough for a 99 % quantile.
    static let errorsMax = 128
    /// Fewer errors say nothing about quantiles.
    static let errorsMin = 20

    private var ring: [Float] = []
    private var sorted: [Float] = []
    private var next = 0

    var count: Int { sorted.count }

    /// The position of the first element not below `value`.
    private func position(_ value: Float) -> Int {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func append(_ error: Float) {
        guard error.isFinite else { return }
        if ring.count < Self.errorsMax {
            ring.append(error)
        } else {
            sorted.remove(at: position(ring[next]))
            ring[next] = error
            next = next + 1 == Self.errorsMax ? 0 : next + 1
        }
        sorted.insert(error, at: position(error))
    }

    /// The error at a quantile level, by linear interpolation with the finite-sample correction of split conformal
    /// prediction; zero while there are too few.
    func quantile(_ level: Double) -> Float {
        let count = sorted.count
        guard count >= Self.errorsMin else { return 0 }
        let raised = level >= 0.5 ? level * Double(count + 1) : level * Double(count + 1) - 1
        let share = min(max(raised / Double(count), 0), 1)
        let place = share * Double(count - 1)
        let low = Int(place)
        let high = min(low + 1, count - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * Float(place - Double(low))
    }
}
