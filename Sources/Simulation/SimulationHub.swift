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
    /// Broken promises, in words. Empty is good.
    package private(set) var violations: [String] = []
    package var snapshotsSaved = 0
    package var snapshotsFailed = 0
    package var snapshotsDamaged = 0
    package var snapshotsSkipped = 0
    package var recoveries = 0
    package var recoveriesFromSnapshot = 0

    private var groups: [SimulatedGroup] = []

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
    }

    /// The consumer group of a stage.
    package func group(_ stage: StageName) -> SimulatedGroup { groups[Int(stage.rawValue) - 1] }

    /// Notes a broken promise.
    package func check(_ holds: Bool, _ words: @autoclosure () -> String) {
        if !holds && violations.count < 100 { violations.append(words()) }
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
