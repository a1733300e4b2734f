import TwinCore

/// Decodes one element of `resourceMetrics` at a time into samples, calls and faults, in arrays that are used again.
struct OTLPResourceDecoder: ~Copyable {
    /// A sample without what its resource says.
    private struct Measurement {
        /// Within `texts`.
        var metric: Range<Int>
        var unit: UnsafeRawBufferPointer
        var value: Double
        var time: EventTime
        var kind: TelemetrySample.Kind
    }

    /// Data points of one moment, added up.
    private struct Total: BitwiseCopyable {
        var time: UInt64
        var start: UInt64
        var value: Double
        var seconds: Double
    }

    /// What is read of any data point.
    private struct Point {
        var start: UInt64 = 0
        var time: UInt64 = 0
        /// A number's value, or a histogram's sum.
        var value = Double.nan
        /// Of a histogram.
        var count: UInt64 = 0
        var hasNoValue = false
        var attributes = 0
    }

    /// Moments of one metric in one record, at most; more are no longer one export.
    private static let totalsMax = 1_024
    /// Attributes of one data point that can extend a name.
    private static let attributesMax = 16

    private let mapping: Mapping
    private var measurements: [Measurement] = []
    private var totals: [Total] = []
    private var pairs: [(key: UnsafeRawBufferPointer, value: Value)] = []
    private(set) var calls: [OTLPCalls] = []
    private(set) var faults: [RecordFault] = []
    /// Names of metrics, and the resource's tags as JSON.
    private var texts = ByteBuffer(capacity: 1_024)
    private var writer = JSONWriter(capacityBytes: 256)
    private var identity = Identity()
    /// Bytes of the element that was decoded last.
    private(set) var byteCount = 0

    /// The mapping as bytes.
    private struct Mapping {
        let resource: [[UInt8]]
        let resourceClass: [UInt8]
        let tags: [(attribute: [UInt8], name: [UInt8])]
        let calls: [[UInt8]]
        let caller: [UInt8]
        let callee: [UInt8]
        let callsPrefix: [UInt8]

        init(_ mapping: OTLPMapping) {
            resource = mapping.resource.map { Array($0.utf8) }
            resourceClass = Array(mapping.resourceClass.utf8)
            tags = mapping.tags.map { (Array($0.attribute.utf8), Array($0.name.utf8)) }
            calls = mapping.calls.map { Array($0.utf8) }
            (caller, callee) = (Array(mapping.caller.utf8), Array(mapping.callee.utf8))
            callsPrefix = Array(mapping.callsPrefix.utf8)
        }
    }

    /// What the attributes of the resource say.
    private struct Identity {
        var name = OTLPResourceDecoder.none
        var resourceClass = OTLPResourceDecoder.none
        /// Within `texts`.
        var tags = 0..<0
        var tagCount = 0
    }

    private static var none: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    init(_ mapping: OTLPMapping) { self.mapping = Mapping(mapping) }

    /// Samples of the element that was decoded last.
    var samples: Range<Int> { 0..<measurements.count }

    mutating func clear() {
        measurements.removeAll(keepingCapacity: true)
        calls.removeAll(keepingCapacity: true)
        faults.removeAll(keepingCapacity: true)
        texts.removeAll()
        identity = Identity()
    }

    /// A sample, whole; its views live until the next `decode` or `clear`.
    func sample(_ index: Int) -> TelemetrySample {
        let found = measurements[index]
        var sample = TelemetrySample.empty
        sample.resource = identity.name
        sample.resourceClass = identity.resourceClass
        sample.tags = TagList(raw: text(identity.tags), count: identity.tagCount)
        sample.metric = text(found.metric)
        sample.unit = found.unit
        sample.value = found.value
        sample.time = found.time
        sample.kind = found.kind
        return sample
    }

    private func text(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        range.isEmpty ? Self.none : UnsafeRawBufferPointer(rebasing: texts.bytes[range])
    }

    private mutating func note(_ code: RecordFault.Code, _ field: StaticString = "") {
        // One fault of a kind tells it all; an exporter that is wrong is wrong about everything.
        if !faults.contains(where: { $0.code == code }) { faults.append(RecordFault(code, field: field)) }
    }

    /// Decodes a ResourceMetrics, which must stay in place as long as its samples are asked for.
    mutating func decode(_ bytes: UnsafeRawBufferPointer) {
        clear()
        byteCount = bytes.count
        do throws(WireError) {
            // The resource may stand behind its metrics.
            var cursor = WireCursor(bytes)
            while let (field, type) = try cursor.tag() {
                if field == OTLPField.resource, type == 2 {
                    try readResource(try cursor.block())
                } else {
                    try cursor.skip(type: type)
                }
            }
            cursor = WireCursor(bytes)
            while let (field, type) = try cursor.tag() {
                if field == OTLPField.scopeMetrics, type == 2 {
                    try readScope(try cursor.block())
                } else {
                    try cursor.skip(type: type)
                }
            }
        } catch { note(.wire) }
    }

