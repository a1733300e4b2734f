import Glibc
import Kafka
import Logging
import Runtime
import StageKit
import Synchronization
import TwinCore
import Views

/// Reads the pipeline's topics into the views, on a thread of its own.
///
/// Every instance reads every partition and joins no group, so any of them can answer anything. At the start the views
/// go on from a snapshot, if there is one, else they are built from what the topics still have, bounded in time:
/// compacted topics and orders whole, the rest from `historyHours` back. Only records of committed transactions are
/// seen.
final class ViewReader: Sendable {
    /// How far reading has come in one topic.
    struct TopicProgress: Sendable {
        var topic: TopicName
        var records: UInt64 = 0
        /// Records that are there and not read; nil before it is known.
        var behind: Int64?
    }

    /// What the reader says about itself.
    struct Progress: Sendable {
        var isReady = false
        var reason: String? = "the views are being built"
        /// No broker answers; told in the log once.
        var isUnreachable = false
        var topics: [TopicProgress] = ViewFolder.topics.map { TopicProgress(topic: $0) }
        var malformedFrames: UInt64 = 0
    }

    /// Longest wait between two attempts to reach a broker.
    private static let backoffMillisecondsMax: Int64 = 5_000
    private static let requestMilliseconds = 10_000
    /// Wait for a sign of life: short, as nothing is read meanwhile.
    private static let lookMilliseconds = 300

