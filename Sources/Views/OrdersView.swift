import Messages
import StageKit
import TwinCore

/// One version of a policy.
package struct PolicyVersion: Sendable {
    package var name: String
    package var version: Int
    /// When the record was written, by the broker's clock.
    package var written: EventTime?
    /// Why the deciders refused it.
    package var rejected: String?
    /// Nil for a withdrawal.
    package var text: [UInt8]?

    package init(name: String, version: Int, written: EventTime?, rejected: String?, text: [UInt8]?) {
        self.name = name
        self.version = version
        self.written = written
        self.rejected = rejected
        self.text = text
    }

    /// - Parameter warning: what the one who wrote it should know.
    package func write(into writer: inout JSONWriter, warning: String? = nil) {
        writer.beginObject()
        writer.member("name", name)
        writer.member("version", version)
        writer.member("written", written)
        writer.member("rejected", rejected)
        writer.member("policy", json: text)
        if let warning { writer.member("warning", warning) }
        writer.endObject()
    }
}

/// A command and its answer.
package struct CommandRecord: Sendable {
    package var id: String
    package var verb: String
    package var resource: String?
    package var policy: String?
    package var value: Int?
    package var until: EventTime?
    package var action: String?
    package var owner: String?
    package var reason: String?
    package var time: EventTime?
    /// sent, accepted or refused.
    package var status = "sent"
    package var answer: String?

    package init(id: String, value: JSONValue, written: EventTime?) {
        self.id = id
        verb = value["verb"]?.text ?? ""
        resource = value["resource"]?.text
        policy = value["policy"]?.text
        self.value = value["value"]?.integer
        until = value["until"]?.time
        action = value["action"]?.text
        owner = value["owner"]?.text
        reason = value["reason"]?.text
        time = value["ts"]?.time ?? written
    }

    package func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("id", id)
        writer.member("verb", verb)
        writer.member("resource", resource)
        writer.member("policy", policy)
        writer.member("value", value)
        writer.member("until", until)
        writer.member("action", action)
        writer.member("owner", owner)
        writer.member("reason", reason)
        writer.member("time", time)
        writer.member("status", status)
        writer.member("answer", answer)
        writer.endObject()
    }
}

/// A planned event.
package struct PlannedEventRecord: Sendable, Equatable {
    package var id: String
    package var start: EventTime
    package var end: EventTime
    package var scopeKey: String
    package var scopeValue: String
    package var kind: String
    package var uplift: Double
    package var isCancelled: Bool

    package init(_ event: PlannedEventSample) {
        func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
        id = text(event.id)
        start = event.start
        end = event.end
        scopeKey = text(event.scopeKey)
        scopeValue = text(event.scopeValue)
        kind = text(event.kind)
        uplift = event.uplift
        isCancelled = event.isCancelled
    }

    /// As on the topic and in answers.
    package func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("id", id)
        writer.member("start", start)
        writer.member("end", end)
        writer.key("scope")
        writer.beginObject()
        writer.member("key", scopeKey)
        writer.member("value", scopeValue)
        writer.endObject()
        writer.member("kind", kind)
        writer.member("uplift", uplift)
        writer.member("cancelled", isCancelled)
        writer.endObject()
    }
}

