import Messages
import TwinCore

#if canImport(Glibc)
    import Glibc
#endif

/// What drifted together in one locality: a window of event time that opens with the first drift.
struct LocalityCell: BitwiseCopyable {
    /// 0 for resources whose locality is not known.
    var name: NameNumber
    /// Resources known in it.
    var resources: UInt32 = 0
    /// The first drift of the open window; `.max` while none is open.
    var opened: Int64 = .max
    /// The earliest change point of the window.
    var since: Int64 = .max
    /// When a shared cause was last reported; what began to change before belongs to it.
    var told: Int64 = .min
    /// Sum of the sizes of all drifts that nothing explains, each at most `impactMax` deviations.
    var impact: Double = 0
    /// Resources that drifted, and those of them that a release or a planned event explains.
    var drifted: UInt32 = 0
    var explained: UInt32 = 0
    /// Those that drifted together with one they talk to.
    var linked: UInt32 = 0
    /// Drifts by kind: level, trend, variance, season, data, saturation.
    var kinds: [6 of UInt32] = InlineArray(repeating: 0)
    /// The largest drift: its size, resource and metric.
    var worst: Float = 0
    var resource: NameNumber = 0
    var metric: NameNumber = 0
    /// The first resources that drifted.
    var examples: [4 of NameNumber] = InlineArray(repeating: 0)

    static let impactMax: Float = 20

    init(name: NameNumber) { self.name = name }

    /// What stands in a free cell; localities may be without a name, but not of so many resources.
    static var free: LocalityCell {
        var cell = LocalityCell(name: 0)
        cell.resources = .max
        return cell
    }

    var isFree: Bool { resources == .max }

    /// Takes a drift into the window.
    /// - Parameter isFirst: of its resource in this window.
    mutating func take(_ report: DriftStage.Report, isFirst: Bool) {
        if opened == .max { opened = report.time.milliseconds }
        since = min(since, report.since.milliseconds)
        if isFirst {
            if drifted < 4 { examples[Int(drifted)] = report.resource }
            drifted &+= 1
            if report.cause != .unknown { explained &+= 1 }
        }
        kinds[Self.place(report.kind)] &+= 1
        let size = min(Float(report.magnitude).magnitude, Self.impactMax)
        if report.cause == .unknown { impact += Double(size) }
        guard size > worst || resource == 0 else { return }
        worst = size
        resource = report.resource
        metric = report.metric
    }

    /// The kind that most of the drifts are of.
    var kind: DriftKind {
        var best = 0
        for index in 1..<6 where kinds[index] > kinds[best] { best = index }
        return [.level, .trend, .variance, .season, .data, .saturation][best]
    }

    private static func place(_ kind: DriftKind) -> Int {
        switch kind {
        case .trend: 1
        case .variance: 2
        case .season: 3
        case .data: 4
        case .saturation: 5
        default: 0
        }
    }

    /// Closes the window.
    mutating func close() {
        let (count, told) = (resources, self.told)
        self = LocalityCell(name: name)
        resources = count
        self.told = told
    }
}

/// How many alarms a task may raise for operators: its share of the fleet's daily budget, spent on what matters most.
///
/// A candidate must pass a bar in the logarithm of impact. Each alarm raises the bar by `step`, event time lowers it so
/// that in the long run as many pass as the budget allows, whatever candidates come (as the detectors' restlessness
/// does). Tokens bound the number within a day.
struct AlarmBudget {
    var bar = 0.0
    var tokens = 1.0
    var reached = EventTime.distantPast
    let perDay: Double

    private static let step = 0.7

    init(perDay: Double) { self.perDay = perDay.isFinite ? max(perDay, 0) : 0 }

    private var tokensMax: Double { max(perDay, 1) }

    /// Spends a token if the impact is worth it.
    mutating func take(impact: Double, at time: EventTime) -> Bool {
        if reached == .distantPast {
            reached = time
        } else if time > reached {
            let days = Double(time.milliseconds(since: reached)) / 86_400_000
            tokens = min(tokens + days * perDay, tokensMax)
            bar = max(bar - Self.step * days * perDay, 0)
            reached = time
        }
        guard tokens >= 1, perDay > 0, impact > 0, impact >= exp(bar) else { return false }
        tokens -= 1
        bar += Self.step
        return true
    }
}