    private let configuration: ProgramConfiguration
    private let historyMilliseconds: Int64
    private let snapshot: ViewSnapshot?
    private let snapshotMilliseconds: Int64
    private let store: ViewStore
    private let hub: StreamHub
    private let log: Logger
    private let progress = Mutex(Progress())
    private let isStopping = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)

    init(
        _ configuration: ProgramConfiguration, historyHours: Double, store: ViewStore, hub: StreamHub, log: Logger
    ) {
        self.configuration = configuration
        historyMilliseconds = Int64(historyHours * 3_600_000)
        snapshot = ViewSnapshot(configuration)
        snapshotMilliseconds = Int64(configuration.integer("api.views.snapshotSeconds")) * 1_000
        self.store = store
        self.hub = hub
        self.log = log
    }

    var current: Progress { progress.withLock { $0 } }

    /// Starts the thread. False if the system has none to give.
    func start() -> Bool { startThread { self.run() } }

    /// Asks the thread to end, and waits for it, a second at most.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        sleepMilliseconds(1_000) { self.hasEnded.load(ordering: .acquiring) }
    }

    private var mustStop: Bool { isStopping.load(ordering: .acquiring) }

    private func run() {
        defer { hasEnded.store(true, ordering: .releasing) }
        let folder = ViewFolder(store) { [self] notice in
            if progress.withLock({ $0.isReady }) { hub.publish(notice) }
        }
        var positions = restore()
        var wait: Int64 = 100
        while !mustStop {
            do throws(KafkaError) {
                try read(folder, &positions)
            } catch {
                let reason = error.disposition == .retry ? "brokerUnreachable: \(error.reason)" : error.reason
                let isNews = progress.withLock { progress in
                    defer {
                        progress.isReady = false
                        progress.reason = reason
                    }
                    return progress.reason != reason
                }
                if isNews { log.warning("reading the topics failed", metadata: ["reason": "\(reason)"]) }
                sleepMilliseconds(wait) { self.mustStop }
                wait = min(wait * 2, Self.backoffMillisecondsMax)
                continue
            }
            wait = 100
        }
    }

    /// Reads until it is told to stop, or fails; `positions` remembers where to go on.
    private func read(_ folder: ViewFolder, _ positions: inout [KafkaPartition: Int64]) throws(KafkaError) {
        let names = ViewFolder.topics.map { configuration.naming.topic($0) }
        var consumer = try Consumer(
            properties: configuration.kafka, groupID: configuration.naming.qualified("twin-api.views"), topics: names)
        var batch = RecordBatch(recordsMax: 2_000)
        var starts = try self.starts(positions)
        try consumer.assign(starts)
        var waiting = Set(starts.map(\.partition))
        var nextLook: Int64 = 0
        var nextSave = monotonicMilliseconds() + snapshotMilliseconds
        while !mustStop {
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
            let now = monotonicMilliseconds()
            var counts = [UInt64](repeating: 0, count: names.count)
            batch.forEach { record in
                guard ViewFolder.topics.indices.contains(record.topic) else { return }
                counts[record.topic] += 1
                positions[KafkaPartition(names[record.topic], record.partition)] = record.offset + 1
                let written = record.timestampMilliseconds
                folder.receive(
                    ViewFolder.topics[record.topic], key: record.key, value: record.value,
                    written: written > 0 ? EventTime(milliseconds: written) : nil)
            }
            var isLost = false
            for event in batch.events {
                switch event {
                case .end(let topic, let partition, let offset):
                    guard names.indices.contains(topic) else { continue }
                    let place = KafkaPartition(names[topic], partition)
                    waiting.remove(place)
                    positions[place] = max(positions[place] ?? 0, offset)
                case .failed(let topic?, let partition, let error) where error.disposition != .retry:
                    guard names.indices.contains(topic) else { continue }
                    log.warning(
                        "a topic goes on elsewhere than it was read to; read again from its start",
                        metadata: ["topic": "\(names[topic])", "reason": "\(error.reason)"])
                    positions[KafkaPartition(names[topic], partition)] = nil
                    isLost = true
                case .failed: continue
                }
            }
            if isLost {
                starts = try self.starts(positions)
                try consumer.assign(starts)
            }
            note(counts, folder)
            if waiting.isEmpty, !consumer.isEveryBrokerDown { ready() }
            if now >= nextSave {
                save(positions)
                nextSave = monotonicMilliseconds() + snapshotMilliseconds
            }
            if now >= nextLook {
                nextLook = now + 1_000
                look(consumer, starts, positions, waiting.count)
            }
        }
        save(positions)
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 500))
    }

    /// Takes over the snapshot; returns where reading goes on.
    private func restore() -> [KafkaPartition: Int64] {
        guard let snapshot else { return [:] }
        do {
            guard let positions = try snapshot.read(into: store) else { return [:] }
            log.notice("views are restored", metadata: ["snapshot": "\(snapshot.path)"])
            return positions
        } catch {
            // What has been taken over already is folded once more, which changes nothing.
            let reason = (error as? ViewSnapshot.Fault)?.reason ?? "\(error)"
            log.warning("the snapshot of the views is passed over", metadata: ["reason": "\(reason)"])
            return [:]
        }
    }

    /// Writes a snapshot; views that are not built yet would only hide the one before.
    private func save(_ positions: [KafkaPartition: Int64]) {
        guard let snapshot, current.isReady else { return }
        do { try snapshot.write(store, positions) } catch {
            let reason = (error as? ViewSnapshot.Fault)?.reason ?? "\(error)"
            log.warning("the snapshot of the views was not written", metadata: ["reason": "\(reason)"])
        }
    }

    private func note(_ counts: [UInt64], _ folder: ViewFolder) {
        progress.withLock { progress in
            for index in counts.indices { progress.topics[index].records += counts[index] }
            progress.malformedFrames = folder.malformed
        }
    }

    private func ready() {
        let isNews = progress.withLock { progress in
            defer {
                progress.isReady = true
                progress.reason = nil
            }
            return !progress.isReady
        }
        if isNews { log.notice("views are built", metadata: ["twins": "\(store.names().count)"]) }
    }

    /// How far each topic has to go, as the last fetches tell.
    private func look(
        _ consumer: borrowing Consumer, _ starts: [PartitionStart], _ positions: [KafkaPartition: Int64], _ left: Int
    ) {
        var behind: [String: Int64] = [:]
        for start in starts {
            guard let high = consumer.fetchedWatermarks(start.partition).high else { continue }
            let position = positions[start.partition] ?? 0
            behind[start.partition.topic, default: 0] += max(high - position, 0)
        }
        // With nothing new to read only an answer shows that a broker is back.
        if consumer.isEveryBrokerDown { consumer.askForLife(timeoutMilliseconds: Self.lookMilliseconds) }
        let problem = consumer.isEveryBrokerDown ? consumer.connectionError?.reason ?? "no broker answers" : nil
        let isNews = progress.withLock { progress in
            defer { progress.isUnreachable = problem != nil }
            for index in progress.topics.indices {
                progress.topics[index].behind = behind[configuration.naming.topic(progress.topics[index].topic)]
            }
            if let problem {
                progress.isReady = false
                progress.reason = "brokerUnreachable: \(problem)"
            } else if left == 0 {
                progress.isReady = true
                progress.reason = nil
            } else {
                progress.reason = "the views are being built: \(counted(left, "partition")) not read to their end"
            }
            return problem != nil && !progress.isUnreachable
        }
        if isNews, let problem { log.warning("no broker can be reached", metadata: ["reason": "\(problem)"]) }
    }

    /// Where each partition begins: where reading stopped, or as far back as history goes.
    private func starts(_ positions: [KafkaPartition: Int64]) throws(KafkaError) -> [PartitionStart] {
        var starts: [PartitionStart] = []
        var timed: [KafkaPartition] = []
        for topic in ViewFolder.topics {
            for partition in 0..<configuration.layout[topic] {
                let place = KafkaPartition(configuration.naming.topic(topic), partition)
                if let position = positions[place] {
                    starts.append(PartitionStart(place, .at(position)))
                } else if [.policies, .commands, .environment, .twins].contains(topic) {
                    starts.append(PartitionStart(place, .beginning))
                } else {
                    timed.append(place)
                }
            }
        }
        return starts + (try startsInTime(timed))
    }

    private func startsInTime(_ places: [KafkaPartition]) throws(KafkaError) -> [PartitionStart] {
        guard !places.isEmpty else { return [] }
        let admin = try Admin(properties: configuration.kafka)
        let offsets: [Int64?]
        do throws(KafkaError) {
            offsets = try admin.offsets(
                atMilliseconds: wallMilliseconds() - historyMilliseconds, in: places,
                timeoutMilliseconds: Self.requestMilliseconds)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 500))
            if error.disposition == .retry { throw error }
            // A broker that does not know the question is asked for everything it has.
            return places.map { PartitionStart($0, .beginning) }
        }
        admin.close(deadline: Deadline(milliseconds: 500))
        return zip(places, offsets).map { place, offset in
            // No record is that young, or the broker does not say: the last that there were.
            PartitionStart(place, offset.map { .at($0) } ?? .beginning)
        }
    }
}
