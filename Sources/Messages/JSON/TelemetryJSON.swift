import TwinCore

/// Reads samples in the native JSON format from records, without allocating.
///
/// ```
/// {"resource":"svc-1","metric":"cpu","value":0.5,"ts":"2026-11-24T12:00:00Z","unit":"ratio","kind":"gauge",
///  "role":"utilisation","locality":"eu-1/cluster-3","class":"service","tags":{"zone":"a"},"labels":{},"seq":1,
///  "source":"agent-1"}
/// {"resource":"svc-1","ts":1795521600,"metrics":{"cpu":0.5,"rps":120}}
/// ```
///
/// A record holds one object, an array of objects, or objects on lines of their own (`JSONRecords`). `resource` and
/// `ts` are required, and either `metric` with `value` or `metrics`; `timestamp` and `time` stand for `ts`, in this
/// order. A number as time means seconds below 1e11 and milliseconds from there on. Unknown fields are skipped, null
/// means absent, and of a repeated field the first counts (as with Foundation's `JSONDecoder`, with which this reader
/// agrees on all JSON within its limits). The schema is `topics/schemas/telemetry.schema.json`.
///
/// ```
/// var reader = TelemetryJSON()
/// reader.open(payload)
/// loop: while true {
///     switch reader.next() {
///     case .sample: use(reader.sample)
///     case .fault(let fault): deadLetter(fault)
///     case .end: break loop
///     }
/// }
/// ```
package struct TelemetryJSON: ~Copyable {
    /// The most entries of one `metrics` object.
    package static let metricsMax = 1_000

    /// What the reader found next.
    package enum Step {
        /// `sample` holds the next sample.
        case sample
        /// An element was refused; the next call goes on behind it.
        case fault(RecordFault)
        /// The record has been read.
        case end
    }

    /// The sample just read; valid until the next call of `next` or `open`.
    package private(set) var sample = TelemetrySample.empty

    private var records = JSONRecords()
    private var names = NameSet(capacity: TelemetryJSON.metricsMax)
    /// Walks the `metrics` of the present element while there are any.
    private var metrics: JSONReader?
    private var metricsCount = 0

    /// A reader; make one per task and keep it, as it owns the room for escaped texts.
    package init() {}

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer) {
        records.open(record)
        metrics = nil
    }

    /// Reads on to the next sample or fault.
    package mutating func next() -> Step {
        while true {
            if metrics != nil, let step = nextMetric() { return step }
            switch records.advance() {
            case .element: break
            case .end: return .end
            case .fault(let fault): return .fault(fault)
            }
            do throws(JSONError) {
                let metricsStart = try readElement()
                try records.finish()
                if let fault = records.fault { return .fault(records.report(fault)) }
                if let metricsStart {
                    try enterMetrics(at: metricsStart)
                    continue
                }
            } catch {
                return .fault(records.recover(from: error))
            }
            if let fault = records.admit() { return .fault(fault) }
            return .sample
        }
    }

    private mutating func enterMetrics(at start: Int) throws(JSONError) {
        var inner = JSONReader(records.reader.bytes, from: start)
        try inner.enterObject()
        metrics = inner
        metricsCount = 0
        names.removeAll()
    }

    /// Reads the element's fields into `sample`; returns where its `metrics` start, if it has any.
    @inline(__always)
    private mutating func readElement() throws(JSONError) -> Int? {
        sample = .empty
        // The unknown field counts as seen, so that it is always skipped.
        var seen = TelemetryField.unknown.bit
        var time = ReadTime.absent
        var timeField = TelemetryField.unknown
        var metricsStart: Int?
        var hasValue = false
        try records.reader.enterObject()
        while let key = try records.reader.nextKey() {
            let field = key.hasEscapes ? escapedField(key) : .named(key, in: records.reader)
            // Of a repeated field the first counts.
            if seen & field.bit != 0 {
                try records.reader.skipValue()
                continue
            }
            seen |= field.bit
            switch field {
            case .resource: sample.resource = try records.name("resource", slot: 0)
            case .metric: sample.metric = try records.name("metric", slot: 1)
            case .value:
                if let value = try records.number("value") {
                    sample.value = value
                    hasValue = true
                }
            case .ts, .timestamp, .time:
                let read = try records.time("timestamp")
                if case .absent = read { continue }
                // `ts` before `timestamp` before `time`, wherever they stand.
                if timeField == .unknown || field.rawValue < timeField.rawValue {
                    time = read
                    timeField = field
                }
            case .locality: sample.locality = try records.name("locality", slot: 3)
            case .metrics: metricsStart = try records.object("metrics")?.lowerBound
            default: try readDetail(field)
            }
        }
        check(time: time, hasValue: hasValue, hasMetrics: metricsStart != nil)
        return metricsStart
    }

    /// Reads the fields that a sample can do without.
    private mutating func readDetail(_ field: TelemetryField) throws(JSONError) {
        switch field {
        case .unit: sample.unit = try readUnit()
        case .kind: sample.kind = try readKind()
        case .role: sample.role = try readRole()
        case .resourceClass: sample.resourceClass = try records.name("class", slot: 4)
        case .source: sample.source = try records.name("source", slot: 5)
        case .sequence: sample.sequence = try records.integer("seq")
        case .tags: sample.tags = try records.tags("tags", slot: 9)
        case .labels: sample.labels = try records.tags("labels", slot: 9)
        default: try records.reader.skipValue()
        }
    }

    /// Checks what only shows when the whole element has been read.
    @inline(__always)
    private mutating func check(time: ReadTime, hasValue: Bool, hasMetrics: Bool) {
        if records.fault != nil { return }
        if sample.resource.isEmpty { return records.note(.missingField, "resource") }
        if hasMetrics {
            if !sample.metric.isEmpty || hasValue { return records.note(.metricAndMetrics, "metrics") }
        } else if sample.metric.isEmpty {
            return records.note(.missingField, "metric")
        } else if !hasValue {
            return records.note(.missingField, "value")
        }
        if let moment = records.require(time, "ts") { sample.time = moment }
    }

    /// The next sample of the element's `metrics`; nil when they are done.
    private mutating func nextMetric() -> Step? {
        guard metrics != nil else { return nil }
        records.fault = nil
        do throws(JSONError) {
            // The syntax was checked when the element was read; an error here only ends the walk.
            swap()
            defer { swap() }
            while let key = try records.reader.nextKey() {
                metricsCount += 1
                guard metricsCount <= Self.metricsMax else { break }
                let name =
                    key.mayHoldControls || key.rawCount == 0 || key.rawCount > TextScratch.nameBytesMax
                    ? records.unusualName(key, "metric", slot: 1) : records.reader.raw(key)
                if records.fault == nil, !names.insert(name) {
                    try records.reader.skipValue()
                    continue
                }
                let value = try records.number("value")
                if value == nil { records.note(.notANumber, "value") }
                if let fault = records.fault { return .fault(records.report(fault)) }
                if let fault = records.admit() { return .fault(fault) }
                sample.metric = name
                sample.value = value ?? 0
                return .sample
            }
        } catch {
            metrics = nil
            return .fault(records.report(.syntax, json: error))
        }
        metrics = nil
        return metricsCount > Self.metricsMax ? .fault(records.report(.tooManyMetrics)) : nil
    }

    /// Exchanges the reader of the record with that of the metrics, so that both can use the same helpers.
    private mutating func swap() {
        guard let inner = metrics else { return }
        metrics = records.reader
        records.reader = inner
    }
}

