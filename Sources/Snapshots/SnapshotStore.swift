import TwinCore

/// One snapshot in a store, as far as it is known without reading it.
package struct SnapshotInfo: Hashable, Sendable {
    /// Where its store finds it.
    enum Place: Hashable, Sendable {
        case file(String)
        case slot(Int, partition: Int32)
    }

    /// The task it is of.
    package var task: TaskID
    /// The incarnation that took it.
    package var incarnation: Int64
    /// Its state is the fold of the inbox before this offset.
    package var offset: Int64
    /// Its age among those of its task and incarnation: 0 is the newest.
    package var generation: Int
    /// Bytes in the store, header included.
    package var bytes: Int
    /// When it was made durable, by the store's wall clock, in milliseconds since the epoch; 0 in the receipt of a
    /// log, which says it only when it is read.
    package var createdMilliseconds: Int64
    var place: Place
    /// Decides between two of the same offset: the later written one is newer.
    var written: Int64
    /// Where the listing already reads it, so that opening need not.
    var header: SnapshotHeader?
}

/// A snapshot that has been made durable.
package struct SnapshotReceipt: Hashable, Sendable {
    /// What a listing says of it.
    package var info: SnapshotInfo
    /// Uncompressed bytes.
    package var contentBytes: Int
    /// `SnapshotHeader.contentDigest`.
    package var contentDigest: UInt64
    /// Removing older generations or leftovers failed; the snapshot itself is safe.
    package var housekeeping: SnapshotError?

    init(info: SnapshotInfo, _ header: SnapshotHeader) {
        self.info = info
        contentBytes = header.contentBytes
        contentDigest = header.contentDigest
    }
}

/// What was found when looking for a snapshot to start from.
package struct SnapshotChoice: Sendable {
    /// Nil if no snapshot at or below the wanted offset is valid.
    package var reader: SnapshotReader?
    /// Newer ones that had to be passed over, newest first.
    package var skipped: [SnapshotProblem]
}

/// Durable snapshots of tasks. All calls block and may come from any thread. Two writers of the same task (a zombie
/// and its successor) write the same content for the same offset, so they cannot harm each other.
package protocol SnapshotStore: Sendable {
    /// How snapshots are written and read here.
    var options: SnapshotOptions { get }

    /// The snapshots of a task, newest first; without an incarnation those of all, the highest incarnation first.
    func list(_ task: TaskID, incarnation: Int64?) throws(SnapshotError) -> [SnapshotInfo]

    /// The snapshots of all tasks in the store, ordered by task, then as `list` does.
    func listAll() throws(SnapshotError) -> [SnapshotInfo]

    /// Makes a snapshot durable and then prunes. When it throws, older snapshots are as they were.
    func save(_ identity: SnapshotIdentity, _ content: SnapshotContent) throws(SnapshotError) -> SnapshotReceipt

    /// Opens a snapshot and verifies its header and its stored bytes.
    func open(_ info: SnapshotInfo) throws(SnapshotError) -> SnapshotReader

    /// Removes all but the newest generations of a task's incarnation.
    func prune(_ task: TaskID, incarnation: Int64, keeping generations: Int) throws(SnapshotError)

    /// Removes all snapshots of a task: those of one incarnation, or of all.
    func removeAll(_ task: TaskID, incarnation: Int64?) throws(SnapshotError)
}

extension SnapshotStore {
    /// The newest valid snapshot of the task and incarnation at or below an offset. One that is damaged or cannot be
    /// read is passed over for the one before it and reported. Throws only if the store cannot even be listed.
    package func newestValid(
        _ task: TaskID, incarnation: Int64, atOrBelow offset: Int64? = nil
    ) throws(SnapshotError) -> SnapshotChoice {
        var skipped: [SnapshotProblem] = []
        for info in try list(task, incarnation: incarnation) where info.offset <= offset ?? .max {
            do throws(SnapshotError) {
                return SnapshotChoice(reader: try open(info), skipped: skipped)
            } catch {
                skipped.append(SnapshotProblem(info: info, error: error))
            }
        }
        return SnapshotChoice(reader: nil, skipped: skipped)
    }
}

/// Sorts newest first and numbers the generations.
func newestFirst(_ infos: [SnapshotInfo]) -> [SnapshotInfo] {
    var sorted = infos.sorted { a, b in
        if a.task != b.task { return a.task.packed < b.task.packed }
        if a.incarnation != b.incarnation { return a.incarnation > b.incarnation }
        return (a.offset, a.written) > (b.offset, b.written)
    }
    for index in sorted.indices {
        let isFirst =
            index == 0 || sorted[index - 1].task != sorted[index].task
            || sorted[index - 1].incarnation != sorted[index].incarnation
        sorted[index].generation = isFirst ? 0 : sorted[index - 1].generation + 1
    }
    return sorted
}

/// Throws `corrupt` unless the header is of the snapshot that was asked for.
func checkIdentity(_ header: SnapshotHeader, _ info: SnapshotInfo) throws(SnapshotError) {
    let identity = header.identity
    let isSame = identity.task == info.task && identity.incarnation == info.incarnation
    guard isSame, identity.offset == info.offset else {
        throw SnapshotError(
            .corrupt,
            "its name is wrong: it is of \(identity.task), incarnation \(identity.incarnation), at \(identity.offset)")
    }
}
