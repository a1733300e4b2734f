import Snapshots
import StageKit
import TwinCore

/// What all workers of a simulation share: the log, the groups, one clock, one source of chance.
package final class SimulationHub {
    package let log: SimulatedLog
    package var random: SeededGenerator
    package var faults: Faults
    /// Virtual milliseconds.
    package var now: Int64 = 0
    package let files = MemoryFileSystem()
    /// Milliseconds of wall clock to one of virtual time; 0: watermarks follow event time alone.
    package var wallClockPace: Int64 = 0

    /// What the clock on the wall shows.
    package var wallClock: EventTime? {
        wallClockPace == 0 ? nil : SimulatedFeed.start.advanced(byMilliseconds: now * wallClockPace)
    }
    /// Broken promises, in words. Empty is good.
    package private(set) var violations: [String] = []
    /// Superseded policies have gone from the log.
    package private(set) var hasCompacted = false
    package var snapshotsSaved = 0
    package var snapshotsFailed = 0
    package var snapshotsDamaged = 0
    package var snapshotsSkipped = 0
    package var recoveries = 0
    package var recoveriesFromSnapshot = 0

    private var groups: [SimulatedGroup] = []
    /// Groups of second incarnations, made when they are first asked for.
    private var successors: [SimulatedGroup?] = Array(repeating: nil, count: StageName.allCases.count)
    /// What each stage finds as the start of its inboxes; 0 where nothing is said.
    private var starts: [LogStart: Int64] = [:]

    private struct LogStart: Hashable {
        var stage: StageName
        var partition: TopicPartition
    }

    package init(layout: TopicLayout, seed: UInt64, faults: Faults, inboxes: (StageName) -> [TopicName]) {
        log = SimulatedLog(layout: layout)
        random = SeededGenerator(seed: seed)
        self.faults = faults
        for stage in StageName.allCases {
            var partitions: [TopicPartition] = []
            for topic in inboxes(stage) {
                for partition in 0..<layout[topic] { partitions.append(TopicPartition(topic, partition)) }
            }
            groups.append(SimulatedGroup(partitions: partitions))
        }
        log.clock = { [unowned self] in now }
    }

    /// The consumer group of a stage and incarnation.
    package func group(_ stage: StageName, _ incarnation: UInt64) -> SimulatedGroup {
        let index = Int(stage.rawValue) - 1
        if incarnation == 1 { return groups[index] }
        if let group = successors[index] { return group }
        let group = SimulatedGroup(partitions: groups[index].partitions)
        successors[index] = group
        return group
    }

    /// The first offset that the log still has for a stage.
    package func start(_ stage: StageName, _ partition: TopicPartition) -> Int64 {
        starts[LogStart(stage: stage, partition: partition)] ?? 0
    }

    /// Retention has passed what lies before an offset.
    package func trim(_ stage: StageName, _ partition: TopicPartition, below offset: Int64) {
        starts[LogStart(stage: stage, partition: partition)] = offset
    }

    /// Notes a broken promise.
    package func check(_ holds: Bool, _ words: @autoclosure () -> String) {
        if !holds && violations.count < 100 { violations.append(words()) }
    }

    /// The broker drops policies that were superseded, as far as they were read.
    func compactPolicies() {
        let partition = TopicPartition(.policies, 0)
        guard let read = log.committed(.normalizer, 1, partition) else { return }
        log.compact(partition, below: read)
        hasCompacted = true
    }

    /// The store that every worker of the simulation shares, as on a shared volume.
    package func makeStore() throws(SnapshotError) -> any SnapshotStore {
        try DirectorySnapshotStore(
            root: "/snapshots", namespace: "sim", options: SnapshotOptions(threads: 1, level: 1, generationsKept: 3),
            files: files)
    }

    /// Flips, cuts or empties the newest snapshot of a task, if chance wants it.
    func damageSnapshots(of task: TaskID) {
        guard random.chance(faults.snapshotDamaged) else { return }
        let folder = "/\(task.stage.text)/"
        let name = "/\(task.inbox.text)@\(task.epoch)-\(task.partition)/"
        guard let path = files.paths.last(where: { $0.contains(folder) && $0.contains(name) }) else { return }
        snapshotsDamaged += 1
        let way = random.int(0...2)
        let position = random.unit()
        let bit = UInt8(1) << UInt8(random.int(0...7))
        files.alter(path) { bytes in
            guard !bytes.isEmpty else { return }
            let index = min(bytes.count - 1, Int(position * Double(bytes.count)))
            switch way {
            case 0: bytes[index] ^= bit
            case 1: bytes.removeSubrange(index...)
            default: bytes = []
            }
        }
    }
}
