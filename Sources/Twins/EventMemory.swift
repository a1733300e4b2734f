import Glibc
import StageKit

/// What a series learned of planned events by their kind: how much more or less they did than was announced.
///
/// Per kind the mean of log₂ (measured ÷ announced) over its events, older ones fading; what was announced counts as
/// half an event. So the first event of a kind is taken at its word, and later ones are corrected by what came.
struct EventMemory: BitwiseCopyable {
    /// Kinds that are told apart; the one seen least gives way.
    static let kindsMax = 4
    private static let priorEvents: Float = 0.5
    private static let eventsMax: Float = 8
    private static let samplesMin: Float = 3
    /// Powers of two.
    private static let limit: Float = 5

    /// Names of kinds; 0 marks a free place.
    private var kinds: [4 of UInt32] = InlineArray(repeating: 0)
    private var means: [4 of Float] = InlineArray(repeating: 0)
    private var counts: [4 of Float] = InlineArray(repeating: 0)
    /// The kind that is being measured, the sum so far and its samples.
    private var openKind: UInt32 = 0
    private var sum: Float = 0
    private var samples: Float = 0
    /// 1 in the cell of a series, 0 in a free one.
    private let owned: UInt32

    init(isOwned: Bool) { owned = isOwned ? 1 : 0 }

    var isFree: Bool { owned == 0 }

    var isSound: Bool {
        for place in 0..<Self.kindsMax where !(means[place].magnitude <= Self.limit && counts[place] >= 0) {
            return false
        }
        return samples >= 0
    }

    func mark(_ names: inout NameMarks) {
        for place in 0..<Self.kindsMax { names.mark(kinds[place]) }
        names.mark(openKind)
    }

    /// What the uplift that an event of this kind announces is to be multiplied by.
    func correction(of kind: UInt32) -> Float {
        for place in 0..<Self.kindsMax where kinds[place] == kind && kind != 0 {
            return exp2f(means[place] * counts[place] / (counts[place] + Self.priorEvents))
        }
        return 1
    }

    /// Takes in what a single event in force does: a factor on what was to be expected without it, and the factor that
    /// was announced.
    mutating func measure(_ kind: UInt32, factor: Float, announced: Float) {
        if kind != openKind { close() }
        openKind = kind
        let excess = log2f(max(factor, 0.01) / max(announced, 0.01))
        guard excess.isFinite else { return }
        sum += min(max(excess, -Self.limit), Self.limit)
        samples += 1
    }

    /// The event that was measured is over, or another one came beside it.
    mutating func close() {
        defer {
            openKind = 0
            sum = 0
            samples = 0
        }
        guard openKind != 0, samples >= Self.samplesMin else { return }
        var place = 0
        for other in 0..<Self.kindsMax where counts[other] < counts[place] { place = other }
        for other in 0..<Self.kindsMax where kinds[other] == openKind { place = other }
        if kinds[place] != openKind {
            kinds[place] = openKind
            counts[place] = 0
            means[place] = 0
        }
        counts[place] = min(counts[place] + 1, Self.eventsMax)
        means[place] += (sum / samples - means[place]) / counts[place]
    }
}
