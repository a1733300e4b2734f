import Messages
import StageKit
import TwinCore

// MARK: - Interactions

extension NormalizerCore {
    mutating func receiveInteractions(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        interactions.open(value)
        while true {
            switch interactions.next() {
            case .interaction: receiveInteraction(interactions.interaction, record, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    /// To the partitions of both ends; where an end is unknown, to all. Numbers that are not given are NaN.
    mutating func receiveInteraction(_ sample: InteractionSample, _ record: InboxRecord, into out: Emitter) {
        guard clock.observe(sample.time, of: sample.source) else {
            return refuseAhead(sample.time, of: sample.source, record, into: out)
        }
        guard let source = names.intern(sample.source), let target = names.intern(sample.target) else {
            counters.namesRefused &+= 1
            return
        }
        counters.interactions &+= 1
        let from = route(source, locality: sample.sourceLocality, time: sample.time)
        let to = route(target, locality: sample.targetLocality, time: sample.time)
        if from == .all || to == .all { counters.unrouted &+= 1 }
        numbers[0] = Self.float(sample.bytesPerSecond)
        numbers[1] = Self.float(sample.latencySeconds)
        var entry = Entry(
            kind: .interaction, resource: source, object: target, time: sample.time, value: sample.rate ?? .nan,
            numbers: FloatSlice(start: UnsafeRawPointer(numbers), count: 2))
        if case .partition(let source) = from, case .partition(let target) = to {
            entry.code = InteractionCode(otherEnd: target, isUnrouted: false).raw
            out.emit(entry, to: .observations, partition: source)
            entry.code = InteractionCode(otherEnd: source, isUnrouted: false).raw
            if source != target { out.emit(entry, to: .observations, partition: target) }
            return
        }
        for partition in 0..<partitions {
            entry.code =
                InteractionCode(
                    otherEnd: Self.otherEnd(from, to, seenFrom: partition), isUnrouted: true
                ).raw
            out.emit(entry, to: .observations, partition: partition)
        }
    }

    /// With at least one end unknown: a partition that holds the known end does not know the other; any other can only
    /// hold the unknown end, and the other end is then the known one.
    private static func otherEnd(_ from: Route, _ to: Route, seenFrom partition: Int32) -> Int32? {
        for case .partition(let known) in [from, to] where known != partition { return known }
        return nil
    }

    private static func float(_ value: Double?) -> Float {
        guard let value else { return .nan }
        return Float(min(value, Double(Float.greatestFiniteMagnitude)))
    }
}

// MARK: - Planned events

extension NormalizerCore {
    mutating func receiveEvents(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        events.open(value)
        while true {
            switch events.next() {
            case .event: receiveEvent(events.event, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    /// To every partition in scope. Its text is the event in canonical form, to be read by `EventJSON` again.
    private mutating func receiveEvent(_ event: PlannedEventSample, into out: Emitter) {
        guard let id = names.intern(event.id) else {
            counters.namesRefused &+= 1
            return
        }
        counters.events &+= 1
        let route = scope(of: event)
        json.removeAll()
        json.beginObject()
        json.key("id")
        json.string(event.id)
        json.key("start")
        json.time(event.start)
        json.key("end")
        json.time(event.end)
        json.key("scope")
        json.beginObject()
        json.key("key")
        json.string(event.scopeKey)
        json.key("value")
        json.string(event.scopeValue)
        json.endObject()
        json.key("kind")
        json.string(event.kind)
        json.key("uplift")
        json.double(event.uplift)
        json.key("cancelled")
        json.bool(event.isCancelled)
        json.endObject()
        json.withBytes { text in
            let entry = Entry(
                kind: .event, object: id, time: event.start, value: event.isCancelled ? 0 : event.uplift, text: text)
            switch route {
            case .partition(let partition): out.emit(entry, to: .observations, partition: partition)
            case .all: out.emitToAll(entry, topic: .observations)
            }
        }
    }

    private func scope(of event: PlannedEventSample) -> Route {
        if rules.isLocalityType(event.scopeKey) { return .partition(rules.partition(of: event.scopeValue)) }
        guard event.scopeKey.equals(text: "resource"), let resource = names.find(event.scopeValue) else { return .all }
        return route(resource)
    }
}

// MARK: - Outcomes

extension NormalizerCore {
    mutating func receiveOutcomes(_ value: UnsafeRawBufferPointer, _ record: InboxRecord, into out: Emitter) {
        outcomes.open(value)
        while true {
            switch outcomes.next() {
            case .outcome: receiveOutcome(outcomes.outcome, into: out)
            case .fault(let fault): refuse(fault, of: record, into: out)
            case .end: return
            }
        }
    }

    /// To observations and outlooks. Text: `{"action":…,"status":…,"ready":…,"reason":…}`, the last two only if
    /// given.
    private mutating func receiveOutcome(_ outcome: OutcomeSample, into out: Emitter) {
        clock.observe(outcome.time, of: outcome.resource)
        guard let resource = names.intern(outcome.resource) else {
            counters.namesRefused &+= 1
            return
        }
        counters.outcomes &+= 1
        let route = route(resource, locality: outcome.locality, time: outcome.time)
        if route == .all { counters.unrouted &+= 1 }
        json.removeAll()
        json.beginObject()
        json.key("action")
        json.string(outcome.action)
        json.key("status")
        json.string(outcome.status.text)
        if let ready = outcome.readyReplicas {
            json.key("ready")
            json.int(ready)
        }
        if !outcome.reason.isEmpty {
            json.key("reason")
            json.string(outcome.reason)
        }
        json.endObject()
        json.withBytes { text in
            let entry = Entry(
                kind: .outcome, code: OutcomeCode(status: outcome.status, isUnrouted: route == .all).raw,
                resource: resource, time: outcome.time, value: outcome.readyReplicas.map { Double($0) } ?? .nan,
                text: text)
            for topic in [TopicName.observations, .outlooks] {
                switch route {
                case .partition(let partition): out.emit(entry, to: topic, partition: partition)
                case .all: out.emitToAll(entry, topic: topic)
                }
            }
        }
    }
}

extension OutcomeSample.Status {
    /// The word in records and entries.
    var text: StaticString {
        switch self {
        case .accepted: "accepted"
        case .applied: "applied"
        case .ready: "ready"
        case .failed: "failed"
        case .unschedulable: "unschedulable"
        case .timeout: "timeout"
        }
    }
}
