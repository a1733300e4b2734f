import HTTPTypes
import Messages
import Runtime
import Synchronization
import TwinCore
import Views

/// The state of the pipeline and of this server.
enum OperationRoutes {
    static func deadletters(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let (limit, cursor) = (try call.query.limit(), try call.query.numberCursor())
        let (page, total) = services.store.letters.withLock { letters in
            (letters.letters.page(before: cursor, limit: limit) { _ in true }, letters.total)
        }
        return .page(page.records, next: page.next.map(String.init)) { $0.member("total", total) }
    }

    static func me(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        .json { writer in
            writer.beginObject()
            writer.member("name", call.principal.name)
            writer.member("role", call.principal.role.text)
            writer.member("authenticated", call.principal.isAuthenticated)
            writer.member("tenant", call.principal.tenant)
            writer.endObject()
        }
    }

    static func audit(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let page = services.audit.page(before: try call.query.numberCursor(), limit: try call.query.limit())
        return .page(page.records, next: page.next.map(String.init))
    }

    static func document(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        var reply = Reply(.bytes(services.document))
        reply.type = "application/yaml"
        return reply
    }

    static func health(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let status = services.monitor.status
        return .json(status.isReady ? .ok : .serviceUnavailable) { writer in
            writer.beginObject()
            writer.member("ready", status.isReady)
            writer.member("reason", status.reason)
            writer.endObject()
        }
    }

    static func pipeline(_ call: Call, _ services: Services) throws(Problem) -> Reply {
        let status = services.monitor.status
        let senders = services.store.pipeline.withLock { $0 }
        return .json(capacityBytes: 8_192) { writer in
            writer.beginObject()
            writer.member("ready", status.isReady)
            writer.member("reason", status.reason)
            writer.member("namespace", services.settings.namespace)
            writer.key("stages")
            writer.beginArray()
            for stage in status.stages { write(stage, senders.watermark(of: stage.stage), into: &writer) }
            writer.endArray()
            writer.key("topics")
            writer.beginArray()
            for topic in status.topics {
                writer.beginObject()
                writer.member("topic", topic.topic.text)
                writer.member("records", Int(clamping: topic.records))
                writer.member("behind", topic.behind.map { Int($0) })
                writer.endObject()
            }
            writer.endArray()
            writer.key("views")
            writeViews(status, services, into: &writer)
            writer.endObject()
        }
    }

    private static func write(
        _ stage: PipelineStatus.Stage, _ watermark: EventTime?, into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.member("stage", stage.stage.text)
        writer.member("incarnation", stage.incarnation.map { Int(clamping: $0) })
        writer.member("lag", stage.lag.map { Int($0) })
        writer.member("watermark", watermark)
        writer.key("snapshot")
        if let made = stage.snapshotMilliseconds {
            writer.beginObject()
            writer.member("time", EventTime(milliseconds: made))
            writer.member("ageSeconds", Double(max(wallMilliseconds() - made, 0)) / 1_000)
            writer.endObject()
        } else {
            writer.null()
        }
        writer.key("partitions")
        writer.beginArray()
        for partition in stage.partitions {
            writer.beginObject()
            writer.member("topic", partition.topic.text)
            writer.member("partition", Int(partition.partition))
            writer.member("committed", partition.committed.map { Int($0) })
            writer.member("end", partition.end.map { Int($0) })
            writer.member("lag", partition.lag.map { Int($0) })
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    private static func writeViews(_ status: PipelineStatus, _ services: Services, into writer: inout JSONWriter) {
        let (resources, series) = services.store.sizes()
        let counts = services.store.counts()
        writer.beginObject()
        writer.member("resources", resources)
        writer.member("series", series)
        writer.member("edges", services.store.graph.withLock { $0.edges.count })
        writer.member("refused", Int(clamping: counts.refused))
        writer.member("malformed", Int(clamping: counts.malformed &+ status.malformedFrames))
        writer.member("deadLetters", services.store.letters.withLock { $0.total })
        writer.member("streamClients", services.hub.count)
        writer.endObject()
    }
}
