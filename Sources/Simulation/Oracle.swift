import Messages
import StageKit
import TwinCore

/// One entry as it stands in a log, for comparing: its number and a digest of all that it says.
package struct RecordedEntry: Equatable, Sendable {
    package var sequence: Sequence
    package var content: UInt64
    package var kind: EntryKind
}

/// What "the same" means, checked over a log as it stands: every task's entries, repeats dropped, equal a
/// single-threaded fold of its recorded inbox.
package struct Oracle {
    private let layout: TopicLayout
    private let records: (TopicPartition) -> [SimulatedLog.Stored]

    /// Any log will do: the simulated one, or what was read back from a broker.
    package init(layout: TopicLayout, records: @escaping (TopicPartition) -> [SimulatedLog.Stored]) {
        self.layout = layout
        self.records = records
    }

    /// What one task has written, by destination, repeats and fenced frames dropped.
    package struct Outputs {
        package var frames: [TopicPartition: [RecordedEntry]] = [:]
        /// Records of JSON topics, in order of first appearance.
        package var json: [TopicPartition: [[UInt8]]] = [:]
        package var repeats = 0
        /// Where a second incarnation has taken over: the last entry before it, by destination.
        package var fences: [TopicPartition: Sequence] = [:]
    }

    /// Topics whose records are frames.
    package static let frameTopics: [TopicName] = [.observations, .forecasts, .outlooks]
    /// Topics whose records are JSON, one entry each.
    package static let jsonTopics: [TopicName] = [.actions, .decisions, .drift, .twins, .deadletters]

    /// The fold: a fresh task over the recorded inbox, alone, undisturbed. It begins at `start`, is silent below
    /// `speakFrom` and ends before `end`, as an incarnation is that takes over, or is taken over from, at an offset.
    package func fold(
        _ task: TaskID, from start: Int64 = 0, speakFrom: Int64 = 0, end: Int64 = .max,
        make: (TaskID) throws -> any TaskLogic
    ) throws -> (Outputs, any TaskLogic) {
        let logic = try make(task)
        var outputs = Outputs()
        for record in records(TopicPartition(task.inbox, task.partition))
        where record.offset >= start && record.offset < end {
            Self.feed(record, to: logic, muted: record.offset < speakFrom)
            if logic.emitter.pendingBytes > 1 << 20 { collect(logic, into: &outputs) }
        }
        logic.emitter.cutAll()
        collect(logic, into: &outputs)
        return (outputs, logic)
    }

    /// Gives one recorded record to a task. A fault leaves the record folded; who has stopped at it shows as stopped.
    package static func feed(_ record: SimulatedLog.Stored, to logic: any TaskLogic, muted: Bool = false) {
        func with(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
            guard let bytes else { return body(nil) }
            bytes.withUnsafeBytes { body($0) }
        }
        with(record.key) { key in
            with(record.value) { value in
                with(record.contentType) { type in
                    do throws(TaskFault) {
                        try logic.receive(
                            InboxRecord(offset: record.offset, key: key, value: value, contentType: type),
                            muted: muted)
                    } catch { return }
                }
            }
        }
    }

    private func collect(_ logic: any TaskLogic, into outputs: inout Outputs) {
        for record in logic.emitter.takeOutgoing() {
            let partition = TopicPartition(record.topic, record.partition)
            guard let value = record.value else { continue }
            if Self.frameTopics.contains(record.topic) {
                outputs.frames[partition, default: []] += Self.entries(of: value)?.entries ?? []
            } else {
                outputs.json[partition, default: []].append((record.key ?? []) + [0] + value)
            }
        }
    }

    /// What the log shows of a task's outputs. JSON records are attributed by the task's id prefix.
    package func written(by task: TaskID, topics: [TopicName]) -> Outputs {
        var outputs = Outputs()
        for topic in topics {
            for index in 0..<layout[topic] {
                let partition = TopicPartition(topic, index)
                if Self.frameTopics.contains(topic) {
                    readFrames(of: task, partition, into: &outputs)
                } else {
                    readJSON(of: task, partition, into: &outputs)
                }
            }
        }
        return outputs
    }

    private func readFrames(of task: TaskID, _ partition: TopicPartition, into outputs: inout Outputs) {
        var last = Sequence.none
        var incarnation: UInt64 = 0
        var passesGap = false
        for record in records(partition) {
            guard let value = record.value, let frame = Self.entries(of: value), frame.header.sender == task else {
                continue
            }
            if frame.acceptsGap && frame.header.previous == last { passesGap = true }
            // A heartbeat fences as well.
            guard !frame.acceptsGap, frame.header.incarnation >= incarnation else { continue }
            let isNew = frame.header.incarnation > max(incarnation, 1)
            // As a receiver does: a frame ahead of the chain waits for its resend, unless a new incarnation begins.
            let isBegin = isNew && frame.header.previous <= frame.header.settled
            if frame.header.previous > last && !isBegin && !passesGap { continue }
            if isNew && incarnation > 0 { outputs.fences[partition] = last }
            incarnation = frame.header.incarnation
            last = max(last, frame.header.previous)
            if frame.entries.isEmpty { continue }
            passesGap = false
            for entry in frame.entries {
                if entry.sequence <= last {
                    outputs.repeats += 1
                    continue
                }
                last = entry.sequence
                outputs.frames[partition, default: []].append(entry)
            }
        }
        // What the first incarnation said where no other ever spoke stands.
        if incarnation == 1 { outputs.fences[partition] = last }
    }

    private func readJSON(of task: TaskID, _ partition: TopicPartition, into outputs: inout Outputs) {
        let prefix = "\"\(task.stage.text)-\(task.inbox.text)-\(task.epoch)-\(task.partition)-"
        var seen: [[UInt8]: Int] = [:]
        for record in records(partition) {
            guard let value = record.value, String(decoding: value, as: UTF8.self).contains(prefix) else { continue }
            let whole = (record.key ?? []) + [0] + value
            if seen[whole] != nil {
                outputs.repeats += 1
                continue
            }
            seen[whole] = 1
            outputs.json[partition, default: []].append(whole)
        }
    }

    /// The entries of a frame with their digests, or nil if the bytes are no frame.
    package static func entries(
        of value: [UInt8]
    ) -> (header: FrameHeader, entries: [RecordedEntry], acceptsGap: Bool)? {
        let reader = FrameReader()
        return value.withUnsafeBytes { bytes in
            guard (try? reader.decode(bytes)) != nil else { return nil }
            var result: [RecordedEntry] = []
            for (entry, sequence) in zip(reader.entries, reader.sequences) {
                result.append(
                    RecordedEntry(
                        sequence: sequence, content: digest(entry, names: reader.names), kind: entry.kind))
            }
            return (reader.header, result, reader.acceptsGap)
        }
    }

    private static func digest(_ entry: Entry, names: [UnsafeRawBufferPointer]) -> UInt64 {
        var digest = Digest()
        digest.combine(UInt64(entry.kind.rawValue))
        digest.combine(UInt64(entry.code))
        digest.combine(UInt64(bitPattern: entry.time.milliseconds))
        digest.combine(entry.value.bitPattern)
        for reference in [entry.resource, entry.object] {
            if reference > 0 { digest.combine(names[Int(reference) - 1]) }
            digest.combine(UInt64(reference == 0 ? 0 : 1))
        }
        digest.combine(entry.numbers.bytes)
        digest.combine(entry.text)
        return digest.value
    }

    /// Compares what a task has written with what it should have; words for the first difference of each destination.
    package static func differences(_ task: TaskID, written: Outputs, expected: Outputs) -> [String] {
        var words: [String] = []
        let destinations = Set(written.frames.keys).union(expected.frames.keys)
        let ordered = destinations.sorted { ($0.topic.rawValue, $0.partition) < ($1.topic.rawValue, $1.partition) }
        for partition in ordered {
            let actual = written.frames[partition] ?? []
            let wanted = expected.frames[partition] ?? []
            if actual == wanted { continue }
            let at = zip(actual, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            words.append(
                "\(task) → \(partition): \(actual.count) entries where the fold has \(wanted.count)"
                    + (at.map { "; first difference at \($0): \(actual[$0]) instead of \(wanted[$0])" } ?? ""))
        }
        let records = Set(written.json.keys).union(expected.json.keys)
        for partition in records.sorted(by: { ($0.topic.rawValue, $0.partition) < ($1.topic.rawValue, $1.partition) }) {
            let actual = written.json[partition] ?? []
            let wanted = expected.json[partition] ?? []
            if actual == wanted || Set(actual) == Set(wanted) { continue }
            words.append(
                "\(task) → \(partition): \(actual.count) records where the fold has \(wanted.count): "
                    + (Set(actual).subtracting(wanted).first ?? Set(wanted).subtracting(actual).first ?? [])
                    .map { String(UnicodeScalar($0)) }.joined().prefix(200))
        }
        return words
    }
}
