import TwinCore

/// Reads value lists as collectd's write_kafka writes them in JSON: an array of objects, each with `values`, `dstypes`,
/// `dsnames`, `time` and `interval` in seconds, `host`, `plugin`, `plugin_instance`, `type`, `type_instance`.
///
/// The host is the resource. The metric is `plugin.plugin_instance.type.type_instance.dsname`, without the parts that
/// are empty and without the name `value`, which says nothing. Values that collectd could not measure are null; they
/// are passed over. Whether derived values are rates already (StoreRates, collectd's default) is the caller's to say.
package struct CollectdJSON: ~Copyable {
    /// What the reader found next.
    package enum Step { case sample, fault(RecordFault), end }

    /// The most values of one list.
    static let valuesMax = 64

    /// The sample just read; valid until the next call of `next` or `open`.
    package private(set) var sample = TelemetrySample.empty

    private var records = JSONRecords()
    private let storesRates: Bool
    /// The values of the present list, and which is next.
    private var values: [Value] = []
    private var nextValue = 0
    private var list = List()
    private var name = ByteBuffer(capacity: 256)

    private struct Value {
        var number: Double?
        var type = UnsafeRawBufferPointer(start: nil, count: 0)
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// What all values of a list share.
    private struct List {
        var host = UnsafeRawBufferPointer(start: nil, count: 0)
        var plugin = UnsafeRawBufferPointer(start: nil, count: 0)
        var pluginInstance = UnsafeRawBufferPointer(start: nil, count: 0)
        var type = UnsafeRawBufferPointer(start: nil, count: 0)
        var typeInstance = UnsafeRawBufferPointer(start: nil, count: 0)
        var time = EventTime(milliseconds: 0)
        var intervalSeconds = 0.0
    }

    /// - Parameter storesRates: derives and counters come as rates.
    package init(storesRates: Bool) { self.storesRates = storesRates }

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer) {
        records.open(record)
        values.removeAll(keepingCapacity: true)
        nextValue = 0
    }

    /// Whether a record looks like collectd's: objects whose first member is `values`.
    package static func recognises(_ record: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(record)
        if reader.peekKind() == .array {
            guard (try? reader.enterArray()) != nil, (try? reader.nextElement()) == true else { return false }
        }
        guard reader.peekKind() == .object, (try? reader.enterObject()) != nil, let key = try? reader.nextKey() else {
            return false
        }
        return reader.matches(key, "values")
    }

    /// Reads on to the next sample or fault.
    package mutating func next() -> Step {
        while true {
            while nextValue < values.count {
                let value = values[nextValue]
                nextValue += 1
                guard let number = value.number else { continue }
                if let fault = fill(value, number) { return .fault(records.report(fault)) }
                if let fault = records.admit() { return .fault(fault) }
                return .sample
            }
            switch records.advance() {
            case .element: break
            case .end: return .end
            case .fault(let fault): return .fault(fault)
            }
            values.removeAll(keepingCapacity: true)
            nextValue = 0
            do throws(JSONError) {
                try readList()
                try records.finish()
            } catch {
                values.removeAll(keepingCapacity: true)
                return .fault(records.recover(from: error))
            }
            if let fault = records.fault {
                values.removeAll(keepingCapacity: true)
                return .fault(records.report(fault))
            }
        }
    }

    // MARK: one list

    private mutating func readList() throws(JSONError) {
        list = List()
        var time = ReadTime.absent
        var fields = JSONFieldSet()
        let names: InlineArray<12, StaticString> = [
            "values", "dstypes", "dsnames", "time", "interval", "host", "plugin", "plugin_instance", "type",
            "type_instance", "", "",
        ]
        try records.reader.enterObject()
        while let field = try fields.next(&records, among: names) {
            switch field {
            case 0: try readValues()
            case 1: try readTexts("dstypes") { $0.type = $1 }
            case 2: try readTexts("dsnames") { $0.name = $1 }
            case 3: time = try records.time("time")
            case 4: list.intervalSeconds = try records.notNegative("interval") ?? 0
            case 5: list.host = try records.name("host", slot: 0)
            case 6: list.plugin = try records.name("plugin", slot: 1)
            case 7: list.pluginInstance = try maybeName("plugin_instance", slot: 2)
            case 8: list.type = try records.name("type", slot: 3)
            default: list.typeInstance = try maybeName("type_instance", slot: 4)
            }
        }
        if records.fault != nil { return }
        if list.host.isEmpty { return records.note(.missingField, "host") }
        if list.plugin.isEmpty { return records.note(.missingField, "plugin") }
        if list.type.isEmpty { return records.note(.missingField, "type") }
        if let moment = records.require(time, "time") { list.time = moment }
    }

    /// A name that collectd leaves empty where there is none.
    private mutating func maybeName(
        _ field: StaticString, slot: Int
    ) throws(JSONError) -> UnsafeRawBufferPointer {
        var ahead = records.reader
        if ahead.peekKind() == .string, try ahead.readString().rawCount == 0 {
            records.reader = ahead
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return try records.name(field, slot: slot)
    }

    /// The value at an index, made where it is not there yet: the three lists come in any order.
    private mutating func grow(to count: Int) -> Bool {
        guard count <= Self.valuesMax else {
            records.note(.tooManyElements, "values")
            return false
        }
        while values.count < count { values.append(Value()) }
        return true
    }

    private mutating func readValues() throws(JSONError) {
        guard try enterList("values") else { return }
        var index = 0
        while try records.reader.nextElement() {
            let number = try records.number("a value")
            if grow(to: index + 1) { values[index].number = number }
            index += 1
        }
    }

    private mutating func readTexts(
        _ field: StaticString, _ set: (inout Value, UnsafeRawBufferPointer) -> Void
    ) throws(JSONError) {
        guard try enterList(field) else { return }
        var index = 0
        while try records.reader.nextElement() {
            guard records.reader.peekKind() == .string else {
                try records.reader.skipValue()
                records.note(.notAString, field)
                continue
            }
            let string = try records.reader.readString()
            // Names of data sources are identifiers; one that needs an escape is none.
            if string.hasEscapes || string.mayHoldControls { records.note(.controlCharacter, field) }
            if grow(to: index + 1) { set(&values[index], records.reader.raw(string)) }
            index += 1
        }
    }

    private mutating func enterList(_ field: StaticString) throws(JSONError) -> Bool {
        guard records.reader.peekKind() == .array else {
            try records.reader.skipValue()
            records.note(.missingField, field)
            return false
        }
        try records.reader.enterArray()
        return true
    }

    // MARK: one value

    /// Makes the sample of a value; the fault if it has no name.
    private mutating func fill(_ value: Value, _ number: Double) -> RecordFault? {
        name.removeAll()
        name.append(list.plugin)
        for part in [list.pluginInstance, list.type, list.typeInstance, value.name]
        where !part.isEmpty && !part.elementsEqual("value".utf8) {
            name.append(UInt8(ascii: "."))
            name.append(part)
        }
        guard name.count <= TextScratch.nameBytesMax else { return RecordFault(.nameTooLong, field: "metric") }
        sample = .empty
        sample.resource = list.host
        sample.metric = name.bytes
        sample.time = list.time
        sample.value = number
        sample.kind = .gauge
        if storesRates { return nil }
        if value.type.elementsEqual("derive".utf8) || value.type.elementsEqual("counter".utf8) {
            sample.kind = .counter
        } else if value.type.elementsEqual("absolute".utf8) {
            // Counted since the last reading.
            guard list.intervalSeconds > 0 else { return RecordFault(.missingField, field: "interval") }
            sample.value = number / list.intervalSeconds
        }
        return nil
    }
}
