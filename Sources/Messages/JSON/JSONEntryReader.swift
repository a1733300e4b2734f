/// One kind of record other than telemetry: what its elements look like and how one is read.
protocol JSONEntryFormat {
    associatedtype Entry: BitwiseCopyable
    /// An entry of nothing, to be filled.
    static var empty: Entry { get }
    /// Reads the element at whose `{` the reader stands, to its end, and notes what is wrong with it.
    static func read(_ records: inout JSONRecords, into entry: inout Entry) throws(JSONError)
}

/// The part common to the readers of interactions, events and outcomes; they are far rarer than telemetry.
struct JSONEntryReader<Format: JSONEntryFormat>: ~Copyable {
    enum Step { case entry, end, fault(RecordFault) }

    private(set) var entry = Format.empty
    private var records = JSONRecords()

    init() {}

    mutating func open(_ record: UnsafeRawBufferPointer) { records.open(record) }

    mutating func next() -> Step {
        switch records.advance() {
        case .element: break
        case .end: return .end
        case .fault(let fault): return .fault(fault)
        }
        entry = Format.empty
        do throws(JSONError) {
            try Format.read(&records, into: &entry)
            try records.finish()
        } catch {
            return .fault(records.recover(from: error))
        }
        if let fault = records.fault { return .fault(records.report(fault)) }
        if let fault = records.admit() { return .fault(fault) }
        return .entry
    }
}

/// The keys of an object in the order of a format's list, each at most once.
struct JSONFieldSet: BitwiseCopyable {
    private var seen: UInt32 = 0

    /// The index in `names` of the next key that is known and new; the values of all others are skipped, as of a
    /// repeated field the first counts. Nil at the end of the object.
    mutating func next(
        _ records: inout JSONRecords, among names: borrowing InlineArray<12, StaticString>
    ) throws(JSONError) -> Int? {
        while let key = try records.reader.nextKey() {
            if key.hasEscapes, (try? records.reader.decodePrefix(key, into: records.scratch.text)) == nil {
                records.note(.halfCharacter, "a field's name")
            }
            var found: Int?
            for index in names.indices where names[index].utf8CodeUnitCount > 0 {
                if records.reader.matches(key, names[index]) {
                    found = index
                    break
                }
            }
            if let found, seen & (1 << UInt32(found)) == 0 {
                seen |= 1 << UInt32(found)
                return found
            }
            try records.reader.skipValue()
        }
        return nil
    }
}
