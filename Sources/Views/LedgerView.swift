import Messages
import StageKit
import TwinCore

/// An entry of `decisions` or `drift` as it stands on its topic, with what is asked for most.
package struct LedgerEntry: Sendable {
    package var id: String
    package var subject: String
    package var time: EventTime
    /// The `kind` of its data: decision, result, …; of a drift event level, trend, ….
    package var kind: String
    package var mode: String?
    /// A decision wants another number than there is.
    package var isChange: Bool
    package var proposal: String?
    package var action: String?
    package var text: [UInt8]
    /// Of a drift event: the metric whose forecasts are not trusted any more for it; nil where they are.
    package var distrustedMetric: String?
}

/// What an actuator reported about an action.
package struct ActionOutcome: Sendable {
    package var time: EventTime
    package var status: String
    package var readyUnits: Double?
}

/// An action with everything that became of it.
package struct ActionRecord: Sendable {
    package var id: String
    package var resource: String
    package var locality: String?
    package var from: Int?
    package var to: Int?
    package var direction: String?
    package var mode: String?
    package var reason: String?
    package var issued: EventTime?
    package var deadline: EventTime?
    package var status = "pending"
    package var outcomes: [ActionOutcome] = []
    /// Data of the ledger's result, as JSON.
    package var result: JSONValue?

    /// Reports of one action that are kept.
    package static let outcomesMax = 16
    static let finals = ["ready", "failed", "unschedulable", "timeout", "superseded"]

    package var isOpen: Bool { !Self.finals.contains(status) }

    init(id: String, resource: String) {
        self.id = id
        self.resource = resource
    }

    /// From what `write` has written.
    init?(_ value: JSONValue) {
        guard let id = value["id"]?.text, let resource = value["resource"]?.text else { return nil }
        self.init(id: id, resource: resource)
        locality = value["locality"]?.text
        (from, to) = (value["from"]?.integer, value["to"]?.integer)
        (direction, mode, reason) = (value["direction"]?.text, value["mode"]?.text, value["reason"]?.text)
        (issued, deadline) = (value["issued"]?.time, value["deadline"]?.time)
        status = value["status"]?.text ?? status
        for outcome in (value["outcomes"]?.elements ?? []).prefix(Self.outcomesMax) {
            guard let time = outcome["time"]?.time, let status = outcome["status"]?.text else { continue }
            outcomes.append(
                ActionOutcome(time: time, status: status, readyUnits: outcome["readyUnits"]?.number))
        }
        if let found = value["result"], found != .null { result = found }
    }

    package func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("id", id)
        writer.member("resource", resource)
        writer.member("locality", locality)
        writer.member("from", from)
        writer.member("to", to)
        writer.member("direction", direction)
        writer.member("mode", mode)
        writer.member("reason", reason)
        writer.member("issued", issued)
        writer.member("deadline", deadline)
        writer.member("status", status)
        writer.key("outcomes")
        writer.beginArray()
        for outcome in outcomes {
            writer.beginObject()
            writer.member("time", outcome.time)
            writer.member("status", outcome.status)
            writer.member("readyUnits", outcome.readyUnits)
            writer.endObject()
        }
        writer.endArray()
        writer.key("result")
        if let result { result.write(into: &writer) } else { writer.null() }
        writer.endObject()
    }
}

