import HTTPTypes
import Messages
import TwinCore
import Views

/// One number for KEDA's metrics-api scaler.
enum KedaRoutes {
    static func value(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let resource = try call.parameter("resource")
        let kind = try call.query.word("value", ["desired", "forecast", "level"]) ?? "desired"
        let found = services.store.withTwin(resource) { twin -> (value: Double?, time: EventTime?, why: String) in
            switch kind {
            case "level": (twin.primary?.level, twin.time, "no metric of it has come yet")
            case "forecast": (twin.decision?.value, twin.decision?.time, why(twin))
            default: (twin.decision?.desired.map { Double($0) }, twin.decision?.time, why(twin))
            }
        }
        guard let found else { throw .notFound("twin '\(resource)'") }
        // Nothing is better than a made-up number: the scaler's own fallback then decides.
        guard let value = found.value, value.isFinite else {
            throw Problem(.notFound, "unknownValue", "'\(kind)' of '\(resource)' is not known: \(found.why)")
        }
        return .json { writer in
            writer.beginObject()
            writer.member("resource", resource)
            writer.member("value", value)
            writer.member("time", found.time)
            writer.endObject()
        }
    }

    /// Why nothing is wanted of a twin.
    private static func why(_ twin: borrowing TwinView) -> String {
        if twin.readyUnits == nil {
            return "nobody has said how many units are ready: send a metric of role supply, e.g. replicas"
        }
        return twin.decision?.reason ?? "no decision has been made about it; does a policy match it?"
    }
}
