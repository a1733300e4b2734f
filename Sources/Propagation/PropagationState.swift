import Messages
import TwinCore

/// A number of the task's name table.
typealias NameNumber = UInt32

/// A resource of the graph: one that lives here, or the far end of an edge.
///
/// `published` are the expected relative changes x(hop) that its neighbours were told last. For a resource from another
/// partition they are what its own task sent, as are its levels. 480 bytes.
struct NodeCell: BitwiseCopyable {
    /// The most hops that can be configured.
    static let hopsLimit = 4

    /// x(hop) on the grid.
    var published: [4 of SIMD8<Float>] = .init(repeating: SIMD8())
    /// The influence in the outlook that was published last for the leading metric.
    var shown = SIMD8<Float>()
    /// Levels of the leading metric.
    var past = PastLevels()
    /// Event time of what last changed x(hop); never falls.
    var version: [4 of Int64] = .init(repeating: .min)
    /// When x(hop) stops counting.
    var expiry: [4 of Int64] = .init(repeating: .min)
    /// The expiry that was sent on last.
    var sentExpiry: [4 of Int64] = .init(repeating: .min)
    var name: NameNumber
    var locality: NameNumber = 0
    /// The metric whose forecast is x(0): the first of the highest rank.
    var metric: NameNumber = 0
    /// Lists of edges in order of first appearance: slot plus one, 0 for none.
    var firstIn: UInt32 = 0
    var lastIn: UInt32 = 0
    var firstOut: UInt32 = 0
    var lastOut: UInt32 = 0
    var inCount: Int32 = 0
    var outCount: Int32 = 0
    /// Slot of its last forecast plus one.
    var forecast: UInt32 = 0
    /// Rank of the leading metric's role.
    var rank: UInt16 = 0
    /// 1 if it lives in this partition.
    var isHere: UInt16 = 0
    /// Bit h: x(h) is not zero.
    var active: UInt32 = 0
    /// What x(0) is relative to.
    var base: Float = 0
    /// The level that other partitions were told last.
    var sentLevel: Float = 0
    var usual = UsualLevel()
    /// Since when it has no units, event time; `Int64.max` while it has some.
    var asleepSince: Int64 = .max
    var reserved: (UInt64, UInt64) = (0, 0)

    init(name: NameNumber) { self.name = name }

    /// Without a unit it has no telemetry of its own.
    var isAsleep: Bool { asleepSince != .max }
    /// What its changes are relative to, as a part of its usual demand.
    var share: Float {
        if isAsleep { return 1 }
        return usual.value > 0 ? min(max(base, past.newest) / usual.value, 4) : 0
    }
}

/// An edge from a resource to one that depends on it. It is learned where the target lives; in the source's task it
/// only says where to send. 104 bytes.
struct EdgeCell: BitwiseCopyable {
    enum Kind {
        static let traffic: UInt32 = 0
        static let declared: UInt32 = 1
        static let proximity: UInt32 = 2
        /// About to be freed; only for the time of a sweep.
        static let over: UInt32 = 3
    }

    var seen: Int64
    var source: UInt32
    var target: UInt32
    var nextIn: UInt32 = 0
    var nextOut: UInt32 = 0
    /// Calls per second, or the declared weight.
    var rate: Float
    var observations: Float
    /// Partition of the other end; −1 unknown.
    var partition: Int32
    var kind: UInt32
    /// The rate as it was reported last.
    var latest: Float = 0
    var lag = EdgeLag()

    /// What stands in a free cell.
    static var free: EdgeCell {
        EdgeCell(seen: 0, source: .max, target: .max, rate: 0, observations: 0, partition: -1, kind: 0)
    }

    var isFree: Bool { source == .max }
}

/// One of the two lists in which an edge stands: that of its target and that of its source.
struct EdgeList {
    let first: WritableKeyPath<NodeCell, UInt32>
    let last: WritableKeyPath<NodeCell, UInt32>
    let count: WritableKeyPath<NodeCell, Int32>
    let next: WritableKeyPath<EdgeCell, UInt32>
    let owner: KeyPath<EdgeCell, UInt32>

