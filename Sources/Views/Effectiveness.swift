import Messages
import TwinCore

/// What actions were expected to do and what they did.
package struct Effectiveness: Sendable {
    package private(set) var resource: String?
    package private(set) var actions = 0
    package private(set) var ready = 0
    package private(set) var failed = 0
    package private(set) var open = 0
    private var leads = Mean()
    private var expectedLeads = Mean()
    private var errors = Mean()

    private struct Mean {
        var sum = 0.0
        var count = 0
        mutating func add(_ value: Double?) {
            guard let value, value.isFinite else { return }
            sum += value
            count += 1
        }
        var value: Double? { count > 0 ? sum / Double(count) : nil }
    }

    init(resource: String?) { self.resource = resource }

    mutating func add(_ action: ActionRecord) {
        actions += 1
        switch action.status {
        case "ready": ready += 1
        case "failed", "unschedulable", "timeout": failed += 1
        case "superseded": break
        default: open += 1
        }
        let (expected, came) = (action.result?["expected"], action.result?["came"])
        leads.add(came?["leadSeconds"]?.number)
        expectedLeads.add(expected?["leadSeconds"]?.number)
        if let wanted = expected?["utilisation"]?.number, let found = came?["utilisation"]?.number {
            errors.add((found - wanted).magnitude)
        }
    }

    /// Resources that are listed by themselves.
    package static let resourcesMax = 1_000

    /// Sums over the ledger's actions, of all or of one resource; those with most actions are listed first.
    package static func write(_ ledger: Ledger<ActionRecord>, resource: String?, into writer: inout JSONWriter) {
        var total = Effectiveness(resource: nil)
        var each: [Effectiveness] = []
        var indexByResource: [String: Int] = [:]
        for number in ledger.first..<ledger.end {
            let action = ledger[number]
            if let resource, action.resource != resource { continue }
            total.add(action)
            if indexByResource[action.resource] == nil {
                indexByResource[action.resource] = each.count
                each.append(Effectiveness(resource: action.resource))
            }
            if let index = indexByResource[action.resource] { each[index].add(action) }
        }
        each.sort { $0.actions != $1.actions ? $0.actions > $1.actions : ($0.resource ?? "") < ($1.resource ?? "") }
        writer.beginObject()
        writer.member("actions", total.actions)
        writer.member("ready", total.ready)
        writer.member("failed", total.failed)
        writer.member("open", total.open)
        writer.member("leadSecondsMean", total.leads.value)
        writer.member("leadSecondsExpectedMean", total.expectedLeads.value)
        writer.member("utilisationErrorMean", total.errors.value)
        writer.key("resources")
        writer.beginArray()
        for one in each.prefix(resourcesMax) {
            writer.beginObject()
            writer.member("resource", one.resource)
            writer.member("actions", one.actions)
            writer.member("ready", one.ready)
            writer.member("failed", one.failed)
            writer.member("leadSecondsMean", one.leads.value)
            writer.member("utilisationErrorMean", one.errors.value)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }
}
