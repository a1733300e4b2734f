import Snapshots
import TwinCore

/// The snapshots a replay starts from: its own, once it has taken any; before that the live ones at or below the point
/// where it begins to speak. Live ones are only ever read.
struct ReplaySnapshots: SnapshotStore {
    let own: any SnapshotStore
    /// Nil: begin without.
    let live: (any SnapshotStore)?
    /// Where each task begins to speak.
    let points: [TopicPartition: Int64]

    var options: SnapshotOptions { own.options }

    func list(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) -> [SnapshotInfo] {
        let mine = try own.list(task, incarnation: incarnation)
        guard mine.isEmpty, let live, let point = points[TopicPartition(task.inbox, task.partition)] else {
            return mine
        }
        return try live.list(task, incarnation: incarnation).filter { $0.offset <= point }
    }

    func listAll() throws(SnapshotError) -> [SnapshotInfo] { try own.listAll() }

    func save(
        _ identity: SnapshotIdentity, _ content: SnapshotContent
    ) throws(SnapshotError) -> SnapshotReceipt {
        try own.save(identity, content)
    }

    func open(_ info: SnapshotInfo) throws(SnapshotError) -> SnapshotReader {
        let isOwn = try own.list(info.task, incarnation: info.incarnation).contains(info)
        guard !isOwn, let live else { return try own.open(info) }
        return try live.open(info)
    }

    func prune(_ task: TaskID, incarnation: Int64, keeping generations: Int) throws(SnapshotError) {
        try own.prune(task, incarnation: incarnation, keeping: generations)
    }

    func removeAll(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) {
        try own.removeAll(task, incarnation: incarnation)
    }
}
