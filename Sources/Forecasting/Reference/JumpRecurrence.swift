import TwinCore

/// Whether jumps come at the same times of day: the day in 64 parts, those with a jump today and the day before, and
/// how often the two agree, against how often they would by chance.
struct JumpRecurrence: BitwiseCopyable {
    /// A bit for each part of the day, in two halves so that all fields have four bytes.
    private var today: [2 of UInt32] = InlineArray(repeating: 0)
    private var before: [2 of UInt32] = InlineArray(repeating: 0)
    private var day: Int32 = 0
    private var part: UInt32 = 0
    private var agreed: Float = 0
    private var byChance: Float = 0

    private static let partMilliseconds: Int64 = 86_400_000 / 64
    /// What a day before counts.
    private static let memory: Float = 0.75

    var isDaily: Bool { agreed > 2 * byChance + 2 }

    @inline(__always)
    mutating func pass(to milliseconds: Int64) {
        let number = milliseconds.flooredDivision(by: Self.partMilliseconds).quotient
        part = UInt32(number & 63)
        let now = Int32(truncatingIfNeeded: number >> 6)
        if now != day { turn(now) }
    }

    /// A jump at the present time.
    mutating func note() { today[Int(part >> 5 & 1)] |= 1 << (part & 31) }

    private mutating func turn(_ next: Int32) {
        let now = Self.joined(today)
        let old = Self.joined(before)
        let around = old | old << 1 | old >> 1 | old << 63 | old >> 63
        let jumps = Float(now.nonzeroBitCount)
        agreed = Self.memory * (agreed + Float((now & around).nonzeroBitCount))
        byChance = Self.memory * (byChance + jumps * Float(around.nonzeroBitCount) / 64)
        before = next == day &+ 1 ? today : InlineArray(repeating: 0)
        today = InlineArray(repeating: 0)
        day = next
    }

    private static func joined(_ halves: [2 of UInt32]) -> UInt64 { UInt64(halves[1]) << 32 | UInt64(halves[0]) }
}
