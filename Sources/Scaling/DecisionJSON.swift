import Messages
import StageKit
import TwinCore

/// Writes what the decider says to the outside: CloudEvents 1.0 in structured mode. The schemas are
/// `topics/schemas/action.schema.json` and `decision.schema.json`.
enum DecisionJSON {
    static let source: StaticString = "twinscale/scaling-decider"

    /// Opens an event up to and including the start of its data object.
    static func begin(
        _ writer: inout JSONWriter, id: String, type: StaticString, subject: UnsafeRawBufferPointer, time: Int64
    ) {
        writer.beginObject()
        writer.key("specversion")
        writer.string("1.0")
        writer.key("id")
        writer.string(id)
        writer.key("source")
        writer.string(source)
        writer.key("type")
        writer.string(type)
        writer.key("subject")
        writer.string(subject)
        writer.key("time")
        writer.time(EventTime(milliseconds: time))
        writer.key("datacontenttype")
        writer.string("application/json")
        writer.key("data")
        writer.beginObject()
    }

    static func end(_ writer: inout JSONWriter) {
        writer.endObject()
        writer.endObject()
    }

    private static func policy(_ writer: inout JSONWriter, _ account: Account) {
        writer.key("policy")
        guard account.terms.name != 0 else { return writer.null() }
        writer.beginObject()
        writer.key("name")
        writer.string(account.names.bytes(of: account.terms.name))
        writer.key("version")
        writer.unsigned(account.terms.version)
        writer.endObject()
    }

    /// The data of an action.
    static func action(_ writer: inout JSONWriter, id: String, account: Account, deadline: Int64, supersedes: String?) {
        let evaluation = account.evaluation
        writer.key("action")
        writer.string(id)
        writer.key("resource")
        writer.string(account.names.bytes(of: account.cell.resource))
        if account.cell.locality != 0 {
            writer.key("locality")
            writer.string(account.names.bytes(of: account.cell.locality))
        }
        count(&writer, "from", evaluation.ready, isKnown: evaluation.knowsUnits)
        writer.key("to")
        writer.int(Int(evaluation.desired))
        writer.key("direction")
        if evaluation.knowsUnits {
            writer.string(evaluation.desired > evaluation.base ? "up" : "down")
        } else {
            writer.null()
        }
        writer.key("mode")
        writer.string(account.terms.mode.text)
        writer.key("reason")
        writer.string(account.reason)
        writer.key("issued")
        writer.time(EventTime(milliseconds: evaluation.now))
        writer.key("deadline")
        writer.time(EventTime(milliseconds: deadline))
        writer.key("supersedes")
        if let supersedes { writer.string(supersedes) } else { writer.null() }
        policy(&writer, account)
    }

    /// The data of a decision.
    static func decision(_ writer: inout JSONWriter, id: String, account: Account, action: String?, proposal: String?) {
        let evaluation = account.evaluation
        writer.key("kind")
        writer.string(LedgerKind.decision.rawValue)
        writer.key("decision")
        writer.string(id)
        writer.key("resource")
        writer.string(account.names.bytes(of: account.cell.resource))
        if account.cell.locality != 0 {
            writer.key("locality")
            writer.string(account.names.bytes(of: account.cell.locality))
        }
        writer.key("mode")
        writer.string(account.terms.mode.text)
        count(&writer, "current", evaluation.base, isKnown: evaluation.knowsUnits)
        count(&writer, "desired", evaluation.desired, isKnown: evaluation.knowsUnits || evaluation.manual != 0)
        writer.key("reason")
        writer.string(account.reason)
        inputs(&writer, account)
        candidates(&writer, evaluation)
        constraints(&writer, evaluation)
        neighbours(&writer, account)
        policy(&writer, account)
        command(&writer, account)
        writer.key("whatWouldChange")
        writer.string(account.whatWouldChange)
        writer.key("expectedUtilisation")
        writer.double(account.expectedUtilisation)
        writer.key("shortfall")
        writer.int(Int(evaluation.shortfall))
        price(&writer, account)
        writer.key("action")
        if let action { writer.string(action) } else { writer.null() }
        writer.key("proposal")
        if let proposal { writer.string(proposal) } else { writer.null() }
    }

    /// A number of units, null if it is only assumed.
    private static func count(_ writer: inout JSONWriter, _ key: StaticString, _ units: Int32, isKnown: Bool) {
        writer.key(key)
        if isKnown { writer.int(Int(units)) } else { writer.null() }
    }

    private static func inputs(_ writer: inout JSONWriter, _ account: Account) {
        let view = account.cell.view
        let code = ForecastCode(raw: view.code)
        let scale = account.evaluation.scale
        writer.key("inputs")
        writer.beginObject()
        writer.key("metric")
        if account.cell.metric == 0 {
            writer.null()
        } else {
            writer.string(account.names.bytes(of: account.cell.metric))
        }
        number(&writer, "level", view.level * scale)
        number(&writer, "quantile", account.cell.quantile(account.terms).level)
        number(&writer, "quantileAsked", account.terms.quantile.level)
        number(&writer, "value", tidy(view.predicted) * scale)
        number(&writer, "horizonSeconds", tidy(view.horizonSeconds))
        number(&writer, "mean", tidy(view.mean) * scale)
        number(&writer, "windowSeconds", tidy(view.windowSeconds))
        writer.key("readyUnits")
        if account.cell.ready < 0 { writer.null() } else { writer.int(Int(account.cell.ready)) }
        writer.key("quality")
        writer.string(code.quality.text)
        writer.key("distrusted")
        writer.bool(code.isDistrusted)
        writer.key("young")
        writer.bool(code.isYoung)
        number(
            &writer, "leadSecondsDeclared",
            account.terms.provisioningDelaySeconds < 0
                ? .nan : account.terms.provisioningDelaySeconds)
        number(&writer, "leadSecondsLearned", account.cell.lead.learnedSeconds ?? .nan)
        number(&writer, "capacityPerReplica", account.evaluation.capacity > 0 ? account.evaluation.capacity : .nan)
        number(&writer, "targetUtilisation", account.terms.targetUtilisation)
        writer.endObject()
    }

