import Messages
import StageKit
import TwinCore

extension DriftStage {
    /// One `drift` event before it is written.
    struct Report {
        var resource: NameNumber
        var metric: NameNumber
        var locality: NameNumber
        var kind: DriftKind
        var reason: StaticString
        var score: Double
        var magnitude: Double
        var since: EventTime
        var time: EventTime
        var samples: Int64
        var value: Double
        var retrains: Bool
        var settleSteps: Int
    }

    /// A verdict of the detector: the event, the retrain request, and the hold-off.
    mutating func reportChange(_ entry: Entry, _ verdict: DriftVerdict, _ slot: Int, into out: Emitter) {
        let kind: DriftKind
        let reason: StaticString
        switch verdict.change {
        case .none: return
        case .level: (kind, reason) = (.level, "the residuals moved to one side and stay there")
        case .trend: (kind, reason) = (.trend, "the residuals keep moving to one side")
        case .variance: (kind, reason) = (.variance, "the spread of the residuals changed")
        case .anomaly: (kind, reason) = (.anomaly, "a brief excursion that is over")
        }
        var report = report(entry, kind, reason, samples: Int64(verdict.samplesSince))
        report.score = Double(verdict.score)
        report.magnitude = Double(verdict.magnitude)
        if kind == .anomaly {
            counts.anomalies &+= 1
        } else {
            counts.drifts &+= 1
            let cell = series.write(slot)
            cell.pointee.hold = max(settings.holdOffSamples, 1)
            report.settleSteps = verdict.settleSteps
            report.retrains = budget.take(at: entry.time)
            if report.retrains { counts.retrains &+= 1 } else { counts.retrainsRefused &+= 1 }
        }
        publish(report, into: out)
    }

    /// A problem of the data: the event only.
    mutating func reportData(
        _ entry: Entry, _ reason: StaticString, samples: Int32, _ slot: Int, into out: Emitter
    ) {
        counts.dataProblems &+= 1
        publish(report(entry, .data, reason, samples: Int64(samples)), into: out)
    }

    private func report(_ entry: Entry, _ kind: DriftKind, _ reason: StaticString, samples: Int64) -> Report {
        let stepSeconds = Double(entry.numbers[ForecastNumbers.stepSeconds])
        let isSane = stepSeconds >= 0 && stepSeconds < 1e9
        let back = isSane ? Int64(stepSeconds * 1_000) &* samples : 0
        var locality: NameNumber = 0
        if let slot = resourceIndex.find(entry.resource, 1) { locality = resources.read(slot).pointee.locality }
        return Report(
            resource: entry.resource, metric: entry.object, locality: locality, kind: kind, reason: reason, score: 1,
            magnitude: 0, since: entry.time.advanced(byMilliseconds: -back), time: entry.time, samples: samples,
            value: entry.value, retrains: false, settleSteps: 0)
    }

    private func publish(_ report: Report, into out: Emitter) {
        let partition = TwinCore.partition(of: names.bytes(of: report.resource), among: layout[.drift])
        out.record(to: .drift, partition: partition, key: report.resource) { writer, sequence in
            write(report, id: out.id(sequence), into: &writer)
        }
        guard report.retrains else { return }
        out.emit(
            Entry(
                kind: .retrain, code: UInt32(report.kind.rawValue), resource: report.resource, object: report.metric,
                time: report.since, value: Double(report.settleSteps)),
            to: .observations, partition: task.partition)
    }

    /// CloudEvents 1.0, structured; `topics/schemas/drift.schema.json`.
    private func write(_ report: Report, id: String, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("specversion")
        writer.string("1.0")
        writer.key("id")
        writer.string(id)
        writer.key("source")
        writer.string("twinscale/drift-detector")
        writer.key("type")
        writer.string("io.twinscale.drift.v1")
        writer.key("subject")
        writer.string(names.bytes(of: report.resource))
        writer.key("time")
        writer.time(report.time)
        writer.key("datacontenttype")
        writer.string("application/json")
        writer.key("data")
        writer.beginObject()
        writer.key("resource")
        writer.string(names.bytes(of: report.resource))
        if report.locality != 0 {
            writer.key("locality")
            writer.string(names.bytes(of: report.locality))
        }
        writer.key("metric")
        writer.string(names.bytes(of: report.metric))
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
        writer.key("retrainRequested")
        writer.bool(report.retrains)
        writeAffected(report, into: &writer)
        writer.endObject()
        writer.endObject()
    }

    /// The other metrics of the resource that are held because they drifted as well.
    private func writeAffected(_ report: Report, into writer: inout JSONWriter) {
        writer.key("affectedMetrics")
        writer.beginArray()
        if let slot = resourceIndex.find(report.resource, 1) {
            var next = resources.read(slot).pointee.firstSeries
            var left = settings.affectedMetricsMax
            while next != 0, left > 0 {
                let cell = series.read(Int(next) &- 1)
                if cell.pointee.hold > 0, cell.pointee.metric != report.metric {
                    writer.string(names.bytes(of: cell.pointee.metric))
                    left -= 1
                }
                next = cell.pointee.nextOfResource
            }
        }
        writer.endArray()
    }
}
