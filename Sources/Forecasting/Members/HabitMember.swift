/// What is usual whatever the present: quantiles of the values themselves, from 96 of them spread over half a day or
/// more, so that values that repeat have their weight. It wins on noise around a level with bursts.
struct HabitMember: Member {
    static let places = 96
    private static let spanMilliseconds: Int64 = 43_200_000

    /// The values in order of size, and how long ago each came (as the number of the keeping).
    private var sorted: [96 of Float] = InlineArray(repeating: 0)
    private var numbers: [96 of UInt8] = InlineArray(repeating: 0)
    private var count: UInt32 = 0
    /// Keepings so far, and steps from one to the next.
    private var kept: UInt32 = 0
    private var stride: UInt32 = 1
    private var nextStep: UInt32 = 0
    /// Values that come again and again, the two most frequent; NaN if there are none.
    private var atoms: [2 of Float] = InlineArray(repeating: .nan)

    var isSound: Bool { count <= UInt32(Self.places) && stride > 0 }

    mutating func observe(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>) {
        guard m.pointee.step >= nextStep else { return }
        nextStep = m.pointee.step &+ stride
        if count == UInt32(Self.places) { makeRoom(m) }
        insert(clamped(m.pointee.value, 1e25))
        kept &+= 1
        findAtoms()
    }

    /// Drops the oldest; while less than half a day is spanned, every other one, and keeps half as often from now on.
    private mutating func makeRoom(_ m: UnsafePointer<Moment>) {
        let span = Int64(stride) * Int64(Self.places) * Int64(max(m.pointee.stepMilliseconds, 1))
        let thins = span < Self.spanMilliseconds
        let oldest = UInt8(truncatingIfNeeded: kept &- UInt32(Self.places))
        var left = 0
        for place in 0..<Self.places {
            let isDropped = thins ? numbers[place] & 1 == 0 : numbers[place] == oldest
            if isDropped { continue }
            sorted[left] = sorted[place]
            numbers[left] = thins ? numbers[place] >> 1 : numbers[place]
            left &+= 1
        }
        count = UInt32(left)
        if thins {
            stride &*= 2
            kept >>= 1
        }
    }

    private mutating func insert(_ value: Float) {
        var place = Int(count)
        while place > 0 && sorted[place &- 1] > value {
            sorted[place] = sorted[place &- 1]
            numbers[place] = numbers[place &- 1]
            place &-= 1
        }
        sorted[place] = value
        numbers[place] = UInt8(truncatingIfNeeded: kept)
        count &+= 1
    }

    /// The two longest runs of equal values, where they are a twelfth of all or more.
    private mutating func findAtoms() {
        var longest = Int(count) / 12
        var second = longest
        atoms = InlineArray(repeating: .nan)
        var start = 0
        for place in 1...Int(count) where place == Int(count) || sorted[place] != sorted[start] {
            let length = place &- start
            if length > longest {
                second = longest
                atoms[1] = atoms[0]
                longest = length
                atoms[0] = sorted[start]
            } else if length > second {
                second = length
                atoms[1] = sorted[start]
            }
            start = place
        }
    }

    /// A value, or the one nearby that comes again and again.
    @inline(__always)
    mutating func snapped(_ value: Float, within distance: Float) -> Float {
        guard count >= 24 else { return value }
        if (value - atoms[0]).magnitude <= distance { return atoms[0] }
        return (value - atoms[1]).magnitude <= distance ? atoms[1] : value
    }

    mutating func forecast(
        _ anchor: Int, _ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>,
        into out: UnsafeMutablePointer<Float>
    ) -> Bool {
        guard count >= 24 else { return false }
        let inverse = 1 / m.pointee.unit
        let last = Float(count - 1)
        for level in 0..<ForecastLevels.spoken {
            let place = min(max(ForecastLevels.all[level] * Float(count + 1) - 1, 0), last)
            let low = Int(place)
            let high = min(low &+ 1, Int(count) &- 1)
            let value = sorted[low] + (place - Float(low)) * (sorted[high] - sorted[low])
            out[level] = clamped((value - m.pointee.base) * inverse, 1e9)
        }
        return true
    }

    mutating func scale(by factor: Float) {
        for place in 0..<Self.places { sorted[place] *= factor }
        for index in 0..<2 { atoms[index] *= factor }
    }
}
