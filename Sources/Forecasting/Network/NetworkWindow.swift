/// A stretch of a series that waits until its forecasts can be judged: the hidden state before it, what the network
/// read at each position, and what came after at each horizon. 480 bytes.
struct NetworkWindow: BitwiseCopyable {
    static let positionsMax = 8
    static let anchorsMax = Moment.anchorsMax
    /// No target has come.
    static let unknown = Int16.min

    var bases: [8 of Float] = InlineArray(repeating: 0)
    /// How lively the series was at each position, as a factor to `spreads`: the upper halves of floats.
    private var factors: [8 of UInt16] = InlineArray(repeating: 0)
    /// Spread of each horizon as the window began.
    var spreads: [6 of Float] = InlineArray(repeating: 0)
    /// The step of the first position; the others follow without a gap.
    var first: UInt32 = 0
    /// Changes that came, by position and anchor; in 1/64 of the horizon's spread.
    var targets: [48 of Int16] = InlineArray(repeating: unknown)
    /// By position: what the recurrent layer read, and distances for the head; by position and anchor: what the
    /// profiles expected, in spreads. All as `NetworkCode` packs them.
    var inputs: [192 of Int8] = InlineArray(repeating: 0)
    var distances: [48 of Int8] = InlineArray(repeating: 0)
    var seasonal: [48 of Int8] = InlineArray(repeating: 0)
    var state: [16 of Int8] = InlineArray(repeating: 0)
    var count: UInt8 = 0
    /// 1 once no position will be added.
    var isClosed: UInt8 = 0
    private var spare: UInt16 = 0

    @inline(__always)
    func factor(_ position: Int) -> Float { PendingQuantiles.unpacked(factors[position]) }

    @inline(__always)
    mutating func setFactor(_ position: Int, _ value: Float) { factors[position] = PendingQuantiles.packed(value) }

    var isSound: Bool {
        for anchor in 0..<Self.anchorsMax where !(spreads[anchor] >= 0 && spreads[anchor] < 1e30) { return false }
        for place in 0..<Self.positionsMax
        where !(bases[place].magnitude < 1e30 && factor(place) >= 0 && factor(place) < 1e6) { return false }
        return count <= UInt8(Self.positionsMax) && isClosed <= 1
    }
}

/// How numbers are kept in a byte: squashed into ±3 with slope 1 at 0, so that what is large stays in order.
enum NetworkCode {
    private static let resolution: Float = 42

    @inline(__always)
    static func squashed(_ x: Float) -> Float { x / (1 + x.magnitude * (1 / 3)) }

    @inline(__always)
    static func unsquashed(_ y: Float) -> Float { y / (1 - min(y.magnitude * (1 / 3), 0.995)) }

    /// A number that may be anything.
    @inline(__always)
    static func packed(_ x: Float) -> Int8 {
        Int8(clampedInt32((squashed(clamped(x, 1_000)) * resolution).rounded(), -126, 126))
    }

    /// The squashed number.
    @inline(__always)
    static func squashed(_ code: Int8) -> Float { Float(code) * (1 / resolution) }

    /// log₂ from the bits of a positive number, linear between powers: cheap, and exact enough for an input.
    @inline(__always)
    static func log2(_ x: Float) -> Float { Float(Int32(bitPattern: x.bitPattern)) * (1 / 8_388_608) - 127 }
}
