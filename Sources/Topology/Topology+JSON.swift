import Messages
import TwinCore

extension Topology {
    /// The page as one JSON object with `topics`, `stores` and `stages`, for programs.
    package static var json: String {
        var writer = JSONWriter(capacityBytes: 8_192)
        writer.beginObject()
        writer.key("topics")
        list(topics, into: &writer) { topic($0, into: &$1) }
        writer.key("stores")
        list(stores, into: &writer) { topic($0, into: &$1) }
        writer.key("stages")
        list(stages, into: &writer) { stage($0, into: &$1) }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func list<Element>(
        _ elements: [Element], into writer: inout JSONWriter, _ body: (Element, inout JSONWriter) -> Void
    ) {
        writer.beginArray()
        for element in elements { body(element, &writer) }
        writer.endArray()
    }

    private static func topic(_ plan: TopicPlan, into writer: inout JSONWriter) {
        writer.beginObject()
        field("name", plan.name, into: &writer)
        writer.key("epoch")
        writer.int(Int(plan.epoch))
        field("key", plan.key.rawValue, into: &writer)
        field("partitions", plan.partitions.rawValue, into: &writer)
        field("cleanup", plan.cleanup.rawValue, into: &writer)
        writer.key("retention")
        if let retention = plan.retention { writer.string(retention) } else { writer.null() }
        writer.key("recordBytesMax")
        writer.int(plan.recordBytesMax)
        field("schema", plan.schema, into: &writer)
        writer.key("writers")
        list(writers(of: plan), into: &writer) { $1.string($0.text) }
        writer.key("readers")
        list(readers(of: plan), into: &writer) { $1.string($0.text) }
        field("description", plan.summary, into: &writer)
        writer.endObject()
    }

    private static func stage(_ plan: StagePlan, into writer: inout JSONWriter) {
        writer.beginObject()
        field("name", plan.stage.text, into: &writer)
        writer.key("reads")
        list(plan.reads, into: &writer) { flow($0, into: &$1) }
        writer.key("writes")
        list(plan.writes, into: &writer) { flow($0, into: &$1) }
        writer.endObject()
    }

    private static func flow(_ flow: Flow, into writer: inout JSONWriter) {
        writer.beginObject()
        field("topic", flow.topic.text, into: &writer)
        field("carries", flow.carries, into: &writer)
        writer.endObject()
    }

    private static func field(_ name: StaticString, _ value: String, into writer: inout JSONWriter) {
        writer.key(name)
        writer.string(value)
    }
}