/// What operators have said: a fold over `policies`, `commands` and `environment`, and over the deciders' answers.
package struct OrdersView: Sendable {
    package private(set) var counts = ViewCounts()
    /// Policies by name, ascending; withdrawn ones stay with their versions.
    package private(set) var policies: [(name: String, versions: [PolicyVersion])] = []
    package private(set) var commands: Ledger<CommandRecord>
    /// By start, then id.
    package private(set) var events: [PlannedEventRecord] = []
    /// Answers that were read before their command.
    private var answers: Ledger<(isAccepted: Bool, reason: String?)>
    private var commandsByResource: RecentIndex
    private let limits: ViewLimits

    package init(limits: ViewLimits) {
        self.limits = limits
        commandsByResource = RecentIndex(subjectsMax: limits.commandsMax)
        commands = Ledger(recordsMax: limits.commandsMax)
        answers = Ledger(recordsMax: limits.commandsMax)
    }

    // MARK: policies

    private func place(_ name: String) -> (index: Int, isThere: Bool) {
        var (low, high) = (0, policies.count)
        while low < high {
            let middle = (low + high) / 2
            if policies[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return (low, low < policies.count && policies[low].name == name)
    }

    /// Versions of a policy, oldest first.
    package func versions(of name: String) -> [PolicyVersion] {
        let (index, isThere) = place(name)
        return isThere ? policies[index].versions : []
    }

    /// The version in force; nil if there is none, or it was withdrawn.
    package func policy(_ name: String) -> PolicyVersion? {
        guard let last = versions(of: name).last(where: { $0.rejected == nil }), last.text != nil else { return nil }
        return last
    }

    /// Policies in force, by name.
    package var inForce: [PolicyVersion] { policies.compactMap { policy($0.name) } }

    /// The version that the next write of a policy must have.
    package func nextVersion(of name: String) -> Int { (versions(of: name).map(\.version).max() ?? 0) + 1 }

    /// Folds a record of `policies`; nil is a tombstone. Nil where it changes nothing: as for the deciders, versions
    /// only rise, and an equal one is no other.
    /// - Parameter rejected: why the deciders refuse it; it is then listed among the versions and never in force.
    package mutating func receivePolicy(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?, written: EventTime?, rejected: String? = nil
    ) -> PolicyVersion? {
        guard !key.isEmpty, key.count <= 256, value?.count ?? 0 <= limits.recordBytesMax else {
            counts.malformed &+= 1
            return nil
        }
        let name = String(decoding: key, as: UTF8.self)
        let known = versions(of: name).last { $0.rejected == nil }
        guard let value, !value.isEmpty else {
            let version = nextVersion(of: name)
            return put(PolicyVersion(name: name, version: version, written: written, rejected: nil, text: nil))
        }
        let number: Int
        do throws(JSONError) { number = try JSONValue(value)["version"]?.integer ?? 0 } catch {
            counts.malformed &+= 1
            return nil
        }
        // Records without a version follow each other in the order of arrival, and never a numbered one.
        if let known, known.text != nil, number > 0 ? known.version >= number : known.version > 0 { return nil }
        return put(
            PolicyVersion(name: name, version: number, written: written, rejected: rejected, text: [UInt8](value)))
    }

    private mutating func put(_ version: PolicyVersion) -> PolicyVersion? {
        let (index, isThere) = place(version.name)
        if !isThere {
            guard policies.count < limits.policiesMax else {
                counts.refused &+= 1
                return nil
            }
            policies.insert((version.name, []), at: index)
        }
        if let last = policies[index].versions.last, last.version == version.version,
            (last.rejected == nil) == (version.rejected == nil)
        {
            policies[index].versions.removeLast()
        }
        policies[index].versions.append(version)
        if policies[index].versions.count > limits.versionsMax { dropOldest(index) }
        return version
    }

    /// Forgets the oldest version but the one in force, which many refused ones must not push out.
    private mutating func dropOldest(_ index: Int) {
        let kept = policies[index].versions.lastIndex { $0.rejected == nil }
        policies[index].versions.remove(at: kept == 0 ? 1 : 0)
    }

    /// A decider refused a version. Where one of this number is known as refused already, it is that one.
    package mutating func reject(policy name: String, version: Double?, reason: String) {
        let (index, isThere) = place(name)
        guard isThere else { return }
        let number = version.flatMap { $0.magnitude < 1e15 ? Int($0) : nil }
        let found = policies[index].versions.indices.filter { policies[index].versions[$0].version == number }
        let refused = found.last { policies[index].versions[$0].rejected != nil }
        guard let place = refused ?? found.last else { return }
        policies[index].versions[place].rejected = reason
    }

    // MARK: commands

    /// Folds a record of `commands`.
    package mutating func receiveCommand(_ value: UnsafeRawBufferPointer, written: EventTime?) -> CommandRecord? {
        let json: JSONValue
        do throws(JSONError) { json = try JSONValue(value) } catch {
            counts.malformed &+= 1
            return nil
        }
        guard let id = json["id"]?.text, !id.isEmpty, id.utf8.count <= 256 else {
            counts.malformed &+= 1
            return nil
        }
        // An id is taken once.
        if commands[id: id] != nil { return nil }
        var record = CommandRecord(id: id, value: json, written: written)
        if let answer = answers[id: id] {
            record.status = answer.isAccepted ? "accepted" : "refused"
            record.answer = answer.reason
        }
        commands.put(id, record)
        if let resource = record.resource { commandsByResource.note(resource, commands.end - 1) }
        return record
    }

    /// The newest commands on a resource, newest first.
    package func recentCommands(on resource: String, limit: Int) -> [CommandRecord] {
        commandsByResource.numbers(of: resource, from: commands.first).prefix(limit).map { commands[$0] }
    }

    /// A decider's answer to a command.
    package mutating func answer(command id: String, isAccepted: Bool, reason: String?) -> CommandRecord? {
        guard !id.isEmpty else { return nil }
        answers.put(id, (isAccepted, reason))
        commands.update(id) { record in
            record.status = isAccepted ? "accepted" : "refused"
            record.answer = reason
        }
        return commands[id: id]
    }

    // MARK: planned events

    /// The planned event of this id.
    package func event(_ id: String) -> PlannedEventRecord? { events.first { $0.id == id } }

    /// Folds a record of `environment`; returns the events that it announces.
    package mutating func receiveEvents(_ value: UnsafeRawBufferPointer) -> [PlannedEventRecord] {
        var reader = EventJSON()
        reader.open(value)
        var found: [PlannedEventRecord] = []
        while true {
            switch reader.next() {
            case .end: return found
            case .fault: counts.malformed &+= 1
            case .event:
                let event = PlannedEventRecord(reader.event)
                put(event)
                found.append(event)
            }
        }
    }

    private mutating func put(_ event: PlannedEventRecord) {
        if let known = events.firstIndex(where: { $0.id == event.id }) { events.remove(at: known) }
        if events.count >= limits.eventsMax {
            // The one that ended first goes.
            guard let oldest = events.indices.min(by: { events[$0].end < events[$1].end }) else { return }
            events.remove(at: oldest)
        }
        let index = events.firstIndex { ($0.start, $0.id) > (event.start, event.id) } ?? events.count
        events.insert(event, at: index)
    }
}

// MARK: - Snapshots

extension OrdersView: RestorableView {
    package func freeze(into coder: inout StateCoder) {
        coder.write(list: policies.flatMap(\.versions)) { version, coder in
            coder.write(text: version.name)
            coder.write(Int64(version.version))
            coder.write(maybe: version.written)
            coder.write(maybe: version.rejected)
            coder.write(maybe: version.text)
        }
        coder.write(list: commands.all) { command, coder in
            var writer = JSONWriter()
            command.write(into: &writer)
            writer.bytes.withUnsafeBytes { coder.write(bytes: $0) }
        }
        coder.write(list: zip(answers.ids, answers.all).map { ($0, $1) }) { answer, coder in
            coder.write(text: answer.0)
            coder.write(UInt64(answer.1.isAccepted ? 1 : 0))
            coder.write(maybe: answer.1.reason)
        }
        coder.write(list: events) { event, coder in
            var writer = JSONWriter()
            event.write(into: &writer)
            writer.bytes.withUnsafeBytes { coder.write(bytes: $0) }
        }
    }

    package mutating func restore(from decoder: inout StateDecoder) throws(StateError) {
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            _ = put(
                PolicyVersion(
                    name: try decoder.readText(), version: Int(try decoder.readInt64()),
                    written: try decoder.readMaybeTime(), rejected: try decoder.readMaybeText(),
                    text: try decoder.readMaybeBytes()))
        }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            let bytes = try decoder.readBytes()
            guard let value = try? JSONValue(bytes), let id = value["id"]?.text else {
                throw .invalid("a command that is none")
            }
            var command = CommandRecord(id: id, value: value, written: value["time"]?.time)
            command.status = value["status"]?.text ?? command.status
            command.answer = value["answer"]?.text
            if commands.put(id, command), let resource = command.resource {
                commandsByResource.note(resource, commands.end - 1)
            }
        }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) {
            let id = try decoder.readText()
            answers.put(id, (try decoder.readCount(max: 1) == 1, try decoder.readMaybeText()))
        }
        for _ in 0..<(try decoder.readCount(max: StateDecoder.listMax)) { _ = receiveEvents(try decoder.readBytes()) }
    }
}
