import TwinCore

/// A planned event: from `start` to `end` the demand within its scope is expected to be `uplift` times the usual. The
/// texts are views that live until the reader is asked for the next one.
package struct PlannedEventSample: BitwiseCopyable {
    /// The event's id: a later record with the same id replaces the earlier one.
    package var id: UnsafeRawBufferPointer
    package var start: EventTime
    /// After `start`.
    package var end: EventTime
    /// What the scope's value is: `resource`, `service`, or a type of locality tag (`cluster`, `region`, …).
    package var scopeKey: UnsafeRawBufferPointer
    package var scopeValue: UnsafeRawBufferPointer
    /// What kind of event it is (`campaign`, `maintenance`, …).
    package var kind: UnsafeRawBufferPointer
    /// Factor on demand, from 0 to 1000; 1 if not given.
    package var uplift: Double
    /// The event was called off.
    package var isCancelled: Bool
}

/// Reads planned events in the native JSON format (`topics/schemas/event.schema.json`) from records.
///
/// `{"id":"sale-1","start":"2026-11-27T06:00:00Z","end":"2026-11-27T22:00:00Z","scope":{"key":"cluster",
/// "value":"eu-1a"},"kind":"campaign","uplift":1.8,"cancelled":false}`; all but `uplift` and `cancelled` are required.
package struct EventJSON: ~Copyable {
    /// The largest factor an event may claim; more is a typing error.
    package static let upliftMax = 1_000.0

    /// What the reader found next.
    package enum Step { case event, fault(RecordFault), end }

    /// The event just read; valid until the next call of `next` or `open`.
    package var event: PlannedEventSample { entries.entry }
    private var entries = JSONEntryReader<EventFormat>()

    package init() {}

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer) { entries.open(record) }

    /// Reads on to the next event or fault.
    package mutating func next() -> Step {
        switch entries.next() {
        case .entry: .event
        case .fault(let fault): .fault(fault)
        case .end: .end
        }
    }
}

private enum EventFormat: JSONEntryFormat {
    static var empty: PlannedEventSample {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return PlannedEventSample(
            id: none, start: EventTime(milliseconds: 0), end: EventTime(milliseconds: 0), scopeKey: none,
            scopeValue: none, kind: none, uplift: 1, isCancelled: false)
    }

    static func read(_ records: inout JSONRecords, into entry: inout PlannedEventSample) throws(JSONError) {
        let names: InlineArray<12, StaticString> = [
            "id", "start", "end", "scope", "kind", "uplift", "cancelled", "", "", "", "", "",
        ]
        var start = ReadTime.absent
        var end = ReadTime.absent
        var hasScope = false
        var fields = JSONFieldSet()
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            switch field {
            case 0: entry.id = try records.name("id", slot: 0)
            case 1: start = try records.time("start")
            case 2: end = try records.time("end")
            case 3: hasScope = try readScope(&records, into: &entry)
            case 4: entry.kind = try records.name("kind", slot: 3)
            case 5: entry.uplift = try records.notNegative("uplift") ?? 1
            default: entry.isCancelled = try records.bool("cancelled") ?? false
            }
        }
        if records.fault != nil { return }
        if entry.id.isEmpty { return records.note(.missingField, "id") }
        if !hasScope { return records.note(.missingField, "scope") }
        if entry.scopeKey.isEmpty { return records.note(.missingField, "scope.key") }
        if entry.scopeValue.isEmpty { return records.note(.missingField, "scope.value") }
        if entry.kind.isEmpty { return records.note(.missingField, "kind") }
        if entry.uplift > EventJSON.upliftMax { return records.note(.outOfRange, "uplift") }
        guard let start = records.require(start, "start"), let end = records.require(end, "end") else { return }
        if end <= start { return records.note(.endBeforeStart, "end") }
        entry.start = start
        entry.end = end
    }

    private static func readScope(
        _ records: inout JSONRecords, into entry: inout PlannedEventSample
    ) throws(JSONError) -> Bool {
        guard records.reader.peekKind() == .object else {
            _ = try records.object("scope")
            return false
        }
        let names: InlineArray<12, StaticString> = ["key", "value", "", "", "", "", "", "", "", "", "", ""]
        var fields = JSONFieldSet()
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            if field == 0 {
                entry.scopeKey = try records.name("scope.key", slot: 1)
            } else {
                entry.scopeValue = try records.name("scope.value", slot: 2)
            }
        }
        return true
    }
}
