import Messages
import TwinCore

/// What the shop tells the pipeline, as records in the native JSON formats of `topics/schemas`.
package enum ShopRecords {
    /// A minute of a service: requests, cores and ready replicas. Appends to an open array.
    package static func appendTelemetry(
        _ service: ShopService, requests: Double, ready: Int, at time: Int64, into writer: inout JSONWriter
    ) {
        begin(service, at: time, "requests_per_second", into: &writer)
        writer.double((requests * 1_000).rounded() / 1_000)
        writer.key("unit")
        writer.string("req/s")
        writer.key("role")
        writer.string("demand")
        writer.key("class")
        writer.string(service.kind)
        writer.key("tags")
        writer.beginObject()
        writer.key("cluster")
        writer.string(service.locality)
        writer.key("app")
        writer.string("shop")
        writer.endObject()
        writer.endObject()
        begin(service, at: time, "cpu", into: &writer)
        writer.double((requests * service.cpuPerRequest * 1_000).rounded() / 1_000)
        writer.key("unit")
        writer.string("cores")
        writer.endObject()
        begin(service, at: time, "replicas", into: &writer)
        writer.int(ready)
        writer.endObject()
    }

    private static func begin(
        _ service: ShopService, at time: Int64, _ metric: String, into writer: inout JSONWriter
    ) {
        beginSample((service.name, service.locality), at: time, metric, into: &writer)
    }

    /// Opens a sample up to its value; the rest and the end are the caller's.
    package static func beginSample(
        _ resource: (name: String, locality: String), at time: Int64, _ metric: String, into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("resource")
        writer.string(resource.name)
        writer.key("ts")
        writer.int(time)
        writer.key("locality")
        writer.string(resource.locality)
        writer.key("metric")
        writer.string(metric)
        writer.key("value")
    }

    /// Writes that one calls the other so often a second.
    package static func interaction(
        from source: (name: String, locality: String), to target: (name: String, locality: String), rate: Double,
        at time: Int64, into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("source")
        writer.string(source.name)
        writer.key("target")
        writer.string(target.name)
        writer.key("ts")
        writer.int(time)
        writer.key("rate")
        writer.double(rate)
        writer.key("sourceLocality")
        writer.string(source.locality)
        writer.key("targetLocality")
        writer.string(target.locality)
        writer.endObject()
    }

    /// Calls between services, as an array.
    package static func interactions(demand: [Double], at time: Int64) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 4_096)
        writer.beginArray()
        for call in Shop.calls {
            let (source, target) = (Shop.services[call.source], Shop.services[call.target])
            interaction(
                from: (source.name, source.locality), to: (target.name, target.locality),
                rate: (demand[call.source] * call.ratio * 1_000).rounded() / 1_000, at: time, into: &writer)
        }
        writer.endArray()
        return writer.bytes
    }

    /// A campaign, announced for the frontend: what it means for the others is for the graph to find out.
    package static func announcement(_ campaign: ShopStory.Campaign) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("id")
        writer.string(campaign.id)
        writer.key("start")
        writer.time(EventTime(seconds: campaign.start))
        writer.key("end")
        writer.time(EventTime(seconds: campaign.end))
        writer.key("scope")
        writer.beginObject()
        writer.key("key")
        writer.string("resource")
        writer.key("value")
        writer.string(Shop.services[Shop.chain[0]].name)
        writer.endObject()
        writer.key("kind")
        writer.string("campaign")
        writer.key("uplift")
        writer.double((campaign.uplift * 100).rounded() / 100)
        writer.endObject()
        return writer.bytes
    }
}