    private static func number(_ writer: inout JSONWriter, _ key: StaticString, _ value: Double) {
        writer.key(key)
        writer.double(value)
    }

    /// A single-precision number without the digits that only its conversion made up.
    private static func tidy(_ value: Float) -> Double {
        guard value.isFinite, value != 0 else { return Double(value) }
        var scale = 1.0
        var magnitude = Double(value.magnitude)
        while magnitude < 1e6, scale < 1e9 {
            magnitude *= 10
            scale *= 10
        }
        return (Double(value) * scale).rounded() / scale
    }

    private static func candidates(_ writer: inout JSONWriter, _ evaluation: Evaluation) {
        writer.key("candidates")
        writer.beginObject()
        let all: [(StaticString, Int32)] = [
            ("predictive", evaluation.predictive), ("reactive", evaluation.reactive),
            ("threshold", evaluation.threshold), ("manual", evaluation.manual),
        ]
        for (key, value) in all {
            writer.key(key)
            if value == 0 { writer.null() } else { writer.int(Int(value)) }
        }
        writer.endObject()
    }

    private static func constraints(_ writer: inout JSONWriter, _ evaluation: Evaluation) {
        writer.key("constraints")
        writer.beginArray()
        for index in 0..<evaluation.stepCount {
            let step = evaluation.steps[index]
            writer.beginObject()
            writer.key("name")
            writer.string(step.limit.text)
            writer.key("before")
            writer.int(Int(step.before))
            writer.key("after")
            writer.int(Int(step.after))
            writer.endObject()
        }
        writer.endArray()
    }

    private static func neighbours(_ writer: inout JSONWriter, _ account: Account) {
        let view = account.cell.view
        let isThreshold = account.terms.usesThresholds
        writer.key("neighbours")
        writer.beginObject()
        let influence = tidy(isThreshold ? view.influenceAtEnd : view.influence) * account.evaluation.scale
        number(&writer, "added", influence)
        number(&writer, "horizonSeconds", tidy(isThreshold ? view.windowSeconds : view.horizonSeconds))
        writer.endObject()
    }

    private static func command(_ writer: inout JSONWriter, _ account: Account) {
        writer.key("command")
        guard let command = account.command else { return writer.null() }
        writer.beginObject()
        writer.key("id")
        command.id.withUnsafeBytes { writer.string($0) }
        writer.key("verb")
        writer.string(command.verb.text)
        writer.key("owner")
        command.owner.withUnsafeBytes { writer.string($0) }
        writer.key("reason")
        command.reason.withUnsafeBytes { writer.string($0) }
        writer.endObject()
    }

    private static func price(_ writer: inout JSONWriter, _ account: Account) {
        guard account.terms.pricePerUnitHour > 0 else { return }
        number(&writer, "pricePerHour", account.terms.pricePerUnitHour * Double(account.evaluation.desired))
        number(
            &writer, "pricePerHourChange",
            account.terms.pricePerUnitHour * Double(account.evaluation.desired - account.evaluation.base))
    }
}

extension Account {
    /// Mean demand at the end of the window (the present level without a forecast) ÷ capacity of the desired units.
    var expectedUtilisation: Double {
        guard evaluation.abstention == .none else { return .nan }
        let demand = evaluation.usesForecast ? Double(cell.view.mean) : cell.view.level
        return evaluation.utilisation(of: demand, replicas: evaluation.desired)
    }
}

/// What came of an action.
struct ActionResult {
    var action: String
    /// `ready`, `failed`, `unschedulable` or `timeout`.
    var status: StaticString
    var from: Int32
    var to: Int32
    var ready: Int32
    var expectedUtilisation: Double
    var cameUtilisation: Double
    var expectedLeadSeconds: Double
    var cameLeadSeconds: Double

    func write(into writer: inout JSONWriter, resource: UnsafeRawBufferPointer) {
        writer.key("kind")
        writer.string(LedgerKind.result.rawValue)
        writer.key("resource")
        writer.string(resource)
        writer.key("action")
        writer.string(action)
        writer.key("status")
        writer.string(status)
        writer.key("from")
        writer.int(Int(from))
        writer.key("to")
        writer.int(Int(to))
        writer.key("readyUnits")
        if ready < 0 { writer.null() } else { writer.int(Int(ready)) }
        writer.key("shortfall")
        writer.int(ready < 0 || ready >= to ? 0 : Int(to - ready))
        writer.key("expected")
        pair(&writer, expectedLeadSeconds, expectedUtilisation)
        writer.key("came")
        pair(&writer, cameLeadSeconds, cameUtilisation)
    }

    private func pair(_ writer: inout JSONWriter, _ lead: Double, _ utilisation: Double) {
        writer.beginObject()
        writer.key("leadSeconds")
        writer.double((lead * 1_000).rounded() / 1_000)
        writer.key("utilisation")
        writer.double((utilisation * 10_000).rounded() / 10_000)
        writer.endObject()
    }
}