    static var inbound: EdgeList {
        EdgeList(first: \.firstIn, last: \.lastIn, count: \.inCount, next: \.nextIn, owner: \.target)
    }

    static var outbound: EdgeList {
        EdgeList(first: \.firstOut, last: \.lastOut, count: \.outCount, next: \.nextOut, owner: \.source)
    }
}

/// The last forecast of a resource's leading metric, so that its outlook can be published anew when a neighbour moves.
struct ForecastCell: BitwiseCopyable {
    static let numbersMax = 104

    var time: Int64 = 0
    var level: Double = 0
    var code: UInt32 = 0
    /// Numbers of the forecast; 0 while it counts no more.
    var count: UInt32 = 0
    var numbers: [104 of Float] = .init(repeating: 0)

    /// What stands in a free cell.
    static var free: ForecastCell {
        var cell = ForecastCell()
        cell.count = .max
        return cell
    }

    var isFree: Bool { count == .max }
}

/// The newest resource of a locality; the next one there becomes its neighbour by proximity.
struct LocalityCell: BitwiseCopyable {
    var locality: NameNumber
    var newest: UInt32
}

/// ½ to the power of age / half-life, by linear interpolation between whole half-lives (at most 6 % above, exact at
/// the ends; no dependence on a maths library).
@inline(__always)
func halved(age: Int64, halfLife: Int64) -> Float {
    guard age > 0 else { return 1 }
    guard halfLife > 0 else { return 0 }
    let whole = age / halfLife
    guard whole < 30 else { return 0 }
    let rest = Float(age &- whole &* halfLife) / Float(halfLife)
    return (1 - rest / 2) / Float(1 << whole)
}

/// How well a role suits as a resource's demand; 0 never.
func demandRank(_ role: MetricRole) -> UInt16 {
    switch role {
    case .demand: 3
    case .utilisation: 2
    case .unknown: 1
    case .slo, .backlog, .footprint, .supply: 0
    }
}

/// What a task counts.
struct PropagationCounts {
    var edgesRefused: UInt64 = 0
    var resourcesRefused: UInt64 = 0
    var malformed: UInt64 = 0
    var influencesSent: UInt64 = 0
    var influencesReceived: UInt64 = 0
    var influencesStale: UInt64 = 0
    var outlooks: UInt64 = 0
    var refreshes: UInt64 = 0
    var recomputations: UInt64 = 0
}

/// Room that is reused from entry to entry; never part of the state.
struct PropagationScratch: ~Copyable {
    /// Numbers of an influence entry behind the changes.
    static let sentLevels = 3

    /// Nodes to recompute, by hop, and nodes whose influence may have moved, in order of first touch.
    var levels: [[UInt32]] = Array(repeating: [], count: NodeCell.hopsLimit + 1)
    var touched: [UInt32] = []
    /// Per node: number of the entry << 8 | bits of the levels it already stands in.
    var stamps: [UInt64] = []
    var entry: UInt64 = 0
    /// Per partition: the number of the sending that reached it last.
    var reached: [UInt64] = []
    var sending: UInt64 = 0
    /// x(0…4) of one node on the grid, the sums it is made of, and the expiry of each.
    var changes: [5 of SIMD8<Float>] = .init(repeating: SIMD8())
    var traffic: [5 of SIMD8<Float>] = .init(repeating: SIMD8())
    var expiries: [5 of Int64] = .init(repeating: .min)
    /// What one node feels.
    var total = SIMD8<Float>()
    /// The numbers of the outlook at hand, and of an influence entry.
    let numbers: UnsafeMutablePointer<Float>
    let sent: UnsafeMutablePointer<Float>

    static let numbersCount = ForecastNumbers.outlookCount(horizons: ForecastNumbers.horizonsMax)

    init(partitions: Int) {
        reached = Array(repeating: 0, count: partitions)
        numbers = .allocate(capacity: Self.numbersCount)
        numbers.initialize(repeating: 0, count: Self.numbersCount)
        sent = .allocate(capacity: Grid.pointsMax + Self.sentLevels)
        sent.initialize(repeating: 0, count: Grid.pointsMax + Self.sentLevels)
    }

    deinit {
        numbers.deallocate()
        sent.deallocate()
    }
}