    private mutating func readScope(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var cursor = WireCursor(bytes)
        while let (field, type) = try cursor.tag() {
            if field == OTLPField.metrics, type == 2 {
                try readMetric(try cursor.block())
            } else {
                try cursor.skip(type: type)
            }
        }
    }

    // MARK: the resource

    private mutating func readResource(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var rank = Int.max
        writer.removeAll()
        writer.beginObject()
        var count = 0
        // In the order of the mapping, so that equal tags are equal bytes whatever the order of the attributes.
        for tag in mapping.tags {
            guard let value = try attribute(tag.attribute, in: bytes, field: OTLPField.resourceAttributes),
                isName(value, "an attribute of the resource")
            else { continue }
            tag.name.withUnsafeBytes { writer.key($0) }
            writer.string(value)
            count += 1
        }
        writer.endObject()
        for (index, name) in mapping.resource.enumerated() where index < rank {
            guard let value = try attribute(name, in: bytes, field: OTLPField.resourceAttributes),
                isName(value, "the attribute that names the resource")
            else { continue }
            identity.name = value
            rank = index
        }
        if let value = try attribute(mapping.resourceClass, in: bytes, field: OTLPField.resourceAttributes),
            isName(value, "the attribute that is the resource's class")
        {
            identity.resourceClass = value
        }
        guard count > 0 else { return }
        let start = texts.count
        writer.withBytes { texts.append($0) }
        identity.tags = start..<texts.count
        identity.tagCount = count
    }

    /// The text of an attribute; nil if it is missing, empty or no text.
    private func attribute(
        _ name: [UInt8], in bytes: UnsafeRawBufferPointer, field wanted: Int
    ) throws(WireError) -> UnsafeRawBufferPointer? {
        var cursor = WireCursor(bytes)
        while let (field, type) = try cursor.tag() {
            guard field == wanted, type == 2 else {
                try cursor.skip(type: type)
                continue
            }
            let pair = try keyValue(try cursor.block())
            if pair.key.elementsEqual(name), case .text(let text) = pair.value, !text.isEmpty { return text }
        }
        return nil
    }

    private enum Value { case text(UnsafeRawBufferPointer), integer(Int64), flag(Bool), other }

