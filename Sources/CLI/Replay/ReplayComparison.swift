import Kafka
import Messages
import Runtime
import Simulation
import StageKit
import Topology
import TwinCore

/// Compares what a replay wrote with what the live stage wrote, entry by entry: number and content. How entries were
/// cut
/// into frames does not count, nor do repeats.
struct ReplayComparison {
    /// What came of it.
    struct Result {
        var entriesCompared = 0
        var differences: [String] = []

        var isSame: Bool { differences.isEmpty }

        var text: String {
            isSame
                ? "verified: \(counted(entriesCompared, "entry")), the same bit for bit"
                : "DIFFERENT from the live topics:\n" + differences.map { "  \($0)" }.joined(separator: "\n")
        }
    }

    private static let timeoutMilliseconds = 15_000
    private static let differencesMax = 20

    private let broker: BrokerOptions
    private let stage: StageName
    private let live: TopicNaming
    private let parallel: TopicNaming
    private let ranges: [TopicPartition: ReplayRange]
    private let incarnation: UInt64

    init(
        _ broker: BrokerOptions, stage: StageName, live: TopicNaming, parallel: TopicNaming,
        ranges: [TopicPartition: ReplayRange], incarnation: UInt64
    ) {
        self.broker = broker
        self.stage = stage
        self.live = live
        self.parallel = parallel
        self.ranges = ranges
        self.incarnation = incarnation
    }

    func run() throws -> Result {
        var result = Result()
        let bounds = try bounds()
        let written = Topology.outputs(of: stage) + [.deadletters]
        for topic in TopicName.allCases where written.contains(topic) {
            let isCompacted = Topology.plan(of: topic).cleanup == .compact
            let bar = ProgressBar("comparing \(topic.text)")
            let (mine, _) = try entries(parallel.topic(topic), bounds, bar)
            let (theirs, firsts) = try entries(live.topic(topic), bounds, bar)
            bar.end()
            let partitions = Set(mine.keys).union(theirs.keys).sorted()
            for partition in partitions {
                var wanted = theirs[partition] ?? [:]
                let found = mine[partition] ?? [:]
                for task in Set(wanted.keys).union(found.keys).sorted(by: { $0.packed < $1.packed }) {
                    var expected = wanted.removeValue(forKey: task) ?? [:]
                    var actual = found[task] ?? [:]
                    if isCompacted {
                        // The broker has forgotten older ones, on either side.
                        expected = expected.filter { actual[$0.key] != nil }
                        actual = actual.filter { expected[$0.key] != nil }
                    } else if let first = firsts[partition] ?? nil {
                        // Retention has passed what lies before.
                        actual = actual.filter { $0.key >= first }
                        expected = expected.filter { $0.key >= first }
                    }
                    compare(task, "\(topic.text)[\(partition)]", actual, expected, &result)
                }
            }
        }
        return result
    }

    /// A record's number; several records that one entry causes differ by what stands behind it in their ids.
    struct Number: Hashable, Comparable, CustomStringConvertible {
        var sequence: Sequence
        var suffix = ""

        static func < (a: Number, b: Number) -> Bool {
            a.sequence != b.sequence ? a.sequence < b.sequence : a.suffix < b.suffix
        }

        var description: String { suffix.isEmpty ? "\(sequence)" : "\(sequence)-\(suffix)" }
    }

    private typealias Entries = [Number: UInt64]

    private func compare(_ task: TaskID, _ place: String, _ found: Entries, _ live: Entries, _ result: inout Result) {
        result.entriesCompared += live.count
        guard found != live, result.differences.count < Self.differencesMax else { return }
        let missing = live.keys.filter { found[$0] == nil }
        let extra = found.keys.filter { live[$0] == nil }
        let other = found.keys.filter { live[$0] != nil && live[$0] != found[$0] }
        var words = "\(task) → \(place): \(counted(found.count, "entry")), live \(live.count)"
        if let first = missing.min() { words += "; \(missing.count) missing, the first \(first)" }
        if let first = extra.min() { words += "; \(extra.count) only here, the first \(first)" }
        if let first = other.min() { words += "; \(other.count) of other content, the first \(first)" }
        result.differences.append(words)
    }

