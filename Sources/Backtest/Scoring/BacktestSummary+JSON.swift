import Messages

extension BacktestSummary {
    /// `summary.json`. All but `run` is the same for the same files.
    package func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("telemetry")
        write(telemetry, into: &writer)
        writer.key("forecasts")
        writer.beginObject()
        Self.count(&writer, "rows", forecastRows)
        Self.count(&writer, "issued", forecastsIssued)
        if let originsAsked {
            Self.count(&writer, "originsAsked", UInt64(originsAsked))
            Self.count(&writer, "originsAnswered", UInt64(originsAnswered))
        }
        writer.endObject()
        writer.key("accuracy")
        writer.beginArray()
        for score in accuracy { write(score, into: &writer) }
        writer.endArray()
        writer.key("decisions")
        writer.beginObject()
        Self.count(&writer, "rows", decisionRows)
        Self.count(&writer, "changes", decisionChanges)
        writer.endObject()
        writer.key("drift")
        writer.beginObject()
        Self.count(&writer, "rows", driftRows)
        writer.key("byKind")
        writer.beginObject()
        for (kind, count) in driftByKind {
            writer.key(kind)
            writer.unsigned(count)
        }
        writer.endObject()
        writer.endObject()
        writeStages(into: &writer)
        writeRun(into: &writer)
        writer.endObject()
        return writer.bytes + [0x0a]
    }

    private static func count(_ writer: inout JSONWriter, _ key: StaticString, _ value: UInt64) {
        writer.key(key)
        writer.unsigned(value)
    }

    private static func number(_ writer: inout JSONWriter, _ key: StaticString, _ value: Double) {
        writer.key(key)
        // Six decimals say all there is to say about a score.
        writer.double((value * 1e6).rounded() / 1e6)
    }

    private func write(_ telemetry: Telemetry, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("file")
        writer.string(telemetry.file)
        Self.count(&writer, "rows", telemetry.rows)
        Self.count(&writer, "rowsWithoutValue", telemetry.rowsWithoutValue)
        Self.count(&writer, "badRows", telemetry.badRows)
        writer.key("badRowsByFault")
        writer.beginObject()
        for (fault, count) in telemetry.badRowsByFault {
            writer.key(fault)
            writer.unsigned(count)
        }
        writer.endObject()
        writer.key("badRowExamples")
        writer.beginArray()
        for example in telemetry.badRowExamples { writer.string(example) }
        writer.endArray()
        Self.count(&writer, "lateRows", telemetry.lateRows)
        if let row = telemetry.farAhead {
            writer.key("farAheadRow")
            writer.beginObject()
            writer.key("line")
            writer.int(Int64(row.line))
            writer.key("time")
            writer.time(row.time)
            writer.key("lateRows")
            writer.int(Int64(row.late))
            writer.endObject()
        }
        Self.count(&writer, "resources", UInt64(telemetry.resources))
        Self.count(&writer, "series", UInt64(telemetry.series))
        writer.key("start")
        writer.double(telemetry.start ?? .nan)
        writer.key("end")
        writer.double(telemetry.end ?? .nan)
        writer.key("merged")
        writer.bool(telemetry.isMerged)
        writer.key("streamed")
        writer.bool(telemetry.isStreamed)
        writer.endObject()
    }

    private func write(_ score: Score, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("metric")
        writer.string(score.metric)
        Self.count(&writer, "horizon_s", UInt64(score.horizonSeconds))
        Self.count(&writer, "series", UInt64(score.series))
        Self.count(&writer, "n", UInt64(score.count))
        Self.number(&writer, "mae", score.meanAbsoluteError)
        Self.number(&writer, "maeOverPersistence", score.absoluteErrorRatio)
        Self.number(&writer, "wql", score.quantileLoss)
        Self.number(&writer, "wqlOverPersistence", score.quantileLossRatio)
        writer.key("coverage")
        writer.beginObject()
        for (index, name) in ["q10", "q50", "q90", "q95", "q99"].enumerated() {
            writer.key(name)
            writer.beginArray()
            writer.double((score.coverageBelow[index] * 1e6).rounded() / 1e6)
            writer.double((score.coverage[index] * 1e6).rounded() / 1e6)
            writer.endArray()
        }
        writer.endObject()
        writer.endObject()
    }

    private func writeStages(into writer: inout JSONWriter) {
        writer.key("stages")
        writer.beginObject()
        for (stage, counters) in stages {
            writer.key(stage)
            writer.beginObject()
            for (name, value) in counters {
                writer.key(name)
                writer.unsigned(value)
            }
            writer.endObject()
        }
        writer.endObject()
    }

    private func writeRun(into writer: inout JSONWriter) {
        writer.key("run")
        writer.beginObject()
        writer.key("readSeconds")
        writer.double((readSeconds * 1_000).rounded() / 1_000)
        writer.key("runSeconds")
        writer.double((runSeconds * 1_000).rounded() / 1_000)
        writer.key("rowsPerSecond")
        writer.double(rowsPerSecond.rounded())
        writer.endObject()
    }
}
