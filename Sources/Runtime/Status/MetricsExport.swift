import Metrics
import TwinCore

/// The status as swift-metrics gauges and counters. Each is made once, when its task is first seen; labels are the
/// stage, the inbox and the partition, so their number is bounded by the partitions.
struct MetricsExport {
    private struct TaskGauges {
        let lag: Gauge
        let nextOffset: Gauge
        let watermark: Gauge
        let entries: Gauge
        let deadLetters: Gauge
        let snapshotOffset: Gauge
    }

    private let stage: StageName
    private let records: FloatingPointCounter
    private let commits: FloatingPointCounter
    private let rebuilds: FloatingPointCounter
    private let failures: FloatingPointCounter
    private let ready: Gauge
    private let alarms: Gauge
    private var tasks: [TaskID: TaskGauges] = [:]
    private var before = WorkerCounts()

    private struct WorkerCounts {
        var records: UInt64 = 0
        var commits: UInt64 = 0
        var rebuilds: UInt64 = 0
        var failures: UInt64 = 0
    }

    init(stage: StageName) {
        self.stage = stage
        let labels = [("stage", stage.text)]
        records = FloatingPointCounter(label: "twinscale_records_total", dimensions: labels)
        commits = FloatingPointCounter(label: "twinscale_commits_total", dimensions: labels)
        rebuilds = FloatingPointCounter(label: "twinscale_rebuilds_total", dimensions: labels)
        failures = FloatingPointCounter(label: "twinscale_failures_total", dimensions: labels)
        ready = Gauge(label: "twinscale_ready", dimensions: labels)
        alarms = Gauge(label: "twinscale_alarms", dimensions: labels)
    }

    mutating func publish(_ status: WorkerStatus) {
        ready.record(status.isReady ? 1 : 0)
        alarms.record(status.alarms.count)
        let now = WorkerCounts(
            records: status.recordsFolded, commits: status.commits, rebuilds: status.rebuilds,
            failures: status.world.failures)
        records.increment(by: Double(now.records &- before.records))
        commits.increment(by: Double(now.commits &- before.commits))
        rebuilds.increment(by: Double(now.rebuilds &- before.rebuilds))
        failures.increment(by: Double(now.failures &- before.failures))
        before = now
        for task in status.tasks {
            let gauges = gauges(task.task)
            if let lag = task.lag { gauges.lag.record(lag) }
            gauges.nextOffset.record(task.nextOffset)
            if let watermark = task.watermarkMilliseconds { gauges.watermark.record(Double(watermark) / 1_000) }
            gauges.entries.record(Double(task.entries))
            gauges.deadLetters.record(Double(task.deadLetters))
            if let offset = task.snapshotOffset { gauges.snapshotOffset.record(offset) }
        }
    }

    private mutating func gauges(_ task: TaskID) -> TaskGauges {
        if let known = tasks[task] { return known }
        let labels = [("stage", stage.text), ("inbox", task.inbox.text), ("partition", "\(task.partition)")]
        func gauge(_ name: String) -> Gauge { Gauge(label: "twinscale_task_\(name)", dimensions: labels) }
        let made = TaskGauges(
            lag: gauge("lag"), nextOffset: gauge("next_offset"), watermark: gauge("watermark_seconds"),
            entries: gauge("entries"), deadLetters: gauge("dead_letters"), snapshotOffset: gauge("snapshot_offset"))
        tasks[task] = made
        return made
    }
}