    /// Inbox offsets that count, by task: from the replay's point to its end, but no further than the live group has
    /// come.
    private func bounds() throws -> [TaskID: Range<Int64>] {
        let admin = try Admin(properties: broker.properties)
        let places = Array(ranges.keys)
        let names = places.map { KafkaPartition(live.topic($0.topic), $0.partition) }
        var committed: [Int64?] = []
        do throws(KafkaError) {
            committed = try admin.committedOffsets(
                ofGroup: live.group(stage, incarnation: incarnation), names,
                timeoutMilliseconds: Self.timeoutMilliseconds)
        } catch {
            admin.close(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        admin.close(deadline: Deadline(milliseconds: 1_000))
        var bounds: [TaskID: Range<Int64>] = [:]
        for (place, offset) in zip(places, committed) {
            guard let range = ranges[place] else { continue }
            let task = TaskID(
                stage: stage, inbox: place.topic, epoch: Topology.plan(of: place.topic).epoch,
                partition: place.partition)
            let end = min(range.end ?? .max, offset ?? 0)
            bounds[task] = range.point..<max(end, range.point)
        }
        return bounds
    }

    /// The stage's entries in a topic, by partition and task; and, where retention has already passed records, the
    /// first
    /// number that is whole.
    private func entries(
        _ topic: String, _ bounds: [TaskID: Range<Int64>], _ bar: ProgressBar
    ) throws -> ([Int32: [TaskID: Entries]], [Int32: Number?]) {
        var found: [Int32: [TaskID: Entries]] = [:]
        var reader = try TopicReader.open(broker, topic: topic)
        try reader.start { $0.low }
        let isFramed = Oracle.frameTopics.contains { topic == live.topic($0) || topic == parallel.topic($0) }
        var goesOn = true
        while goesOn, !isInterrupted {
            goesOn = try reader.read(follows: false) { record in
                guard let value = record.value else { return true }
                if isFramed {
                    frame(Array(value), bounds, into: &found[record.partition, default: [:]])
                } else {
                    json(record.key, value, bounds, into: &found[record.partition, default: [:]])
                }
                return true
            }
            let progress = reader.progress
            bar.show(progress.done, of: progress.total)
        }
        var firsts: [Int32: Number?] = [:]
        for place in reader.places where place.low > 0 {
            let all = found[place.partition.partition]?.values.compactMap { $0.keys.min() } ?? []
            firsts[place.partition.partition] = all.max()
        }
        reader.close()
        return (found, firsts)
    }

    private func frame(_ value: [UInt8], _ bounds: [TaskID: Range<Int64>], into found: inout [TaskID: Entries]) {
        guard let frame = Oracle.entries(of: value), frame.header.sender.stage == stage,
            let range = bounds[frame.header.sender]
        else { return }
        for entry in frame.entries where range.contains(entry.sequence.offset) {
            found[frame.header.sender, default: [:]][Number(sequence: entry.sequence)] = entry.content
        }
    }

    private func json(
        _ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer, _ bounds: [TaskID: Range<Int64>],
        into found: inout [TaskID: Entries]
    ) {
        guard let (task, number) = Self.identity(value), task.stage == stage,
            let range = bounds[task], range.contains(number.sequence.offset)
        else { return }
        var digest = Digest()
        if let key { digest.combine(key) }
        digest.combine(UInt64(key?.count ?? 0))
        digest.combine(value)
        found[task, default: [:]][number] = digest.value
    }

    /// Task and number from the id of a record: `stage-inbox-epoch-partition-offset-index`, and perhaps a suffix.
    static func identity(_ value: UnsafeRawBufferPointer) -> (TaskID, Number)? {
        var reader = JSONReader(value)
        do {
            try reader.enterObject()
            while let name = try reader.nextKey() {
                let isID = value[name.start..<name.end].elementsEqual("id".utf8)
                guard isID, reader.peekKind() == .string else {
                    try reader.skipValue()
                    continue
                }
                let text = try reader.readString()
                return identity(text: String(decoding: value[text.start..<text.end], as: UTF8.self))
            }
        } catch {}
        return nil
    }

    private static func identity(text: String) -> (TaskID, Number)? {
        guard let stage = StageName.allCases.first(where: { text.hasPrefix($0.text + "-") }) else { return nil }
        let parts = text.dropFirst(stage.text.count + 1).split(
            separator: "-", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count >= 5, let inbox = TopicName(text: String(parts[0])), let epoch = UInt16(parts[1]),
            let partition = Int32(parts[2]), let offset = Int64(parts[3]), let index = Int64(parts[4])
        else { return nil }
        return (
            TaskID(stage: stage, inbox: inbox, epoch: epoch, partition: partition),
            Number(
                sequence: Sequence(offset: offset, index: index), suffix: parts.count > 5 ? String(parts[5]) : "")
        )
    }
}
