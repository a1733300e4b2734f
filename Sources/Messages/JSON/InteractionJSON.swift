import TwinCore

/// One observed interaction of two resources: who called whom, how often, how much, how slowly. The texts are views
/// that live until the reader is asked for the next one; an absent text is empty.
package struct InteractionSample: BitwiseCopyable {
    /// The caller's id. Never empty.
    package var source: UnsafeRawBufferPointer
    /// The id of the one that is called. Never empty.
    package var target: UnsafeRawBufferPointer
    package var time: EventTime
    /// Calls per second, not negative.
    package var rate: Double?
    /// Bytes per second, not negative.
    package var bytesPerSecond: Double?
    /// Mean seconds per call, not negative.
    package var latencySeconds: Double?
    package var sourceLocality: UnsafeRawBufferPointer
    package var targetLocality: UnsafeRawBufferPointer

    /// An interaction without localities.
    package init(
        source: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer, time: EventTime, rate: Double? = nil,
        latencySeconds: Double? = nil
    ) {
        self.source = source
        self.target = target
        self.time = time
        self.rate = rate
        self.latencySeconds = latencySeconds
        sourceLocality = UnsafeRawBufferPointer(start: nil, count: 0)
        targetLocality = sourceLocality
    }
}

/// Reads interactions in the native JSON format (`topics/schemas/interaction.schema.json`) from records.
///
/// `{"source":"a","target":"b","ts":1795521600,"rate":12.5,"bytesPerSecond":4096,"latencySeconds":0.02,
/// "sourceLocality":"eu-1","targetLocality":"eu-2"}`; `source`, `target` and `ts` are required, and at least one of
/// `rate` and `bytesPerSecond`. Records are cut into elements, and faults reported, as by `TelemetryJSON`.
package struct InteractionJSON: ~Copyable {
    /// What the reader found next.
    package enum Step { case interaction, fault(RecordFault), end }

    /// The interaction just read; valid until the next call of `next` or `open`.
    package var interaction: InteractionSample { entries.entry }
    private var entries = JSONEntryReader<InteractionFormat>()

    package init() {}

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer) { entries.open(record) }

    /// Reads on to the next interaction or fault.
    package mutating func next() -> Step {
        switch entries.next() {
        case .entry: .interaction
        case .fault(let fault): .fault(fault)
        case .end: .end
        }
    }
}

private enum InteractionFormat: JSONEntryFormat {
    static var empty: InteractionSample {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return InteractionSample(source: none, target: none, time: EventTime(milliseconds: 0))
    }

    static func read(_ records: inout JSONRecords, into entry: inout InteractionSample) throws(JSONError) {
        let names: InlineArray<12, StaticString> = [
            "source", "target", "ts", "timestamp", "time", "rate", "bytesPerSecond", "latencySeconds",
            "sourceLocality", "targetLocality", "", "",
        ]
        var time = RankedTime()
        var fields = JSONFieldSet()
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            switch field {
            case 0: entry.source = try records.name("source", slot: 0)
            case 1: entry.target = try records.name("target", slot: 1)
            case 2...4: time.take(try records.time("timestamp"), rank: field)
            case 5: entry.rate = try records.notNegative("rate")
            case 6: entry.bytesPerSecond = try records.notNegative("bytesPerSecond")
            case 7: entry.latencySeconds = try records.notNegative("latencySeconds")
            case 8: entry.sourceLocality = try records.name("sourceLocality", slot: 2)
            default: entry.targetLocality = try records.name("targetLocality", slot: 3)
            }
        }
        if records.fault != nil { return }
        if entry.source.isEmpty { return records.note(.missingField, "source") }
        if entry.target.isEmpty { return records.note(.missingField, "target") }
        if entry.rate == nil, entry.bytesPerSecond == nil { return records.note(.missingField, "rate") }
        if let moment = records.require(time.time, "ts") { entry.time = moment }
    }
}

/// A time stamp under several names: the lowest rank that is not absent counts.
struct RankedTime {
    private(set) var time = ReadTime.absent
    private var rank = Int.max

    mutating func take(_ read: ReadTime, rank: Int) {
        if case .absent = read { return }
        if rank < self.rank {
            time = read
            self.rank = rank
        }
    }
}

extension JSONRecords {
    /// Reads a finite number of at least zero; nil if it is null or at fault.
    mutating func notNegative(_ field: StaticString) throws(JSONError) -> Double? {
        guard let value = try number(field) else { return nil }
        if value >= 0 { return value }
        note(.outOfRange, field)
        return nil
    }
}
