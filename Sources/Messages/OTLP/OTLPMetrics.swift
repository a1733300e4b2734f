import TwinCore

/// Calls that one resource made to another, as a service graph counts them.
package struct OTLPCalls: BitwiseCopyable {
    /// The caller's id. Never empty.
    package var source: UnsafeRawBufferPointer
    /// The id of the one that is called. Never empty.
    package var target: UnsafeRawBufferPointer
    package var time: EventTime
    /// Calls, and the seconds that they took together; since the start of the series, or, in a span, since the last.
    package var count: Double
    package var seconds: Double
    /// Length of the span that a delta is about; nil for a total.
    package var spanSeconds: Double?
}

/// Reads metrics in OpenTelemetry's formats from records: an ExportMetricsServiceRequest (or MetricsData) in Protobuf
/// or JSON, as the Collector's Kafka exporter writes them (`otlp_proto`, `otlp_json`).
///
/// | metric | becomes |
/// |---|---|
/// | Sum, monotonic | one sample per moment, the sum over all data points: a total as a counter, a delta as its rate |
/// | Sum, not monotonic, and Gauge | a sample per data point; attributes of the point extend the metric's name |
/// | Histogram, exponential Histogram, Summary | `NAME_count` and `NAME_sum`, summed and judged like a monotonic Sum |
/// | a metric of `OTLPMapping.calls` | `calls` per data point |
///
/// Attributes of the resource become its id, class and tags by `OTLPMapping`. A resource without an id, and a metric
/// that cannot be understood, are faults of their element of `resourceMetrics`; the others are read.
package struct OTLPMetrics: ~Copyable {
    /// What the reader found next.
    package enum Step {
        /// `sample` holds the next sample.
        case sample
        /// `calls` holds the next calls.
        case calls
        /// Something was refused; the next call goes on behind it.
        case fault(RecordFault)
        /// The record has been read.
        case end
    }

    /// The sample just read; valid until the next call of `next` or `open`.
    package private(set) var sample = TelemetrySample.empty
    /// The calls just read; valid until the next call of `next` or `open`.
    package private(set) var calls: OTLPCalls

    private var request = WireCursor(UnsafeRawBufferPointer(start: nil, count: 0))
    private var decoder: OTLPResourceDecoder
    private var transcoder = OTLPTranscoder()
    private var wire = ByteBuffer(capacity: 4_096)
    private var isJSON = false
    /// Elements of `resourceMetrics` so far.
    private var elements = 0
    private var nextSample = 0
    private var nextCalls = 0
    private var nextFault = 0
    private var given = 0
    private var faults = 0
    /// The fault that the record begins with.
    private var first: RecordFault?
    private var hasEnded = true

    /// A reader; make one per task and keep it, as it owns its room.
    package init(_ mapping: OTLPMapping) {
        decoder = OTLPResourceDecoder(mapping)
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        calls = OTLPCalls(source: none, target: none, time: EventTime(milliseconds: 0), count: 0, seconds: 0)
    }

    /// Starts on a record, which must stay in place until the last `next`.
    package mutating func open(_ record: UnsafeRawBufferPointer, isJSON: Bool) {
        self.isJSON = isJSON
        (elements, given, faults) = (0, 0, 0)
        (first, hasEnded) = (nil, false)
        decoder.clear()
        (nextSample, nextCalls, nextFault) = (0, 0, 0)
        request = WireCursor(record)
        guard isJSON else { return }
        wire.removeAll()
        do throws(JSONError) {
            try transcoder.transcode(record, into: &wire)
            request = WireCursor(wire.bytes)
        } catch {
            hasEnded = true
            first = RecordFault(.syntax, json: error)
        }
    }

    /// Reads on to the next sample, calls or fault.
    package mutating func next() -> Step {
        if let fault = first {
            first = nil
            return .fault(fault)
        }
        while true {
            if nextSample < decoder.samples.count {
                guard let fault = admit() else {
                    sample = decoder.sample(nextSample)
                    nextSample += 1
                    return .sample
                }
                return .fault(fault)
            }
            if nextCalls < decoder.calls.count {
                guard let fault = admit() else {
                    calls = decoder.calls[nextCalls]
                    nextCalls += 1
                    return .calls
                }
                return .fault(fault)
            }
            if nextFault < decoder.faults.count {
                var fault = decoder.faults[nextFault]
                nextFault += 1
                fault.element = element
                return .fault(report(fault))
            }
            if hasEnded { return .end }
            do throws(WireError) {
                guard let block = try nextResource() else { return end() }
                (nextSample, nextCalls, nextFault) = (0, 0, 0)
                decoder.decode(block)
            } catch {
                hasEnded = true
                decoder.clear()
                return .fault(report(RecordFault(.wire)))
            }
        }
    }

    private mutating func end() -> Step {
        hasEnded = true
        // A record of nothing at all says nothing.
        return elements == 0 && request.bytes.isEmpty ? .fault(report(RecordFault(.emptyRecord))) : .end
    }

    /// The next element of `resourceMetrics`; nil at the end.
    private mutating func nextResource() throws(WireError) -> UnsafeRawBufferPointer? {
        while let (field, type) = try request.tag() {
            guard field == OTLPField.resourceMetrics, type == 2 else {
                try request.skip(type: type)
                continue
            }
            let block = try request.block()
            elements += 1
            return block
        }
        return nil
    }

    /// Where the present element of `resourceMetrics` stands in the record.
    private var element: Range<Int> {
        if isJSON {
            let isKnown = elements > 0 && elements <= transcoder.elements.count
            return isKnown ? transcoder.elements[elements - 1] : 0..<0
        }
        return max(request.position - decoder.byteCount, 0)..<request.position
    }

    /// Counts something that is about to be given out; the fault if it is one too many.
    private mutating func admit() -> RecordFault? {
        given += 1
        guard given > JSONRecords.elementsMax else { return nil }
        hasEnded = true
        decoder.clear()
        (nextSample, nextCalls, nextFault) = (0, 0, 0)
        return RecordFault(.tooManyElements)
    }

    private mutating func report(_ fault: RecordFault) -> RecordFault {
        faults += 1
        guard faults > JSONRecords.faultsMax else { return fault }
        hasEnded = true
        decoder.clear()
        (nextSample, nextCalls, nextFault) = (0, 0, 0)
        return RecordFault(.tooManyFaults)
    }
}