/// Decisions, drift, actions and what came of them: a fold over `decisions`, `drift`, `actions` and the outcomes in
/// `outlooks`. Topics arrive in no order among each other, so what is said about an action that is not known yet
/// opens its record.
package struct LedgerView: Sendable {
    package private(set) var counts = ViewCounts()
    package private(set) var decisions: Ledger<LedgerEntry>
    package private(set) var drift: Ledger<LedgerEntry>
    package private(set) var actions: Ledger<ActionRecord>
    private var actionsByResource: RecentIndex
    private var driftByResource: RecentIndex
    private let limits: ViewLimits
    /// The drift of each series (resource, metric) whose twin has not been trusted again since, by the event's id.
    private var openDrift: [SeriesName: String] = [:]
    /// Answered or expired proposals, so that a decision that is read after the answer does not wait for ever.
    private var settled: Ledger<Bool>
    /// The waiting proposal of each resource, in the order of arrival.
    package private(set) var proposals: [(resource: String, decision: String, proposal: String)] = []

    private struct SeriesName: Hashable {
        var resource: String
        var metric: String
    }

    package static let proposalsMax = 10_000

    package init(limits: ViewLimits) {
        self.limits = limits
        decisions = Ledger(recordsMax: limits.decisionsMax)
        drift = Ledger(recordsMax: limits.driftMax)
        actions = Ledger(recordsMax: limits.actionsMax)
        actionsByResource = RecentIndex(subjectsMax: limits.resourcesMax)
        driftByResource = RecentIndex(subjectsMax: limits.resourcesMax)
        settled = Ledger(recordsMax: limits.commandsMax)
    }

    /// What a record of `decisions` turned out to be.
    package enum Decided {
        case decision(DecisionFacts, resource: String, locality: String?)
        case policyRejected(policy: String, version: Double?, reason: String)
        case command(id: String, isAccepted: Bool, reason: String?)
        case other
    }

    /// Folds a record of `decisions`; nil if it is none.
    package mutating func receiveDecision(_ bytes: UnsafeRawBufferPointer) -> Decided? {
        guard bytes.count <= limits.recordBytesMax, let value = parse(bytes), let id = value["id"]?.text,
            let data = value["data"], let kind = data["kind"]?.text
        else {
            counts.malformed &+= 1
            return nil
        }
        let time = value["time"]?.time ?? EventTime(milliseconds: 0)
        let subject = value["subject"]?.text ?? ""
        var entry = LedgerEntry(
            id: id, subject: subject, time: time, kind: kind, mode: data["mode"]?.text, isChange: false,
            proposal: data["proposal"]?.text, action: data["action"]?.text, text: [UInt8](bytes))
        switch LedgerKind(rawValue: kind) {
        case .decision:
            entry.isChange = data["current"]?.integer != data["desired"]?.integer
            decisions.put(id, entry)
            let resource = data["resource"]?.text ?? subject
            propose(resource, decision: id, proposal: entry.proposal)
            return .decision(
                DecisionFacts(id: id, time: time, data: data), resource: resource, locality: data["locality"]?.text)
        case .result:
            decisions.put(id, entry)
            if let action = entry.action { receiveResult(data, action: action) }
            return .other
        case .policyRejected:
            decisions.put(id, entry)
            return .policyRejected(
                policy: data["policy"]?.text ?? "", version: data["version"]?.number,
                reason: data["reason"]?.text ?? "")
        case .commandAccepted, .commandRefused:
            let isAccepted = kind == LedgerKind.commandAccepted.rawValue
            decisions.put(id, entry)
            if isAccepted, let proposal = entry.proposal { settle(proposal) }
            return .command(
                id: data["command"]?.text ?? "", isAccepted: isAccepted, reason: data["reason"]?.text)
        case .outcomeRefused, nil:
            decisions.put(id, entry)
            return .other
        }
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) -> JSONValue? {
        do throws(JSONError) { return try JSONValue(bytes) } catch { return nil }
    }

    private mutating func propose(_ resource: String, decision: String, proposal: String?) {
        proposals.removeAll { $0.resource == resource }
        guard let proposal, settled[id: proposal] == nil else { return }
        guard proposals.count < Self.proposalsMax else {
            counts.refused &+= 1
            return
        }
        proposals.append((resource, decision, proposal))
    }

    /// Whether a proposal was approved, rejected or given up.
    package func isSettled(_ proposal: String) -> Bool { settled[id: proposal] != nil }

    private mutating func settle(_ proposal: String) {
        settled.put(proposal, true)
        proposals.removeAll { $0.proposal == proposal }
    }

    /// Folds a record of `drift`; nil if it is none.
    package mutating func receiveDrift(_ bytes: UnsafeRawBufferPointer) -> LedgerEntry? {
        guard bytes.count <= limits.recordBytesMax, let value = parse(bytes), let id = value["id"]?.text,
            let data = value["data"]
        else {
            counts.malformed &+= 1
            return nil
        }
        let metric = data["metric"]?.text ?? ""
        let entry = LedgerEntry(
            id: id, subject: data["resource"]?.text ?? value["subject"]?.text ?? "",
            time: value["time"]?.time ?? EventTime(milliseconds: 0), kind: data["kind"]?.text ?? "", mode: nil,
            isChange: false, proposal: nil, action: nil, text: [UInt8](bytes),
            distrustedMetric: data["distrusts"] == .bool(true) ? metric : nil)
        if drift.put(id, entry) {
            driftByResource.note(entry.subject, drift.end - 1)
            followTrust(entry, metric)
        }
        return entry
    }

    /// What takes trust away stays open until an event says that it is back.
    private mutating func followTrust(_ entry: LedgerEntry, _ metric: String) {
        let series = SeriesName(resource: entry.subject, metric: metric)
        if entry.kind == "restored" { openDrift[series] = nil }
        guard entry.distrustedMetric != nil else { return }
        if openDrift.count >= limits.driftMax { openDrift = openDrift.filter { drift[id: $0.value] != nil } }
        openDrift[series] = entry.id
    }

    /// Whether this is the drift for which its twin is not trusted yet.
    package func isOpen(_ entry: LedgerEntry) -> Bool {
        guard let metric = entry.distrustedMetric else { return false }
        return openDrift[SeriesName(resource: entry.subject, metric: metric)] == entry.id
    }

    /// Folds a record of `actions`; nil if it is none.
    package mutating func receiveAction(_ bytes: UnsafeRawBufferPointer) -> ActionRecord? {
        guard bytes.count <= limits.recordBytesMax, let value = parse(bytes), let id = value["id"]?.text,
            let data = value["data"], let resource = data["resource"]?.text
        else {
            counts.malformed &+= 1
            return nil
        }
        var record = actions[id: id] ?? ActionRecord(id: id, resource: resource)
        record.resource = resource
        record.locality = data["locality"]?.text
        record.from = data["from"]?.integer
        record.to = data["to"]?.integer
        record.direction = data["direction"]?.text
        record.mode = data["mode"]?.text
        record.reason = data["reason"]?.text
        record.issued = data["issued"]?.time
        record.deadline = data["deadline"]?.time
        keep(record)
        if let old = data["supersedes"]?.text {
            actions.update(old) { if $0.isOpen { $0.status = "superseded" } }
        }
        // An approved proposal becomes an action under the proposal's id.
        settle(id)
        return record
    }

    /// Folds the JSON of an `outcome` entry of `outlooks`.
    package mutating func receiveOutcome(
        _ bytes: UnsafeRawBufferPointer, resource: UnsafeRawBufferPointer, time: EventTime
    ) -> ActionRecord? {
        guard let value = parse(bytes), let status = value["status"]?.text, let id = value["action"]?.text else {
            return nil
        }
        var record =
            actions[id: id] ?? ActionRecord(id: id, resource: String(decoding: resource, as: UTF8.self))
        if record.outcomes.contains(where: { $0.time == time && $0.status == status }) { return nil }
        if record.outcomes.count < ActionRecord.outcomesMax {
            record.outcomes.append(
                ActionOutcome(time: time, status: status, readyUnits: value["readyReplicas"]?.number))
        }
        if record.isOpen { record.status = status }
        keep(record)
        return record
    }

    private mutating func receiveResult(_ data: JSONValue, action id: String) {
        var record = actions[id: id] ?? ActionRecord(id: id, resource: data["resource"]?.text ?? "")
        record.result = data
        if let status = data["status"]?.text, record.isOpen { record.status = status }
        keep(record)
    }

    private mutating func keep(_ record: ActionRecord) {
        if actions.put(record.id, record) { actionsByResource.note(record.resource, actions.end - 1) }
    }

    /// The newest actions of a resource, newest first.
    package func recentActions(of resource: String, limit: Int) -> [ActionRecord] {
        actionsByResource.numbers(of: resource, from: actions.first).prefix(limit).map { actions[$0] }
    }

    /// The newest drift events of a resource, newest first.
    package func recentDrift(of resource: String, limit: Int) -> [LedgerEntry] {
        driftByResource.numbers(of: resource, from: drift.first).prefix(limit).map { drift[$0] }
    }

    /// Actions without a final outcome, of all resources or of these.
    package func openActions(of resources: Set<String>? = nil) -> Int {
        var count = 0
        for number in actions.first..<actions.end where actions[number].isOpen {
            if resources?.contains(actions[number].resource) ?? true { count += 1 }
        }
        return count
    }
}

// MARK: - Snapshots

extension LedgerView: RestorableView {
    package func freeze(into coder: inout StateCoder) {
        coder.write(list: settled.ids) { $1.write(text: $0) }
        coder.write(list: actions.all) { record, coder in
            var writer = JSONWriter()
            record.write(into: &writer)
            writer.bytes.withUnsafeBytes { coder.write(bytes: $0) }
        }
        for ledger in [decisions, drift] {
            coder.write(list: ledger.all) { entry, coder in entry.text.withUnsafeBytes { coder.write(bytes: $0) } }
        }
    }

    package mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) { settled.put(try decoder.readText(), true) }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            let bytes = try decoder.readBytes()
            guard let record = (try? JSONValue(bytes)).flatMap({ ActionRecord($0) }) else {
                throw .invalid("an action that is none")
            }
            keep(record)
        }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            _ = receiveDecision(try decoder.readBytes())
        }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) { _ = receiveDrift(try decoder.readBytes()) }
    }
}
