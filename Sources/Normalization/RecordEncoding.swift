import Messages
import TwinCore

/// How a raw record is written.
package enum RecordEncoding: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    /// Native JSON: one object, an array of objects, or objects on lines; outcomes also as CloudEvents.
    case json = 1
    /// Metrics of OpenTelemetry, as the Collector's Kafka exporter writes them.
    case otlpJSON = 2
    case otlpProto = 3
    /// Value lists as collectd's write_kafka writes them.
    case collectd = 4

    /// As in the configuration.
    package var text: String {
        switch self {
        case .json: "json"
        case .otlpJSON: "otlp_json"
        case .otlpProto: "otlp_proto"
        case .collectd: "collectd"
        }
    }

    package init?(text: String) {
        guard let match = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = match
    }
}

/// Finds out how a record is written: by its `content-type` header, else by the topic's setting, else by its first
/// bytes. Only those tell JSON of OpenTelemetry and of collectd from the native one, which have the same content type.
enum EncodingChoice {
    case encoding(RecordEncoding)
    /// Why the record cannot be read.
    case refused(String)

    /// Media types by their name, in lower case, without parameters. Any that ends with `+json` is JSON as well.
    private static let mediaTypes: [(name: String, encoding: RecordEncoding)] = [
        ("application/json", .json), ("text/json", .json), ("application/x-ndjson", .json),
        ("application/ndjson", .json), ("application/jsonl", .json), ("application/jsonlines", .json),
        ("application/x-jsonlines", .json), ("application/x-protobuf", .otlpProto),
        ("application/protobuf", .otlpProto), ("application/vnd.google.protobuf", .otlpProto),
    ]

    /// The longest media type that is looked at.
    private static let mediaTypeBytesMax = 128

    static func of(
        _ value: UnsafeRawBufferPointer, contentType: UnsafeRawBufferPointer?, setting: RecordEncoding?
    ) -> EncodingChoice {
        if let contentType, !contentType.isEmpty { return named(contentType, value) }
        if let setting { return .encoding(setting) }
        return sniffed(value)
    }

    private static func named(
        _ contentType: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> EncodingChoice {
        let name = contentType.prefix(mediaTypeBytesMax).prefix { $0 != UInt8(ascii: ";") }
            .filter { $0 > 0x20 && $0 < 0x7f }.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        for type in mediaTypes where type.name.utf8.elementsEqual(name) {
            return .encoding(type.encoding == .json ? foreignJSON(value) ?? .json : type.encoding)
        }
        if name.suffix(5).elementsEqual("+json".utf8) { return .encoding(.json) }
        return .refused("content type \"\(String(decoding: name, as: UTF8.self))\" is not understood")
    }

    /// Whose JSON a record is, if it is not native.
    private static func foreignJSON(_ value: UnsafeRawBufferPointer) -> RecordEncoding? {
        if OTLPMetrics.isJSON(value) { return .otlpJSON }
        return CollectdJSON.recognises(value) ? .collectd : nil
    }

    private static func sniffed(_ value: UnsafeRawBufferPointer) -> EncodingChoice {
        if OTLPMetrics.isProtobuf(value) { return .encoding(.otlpProto) }
        if let foreign = foreignJSON(value) { return .encoding(foreign) }
        var index = 0
        if value.count >= 3, value[0] == 0xef, value[1] == 0xbb, value[2] == 0xbf { index = 3 }
        while index < value.count {
            switch value[index] {
            case 0x20, 0x09, 0x0a, 0x0d: index += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["): return .encoding(.json)
            default:
                return .refused(
                    isJSON(value)
                        ? "a json value that is no object or array"
                        : "encoding is not recognised: neither json nor protobuf of opentelemetry")
            }
        }
        return .refused("record is empty")
    }

    /// Whether a record is one JSON value, of any kind.
    private static func isJSON(_ value: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(value)
        do throws(JSONError) {
            try reader.skipValue()
            try reader.expectEnd()
            return true
        } catch { return false }
    }
}
