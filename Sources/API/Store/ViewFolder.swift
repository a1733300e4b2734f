import Messages
import Scaling
import StageKit
import Synchronization
import TwinCore
import Views

/// Something new, for those who listen.
package enum Notice {
    case decision([UInt8])
    case drift([UInt8])
    case action(ActionRecord)
    case policy(PolicyVersion)
    case command(CommandRecord)
    case event(PlannedEventRecord)
    case deadletter([UInt8])
}

/// Folds records of the pipeline's topics into the views. Confined to the thread that reads.
package final class ViewFolder {
    /// The topics that the views are folded from.
    package static let topics: [TopicName] = [
        .policies, .commands, .environment, .twins, .outlooks, .forecasts, .actions, .decisions, .drift, .deadletters,
    ]

    /// How far ahead of the present a sample may be and still tell what time it is.
    private static let aheadMilliseconds: Int64 = 3_600_000

    private let store: ViewStore
    private let frames = FrameReader()
    private let notify: (Notice) -> Void
    /// Frames that could not be decoded.
    package private(set) var malformed: UInt64 = 0

    package init(_ store: ViewStore, notify: @escaping (Notice) -> Void = { _ in }) {
        self.store = store
        self.notify = notify
    }

    /// Folds one record. `written` is the broker's clock.
    package func receive(
        _ topic: TopicName, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, written: EventTime?
    ) {
        let key = key ?? UnsafeRawBufferPointer(start: nil, count: 0)
        if topic == .policies {
            return receivePolicy(key, value, written)
        }
        if topic == .twins { return receiveSummary(key, value) }
        guard let value else { return }
        switch topic {
        case .outlooks, .forecasts: receiveFrame(value, topic, written: written)
        case .decisions: receiveDecision(value)
        case .drift:
            let entry = store.ledger.withLock { $0.receiveDrift(value) }
            if let entry { notify(.drift(entry.text)) }
        case .actions:
            let action = store.ledger.withLock { $0.receiveAction(value) }
            guard let action else { return }
            settle(action.id, action.resource)
            notify(.action(action))
        case .commands:
            let command = store.orders.withLock { $0.receiveCommand(value, written: written) }
            if let command { notify(.command(command)) }
        case .environment:
            let events = store.orders.withLock { $0.receiveEvents(value) }
            for event in events { notify(.event(event)) }
        case .deadletters:
            let letter = store.letters.withLock { $0.receive(value) }
            if let letter { notify(.deadletter(letter)) }
        default: return
        }
    }

    /// What the deciders would refuse is not in force, whether they have said so or not.
    private func receivePolicy(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, _ written: EventTime?
    ) {
        var rejected: String?
        if let value, !value.isEmpty, value.count <= store.limits.recordBytesMax {
            rejected = OrderCheck.policy([UInt8](value), name: String(decoding: key, as: UTF8.self))?.reason
        }
        let version = store.orders.withLock {
            $0.receivePolicy(key: key, value: value, written: written, rejected: rejected)
        }
        if let version { notify(.policy(version)) }
    }

    private func settle(_ proposal: String, _ resource: String) {
        store.shard(of: resource).view.withLock { $0.settle(proposal: proposal, resource: resource) }
    }

    private func receiveSummary(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
        guard !key.isEmpty else { return }
        guard let value, !value.isEmpty else {
            store.shard(of: key).view.withLock { $0.receiveSummary(nil, resource: key) }
            return
        }
        do throws(JSONError) {
            let summary = try JSONValue(value)
            store.shard(of: key).view.withLock { $0.receiveSummary(summary, resource: key) }
        } catch { malformed &+= 1 }
    }

    private func receiveDecision(_ value: UnsafeRawBufferPointer) {
        guard let decided = store.ledger.withLock({ $0.receiveDecision(value) }) else { return }
        notify(.decision([UInt8](value)))
        switch decided {
        case .decision(let facts, let resource, let locality):
            store.shard(of: resource).view.withLock {
                $0.receiveDecision(facts, resource: resource, locality: locality)
            }
        case .policyRejected(let policy, let version, let reason):
            store.orders.withLock { $0.reject(policy: policy, version: version, reason: reason) }
        case .command(let id, let isAccepted, let reason):
            let command = store.orders.withLock { $0.answer(command: id, isAccepted: isAccepted, reason: reason) }
            if let command { notify(.command(command)) }
        case .other: return
        }
    }

    private func receiveFrame(_ value: UnsafeRawBufferPointer, _ topic: TopicName, written: EventTime?) {
        do throws(WireError) { try frames.decode(value) } catch {
            malformed &+= 1
            return
        }
        let timeMax = timeMax(written)
        for (index, entry) in frames.entries.enumerated() {
            switch entry.kind {
            case .outlook where topic == .outlooks:
                receiveOutlook(
                    entry,
                    OutlookPlace(
                        task: frames.header.sender.packed, sequence: frames.sequences[index], timeMax: timeMax))
            case .outcome where topic == .outlooks:
                let resource = name(entry.resource)
                let action = store.ledger.withLock {
                    $0.receiveOutcome(entry.text, resource: resource, time: entry.time)
                }
                if let action { notify(.action(action)) }
            case .interaction where topic == .forecasts && entry.resource > 0 && entry.object > 0:
                let (source, target) = (name(entry.resource), name(entry.object))
                store.graph.withLock { $0.receive(entry, source: source, target: target) }
            case .tags where topic == .forecasts && entry.resource > 0:
                let (resource, locality) = (name(entry.resource), name(entry.object))
                store.shard(of: resource).view.withLock {
                    $0.receiveTags(entry.text, resource: resource, locality: locality)
                }
            default: continue
            }
        }
    }

    /// Notes what a frame says about time, and tells how late an event may be in it: an hour after the sender's
    /// watermark or the broker's clock, whichever is later.
    private func timeMax(_ written: EventTime?) -> EventTime? {
        var watermark = frames.heartbeat?.watermark
        for entry in frames.entries where entry.kind == .watermark {
            watermark = max(watermark ?? entry.time, entry.time)
        }
        let sender = frames.header.sender
        let reached = store.pipeline.withLock { $0.receive(sender, watermark: watermark) }
        return [reached, written].compactMap(\.self).max()?.advanced(byMilliseconds: Self.aheadMilliseconds)
    }

    private func receiveOutlook(_ entry: Entry, _ place: OutlookPlace) {
        guard entry.resource > 0, entry.object > 0 else { return }
        let (resource, metric) = (name(entry.resource), name(entry.object))
        store.shard(of: resource).view.withLock {
            $0.receiveOutlook(entry, resource: resource, metric: metric, at: place)
        }
    }

    /// The reader has checked that an index is 0 or within the dictionary.
    private func name(_ index: UInt32) -> UnsafeRawBufferPointer {
        index == 0 ? UnsafeRawBufferPointer(start: nil, count: 0) : frames.names[Int(index) - 1]
    }
}
