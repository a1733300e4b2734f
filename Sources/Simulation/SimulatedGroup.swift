import TwinCore

/// A consumer group under the eager protocol: on any change of members everybody lets go of everything, then the
/// partitions are dealt out in ranges. A member that does not answer is evicted; it does not know it yet.
package final class SimulatedGroup {
    /// One worker in the group.
    package struct Member {
        package var id: Int
        package var owned: [TopicPartition] = []
        /// What it believes to own: what it was last told.
        package var believed: [TopicPartition] = []
        /// Asked to let go and has not answered.
        package var mustRelease = false
        /// Sleeping: the group has given it up, it still believes to own what it had.
        package var isEvicted = false
        package var events: [Event] = []
    }

    /// What the group tells a member.
    package enum Event: Equatable {
        case assigned([TopicPartition])
        case revoked([TopicPartition], lost: Bool)

        /// Whether it asks the member to let go.
        var isRevocation: Bool { if case .revoked = self { true } else { false } }
    }

    let partitions: [TopicPartition]
    package private(set) var members: [Member] = []
    private var isRebalancing = false

    package init(partitions: [TopicPartition]) { self.partitions = partitions }

    private func index(_ id: Int) -> Int? { members.firstIndex { $0.id == id } }

    /// A worker becomes a member; the partitions are shared anew.
    package func join(_ id: Int) {
        members.append(Member(id: id))
        rebalance()
    }

    /// The member is gone (crash noticed, or left).
    package func leave(_ id: Int) {
        members.removeAll { $0.id == id }
        rebalance()
    }

    /// The group gives a silent member up without its knowing: a zombie.
    package func evict(_ id: Int) {
        guard let index = index(id), !members[index].isEvicted else { return }
        members[index].isEvicted = true
        members[index].mustRelease = false
        members[index].events = []
        rebalance()
    }

    /// The zombie hears the truth and joins again.
    package func wake(_ id: Int) {
        guard let index = index(id), members[index].isEvicted else { return }
        members[index].isEvicted = false
        members[index].events = [.revoked(members[index].believed, lost: true)]
        members[index].owned = []
        members[index].mustRelease = true
        rebalance()
    }

    /// True for a member that was thrown out, and for who never was one.
    package func isEvicted(_ id: Int) -> Bool { index(id).map { members[$0].isEvicted } ?? true }

    /// True if the member owns the partition.
    package func owns(_ id: Int, _ partition: TopicPartition) -> Bool {
        guard let index = index(id), !members[index].isEvicted else { return false }
        return members[index].owned.contains(partition)
    }

    /// Asks every member to let go of everything.
    package func rebalance() {
        isRebalancing = true
        for index in members.indices where !members[index].isEvicted && !members[index].mustRelease {
            guard !members[index].owned.isEmpty else { continue }
            members[index].mustRelease = true
            members[index].events.append(.revoked(members[index].owned, lost: false))
        }
        dealIfReady()
    }

    /// What the group has to tell the member next, if anything.
    package func takeEvent(_ id: Int) -> Event? {
        guard let index = index(id), !members[index].events.isEmpty else { return nil }
        let event = members[index].events.removeFirst()
        if case .assigned(let partitions) = event { members[index].believed = partitions }
        return event
    }

    /// The member has let go of what was revoked.
    package func released(_ id: Int) {
        guard let index = index(id) else { return }
        members[index].believed = []
        // An answer to what it heard before it was given up. That it was given up it has yet to hear; what it is dealt
        // before it has answered that as well, it would let go of again.
        guard !members[index].events.contains(where: \.isRevocation) else { return }
        members[index].owned = []
        members[index].mustRelease = false
        dealIfReady()
    }

    private func dealIfReady() {
        guard isRebalancing, !members.contains(where: { $0.mustRelease }) else { return }
        isRebalancing = false
        let awake = members.indices.filter { !members[$0].isEvicted }
        guard !awake.isEmpty else { return }
        for (position, index) in awake.enumerated() {
            let low = partitions.count * position / awake.count
            let high = partitions.count * (position + 1) / awake.count
            members[index].owned = Array(partitions[low..<high])
            members[index].events.append(.assigned(members[index].owned))
        }
    }
}
