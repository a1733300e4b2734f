import TwinCore

/// What is remembered of one series (resource and metric): 272 bytes, of which the default detector takes 196.
struct SeriesCell: BitwiseCopyable {
    /// The last present level, for noticing that it stands still.
    var lastValue: Double
    /// Samples that the twin had folded in with the last forecast.
    var sampleCount: Double
    var cusum = CusumFamily()
    var pageHinkley = PageHinkley()
    var resource: NameNumber
    var metric: NameNumber
    /// Slot of the resource's next series plus one, 0 at the end.
    var nextOfResource: UInt32 = 0
    /// Samples until the series is watched again, 0 when it is.
    var hold: Int32 = 0
    /// 1 while the twin has no reference to judge by.
    var isBlind: Int32 = 1
    /// Length of the present run of equal values, the longest seen, and changes of value so far (up to a bound).
    var sameRun: Int32 = 0
    var sameLongest: Int32 = 0
    var changes: Int32 = 0
    /// Bit 0: missing was reported, bit 1: frozen was reported.
    var reported: UInt32 = 0

    init(resource: NameNumber, metric: NameNumber) {
        self.resource = resource
        self.metric = metric
        lastValue = .nan
        sampleCount = 0
    }

    static let missing: UInt32 = 1
    static let frozen: UInt32 = 2

    /// Begins anew against a refitted reference.
    mutating func restart() {
        cusum.restart()
        pageHinkley.restart()
        hold = 0
        isBlind = 0
    }

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
    var locality: NameNumber
    /// Slot of the first series plus one, 0 for none.
    var firstSeries: UInt32
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
