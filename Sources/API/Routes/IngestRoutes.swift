import HTTPTypes
import Messages
import TwinCore

/// For those without a Kafka producer at hand. Bodies are checked by the normalizer's own readers before they are
/// written, so a dead letter never begins here.
enum IngestRoutes {
    static func telemetry(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let count = try check(call.body) { body in
            var reader = TelemetryJSON()
            reader.open(body)
            return tally {
                switch reader.next() {
                case .sample: .entry
                case .fault(let fault): .fault(fault)
                case .end: .end
                }
            }
        }
        return try await write(.telemetry, call, count, services)
    }

    static func interactions(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let count = try check(call.body) { body in
            var reader = InteractionJSON()
            reader.open(body)
            return tally {
                switch reader.next() {
                case .interaction: .entry
                case .fault(let fault): .fault(fault)
                case .end: .end
                }
            }
        }
        return try await write(.interactions, call, count, services)
    }

    static func outcomes(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let count = try check(call.body) { body in
            var reader = OutcomeJSON()
            reader.open(body)
            return tally {
                switch reader.next() {
                case .outcome: .entry
                case .fault(let fault): .fault(fault)
                case .end: .end
                }
            }
        }
        return try await write(.outcomes, call, count, services)
    }

    /// OTLP over HTTP, as exporters of OpenTelemetry send it. Which attributes name a resource is the normalizer's
    /// configuration, so only the form is checked here.
    static func openTelemetry(_ call: Call, _ services: Services) async throws(Problem) -> Reply {
        let isProtobuf = call.headers[.contentType]?.lowercased().contains("protobuf") ?? false
        let fault = call.body.withUnsafeBytes { body in
            var reader = OTLPMetrics(OTLPMapping())
            reader.open(body, isJSON: !isProtobuf)
            while true {
                switch reader.next() {
                case .sample, .calls: continue
                case .fault(let fault): if [.syntax, .wire].contains(fault.code) { return RecordFault?.some(fault) }
                case .end: return nil
                }
            }
        }
        if let fault { throw Problem(.badRequest, "invalidRecord", fault.reason) }
        let type = isProtobuf ? "application/x-protobuf" : "application/json"
        // An export of nothing is no error, and no record.
        if !call.body.isEmpty {
            try await services.write([OrderRecord(.telemetry, value: call.body, contentType: type)])
        }
        // ExportMetricsServiceResponse without a partial success: no field at all.
        var reply = Reply(.bytes(isProtobuf ? [] : Array("{}".utf8)))
        reply.type = type
        return reply.with(detail: "\(call.body.count) bytes of OpenTelemetry")
    }

    /// What a reader found next.
    private enum Step { case entry, fault(RecordFault), end }

    /// Counts entries up to the first fault.
    private static func tally(_ next: () -> Step) -> (count: Int, fault: RecordFault?) {
        var count = 0
        while true {
            switch next() {
            case .entry: count += 1
            case .fault(let fault): return (count, fault)
            case .end: return (count, nil)
            }
        }
    }

    private static func check(
        _ body: [UInt8], _ read: (UnsafeRawBufferPointer) -> (count: Int, fault: RecordFault?)
    ) throws(Problem) -> Int {
        let (count, fault) = body.withUnsafeBytes { read($0) }
        if let fault {
            throw Problem(.unprocessableContent, "invalidRecord", "entry \(count + 1): \(fault.reason)")
        }
        guard count > 0 else { throw Problem(.unprocessableContent, "invalidRecord", "there is nothing in the body") }
        return count
    }

    private static func write(
        _ topic: TopicName, _ call: Call, _ count: Int, _ services: Services
    ) async throws(Problem) -> Reply {
        try await services.write([OrderRecord(topic, value: call.body, contentType: "application/json")])
        return Reply.json(.accepted) { writer in
            writer.beginObject()
            writer.key("accepted")
            writer.int(count)
            writer.endObject()
        }.with(detail: "\(counted(count, "entry")) of \(topic.text)")
    }
}
