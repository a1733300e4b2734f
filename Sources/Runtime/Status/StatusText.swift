import Messages
import StageKit
import TwinCore

extension WorkerStatus {
    /// The status as one JSON object.
    package func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("stage")
        writer.string(stage.text)
        writer.key("namespace")
        writer.string(namespace)
        writer.key("group")
        writer.string(groupID)
        writer.key("incarnation")
        writer.unsigned(incarnation)
        writer.key("ready")
        writer.bool(isReady)
        writer.key("reason")
        writer.string(reason)
        writer.key("startedMilliseconds")
        writer.int(startedWallMilliseconds)
        writer.key("publishedMilliseconds")
        writer.int(publishedWallMilliseconds)
        for (name, value) in counts {
            writer.key(name)
            writer.unsigned(value)
        }
        writer.key("lastFailure")
        if let failure = world.lastFailure { writer.string(failure) } else { writer.null() }
        writer.key("alarms")
        writer.beginArray()
        for alarm in alarms {
            writer.beginObject()
            writer.key("kind")
            writer.string(alarm.kind.rawValue)
            writer.key("detail")
            writer.string(alarm.detail)
            writer.endObject()
        }
        writer.endArray()
        writer.key("tasks")
        writer.beginArray()
        for task in tasks { task.write(into: &writer) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private var counts: [(String, UInt64)] {
        [
            ("recordsFolded", recordsFolded), ("recordsDropped", recordsDropped), ("commits", commits),
            ("rebuilds", rebuilds), ("failures", world.failures), ("bytesConsumed", world.bytes),
            ("recordsProduced", world.recordsProduced), ("bytesProduced", world.bytesProduced),
            ("flushMilliseconds", world.flushMilliseconds), ("commitMilliseconds", world.commitMilliseconds),
        ]
    }

    /// The status in Prometheus' text format, version 0.0.4.
    package func prometheus() -> String {
        var text = ""
        let stageLabel = "stage=\"\(stage.text)\""
        func family(_ name: String, _ type: String, _ help: String, _ lines: [(labels: String, value: String)]) {
            guard !lines.isEmpty else { return }
            text += "# HELP twinscale_\(name) \(help)\n# TYPE twinscale_\(name) \(type)\n"
            for line in lines { text += "twinscale_\(name){\(line.labels)} \(line.value)\n" }
        }
        func single(_ name: String, _ type: String, _ help: String, _ value: some BinaryInteger) {
            family(name, type, help, [(stageLabel, "\(value)")])
        }
        single("ready", "gauge", "1 while every task speaks", isReady ? 1 : 0)
        single("records_total", "counter", "Records folded", recordsFolded)
        single("records_dropped_total", "counter", "Records dropped after rebalances", recordsDropped)
        single("consumed_bytes_total", "counter", "Bytes of keys and values consumed", world.bytes)
        single("produced_records_total", "counter", "Records produced", world.recordsProduced)
        single("produced_bytes_total", "counter", "Bytes produced", world.bytesProduced)
        single("commits_total", "counter", "Commits", commits)
        single("rebuilds_total", "counter", "Recoveries within the process", rebuilds)
        single("failures_total", "counter", "Errors of the world outside", world.failures)
        family(
            "alarm", "gauge", "1 while the alarm is raised",
            Alarm.Kind.allCases.map { kind in
                ("\(stageLabel),alarm=\"\(kind.rawValue)\"", alarms.contains { $0.kind == kind } ? "1" : "0")
            })
        func perTask(_ name: String, _ type: String, _ help: String, _ value: (TaskStatus) -> String?) {
            family(name, type, help, tasks.compactMap { task in value(task).map { (task.labels(stageLabel), $0) } })
        }
        perTask("task_next_offset", "gauge", "Offset of the next record") { "\($0.nextOffset)" }
        perTask("task_committed_offset", "gauge", "Committed offset") { "\($0.committedOffset)" }
        perTask("task_lag", "gauge", "Offsets to the end of the log") { $0.lag.map { "\($0)" } }
        perTask("task_watermark_seconds", "gauge", "Event time reached") { task in
            task.watermarkMilliseconds.map { "\(Double($0) / 1_000)" }
        }
        perTask("task_entries_total", "counter", "Entries emitted") { "\($0.entries)" }
        perTask("task_dead_letters_total", "counter", "Dead letters") { "\($0.deadLetters)" }
        perTask("task_snapshot_offset", "gauge", "Offset of the last durable snapshot") {
            $0.snapshotOffset.map { "\($0)" }
        }
        perTask("task_snapshot_time_seconds", "gauge", "When it became durable") { task in
            task.snapshotWallMilliseconds.map { "\(Double($0) / 1_000)" }
        }
        family(
            "task_events_total", "counter", "What the stage counts",
            tasks.flatMap { task in
                task.counters.map { ("\(task.labels(stageLabel)),event=\"\($0.name)\"", "\($0.value)") }
            })
        return text
    }
}

extension TaskStatus {
    fileprivate func labels(_ stage: String) -> String {
        "\(stage),inbox=\"\(task.inbox.text)\",partition=\"\(task.partition)\""
    }

    fileprivate func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("task")
        writer.string(task.description)
        writer.key("inbox")
        writer.string(task.inbox.text)
        writer.key("partition")
        writer.int(Int64(task.partition))
        writer.key("phase")
        writer.string(phase.rawValue)
        writer.key("caughtUp")
        writer.bool(isCaughtUp)
        for (name, value) in numbers {
            writer.key(name)
            if let value { writer.int(value) } else { writer.null() }
        }
        writer.key("counters")
        writer.beginObject()
        for counter in counters {
            writer.key(counter.name)
            writer.unsigned(counter.value)
        }
        writer.endObject()
        writer.key("senders")
        writer.beginArray()
        for sender in senders { sender.write(into: &writer) }
        writer.endArray()
        writer.endObject()
    }

    private var numbers: [(String, Int64?)] {
        [
            ("nextOffset", nextOffset), ("committedOffset", committedOffset), ("speakFrom", speakFrom), ("lag", lag),
            ("watermarkMilliseconds", watermarkMilliseconds), ("entries", Int64(clamping: entries)),
            ("frames", Int64(clamping: frames)), ("records", Int64(clamping: records)),
            ("deadLetters", Int64(clamping: deadLetters)), ("snapshotOffset", snapshotOffset),
            ("snapshotMilliseconds", snapshotWallMilliseconds),
        ]
    }
}

extension SenderStatus {
    fileprivate func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("task")
        writer.string(task.description)
        writer.key("gapFrames")
        writer.unsigned(gapFrames)
        writer.key("incarnation")
        writer.unsigned(incarnation)
        writer.key("refusedFrames")
        writer.unsigned(refusedFrames)
        writer.key("awaited")
        writer.bool(isAwaited)
        writer.key("idle")
        writer.bool(isIdle)
        writer.key("watermarkMilliseconds")
        if let watermarkMilliseconds { writer.int(watermarkMilliseconds) } else { writer.null() }
        writer.endObject()
    }
}