// MARK: - Words

extension TelemetryJSON {
    @inline(never)
    private mutating func escapedField(_ key: JSONString) -> TelemetryField {
        let room = records.scratch.text
        guard let count = try? records.reader.decodePrefix(key, into: room) else {
            records.note(.halfCharacter, "a field's name")
            return .unknown
        }
        return .named(UnsafeRawBufferPointer(rebasing: room[..<count]))
    }

    /// A unit may be empty, as many write it for plain numbers.
    private mutating func readUnit() throws(JSONError) -> UnsafeRawBufferPointer {
        guard records.reader.peekKind() == .string else { return try records.name("unit", slot: 2) }
        let string = try records.reader.readString()
        let raw = records.reader.raw(string)
        if !string.mayHoldControls, raw.count <= TextScratch.nameBytesMax { return raw }
        return records.unusualName(string, "unit", slot: 2)
    }

    private mutating func readKind() throws(JSONError) -> TelemetrySample.Kind {
        let word = try records.name("kind", slot: 6)
        if word.isEmpty { return .unspecified }
        if word.spells("gauge") { return .gauge }
        if word.spells("counter") { return .counter }
        records.note(.unknownWord, "kind")
        return .unspecified
    }

    private mutating func readRole() throws(JSONError) -> TelemetrySample.Role {
        let word = try records.name("role", slot: 7)
        if word.isEmpty { return .unspecified }
        if word.spells("demand") { return .demand }
        if word.spells("utilisation") { return .utilisation }
        if word.spells("slo") { return .slo }
        if word.spells("backlog") { return .backlog }
        if word.spells("footprint") { return .footprint }
        if word.spells("supply") { return .supply }
        if word.spells("unknown") { return .unknown }
        records.note(.unknownWord, "role")
        return .unspecified
    }
}
