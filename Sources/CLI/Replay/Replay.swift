import Foundation
import Kafka
import Messages
import Runtime
import Snapshots
import StageKit
import Topology
import TwinCore

/// Prepares a replay, runs it, and says what came of it.
struct Replay {
    private static let timeoutMilliseconds = 15_000

    private let options: ReplayCommand
    private let live: TopicNaming
    private let parallel: TopicNaming

    init(_ options: ReplayCommand) throws {
        self.options = options
        do {
            live = try TopicNaming(namespace: options.broker.namespace)
            parallel = try TopicNaming(namespace: options.into)
        } catch { throw ToolError(error.reason, hint: error.hint) }
    }

    private var isChain: Bool { options.stages.count > 1 }

    /// Topics that a stage of this replay writes.
    private var outputs: [TopicName] {
        let written = options.stages.flatMap { Topology.outputs(of: $0) } + [.deadletters]
        return TopicName.allCases.filter { written.contains($0) }
    }

    private func isWrittenHere(_ topic: TopicName) -> Bool { isChain && outputs.contains(topic) }

    /// The inboxes that are written by this replay itself, by stage.
    private var innerInboxes: [StageName: [TopicName]] {
        var inner: [StageName: [TopicName]] = [:]
        for stage in options.stages { inner[stage] = Topology.inboxes(of: stage).filter { isWrittenHere($0) } }
        return inner
    }

