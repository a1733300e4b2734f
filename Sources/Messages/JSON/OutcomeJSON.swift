import TwinCore

/// What an actuator reports about an action. The texts are views that live until the reader is asked for the next
/// one; an absent text is empty.
package struct OutcomeSample: BitwiseCopyable {
    /// How far the action has come. The raw value is written into frames and never changes.
    package enum Status: UInt8, Sendable, BitwiseCopyable, CaseIterable {
        case accepted = 1
        case applied = 2
        case ready = 3
        case failed = 4
        case unschedulable = 5
        case timeout = 6
    }

    /// The id of the action, as published.
    package var action: UnsafeRawBufferPointer
    package var resource: UnsafeRawBufferPointer
    /// The locality that the action named, echoed; empty if not given.
    package var locality: UnsafeRawBufferPointer
    package var status: Status
    /// Replicas ready now, not negative.
    package var readyReplicas: Int64?
    package var time: EventTime
    /// Free text of at most 1024 bytes (longer text is cut); may hold line ends.
    package var reason: UnsafeRawBufferPointer
}

/// Reads outcomes (`topics/schemas/outcome.schema.json`) from records: bare, or as the `data` of a CloudEvent 1.0 in
/// structured mode, whose `time` then stands in for a missing `ts`.
///
/// `{"action":"…","resource":"svc-1","locality":"eu-1a","status":"ready","readyReplicas":5,"ts":1795521600}`;
/// `action`, `resource`, `status` and a time are required.
package struct OutcomeJSON: ~Copyable {
    /// What the reader found next.
    package enum Step { case outcome, fault(RecordFault), end }

    /// The outcome just read; valid until the next call of `next` or `open`.
    package var outcome: OutcomeSample { entries.entry }
    private var entries = JSONEntryReader<OutcomeFormat>()

    package init() {}

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer) { entries.open(record) }

    /// Reads on to the next outcome or fault.
    package mutating func next() -> Step {
        switch entries.next() {
        case .entry: .outcome
        case .fault(let fault): .fault(fault)
        case .end: .end
        }
    }
}

private enum OutcomeFormat: JSONEntryFormat {
    static var empty: OutcomeSample {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return OutcomeSample(
            action: none, resource: none, locality: none, status: .accepted, time: EventTime(milliseconds: 0),
            reason: none)
    }

    static func read(_ records: inout JSONRecords, into entry: inout OutcomeSample) throws(JSONError) {
        guard let envelope = try readEnvelope(&records) else {
            return try readBody(&records, into: &entry, fallback: .absent)
        }
        if records.fault != nil { return }
        guard let data = envelope.data else { return records.note(.missingField, "data") }
        // Its syntax was checked with the envelope; the body is read in place and the cursor put back behind it all.
        let outer = records.reader
        records.reader = JSONReader(outer.bytes, from: data)
        defer { records.reader = outer }
        try readBody(&records, into: &entry, fallback: envelope.time)
    }

    /// Passes a CloudEvent and returns what matters of it; nil, with the reader where it was, if this is none.
    private static func readEnvelope(
        _ records: inout JSONRecords
    ) throws(JSONError) -> (data: Int?, time: ReadTime)? {
        let names: InlineArray<12, StaticString> = ["specversion", "data", "time", "", "", "", "", "", "", "", "", ""]
        let start = records.reader
        var isEnvelope = false
        var data: Int?
        var time = ReadTime.absent
        var fields = JSONFieldSet()
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            switch field {
            case 0:
                isEnvelope = true
                let version = try records.name("specversion", slot: 0)
                if !version.spells("1.0") { records.note(.unknownVersion, "specversion") }
            case 1: data = try records.object("data")?.lowerBound
            default: time = try records.time("time")
            }
        }
        if isEnvelope { return (data, time) }
        records.reader = start
        records.fault = nil
        return nil
    }

    private static func readBody(
        _ records: inout JSONRecords, into entry: inout OutcomeSample, fallback: ReadTime
    ) throws(JSONError) {
        let names: InlineArray<12, StaticString> = [
            "action", "resource", "ts", "timestamp", "time", "locality", "status", "readyReplicas", "reason", "", "",
            "",
        ]
        var time = RankedTime()
        var status: OutcomeSample.Status?
        var fields = JSONFieldSet()
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            switch field {
            case 0: entry.action = try records.name("action", slot: 0)
            case 1: entry.resource = try records.name("resource", slot: 1)
            case 2...4: time.take(try records.time("timestamp"), rank: field)
            case 5: entry.locality = try records.name("locality", slot: 2)
            case 6: status = try readStatus(&records)
            case 7: entry.readyReplicas = try records.integer("readyReplicas")
            default: entry.reason = try records.text("reason")
            }
        }
        time.take(fallback, rank: 5)
        if records.fault != nil { return }
        if entry.action.isEmpty { return records.note(.missingField, "action") }
        if entry.resource.isEmpty { return records.note(.missingField, "resource") }
        guard let status else { return records.note(.missingField, "status") }
        if let count = entry.readyReplicas, count < 0 { return records.note(.outOfRange, "readyReplicas") }
        guard let moment = records.require(time.time, "ts") else { return }
        entry.status = status
        entry.time = moment
    }

    private static func readStatus(_ records: inout JSONRecords) throws(JSONError) -> OutcomeSample.Status? {
        let word = try records.name("status", slot: 3)
        if word.isEmpty { return nil }
        if word.spells("accepted") { return .accepted }
        if word.spells("applied") { return .applied }
        if word.spells("ready") { return .ready }
        if word.spells("failed") { return .failed }
        if word.spells("unschedulable") { return .unschedulable }
        if word.spells("timeout") { return .timeout }
        records.note(.unknownWord, "status")
        return nil
    }
}