// MARK: - Recognising

extension OTLPMetrics {
    /// Whether a record looks like OTLP's JSON: an object whose first member is `resourceMetrics`.
    package static func isJSON(_ record: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(record)
        guard reader.peekKind() == .object, (try? reader.enterObject()) != nil, let key = try? reader.nextKey() else {
            return false
        }
        return reader.matches(key, "resourceMetrics")
    }

    /// Whether a record looks like OTLP's Protobuf: elements of `resourceMetrics`, each beginning with a resource or a
    /// scope, to the last byte. Its first byte is a line end, too, so text in braces or brackets is none.
    package static func isProtobuf(_ record: UnsafeRawBufferPointer) -> Bool {
        guard record.first == 0x0a, !isBracketed(record) else { return false }
        var cursor = WireCursor(record)
        do throws(WireError) {
            while let (field, type) = try cursor.tag() {
                guard field == OTLPField.resourceMetrics, type == 2 else { return false }
                let block = try cursor.block()
                let tags = [OTLPField.resource << 3 | 2, OTLPField.scopeMetrics << 3 | 2]
                guard block.first.map({ tags.contains(Int($0)) }) ?? true else { return false }
            }
            return true
        } catch { return false }
    }

    private static func isBracketed(_ record: UnsafeRawBufferPointer) -> Bool {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 }
        guard let first = record.first(where: { !isBlank($0) }), let last = record.last(where: { !isBlank($0) }) else {
            return false
        }
        return (first == UInt8(ascii: "{") && last == UInt8(ascii: "}"))
            || (first == UInt8(ascii: "[") && last == UInt8(ascii: "]"))
    }
}