    func run() throws -> ReplayReport {
        let admin = try Admin(properties: options.broker.properties)
        let layout: TopicLayout
        do {
            layout = try prepareTopics(admin)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        var ranges: [StageName: [TopicPartition: ReplayRange]] = [:]
        for stage in options.stages { ranges[stage] = try self.ranges(of: stage) }
        var report = ReplayReport(namespace: options.into, begin: Date())
        let boards = try runStages(ranges, layout)
        report.stages = options.stages.map { ($0, boards[$0]?.current ?? ReplayBoard.State()) }
        report.seconds = Date().timeIntervalSince(report.begin)
        report.wasInterrupted = isInterrupted
        if options.verify, let stage = options.stages.first, !isInterrupted {
            report.comparison = try ReplayComparison(
                options.broker, stage: stage, live: live, parallel: parallel, ranges: ranges[stage] ?? [:],
                incarnation: options.incarnation
            ).run()
        }
        return report
    }

    // MARK: topics

    /// Checks the live topics, makes the parallel ones, and returns their common layout.
    private func prepareTopics(_ admin: borrowing Admin) throws -> TopicLayout {
        let cluster = try admin.describeCluster(timeoutMilliseconds: Self.timeoutMilliseconds)
        var layout = TopicLayout(partitions: 1)
        var missing: [TopicSpecification] = []
        for topic in TopicName.allCases {
            let name = live.topic(topic)
            let isNeeded =
                outputs.contains(topic) || options.stages.contains { Topology.inboxes(of: $0).contains(topic) }
            guard let found = cluster.topics.first(where: { $0.name == name }) else {
                guard isNeeded else { continue }
                throw ToolError(
                    "there is no live topic '\(name)' at \(options.broker.bootstrap)",
                    hint: "name the live topics' namespace with --namespace")
            }
            layout[topic] = Int32(found.partitions.count)
            guard outputs.contains(topic) else { continue }
            let target = parallel.topic(topic)
            guard let there = cluster.topics.first(where: { $0.name == target }) else {
                let settings = Topology.plan(of: topic).cleanup == .compact ? [("cleanup.policy", "compact")] : []
                missing.append(
                    TopicSpecification(
                        name: target, partitions: found.partitions.count, settings: settings.map { ($0.0, $0.1) }))
                continue
            }
            guard there.partitions.count == found.partitions.count else {
                throw ToolError(
                    "'\(target)' has \(counted(there.partitions.count, "partition")), "
                        + "'\(name)' has \(found.partitions.count)",
                    hint: "choose another namespace with --into, or create the topic with \(found.partitions.count)")
            }
        }
        let created = Set(missing.map(\.name))
        try create(missing, admin)
        if !options.resume { try checkEmpty(except: created) }
        return layout
    }

    private func create(_ topics: [TopicSpecification], _ admin: borrowing Admin) throws {
        guard !topics.isEmpty else { return }
        do throws(KafkaError) {
            try admin.createTopics(topics, timeoutMilliseconds: Self.timeoutMilliseconds)
        } catch {
            guard error.name == "_UNSUPPORTED_FEATURE" else {
                let list = topics.map { "\($0.name) (\(counted($0.partitions, "partition")))" }.joined(separator: ", ")
                throw ToolError(
                    "the parallel topics cannot be created: \(error.reason)",
                    hint: "create them with the broker's own tool, then run this again: \(list)")
            }
            // The embedded broker makes topics by itself, once they are asked for by name.
            for topic in topics { try admin.touch(topic.name, timeoutMilliseconds: Self.timeoutMilliseconds) }
        }
        // A broker answers before all of it knows.
        let deadline = Deadline(milliseconds: Self.timeoutMilliseconds)
        while true {
            let cluster = try admin.describeCluster(timeoutMilliseconds: Self.timeoutMilliseconds)
            let hidden = topics.filter { topic in
                !cluster.topics.contains { found in
                    found.name == topic.name && found.partitions.allSatisfy { $0.leader != nil }
                }
            }
            if hidden.isEmpty { return try checkCounts(topics, cluster) }
            guard !deadline.hasPassed else { throw ToolError("the broker has not made topic '\(hidden[0].name)'") }
            usleep(100_000)
        }
    }

    /// A broker that makes topics by itself chooses the number of partitions.
    private func checkCounts(_ topics: [TopicSpecification], _ cluster: ClusterDescription) throws {
        for topic in topics {
            let count = cluster.topics.first { $0.name == topic.name }?.partitions.count ?? 0
            guard count != topic.partitions else { continue }
            throw ToolError(
                "the broker has made topic '\(topic.name)' with \(counted(count, "partition")), and "
                    + "\(topic.partitions) are needed, as the live one has",
                hint: "let the broker make the namespace as it starts: "
                    + "twinscale broker --partitions \(topic.partitions) --namespace '\(options.broker.namespace)' "
                    + "--namespace \(options.into)")
        }
    }

    private func checkEmpty(except created: Set<String>) throws {
        for topic in outputs where !created.contains(parallel.topic(topic)) {
            let reader = try TopicReader.open(options.broker, topic: parallel.topic(topic))
            let isEmpty = reader.places.allSatisfy { $0.end == $0.low }
            reader.close()
            if !isEmpty {
                throw ToolError(
                    "namespace '\(options.into)' already holds records in '\(parallel.topic(topic))'",
                    hint: "choose another with --into, or go on with an interrupted replay with --resume")
            }
        }
    }

    // MARK: ranges

    /// Where each partition of a stage's inboxes begins to count and where it ends.
    private func ranges(of stage: StageName) throws -> [TopicPartition: ReplayRange] {
        var ranges: [TopicPartition: ReplayRange] = [:]
        for inbox in Topology.inboxes(of: stage) {
            guard !isWrittenHere(inbox) else { continue }
            var reader = try TopicReader.open(options.broker, topic: live.topic(inbox))
            var found: [KafkaPartition: Int64] = [:]
            if case .time(let time) = options.from { found = try reader.offsets(at: time, options.broker) }
            for place in reader.places {
                let point: Int64
                switch options.from {
                case .beginning: point = 0
                case .end: point = place.end
                case .offset(let offset): point = min(offset, place.end)
                case .time: point = found[place.partition] ?? place.end
                }
                ranges[TopicPartition(inbox, place.partition.partition)] = ReplayRange(point: point, end: place.end)
            }
            reader.close()
        }
        return ranges
    }

    // MARK: running

    private func arguments(_ layout: TopicLayout) throws -> [String] {
        var arguments = ["--namespace", options.into, "--incarnation", "\(options.incarnation)"]
        arguments += options.broker.arguments
        if let config = options.config { arguments += ["--config", config] }
        for topic in TopicName.allCases { arguments += ["--topics-\(topic.text)-partitions", "\(layout[topic])"] }
        if let store = options.store {
            arguments += ["--snapshots-url", store]
        } else {
            arguments += ["--snapshots-url", "file://\(NSTemporaryDirectory())twinscale-replay"]
        }
        for pair in options.settings { arguments.append("--" + pair) }
        return arguments
    }

    private func runStages(
        _ ranges: [StageName: [TopicPartition: ReplayRange]], _ layout: TopicLayout
    ) throws -> [StageName: ReplayBoard] {
        let arguments = try arguments(layout)
        var boards: [StageName: ReplayBoard] = [:]
        for stage in options.stages { boards[stage] = ReplayBoard() }
        for stage in options.stages {
            guard let board = boards[stage] else { continue }
            let runner = ReplayRunner(
                board: board, inboxNaming: stage == .normalizer || !isChain ? live : parallel,
                ranges: ranges[stage] ?? [:], live: try liveStore(stage), resumes: options.resume)
            let thread = Thread { Self.run(stage, arguments, runner, board) }
            thread.stackSize = 16 << 20
            thread.start()
        }
        try wait(boards)
        return boards
    }

    private static func run(_ stage: StageName, _ arguments: [String], _ runner: ReplayRunner, _ board: ReplayBoard) {
        var failure: String?
        do {
            let (definition, configuration) = try StageCatalogue.stage(stage, arguments: arguments)
            try runner.run(definition, configuration)
        } catch let error as ToolError {
            failure = error.hint.map { "\(error.reason)\nhint: \($0)" } ?? error.reason
        } catch {
            failure = "\(stage.text): \(error)"
        }
        board.publish { state in
            state.failure = failure
            state.hasEnded = true
        }
    }

    /// Live snapshots help only where a live inbox is read from a point on.
    private func liveStore(_ stage: StageName) throws -> (any SnapshotStore)? {
        guard options.from != .beginning, !isChain || stage == .normalizer, let store = options.store else {
            return nil
        }
        return try SnapshotAccess.open(store, options.broker)
    }

    /// Until every stage has ended. In a chain those behind the normalizer are told when nothing is on its way.
    private func wait(_ boards: [StageName: ReplayBoard]) throws {
        let bar = ProgressBar("replaying", isWanted: !options.json)
        var chainEnd = ChainEnd(options.broker, naming: parallel, inboxes: innerInboxes)
        var isTold = !isChain
        while true {
            let states = boards.mapValues(\.current)
            if let failure = states.values.compactMap(\.failure).first {
                for board in boards.values { board.requestStop() }
                bar.end()
                throw ToolError(failure)
            }
            if states.values.allSatisfy(\.hasEnded) { break }
            if let first = options.stages.first.flatMap({ states[$0] }) {
                bar.show(first.done, of: first.total, "\(states.values.reduce(0) { $0 + $1.recordsRead }) records")
                if !isTold, first.hasEnded, try chainEnd.isReached(states.mapValues(\.settled)) {
                    isTold = true
                    for board in boards.values { board.requestStop() }
                }
            }
            usleep(50_000)
        }
        bar.end()
    }
}

/// What a replay did.
struct ReplayReport {
    var namespace: String
    var begin: Date
    var seconds = 0.0
    var wasInterrupted = false
    var stages: [(stage: StageName, state: ReplayBoard.State)] = []
    var comparison: ReplayComparison.Result?

