/// The sections of the stages' snapshots. The four letters of each are written into snapshots and never change.
package enum StateSection: String, Sendable, CaseIterable {
    case names = "name"
    case numbering = "emit"
    case senders = "send"
    // the normalizer's
    case rawTopic = "ninb"
    case rawTime = "nclk"
    case callTotals = "ncal"
    case directory = "ndir"
    // the twin-updater's
    case twinResources = "twrs"
    case twinSeries = "twse"
    case eventMemories = "twem"
    case twinState = "twst"
    case sharedModels = "twsh"
    // the drift-detector's
    case driftSeries = "dser"
    case detectors = "ddet"
    case driftResources = "dres"
    case driftLocalities = "dloc"
    case driftBudgets = "dbud"
    // the graph-propagator's
    case graphNodes = "gnod"
    case graphEdges = "gedg"
    case graphForecasts = "gfor"
    case graphLocalities = "gloc"
    case graphTime = "gclk"
    // the scaling-decider's
    case scalingResources = "scRS"
    case scalingOrders = "scOR"

    /// What stands before the section.
    package var tag: UInt32 { rawValue.utf8.reduce(0) { $0 << 8 | UInt32($1) } }

    /// What it holds, for people.
    package var meaning: String {
        switch self {
        case .names: "names of resources, metrics and localities"
        case .numbering: "numbering of what is written"
        case .senders: "senders, how far each was read, and the watermark"
        case .rawTopic: "the raw topic"
        case .rawTime, .graphTime: "event time"
        case .callTotals: "call totals of pairs"
        case .directory: "which resource is where"
        case .twinResources, .driftResources, .graphNodes, .scalingResources: "resources"
        case .twinSeries: "series with their models"
        case .eventMemories: "what planned events did"
        case .twinState: "planned events, departures, free cells"
        case .sharedModels: "models shared by a class"
        case .driftSeries: "series"
        case .detectors: "detectors"
        case .driftLocalities, .graphLocalities: "localities"
        case .driftBudgets: "budgets of requests and alarms"
        case .graphEdges: "edges"
        case .graphForecasts: "forecasts"
        case .scalingOrders: "policies, orders and actions in flight"
        }
    }
}
