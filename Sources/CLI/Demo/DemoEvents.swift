import Foundation

/// What the demo reads from `actions`.
struct ActionEvent: Decodable {
    struct Body: Decodable {
        let action: String
        let resource: String
        let locality: String?
        let from: Int
        let to: Int
        let direction: String
        let reason: String
        let issued: Date
    }
    let data: Body
}

/// What the demo reads from `decisions`, whatever the kind.
struct DecisionEvent: Decodable {
    struct Body: Decodable {
        struct Inputs: Decodable {
            let level: Double?
            let value: Double?
            let horizonSeconds: Double?
            let quality: String?
            let readyUnits: Int?
            let distrusted: Bool?
        }
        struct Neighbours: Decodable { let added: Double? }
        struct Constraint: Decodable { let name: String }
        let kind: String
        let resource: String?
        let mode: String?
        let current: Int?
        let desired: Int?
        let reason: String?
        let inputs: Inputs?
        let neighbours: Neighbours?
        let constraints: [Constraint]?
        let proposal: String?
        let action: String?
    }
    let time: Date?
    let data: Body
}

/// What the demo reads from `drift`: that a resource drifted.
struct DriftEvent: Decodable {
    struct Body: Decodable {
        let resource: String
        let locality: String?
        let metric: String
        let kind: String
        let reason: String
        let magnitude: Double
        let since: Date?
        let explainedBy: String?
        let distrusts: Bool
        let retrainRequested: Bool
    }
    let time: Date?
    let data: Body
}

extension DriftEvent.Body {
    private static let changes = [
        "level": "its level has moved", "trend": "it has a new trend", "variance": "its spread has changed",
        "season": "its daily pattern has changed", "saturation": "it stays at a ceiling",
    ]

    /// Not a brief excursion, and no want of data.
    var isLasting: Bool { kind != "anomaly" && kind != "data" }

    /// What happened and what follows from it, for people.
    var story: String {
        switch kind {
        case "anomaly": return "a brief excursion, over again; nothing to retrain"
        case "data": return "data is \(reason), which asks for no retraining"
        default:
            let size = kind == "variance" ? "× \(DemoVoice.short(magnitude))" : "by \(DemoVoice.short(magnitude)) σ"
            let cause = explainedBy.map {
                $0 == "event" ? ", as a planned event explains" : ", as a new \($0) explains"
            }
            return "\(Self.changes[kind] ?? kind) \(size)\(cause ?? ""); "
                + (retrainRequested ? "distrusted and retrained" : distrusts ? "distrusted" : "watched")
        }
    }
}

/// What the demo reads from `drift`: that several resources of a locality drifted together.
struct DriftGroupEvent: Decodable {
    struct Body: Decodable {
        let locality: String?
        let alarm: Bool
        let since: Date?
        let resources: Int
        let resourcesKnown: Int
        let resourcesExplained: Int
        let resource: String
    }
    let data: Body
}

extension DriftGroupEvent.Body {
    /// One line for all of them.
    var story: String {
        let place = locality ?? "no known locality"
        let since = since.map { " since \(DemoVoice.clock(Int64($0.timeIntervalSince1970)))" } ?? ""
        let cause =
            resourcesExplained > 0 ? ", \(resourcesExplained) of them as a planned event or a release explains" : ""
        return "\(resources) of the \(resourcesKnown) resources of \(place) drifted together\(since), \(resource) "
            + "furthest\(cause); distrusted and retrained" + (alarm ? ", operators are told" : "")
    }
}

/// What the demo reads from `twins`.
struct TwinSummary: Decodable {
    struct Horizon: Decodable {
        let horizon_s: Double
        let mean: Double?
        let q90: Double?
    }
    struct Metric: Decodable {
        let level: Double
        let quality: String
        let role: String
        let distrusted: Bool
        let samples: Int
        let forecast: [Horizon]
    }
    let resource: String
    let locality: String?
    let readyUnits: Double?
    let time: Date?
    let metrics: [String: Metric]
}

/// Reads the pipeline's JSON.
struct DemoReader {
    private let decoder: JSONDecoder

    init() {
        decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
    }

    /// Nil for what is of another form; the pipeline's schemas are tested elsewhere.
    func read<Value: Decodable>(_ type: Value.Type, _ bytes: UnsafeRawBufferPointer) -> Value? {
        try? decoder.decode(type, from: Data(bytes))
    }
}
