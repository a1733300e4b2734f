/// What the series of a class have learned together at one horizon: a regression over all their steps. A young series
/// begins with its weights, and an old one is shrunk towards them instead of towards "as now".
struct Experience: BitwiseCopyable {
    private(set) var regression = Regression()
    /// Pairs folded, and how many there will be when the weights are solved for again.
    private var folded: UInt32 = 0
    private var nextSolve: UInt32 = solveOften

    /// Pairs that count as much as all older ones together.
    private static let memory: Float = 20_000
    private static let solveOften: UInt32 = 64
    private static let solveSeldom: UInt32 = 512

    @inline(__always)
    mutating func fold(_ x: Regression.Features, _ y: Float, weight: Float, pace: Float, ridge: Float) {
        regression.fold(x, y, weight: weight, fade: 1 - pace / Self.memory)
        folded &+= 1
        guard folded == nextSolve else { return }
        nextSolve = folded &+ (folded < 4_096 ? Self.solveOften : Self.solveSeldom)
        regression.solve(ridge: ridge, towards: InlineArray(repeating: 0))
    }

    var isSound: Bool { regression.isSound }
}
