/// Numbers of the fields that are read of OpenTelemetry's metrics, by message
/// (opentelemetry-proto 1.x: collector/metrics/v1, metrics/v1, resource/v1, common/v1).
enum OTLPField {
    /// ExportMetricsServiceRequest, and MetricsData.
    static let resourceMetrics = 1
    /// ResourceMetrics.
    static let (resource, scopeMetrics) = (1, 2)
    /// Resource.
    static let resourceAttributes = 1
    /// KeyValue.
    static let (key, value) = (1, 2)
    /// AnyValue.
    static let (stringValue, boolValue, intValue, doubleValue) = (1, 2, 3, 4)
    /// ScopeMetrics.
    static let metrics = 2
    /// Metric.
    static let (name, unit) = (1, 3)
    static let (gauge, sum, histogram, exponentialHistogram, summary) = (5, 7, 9, 10, 11)
    /// Gauge, Sum, Histogram, ExponentialHistogram, Summary.
    static let (dataPoints, temporality, isMonotonic) = (1, 2, 3)
    /// All data points.
    static let (startTime, time) = (2, 3)
    /// NumberDataPoint.
    static let (asDouble, asInt, numberAttributes, numberFlags) = (4, 6, 7, 8)
    /// HistogramDataPoint, ExponentialHistogramDataPoint, SummaryDataPoint.
    static let (count, total) = (4, 5)
    static let (histogramAttributes, exponentialAttributes, summaryAttributes) = (9, 1, 7)
    static let (histogramFlags, summaryFlags) = (10, 8)

    /// DataPointFlags: the series has ended or could not be read; the point has no value.
    static let noRecordedValue: UInt64 = 1
}

/// How the fields above are written in OTLP's JSON: names in lowerCamelCase, 64-bit integers also as text, enumerations
/// as numbers. The table by which a record in JSON becomes the same record on the wire.
enum OTLPMessage: UInt8 {
    case request, resourceMetrics, resource, keyValue, anyValue, scopeMetrics, metric
    case gauge, sum, histogram, exponentialHistogram, summary
    case numberPoint, histogramPoint, exponentialPoint, summaryPoint

    enum Kind { case message(OTLPMessage), text, fixed64, double, varint }

    struct Field {
        let name: StaticString
        let number: Int
        let kind: Kind

        init(_ name: StaticString, _ number: Int, _ kind: Kind) {
            self.name = name
            self.number = number
            self.kind = kind
        }
    }

    /// Fields by message; all others are passed over.
    static let fields: [[Field]] = {
        typealias F = OTLPField
        func points(_ point: OTLPMessage) -> [Field] {
            [
                Field("dataPoints", F.dataPoints, .message(point)),
                Field("aggregationTemporality", F.temporality, .varint),
                Field("isMonotonic", F.isMonotonic, .varint),
            ]
        }
        let times = [Field("startTimeUnixNano", F.startTime, .fixed64), Field("timeUnixNano", F.time, .fixed64)]
        let sums = times + [Field("count", F.count, .fixed64), Field("sum", F.total, .double)]
        return [
            [Field("resourceMetrics", F.resourceMetrics, .message(.resourceMetrics))],
            [
                Field("resource", F.resource, .message(.resource)),
                Field("scopeMetrics", F.scopeMetrics, .message(.scopeMetrics)),
            ],
            [Field("attributes", F.resourceAttributes, .message(.keyValue))],
            [Field("key", F.key, .text), Field("value", F.value, .message(.anyValue))],
            [
                Field("stringValue", F.stringValue, .text), Field("boolValue", F.boolValue, .varint),
                Field("intValue", F.intValue, .varint), Field("doubleValue", F.doubleValue, .double),
            ],
            [Field("metrics", F.metrics, .message(.metric))],
            [
                Field("name", F.name, .text), Field("unit", F.unit, .text), Field("gauge", F.gauge, .message(.gauge)),
                Field("sum", F.sum, .message(.sum)), Field("histogram", F.histogram, .message(.histogram)),
                Field("exponentialHistogram", F.exponentialHistogram, .message(.exponentialHistogram)),
                Field("summary", F.summary, .message(.summary)),
            ],
            points(.numberPoint), points(.numberPoint), points(.histogramPoint), points(.exponentialPoint),
            points(.summaryPoint),
            times + [
                Field("asDouble", F.asDouble, .double), Field("asInt", F.asInt, .fixed64),
                Field("attributes", F.numberAttributes, .message(.keyValue)), Field("flags", F.numberFlags, .varint),
            ],
            sums + [
                Field("attributes", F.histogramAttributes, .message(.keyValue)),
                Field("flags", F.histogramFlags, .varint),
            ],
            sums + [
                Field("attributes", F.exponentialAttributes, .message(.keyValue)),
                Field("flags", F.histogramFlags, .varint),
            ],
            sums + [
                Field("attributes", F.summaryAttributes, .message(.keyValue)), Field("flags", F.summaryFlags, .varint),
            ],
        ]
    }()

    var fields: [Field] { Self.fields[Int(rawValue)] }
}
