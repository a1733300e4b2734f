import Messages
import StageKit
import TwinCore

/// The records on `drift`: CloudEvents 1.0, structured; `topics/schemas/drift.schema.json`.
extension DriftStage {
    /// A drift, an anomaly or a data problem of one series.
    func publish(_ report: Report, into out: Emitter) {
        record("io.twinscale.drift.v1", about: report.resource, at: report.time, into: out) { writer in
            writeSeries(report.resource, report.metric, report.locality, into: &writer)
            writer.key("kind")
            writer.string(report.kind.text)
            writer.key("reason")
            writer.string(report.reason)
            writer.key("score")
            writer.double(report.score)
            writer.key("magnitude")
            writer.double(report.magnitude)
            writer.key("since")
            writer.time(report.since)
            writer.key("samplesSince")
            writer.int(report.samples)
            writer.key("value")
            writer.double(report.value)
            if report.cause != .unknown {
                writer.key("explainedBy")
                writer.string(report.cause.text)
            }
            writer.key("distrusts")
            writer.bool(report.distrusts)
            writer.key("retrainRequested")
            writer.bool(report.retrains)
            writeAffected(report, into: &writer)
            writeNeighbours(report, into: &writer)
        }
    }

    /// Trust is back: how long it was away and what it cost.
    func publishRestored(_ entry: Entry, _ slot: Int, into out: Emitter) {
        let cell = series.read(slot).pointee
        var locality: NameNumber = 0
        if let owner = resourceIndex.find(entry.resource, 1) { locality = resources.read(owner).pointee.locality }
        record("io.twinscale.drift.restored.v1", about: entry.resource, at: entry.time, into: out) { writer in
            writeSeries(entry.resource, entry.object, locality, into: &writer)
            writer.key("kind")
            writer.string("restored")
            writer.key("reason")
            writer.string("the forecasts since the refit have proved right")
            if let kind = DriftKind(rawValue: cell.distrustedFor & 15), kind != .none {
                writer.key("drift")
                writer.string(kind.text)
            }
            if let cause = DriftCause(rawValue: cell.distrustedFor >> 4), cause != .unknown {
                writer.key("explainedBy")
                writer.string(cause.text)
            }
            writer.key("distrustedSamples")
            writer.int(Int64(cell.distrustedSamples))
            writer.key("cost")
            writer.double(Double(cell.cost))
        }
    }

    /// What drifted together, or the one that operators should look at.
    func publishGroup(
        _ cell: LocalityCell, _ scope: StaticString, isAlarm: Bool, at time: EventTime, into out: Emitter
    ) {
        let subject = cell.name != 0 ? cell.name : cell.resource
        record("io.twinscale.drift.group.v1", about: subject, at: time, into: out) { writer in
            if cell.name != 0 {
                writer.key("locality")
                writer.string(names.bytes(of: cell.name))
            }
            writer.key("kind")
            writer.string(cell.kind.text)
            writer.key("reason")
            writer.string(cell.drifted > 1 ? "resources of the locality drifted together" : "a resource drifted")
            writer.key("scope")
            writer.string(scope)
            writer.key("alarm")
            writer.bool(isAlarm)
            writer.key("impact")
            writer.double(cell.impact)
            writer.key("since")
            writer.time(EventTime(milliseconds: cell.since))
            writer.key("resources")
            writer.int(Int64(cell.drifted))
            writer.key("resourcesKnown")
            writer.int(Int64(max(cell.resources, cell.drifted)))
            writer.key("resourcesLinked")
            writer.int(Int64(cell.linked))
            writer.key("resourcesExplained")
            writer.int(Int64(cell.explained))
            writer.key("resource")
            writer.string(names.bytes(of: cell.resource))
            writer.key("metric")
            writer.string(names.bytes(of: cell.metric))
            writer.key("examples")
            writer.beginArray()
            for index in 0..<Int(min(cell.drifted, 4)) { writer.string(names.bytes(of: cell.examples[index])) }
            writer.endArray()
        }
    }

    private func record(
        _ type: StaticString, about subject: NameNumber, at time: EventTime, into out: Emitter,
        _ data: (inout JSONWriter) -> Void
    ) {
        let partition = TwinCore.partition(of: names.bytes(of: subject), among: layout[.drift])
        out.record(to: .drift, partition: partition, key: subject) { writer, sequence in
            writer.beginObject()
            writer.key("specversion")
            writer.string("1.0")
            writer.key("id")
            writer.string(out.id(sequence))
            writer.key("source")
            writer.string("twinscale/drift-detector")
            writer.key("type")
            writer.string(type)
            writer.key("subject")
            writer.string(names.bytes(of: subject))
            writer.key("time")
            writer.time(time)
            writer.key("datacontenttype")
            writer.string("application/json")
            writer.key("data")
            writer.beginObject()
            data(&writer)
            writer.endObject()
            writer.endObject()
        }
    }

    private func writeSeries(
        _ resource: NameNumber, _ metric: NameNumber, _ locality: NameNumber, into writer: inout JSONWriter
    ) {
        writer.key("resource")
        writer.string(names.bytes(of: resource))
        if locality != 0 {
            writer.key("locality")
            writer.string(names.bytes(of: locality))
        }
        writer.key("metric")
        writer.string(names.bytes(of: metric))
    }

    /// The resources that it talks to and that drifted in the same window.
    private func writeNeighbours(_ report: Report, into writer: inout JSONWriter) {
        writer.key("neighbours")
        writer.beginArray()
        if let slot = resourceIndex.find(report.resource, 1), let place = localityIndex.find(report.locality, 1) {
            var resource = resources.read(slot).pointee
            // Its own drift is noted after it is told.
            resource.window = localities.read(place).pointee.opened
            for index in 0..<DriftResourceCell.neighboursMax where driftedNeighbour(index, of: resource) != nil {
                writer.string(names.bytes(of: resource.neighbours[index]))
            }
        }
        writer.endArray()
    }

    /// The other metrics of the resource with a drift in force.
    private func writeAffected(_ report: Report, into writer: inout JSONWriter) {
        writer.key("affectedMetrics")
        writer.beginArray()
        if let slot = resourceIndex.find(report.resource, 1) {
            var next = resources.read(slot).pointee.firstSeries
            var left = settings.affectedMetricsMax
            while next != 0, left > 0 {
                let cell = series.read(Int(next) &- 1)
                let isDrifting = cell.pointee.hold > 0 || cell.pointee.distrustedSamples > 0
                if isDrifting, cell.pointee.metric != report.metric {
                    writer.string(names.bytes(of: cell.pointee.metric))
                    left -= 1
                }
                next = cell.pointee.nextOfResource
            }
        }
        writer.endArray()
    }
}
