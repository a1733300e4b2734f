import Messages
import Simulation
import TwinCore

/// A policy as the demo writes it.
struct DemoPolicy {
    var resource: String
    var mode = "act"
    var metric: String
    var capacityPerReplica: Double
    var provisioningSeconds: Int64
    var replicasMin = 1
    var replicasMax = 1_000
    var pricePerHour = 0.0

    /// Use of a replica that the pipeline keeps below with the 80th percentile of what it expects until an order for
    /// more would be ready: less spare capacity than the reactive rule keeps, as a rise is seen before it comes.
    static let targetUtilisation = 0.79
    static let quantile = 0.8
    /// The reactive rule's own.
    static let stabilisationSeconds = 300
    /// Between two orders for less: fewer and larger ones.
    static let cooldownSeconds = 720

    /// What the pipeline aims at, in words.
    static var aim: String { "\(Int(targetUtilisation * 100)) % with its \(Int(quantile * 100))th percentile" }

    /// Name of the policy, the record's key.
    var name: String { "demo-\(resource)" }

    var json: [UInt8] {
        var writer = JSONWriter(capacityBytes: 512)
        writer.beginObject()
        writer.key("name")
        writer.string(name)
        writer.key("version")
        writer.int(1)
        writer.key("match")
        writer.beginObject()
        writer.key("resource")
        writer.string(resource)
        writer.endObject()
        writer.key("mode")
        writer.string(mode)
        writer.key("metric")
        writer.string(metric)
        writer.key("capacityPerReplica")
        writer.double(capacityPerReplica)
        writer.key("targetUtilisation")
        writer.double(Self.targetUtilisation)
        writer.key("replicas")
        writer.beginObject()
        writer.key("min")
        writer.int(replicasMin)
        writer.key("max")
        writer.int(replicasMax)
        writer.endObject()
        writer.key("provisioningDelaySeconds")
        writer.int(provisioningSeconds)
        writer.key("decisionIntervalSeconds")
        writer.int(60)
        writer.key("quantile")
        writer.double(Self.quantile)
        writer.key("stabilisation")
        writer.beginObject()
        writer.key("downSeconds")
        writer.int(Self.stabilisationSeconds)
        writer.endObject()
        writer.key("cooldown")
        writer.beginObject()
        writer.key("downSeconds")
        writer.int(Self.cooldownSeconds)
        writer.endObject()
        writer.key("pricePerUnitHour")
        writer.double(pricePerHour)
        writer.endObject()
        return writer.bytes
    }
}

extension DemoPolicy {
    /// Most services of the shop act by themselves, one database asks, one service only recommends and is left to its
    /// reactive autoscaler, as one begins with.
    init(_ service: ShopService) {
        self.init(
            resource: service.name, mode: Self.mode(of: service), metric: "requests_per_second",
            capacityPerReplica: service.capacityPerReplica, provisioningSeconds: service.provisioningSeconds,
            replicasMin: service.replicasMin, replicasMax: service.replicasMax, pricePerHour: service.pricePerHour)
    }

    static func mode(of service: ShopService) -> String {
        switch service.name {
        case "users-db": "approve"
        case "warehouse": "recommend"
        default: "act"
        }
    }
}

/// What the actuator and the operator of the demo write.
enum DemoRecords {
    static func outcome(
        of action: String, resource: String, locality: String, status: String, ready: Int, at time: Int64
    ) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 256)
        writer.beginObject()
        writer.key("action")
        writer.string(action)
        writer.key("resource")
        writer.string(resource)
        writer.key("locality")
        writer.string(locality)
        writer.key("status")
        writer.string(status)
        writer.key("readyReplicas")
        writer.int(ready)
        writer.key("ts")
        writer.int(time)
        writer.endObject()
        return writer.bytes
    }

    static func approval(id: String, of proposal: String, at time: Int64) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 256)
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("verb")
        writer.string("approve")
        writer.key("action")
        writer.string(proposal)
        writer.key("owner")
        writer.string("the operator on duty")
        writer.key("ts")
        writer.time(EventTime(seconds: time))
        writer.endObject()
        return writer.bytes
    }
}
