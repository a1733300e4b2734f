import Foundation
import Kafka
import Messages
import Runtime
import Snapshots
import Topology
import TwinCore

/// Gathers what `twinscale status` shows.
struct StatusCollector {
    private static let timeoutMilliseconds = 10_000
    /// Records at the end of each partition in which watermarks are looked for.
    private static let watermarkRecordsMax: Int64 = 200

    private let options: StatusCommand
    private let naming: TopicNaming

    init(_ options: StatusCommand) throws {
        self.options = options
        do {
            naming = try TopicNaming(namespace: options.broker.namespace)
        } catch { throw ToolError(error.reason, hint: error.hint) }
    }

    /// Every task, in the order of the flow.
    func collect() throws -> [TaskOutlook] {
        let admin = try Admin(properties: options.broker.properties)
        var tasks: [TaskOutlook]
        do {
            let cluster = try admin.describeCluster(timeoutMilliseconds: Self.timeoutMilliseconds)
            tasks = try offsets(admin, cluster)
            try judge(&tasks, admin)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        try addWatermarks(&tasks)
        if let url = options.store { try addSnapshots(&tasks, url) }
        return tasks
    }

    // MARK: offsets

    private func offsets(_ admin: borrowing Admin, _ cluster: ClusterDescription) throws -> [TaskOutlook] {
        var tasks: [TaskOutlook] = []
        for stage in StageName.allCases where options.stage == nil || options.stage == stage.text {
            var partitions: [(TaskID, KafkaPartition)] = []
            for inbox in Topology.inboxes(of: stage) {
                let name = naming.topic(inbox)
                guard let found = cluster.topics.first(where: { $0.name == name }) else {
                    throw ToolError(
                        "there is no topic '\(name)' at \(options.broker.bootstrap)",
                        hint:
                            "create the topics with 'twinscale topics apply\(options.broker.repeated)', or name "
                            + "another set with --namespace")
                }
                for partition in found.partitions {
                    let task = TaskID(
                        stage: stage, inbox: inbox, epoch: Topology.plan(of: inbox).epoch, partition: partition.id)
                    partitions.append((task, KafkaPartition(name, partition.id)))
                }
            }
            tasks += try offsets(admin, stage, partitions)
        }
        try addEnds(&tasks)
        return tasks
    }

    private func offsets(
        _ admin: borrowing Admin, _ stage: StageName, _ partitions: [(TaskID, KafkaPartition)]
    ) throws -> [TaskOutlook] {
        let found = try admin.committedIncarnations(
            of: stage, naming, named: options.incarnation, in: partitions.map(\.1),
            timeoutMilliseconds: Self.timeoutMilliseconds)
        let incarnation = options.incarnation ?? found.last?.incarnation ?? 1
        let own = found.first { $0.incarnation == incarnation }?.offsets
        let group = naming.group(stage, incarnation: incarnation)
        return partitions.enumerated().map { index, partition in
            var task = TaskOutlook(
                task: partition.0, group: group, incarnation: incarnation, committed: own?[index], start: 0, end: 0)
            task.hasRun = own != nil
            for other in found where other.incarnation != incarnation {
                if let offset = other.offsets[index] { task.others.append((other.incarnation, offset)) }
            }
            return task
        }
    }

    private func addEnds(_ tasks: inout [TaskOutlook]) throws(KafkaError) {
        // Several stages may read one topic: each partition is asked once.
        var places: [TopicPartition: (start: Int64, end: Int64)] = [:]
        let wanted = tasks.map { TopicPartition($0.task.inbox, $0.task.partition) }
        var unique: [TopicPartition] = []
        for place in wanted where !unique.contains(place) { unique.append(place) }
        let names = unique.map { KafkaPartition(naming.topic($0.topic), $0.partition) }
        var consumer = try Consumer(properties: options.broker.properties, groupID: "twinscale.tool")
        let ends = try consumer.endsByFetching(
            zip(unique, names).map { place, name in
                let known = tasks.filter { TopicPartition($0.task.inbox, $0.task.partition) == place }.compactMap(
                    \.committed)
                return PartitionStart(name, known.max().map { .at($0) } ?? .beginning)
            },
            deadline: Deadline(milliseconds: Self.timeoutMilliseconds / 2))
        for (index, place) in unique.enumerated() {
            let told = try consumer.watermarks(names[index], timeoutMilliseconds: Self.timeoutMilliseconds)
            places[place] = (max(told.low, 0), ends[index] ?? max(told.high, 0))
        }
        _ = consumer.close(clearing: RecordBatch(recordsMax: 1), deadline: Deadline(milliseconds: 500))
        for index in tasks.indices {
            let place = places[TopicPartition(tasks[index].task.inbox, tasks[index].task.partition)]
            tasks[index].start = place?.start ?? 0
            tasks[index].end = place?.end ?? 0
        }
    }

    /// A second look at those that are behind tells the late from the stuck.
    private func judge(_ tasks: inout [TaskOutlook], _ admin: borrowing Admin) throws(KafkaError) {
        let before = tasks.map(\.committed)
        var moved: [Bool?] = tasks.map { _ in nil }
        if tasks.contains(where: { $0.lag > 0 }) {
            let deadline = Deadline(milliseconds: Int(options.interval * 1_000))
            repeat {
                usleep(UInt32(min(options.interval * 1e6 / 4 + 1, 500_000)))
                try lookAgain(&tasks, admin)
                for index in tasks.indices {
                    moved[index] = tasks[index].lag == 0 || tasks[index].committed != before[index]
                }
            } while !deadline.hasPassed && zip(tasks, moved).contains { $0.lag > 0 && $1 == false }
        }
        for index in tasks.indices { tasks[index].judge(moved: moved[index], lateRecords: options.lateRecords) }
    }

    private func lookAgain(_ tasks: inout [TaskOutlook], _ admin: borrowing Admin) throws(KafkaError) {
        for stage in StageName.allCases {
            let indices = tasks.indices.filter { tasks[$0].task.stage == stage && tasks[$0].lag > 0 }
            guard let first = indices.first else { continue }
            let found = try admin.committedOffsets(
                ofGroup: tasks[first].group,
                indices.map { KafkaPartition(naming.topic(tasks[$0].task.inbox), tasks[$0].task.partition) },
                timeoutMilliseconds: Self.timeoutMilliseconds)
            for (index, offset) in zip(indices, found) { tasks[index].committed = offset }
        }
    }

    // MARK: watermarks

    private func addWatermarks(_ tasks: inout [TaskOutlook]) throws {
        var watermarks: [TaskID: EventTime] = [:]
        for topic in [TopicName.observations, .forecasts, .outlooks] {
            var reader = try TopicReader.open(options.broker, topic: naming.topic(topic))
            try reader.start { $0.end - Self.watermarkRecordsMax }
            let deadline = Deadline(milliseconds: Self.timeoutMilliseconds)
            let frames = FrameReader()
            while try !deadline.hasPassed
                && reader.read(
                    follows: false,
                    { record in
                        Self.note(record.value, frames, into: &watermarks)
                        return true
                    })
            {}
            reader.close()
        }
        let now = Int64(Date().timeIntervalSince1970 * 1_000)
        for index in tasks.indices {
            guard let time = watermarks[tasks[index].task] else { continue }
            tasks[index].watermarkMilliseconds = time.milliseconds
            tasks[index].watermarkAgeSeconds =
                Double(EventTime(milliseconds: now).milliseconds(since: time)) / 1_000
        }
    }

    private static func note(
        _ value: UnsafeRawBufferPointer?, _ frames: FrameReader, into watermarks: inout [TaskID: EventTime]
    ) {
        guard let value, (try? frames.decode(value)) != nil else { return }
        func note(_ time: EventTime) {
            guard time != .distantPast else { return }
            let known = watermarks[frames.header.sender] ?? .distantPast
            watermarks[frames.header.sender] = max(known, time)
        }
        if let heartbeat = frames.heartbeat { note(heartbeat.watermark) }
        for entry in frames.entries where entry.kind == .watermark { note(entry.time) }
    }

    // MARK: snapshots

    private func addSnapshots(_ tasks: inout [TaskOutlook], _ url: String) throws {
        let store = try SnapshotAccess.open(url, options.broker)
        let now = Date().timeIntervalSince1970
        for index in tasks.indices {
            let incarnation = Int64(clamping: tasks[index].incarnation)
            do {
                guard let newest = try store.list(tasks[index].task, incarnation: incarnation).first else { continue }
                tasks[index].snapshot = (newest.offset, now - Double(newest.createdMilliseconds) / 1_000)
            } catch { throw ToolError("the snapshots cannot be listed: \(error)") }
        }
    }
}