    private func keyValue(
        _ bytes: UnsafeRawBufferPointer
    ) throws(WireError) -> (key: UnsafeRawBufferPointer, value: Value) {
        var cursor = WireCursor(bytes)
        var (key, value) = (Self.none, Value.other)
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (OTLPField.key, 2): key = try cursor.block()
            case (OTLPField.value, 2): value = try anyValue(try cursor.block())
            default: try cursor.skip(type: type)
            }
        }
        return (key, value)
    }

    private func anyValue(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> Value {
        var cursor = WireCursor(bytes)
        var value = Value.other
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (OTLPField.stringValue, 2): value = .text(try cursor.block())
            case (OTLPField.boolValue, 0): value = .flag(try cursor.varint() != 0)
            case (OTLPField.intValue, 0): value = .integer(Int64(bitPattern: try cursor.varint()))
            default: try cursor.skip(type: type)
            }
        }
        return value
    }

    /// Whether a text can be a name, noting why not.
    private mutating func isName(_ text: UnsafeRawBufferPointer, _ what: StaticString) -> Bool {
        if text.isEmpty {
            note(.emptyName, what)
        } else if text.count > TextScratch.nameBytesMax {
            note(.nameTooLong, what)
        } else if !UTF8Text.isWellFormed(text) {
            note(.notAString, what)
        } else if UTF8Text.holdsControls(text) {
            note(.controlCharacter, what)
        } else {
            return true
        }
        return false
    }

    // MARK: metrics

    /// What is known of a metric when its data points are read.
    private struct Metric {
        var name = OTLPResourceDecoder.none
        var unit = OTLPResourceDecoder.none
        var data = OTLPResourceDecoder.none
        var kind = 0
        var temporality: UInt64 = 0
        var isMonotonic = false

        /// Summaries have no temporality; they are totals.
        var isTotal: Bool { temporality == 2 || kind == OTLPField.summary }
        var isDelta: Bool { temporality == 1 && kind != OTLPField.summary }
        var isNumber: Bool { kind == OTLPField.gauge || kind == OTLPField.sum }
        var attributes: Int {
            switch kind {
            case OTLPField.histogram: OTLPField.histogramAttributes
            case OTLPField.exponentialHistogram: OTLPField.exponentialAttributes
            case OTLPField.summary: OTLPField.summaryAttributes
            default: OTLPField.numberAttributes
            }
        }
        var flags: Int {
            switch kind {
            case OTLPField.histogram, OTLPField.exponentialHistogram: OTLPField.histogramFlags
            case OTLPField.summary: OTLPField.summaryFlags
            default: OTLPField.numberFlags
            }
        }
    }

    private mutating func readMetric(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var metric = Metric()
        var cursor = WireCursor(bytes)
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (OTLPField.name, 2): metric.name = try cursor.block()
            case (OTLPField.unit, 2): metric.unit = try cursor.block()
            case (OTLPField.gauge, 2), (OTLPField.sum, 2), (OTLPField.histogram, 2),
                (OTLPField.exponentialHistogram, 2), (OTLPField.summary, 2):
                metric.kind = field
                metric.data = try cursor.block()
            default: try cursor.skip(type: type)
            }
        }
        guard metric.kind != 0, isName(metric.name, "metric") else { return }
        let tellsCalls = mapping.calls.contains { metric.name.elementsEqual($0) }
        if !tellsCalls {
            if !mapping.callsPrefix.isEmpty, metric.name.starts(with: mapping.callsPrefix) { return }
            guard !identity.name.isEmpty else { return note(.noIdentity) }
        }
        if !metric.unit.isEmpty, !isName(metric.unit, "unit") { return }
        cursor = WireCursor(metric.data)
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (OTLPField.temporality, 0): metric.temporality = try cursor.varint()
            case (OTLPField.isMonotonic, 0): metric.isMonotonic = try cursor.varint() != 0
            default: try cursor.skip(type: type)
            }
        }
        if metric.kind != OTLPField.gauge, !metric.isTotal, !metric.isDelta { return note(.unknownWord, "temporality") }
        totals.removeAll(keepingCapacity: true)
        try forEachPoint(of: metric, tellsCalls: tellsCalls)
        emitTotals(of: metric)
    }

    private mutating func forEachPoint(of metric: Metric, tellsCalls: Bool) throws(WireError) {
        var cursor = WireCursor(metric.data)
        while let (field, type) = try cursor.tag() {
            guard field == OTLPField.dataPoints, type == 2 else {
                try cursor.skip(type: type)
                continue
            }
            let block = try cursor.block()
            let point = try readPoint(block, of: metric)
            guard !point.hasNoValue else { continue }
            guard moment(point.time) != nil else {
                note(.implausibleTime)
                continue
            }
            if tellsCalls {
                try addCalls(point, block, of: metric)
            } else if !metric.isNumber || metric.kind == OTLPField.sum && metric.isMonotonic {
                add(point, of: metric)
            } else {
                try emit(point, block, of: metric)
            }
        }
    }

    private func readPoint(_ bytes: UnsafeRawBufferPointer, of metric: Metric) throws(WireError) -> Point {
        var point = Point()
        var cursor = WireCursor(bytes)
        let (attributes, flags) = (metric.attributes, metric.flags)
        while let (field, type) = try cursor.tag() {
            switch (field, type) {
            case (OTLPField.startTime, 1): point.start = try cursor.fixed(UInt64.self)
            case (OTLPField.time, 1): point.time = try cursor.fixed(UInt64.self)
            case (OTLPField.asDouble, 1) where metric.isNumber: point.value = try cursor.fixed(Double.self)
            case (OTLPField.asInt, 1) where metric.isNumber: point.value = Double(try cursor.fixed(Int64.self))
            case (OTLPField.count, 1) where !metric.isNumber: point.count = try cursor.fixed(UInt64.self)
            case (OTLPField.total, 1) where !metric.isNumber: point.value = try cursor.fixed(Double.self)
            case (attributes, 2):
                point.attributes += 1
                try cursor.skip(type: type)
            case (flags, 0): point.hasNoValue = try cursor.varint() & OTLPField.noRecordedValue != 0
            default: try cursor.skip(type: type)
            }
        }
        return point
    }

    /// Milliseconds of a time in nanoseconds, if it is plausible.
    private func moment(_ nanoseconds: UInt64) -> EventTime? {
        let time = EventTime(milliseconds: Int64(nanoseconds / 1_000_000))
        return EventTime.plausible.contains(time) ? time : nil
    }

    // MARK: samples

    /// Adds a point to those of its moment.
    private mutating func add(_ point: Point, of metric: Metric) {
        let value = metric.isNumber ? point.value : Double(point.count)
        guard value.isFinite else { return note(.notANumber, "value") }
        let seconds = metric.isNumber ? 0 : point.value
        for index in totals.indices.reversed() where totals[index].time == point.time {
            totals[index].value += value
            totals[index].seconds += seconds
            totals[index].start = min(totals[index].start, point.start)
            return
        }
        guard totals.count < Self.totalsMax else { return note(.tooManyElements) }
        totals.append(Total(time: point.time, start: point.start, value: value, seconds: seconds))
    }

    private mutating func emitTotals(of metric: Metric) {
        guard !totals.isEmpty else { return }
        let plain = append(metric.name, suffix: metric.isNumber ? "" : "_count")
        let sums = metric.isNumber ? 0..<0 : append(metric.name, suffix: "_sum")
        guard !plain.isEmpty, metric.isNumber || !sums.isEmpty else { return note(.nameTooLong, "metric") }
        for total in totals {
            guard let time = moment(total.time) else { continue }
            var (scale, kind) = (1.0, TelemetrySample.Kind.counter)
            if metric.isDelta {
                guard total.start > 0, total.start < total.time else {
                    note(.deltaWithoutStart)
                    continue
                }
                (scale, kind) = (1e9 / Double(total.time - total.start), .gauge)
            }
            measurements.append(
                Measurement(
                    metric: plain, unit: metric.isNumber ? metric.unit : Self.none, value: total.value * scale,
                    time: time, kind: kind))
            // A histogram of what may be negative has no sum.
            guard !metric.isNumber, total.seconds.isFinite else { continue }
            measurements.append(
                Measurement(metric: sums, unit: metric.unit, value: total.seconds * scale, time: time, kind: kind))
        }
    }

    /// A level: each point stands for itself.
    private mutating func emit(
        _ point: Point, _ block: UnsafeRawBufferPointer, of metric: Metric
    ) throws(WireError) {
        if metric.isDelta { return note(.deltaOfLevel) }
        guard point.value.isFinite, let time = moment(point.time) else { return note(.notANumber, "value") }
        guard point.attributes <= Self.attributesMax else { return note(.tooManyTags, "attributes of a data point") }
        let start = texts.count
        texts.append(metric.name)
        if point.attributes > 0 { try appendAttributes(block, field: metric.attributes) }
        guard texts.count - start <= TextScratch.nameBytesMax else { return note(.nameTooLong, "metric") }
        measurements.append(
            Measurement(metric: start..<texts.count, unit: metric.unit, value: point.value, time: time, kind: .gauge))
    }

    /// `.value` of each attribute, in the order of their names, so that a series keeps its name whatever the exporter.
    private mutating func appendAttributes(_ block: UnsafeRawBufferPointer, field wanted: Int) throws(WireError) {
        pairs.removeAll(keepingCapacity: true)
        var cursor = WireCursor(block)
        while let (field, type) = try cursor.tag() {
            if field == wanted, type == 2 {
                pairs.append(try keyValue(try cursor.block()))
            } else {
                try cursor.skip(type: type)
            }
        }
        pairs.sort { $0.key.lexicographicallyPrecedes($1.key) }
        for pair in pairs {
            switch pair.value {
            case .text(let text) where isName(text, "an attribute of a data point"):
                texts.append(UInt8(ascii: "."))
                texts.append(text)
            case .integer(let number): append(".\(number)")
            case .flag(let flag): append(flag ? ".true" : ".false")
            default: continue
            }
        }
    }

    private mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { texts.append(UnsafeRawBufferPointer($0)) }
    }

    /// A name with a suffix within `texts`; empty if it is too long.
    private mutating func append(_ name: UnsafeRawBufferPointer, suffix: String) -> Range<Int> {
        guard name.count + suffix.utf8.count <= TextScratch.nameBytesMax else { return 0..<0 }
        let start = texts.count
        texts.append(name)
        append(suffix)
        return start..<texts.count
    }

    // MARK: calls

    private mutating func addCalls(
        _ point: Point, _ block: UnsafeRawBufferPointer, of metric: Metric
    ) throws(WireError) {
        guard metric.isTotal || metric.isDelta, let time = moment(point.time) else { return }
        guard let source = try attribute(mapping.caller, in: block, field: metric.attributes),
            let target = try attribute(mapping.callee, in: block, field: metric.attributes)
        else { return }
        guard isName(source, "the caller"), isName(target, "the callee") else { return }
        let count = metric.isNumber ? point.value : Double(point.count)
        guard count.isFinite, count >= 0 else { return note(.outOfRange, "calls") }
        var span: Double?
        if metric.isDelta {
            guard point.start > 0, point.start < point.time else { return note(.deltaWithoutStart) }
            span = Double(point.time - point.start) / 1e9
        }
        calls.append(
            OTLPCalls(
                source: source, target: target, time: time, count: count,
                seconds: metric.isNumber ? .nan : point.value, spanSeconds: span))
    }
}
