import TwinCore

/// What is remembered of one series (resource and metric) beside its detector.
struct SeriesCell: BitwiseCopyable {
    /// The last present level, for noticing that it stands still.
    var lastValue: Double
    /// Samples that the twin had folded in with the last forecast.
    var sampleCount: Double
    /// Event time of the last drift in the mean.
    var driftTime: Int64 = .min
    /// The change point whose retraining the budget has not allowed yet.
    var pendingSince: Int64 = 0
    /// The level of late, slowly followed, for noticing that the unit is another one.
    var usualValue: Float = .nan
    /// The highest level of late, and samples in a row close to it.
    var highest: Float = -.infinity
    var topRun: Int32 = 0
    /// What forecasts have cost since the twin is distrusted: errors beyond the usual, in deviations.
    var cost: Float = 0
    var resource: NameNumber
    var metric: NameNumber
    /// Slot of the resource's next series plus one, 0 at the end.
    var nextOfResource: UInt32 = 0
    /// Samples until the series is watched again, 0 when it is.
    var hold: Int32 = 0
    /// Samples since the twin is distrusted, 0 while it is trusted.
    var distrustedSamples: Int32 = 0
    /// Length of the present run of equal values, the longest seen, and changes of value so far (up to a bound).
    var sameRun: Int32 = 0
    var sameLongest: Int32 = 0
    var changes: Int32 = 0
    /// Settle steps of the retraining that the budget has not allowed yet, 0 for none; and its kind.
    var pendingSteps: UInt16 = 0
    var pendingKind: UInt8 = 0
    /// `missing` and `frozen`, as reported.
    var reported: UInt8 = 0
    /// 1 while the twin has no reference to judge by.
    var isBlind: UInt8 = 1
    /// Direction of the last drift in the mean, and how often in a row it was the opposite of the one before.
    var direction: Int8 = 0
    var turns: UInt8 = 0
    /// What the twin is distrusted for: the kind of drift, 0 for none, and 16 times what explains it.
    var distrustedFor: UInt8 = 0

    init(resource: NameNumber, metric: NameNumber) {
        self.resource = resource
        self.metric = metric
        lastValue = .nan
        sampleCount = 0
    }

    static let missing: UInt8 = 1
    static let frozen: UInt8 = 2

    /// Keeps the ceiling up: the highest level, forgotten slowly, and how long the series has been at it.
    @inline(__always)
    mutating func followCeiling(_ value: Float) {
        if value > highest {
            if value > highest + Self.ceilingShare * highest.magnitude { topRun = 0 }
            highest = value
        } else {
            highest += (usualValue - highest) / 32_768
        }
        topRun = value >= highest - Self.ceilingShare * highest.magnitude ? min(topRun &+ 1, 1_000_000) : 0
    }

    /// The values stay at a ceiling that they used to reach seldom.
    var isAtCeiling: Bool {
        topRun >= Self.ceilingSamples && usualValue + Self.usualBelow * highest.magnitude < highest
    }

    /// How near the ceiling is at it, how long a stay counts, and how far below the usual level must lie.
    private static let ceilingShare: Float = 0.01
    private static let ceilingSamples: Int32 = 4
    private static let usualBelow: Float = 0.1

    /// Forgets all that was learned: the twin behind it is another one.
    mutating func forget() {
        let next = nextOfResource
        self = SeriesCell(resource: resource, metric: metric)
        nextOfResource = next
    }
}

/// A number of the task's name table.
typealias NameNumber = UInt32

/// What is remembered of one resource.
struct DriftResourceCell: BitwiseCopyable {
    var resource: NameNumber
    /// 0 until a tags entry says it.
    var locality: NameNumber = 0
    /// Slot of the first series plus one, 0 for none.
    var firstSeries: UInt32 = 0
    /// 1 once it is counted among its locality's resources.
    var isCounted: UInt32 = 0
    /// The window of its locality in which it drifted last.
    var window: Int64 = .min
    /// Hash of its version tag, 0 before the first, and the event time of its last change.
    var version: UInt64 = 0
    var versionTime: Int64 = .min
    /// Resources that it talks to, the newest edges, 0 for none; and the next place.
    var neighbours: [6 of NameNumber] = InlineArray(repeating: 0)
    var neighbourPlace: UInt32 = 0
    /// 1 once it is counted among those of its window that drifted with a neighbour.
    var isLinked: UInt32 = 0

    static let neighboursMax = 6

    init(resource: NameNumber) { self.resource = resource }

    /// Notes an edge; the oldest of too many gives way.
    mutating func meet(_ other: NameNumber) {
        for index in 0..<Self.neighboursMax where neighbours[index] == other { return }
        neighbours[Int(neighbourPlace)] = other
        neighbourPlace = neighbourPlace &+ 1 == UInt32(Self.neighboursMax) ? 0 : neighbourPlace &+ 1
    }
}

/// How many retrain requests a task may make: tokens that come back with event time.
struct RetrainBudget {
    var tokens: Double
    var reached = EventTime.distantPast
    let perHour: Double

    init(perHour: Double) {
        self.perHour = perHour.isFinite ? max(perHour, 0) : 0
        tokens = max(self.perHour / 6, 1)
    }

    /// Ten minutes' worth may be asked for at once.
    private var tokensMax: Double { max(perHour / 6, 1) }

    /// Takes a token if one is left at `time`.
    mutating func take(at time: EventTime) -> Bool {
        if reached == .distantPast {
            reached = time
        } else if time > reached {
            let hours = Double(time.milliseconds(since: reached)) / 3_600_000
            tokens = min(tokens + hours * perHour, tokensMax)
            reached = time
        }
        guard tokens >= 1, perHour > 0 else { return false }
        tokens -= 1
        return true
    }
}