    init(namespace: String, begin: Date) {
        self.namespace = namespace
        self.begin = begin
    }

    var text: String {
        var lines: [String] = []
        for (stage, state) in stages {
            lines.append(
                "\(stage.text): \(counted(state.recordsRead, "record")) read, \(state.recordsWritten) written into "
                    + "'\(namespace)' in "
                    + "\(EntryFields.short((seconds * 10).rounded() / 10)) s")
            let fromSnapshots = state.recoveries.filter(\.value.usedSnapshot)
            for (task, start) in fromSnapshots.sorted(by: { $0.key.packed < $1.key.packed }) {
                lines.append("  \(task) from the snapshot at \(start.from), speaks from \(start.speakFrom)")
            }
            for note in state.notes.prefix(10) { lines.append("  note: \(note)") }
        }
        if wasInterrupted { lines.append("interrupted; go on with the same command and --resume") }
        if let comparison { lines.append(comparison.text) }
        return lines.joined(separator: "\n")
    }

    var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("namespace")
        writer.string(namespace)
        writer.key("seconds")
        writer.double(seconds)
        writer.key("interrupted")
        writer.bool(wasInterrupted)
        writer.key("stages")
        writer.beginArray()
        for (stage, state) in stages {
            writer.beginObject()
            writer.key("stage")
            writer.string(stage.text)
            writer.key("recordsRead")
            writer.int(state.recordsRead)
            writer.key("recordsWritten")
            writer.int(state.recordsWritten)
            writer.key("fromSnapshots")
            writer.int(state.recoveries.values.count { $0.usedSnapshot })
            writer.endObject()
        }
        writer.endArray()
        if let comparison {
            writer.key("same")
            writer.bool(comparison.isSame)
            writer.key("entriesCompared")
            writer.int(comparison.entriesCompared)
            writer.key("differences")
            writer.beginArray()
            for words in comparison.differences { writer.string(words) }
            writer.endArray()
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
