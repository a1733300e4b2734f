import Messages
import StageKit
import TwinCore
import Worker

// What a run is compared with once it has come to rest.
extension Simulation {
    /// Every task of every stage, as it stands in the log and in memory.
    func compare() {
        let log = hub.log
        let oracle = Oracle(layout: pipeline.layout) { log.records($0) }
        for stage in StageName.allCases {
            for topic in pipeline.inboxes(stage) {
                for partition in 0..<pipeline.layout[topic] {
                    let task = TaskID(stage: stage, inbox: topic, epoch: 1, partition: partition)
                    do {
                        let isRebuilt = takenOver?.stage == stage && takenOver?.rebuilds == true
                        try isRebuilt ? compareRebuilt(task, oracle) : compare(task, oracle)
                    } catch {
                        hub.check(false, "\(task): the fold of the recorded inbox failed: \(error)")
                    }
                }
            }
        }
    }

    private func compare(_ task: TaskID, _ oracle: Oracle) throws {
        let (expected, logic) = try oracle.fold(task) { try pipeline.makeTask($0) }
        if task.stage == .twinUpdater { twinCounters += logic.stageCounters }
        for counter in logic.stageCounters where counter.isLimit && counter.value > 0 {
            report.limits.append("\(task): \(counter.name) \(counter.value)")
        }
        let written = oracle.written(by: task, topics: pipeline.outputs(task.stage))
        for words in Oracle.differences(task, written: written, expected: expected) { hub.check(false, words) }
        sumUp(task, written)
        compareState(task, logic)
    }

    /// Of a task whose second incarnation began in the middle of the log: what the first wrote, to where the second
    /// fenced it, and all that the second makes of what the first had not committed.
    private func compareRebuilt(_ task: TaskID, _ oracle: Oracle) throws {
        let id = TopicPartition(task.inbox, task.partition)
        let start = hub.start(task.stage, id)
        let committed = max(hub.log.committed(task.stage, 1, id) ?? 0, start)
        let (former, _) = try oracle.fold(task) { try pipeline.makeTask($0) }
        let (settled, _) = try oracle.fold(task, end: committed) { try pipeline.makeTask($0) }
        let (latter, logic) = try oracle.fold(task, from: start, speakFrom: committed) {
            try pipeline.makeTask($0, incarnation: 2, rebuilds: true)
        }
        let written = oracle.written(by: task, topics: pipeline.outputs(task.stage))
        var expected = Oracle.Outputs()
        for partition in Set(written.frames.keys).union(settled.frames.keys).union(latter.frames.keys) {
            let fence = written.fences[partition] ?? .none
            let last = max(fence, settled.frames[partition]?.last?.sequence ?? .none)
            expected.frames[partition] =
                (former.frames[partition] ?? []).filter { $0.sequence <= last }
                + (latter.frames[partition] ?? []).filter { $0.sequence > last }
        }
        for partition in Set(written.json.keys).union(settled.json.keys).union(latter.json.keys) {
            let due = Set(settled.json[partition] ?? []).union(latter.json[partition] ?? [])
            let allowed = due.union(former.json[partition] ?? [])
            expected.json[partition] = Array(due.union(written.json[partition]?.filter { allowed.contains($0) } ?? []))
        }
        for words in Oracle.differences(task, written: written, expected: expected) { hub.check(false, words) }
        sumUp(task, written)
        compareState(task, logic)
    }

    private func sumUp(_ task: TaskID, _ written: Oracle.Outputs) {
        report.records += hub.log.records(TopicPartition(task.inbox, task.partition)).count
        report.entries += written.frames.values.reduce(0) { $0 + $1.count }
        report.repeats += written.repeats
    }

    /// The running task's state against that of its fold.
    private func compareState(_ task: TaskID, _ logic: any TaskLogic) {
        let id = TopicPartition(task.inbox, task.partition)
        // Who reads a compacted topic late meets its names in another order.
        if task.inbox == .policies && hub.hasCompacted { return }
        for worker in workers where worker.world.stage == task.stage && group(task.stage).owns(worker.world.id, id) {
            guard let running = worker.runningTasks.first(where: { $0.id == id }) else { continue }
            hub.check(
                running.logic.freeze().digest == logic.freeze().digest,
                "\(task): the running state differs from the fold of its inbox")
        }
    }

    /// Whether the twins' inboxes hold every sample once: not where normalizer or twin-updater forgot what they knew.
    private var countsAll: Bool {
        guard let takenOver, takenOver.rebuilds else { return true }
        return takenOver.stage != .normalizer && takenOver.stage != .twinUpdater
    }

    /// Every distinct sample of the feed was folded exactly once: what the twin-updater took, with what it called late,
    /// is what the feed says, and everything beyond is a repeat that it recognised. What comes to the old place of a
    /// resource that has moved is counted there.
    func countSamples(_ feed: SimulatedFeed) {
        guard countsAll else { return }
        let counts = sampleCounts
        hub.check(
            feed.moves || counts.taken <= feed.samples.count,
            "\(counts.taken) samples were folded, but only \(feed.samples.count) are distinct")
        hub.check(
            feed.moves || counts.elsewhere == 0, "\(counts.elsewhere) samples came to where their resource had left")
        hub.check(
            counts.taken + counts.late + counts.elsewhere + counts.duplicates == feed.samplesWritten,
            "\(feed.samplesWritten) samples were written, but \(counts) were accounted for")
    }

    private var sampleCounts: (taken: Int, late: Int, elsewhere: Int, duplicates: Int) {
        var counts = (taken: 0, late: 0, elsewhere: 0, duplicates: 0)
        for counter in twinCounters {
            switch counter.name {
            case "accepted", "mergedLate": counts.taken += Int(counter.value)
            case "late": counts.late += Int(counter.value)
            case "elsewhere": counts.elsewhere += Int(counter.value)
            case "duplicates": counts.duplicates += Int(counter.value)
            default: break
            }
        }
        return counts
    }

    /// A resource that stays where it is has its twin, and so its forecasts and actions, in one partition.
    func checkHomes(_ feed: SimulatedFeed) {
        guard countsAll else { return }
        var homes: [[UInt8]: Int32] = [:]
        let reader = FrameReader()
        for partition in 0..<pipeline.layout[.forecasts] {
            for record in hub.log.records(TopicPartition(.forecasts, partition)) {
                record.value?.withUnsafeBytes { bytes in
                    guard (try? reader.decode(bytes)) != nil, reader.header.sender.stage == .twinUpdater else { return }
                    for entry in reader.entries where entry.kind == .forecast {
                        let name = [UInt8](reader.names[Int(entry.resource) - 1])
                        if feed.isMover(name) { continue }
                        let home = homes[name] ?? partition
                        homes[name] = home
                        hub.check(
                            home == partition,
                            "\(String(decoding: name, as: UTF8.self)) has twins in \(home) and in \(partition)")
                    }
                }
            }
        }
    }
}
