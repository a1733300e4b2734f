import Messages
import TwinCore

/// How many partitions each topic has; fixed for a namespace.
package struct TopicLayout: Sendable, Equatable {
    private var counts: [Int32]

    /// Every topic with `standard` partitions, except the single-partition ones (policies, commands).
    package init(partitions standard: Int32) {
        counts = Array(repeating: standard, count: TopicName.allCases.count + 1)
        self[.policies] = 1
        self[.commands] = 1
    }

    package subscript(topic: TopicName) -> Int32 {
        get { counts[Int(topic.rawValue)] }
        set { counts[Int(topic.rawValue)] = max(newValue, 1) }
    }
}

/// What became of the entries that a task wrote and refused; counted in plain integers, published by the shell.
package struct EmitterCounters: Sendable, BitwiseCopyable {
    package var entries: UInt64 = 0
    package var frames: UInt64 = 0
    package var records: UInt64 = 0
    package var deadLetters: UInt64 = 0
    package var oversize: UInt64 = 0
    package init() {}
}

/// Where a stage puts its outputs. It numbers every entry (input offset, ordinal per destination), keeps one open frame
/// per destination, and while it is muted, as in a replay, it numbers without writing.
///
/// The last number per destination is part of the task's state: without it a replayed task would break its chain.
package final class Emitter {
    package let task: TaskID
    package let incarnation: UInt64
    package let layout: TopicLayout
    package let names: NameTable
    package let limits: Limits
    @exclusivity(unchecked) package private(set) var counters = EmitterCounters()
    /// Records that are cut and wait for the loop to produce them.
    @exclusivity(unchecked) private var outbox = Outbox()
    /// Bytes in open frames.
    @exclusivity(unchecked) private var openBytes = 0
    /// True while the task replays: numbers advance, nothing is written.
    @exclusivity(unchecked) package private(set) var isMuted = false

    /// Bounds of what is written.
    package struct Limits: Sendable {
        /// A frame is cut when it reaches this; stays well below the broker's `message.max.bytes`.
        package var frameBytesMax = 400_000
        /// One record never exceeds this.
        package var recordBytesMax = 900_000
        package init() {}
    }

    private struct Chain: BitwiseCopyable {
        var last = Sequence.none
        /// The last that was numbered in silence: said already, by whoever was here before.
        var settled = Sequence.none
    }

    private let topics: [TopicName]
    @exclusivity(unchecked) private var firstStream: [Int]
    @exclusivity(unchecked) private var chains: [Chain] = []
    private let writers: UnsafeMutablePointer<FrameWriter>
    @exclusivity(unchecked) private var inputOffset: Int64 = -1

    package init(
        task: TaskID, incarnation: UInt64, layout: TopicLayout, outputs: [TopicName], names: NameTable,
        limits: Limits = Limits()
    ) {
        self.task = task
        self.incarnation = incarnation
        self.layout = layout
        self.names = names
        self.limits = limits
        topics = outputs
        firstStream = Array(repeating: -1, count: TopicName.allCases.count + 1)
        var total = 0
        for topic in outputs {
            firstStream[Int(topic.rawValue)] = total
            total += Int(layout[topic])
        }
        chains = Array(repeating: Chain(), count: total)
        writers = .allocate(capacity: total)
        for index in 0..<total { (writers + index).initialize(to: FrameWriter()) }
    }

    deinit {
        writers.deinitialize(count: chains.count)
        writers.deallocate()
    }

    private func stream(_ topic: TopicName, _ partition: Int32) -> Int {
        let first = firstStream[Int(topic.rawValue)]
        precondition(first >= 0, "the stage does not declare this output topic")
        precondition(partition >= 0 && partition < layout[topic], "partition beyond the topic")
        return first &+ Int(partition)
    }

    /// All that follows is caused by the input record at `offset`.
    package func begin(inputOffset offset: Int64, muted: Bool) {
        inputOffset = offset
        isMuted = muted
    }

    private func number(_ stream: Int) -> (sequence: Sequence, previous: Sequence) {
        let previous = chains[stream].last
        let sequence = Sequence(
            offset: inputOffset, index: previous.offset == inputOffset ? previous.index &+ 1 : 0)
        chains[stream].last = sequence
        if isMuted { chains[stream].settled = sequence }
        return (sequence, previous)
    }

    /// Appends an entry to the frame that is open to this partition.
    package func emit(_ entry: Entry, to topic: TopicName, partition: Int32) {
        let stream = stream(topic, partition)
        let (sequence, previous) = number(stream)
        counters.entries &+= 1
        if isMuted { return }
        let writer = writers + stream
        if !writer.pointee.accepts(entry.kind, width: entry.numbers.count) { cut(stream, topic, partition, nil) }
        let before = writer.pointee.byteCount
        let names = self.names
        writer.pointee.append(entry, sequence: sequence, previous: previous) { names.bytes(of: $0) }
        let after = writer.pointee.byteCount
        openBytes &+= after &- before
        if after >= limits.frameBytesMax { cut(stream, topic, partition, nil) }
    }

    /// The same entry to every partition of a topic.
    package func emitToAll(_ entry: Entry, topic: TopicName) {
        for partition in 0..<layout[topic] { emit(entry, to: topic, partition: partition) }
    }

    /// A record of its own with JSON in it. The closure gets the writer and the entry's number; while the task replays
    /// it is not called. A record beyond the limit is a dead letter.
    /// - Returns: the entry's number, replay or not, so that a stage can remember what it said.
    @discardableResult
    package func record(
        to topic: TopicName, partition: Int32, key: NameID, _ body: (inout JSONWriter, Sequence) -> Void
    ) -> Sequence {
        let (sequence, _) = number(stream(topic, partition))
        counters.entries &+= 1
        if isMuted { return sequence }
        let refused = outbox.append(topic, partition, key: names.bytes(of: key), bytesMax: limits.recordBytesMax) {
            body(&$0, sequence)
        }
        if let refused { refuse(refused, for: topic, sequence) } else { counters.records &+= 1 }
        return sequence
    }

    /// A record without a value: a compacted topic forgets the key.
    package func tombstone(to topic: TopicName, partition: Int32, key: NameID) {
        _ = number(stream(topic, partition))
        counters.entries &+= 1
        if isMuted { return }
        counters.records &+= 1
        outbox.appendTombstone(topic, partition, key: names.bytes(of: key))
    }

    /// Id of an entry for the outside: task and number, without incarnation, so that a repeat is the same.
    package func id(_ sequence: Sequence) -> String {
        "\(task.stage.text)-\(task.inbox.text)-\(task.epoch)-\(task.partition)-\(sequence.offset)-\(sequence.index)"
    }

    /// The record cannot be understood: it goes to `deadletters` with the reason, and the stream goes on.
    package func deadLetter(_ letter: DeadLetter) {
        counters.deadLetters &+= 1
        let partition = task.partition % layout[.deadletters]
        record(to: .deadletters, partition: partition, key: 0) { writer, sequence in
            letter.write(into: &writer, id: self.id(sequence), task: self.task)
        }
    }

    /// A record that is too large for its topic becomes a dead letter. It takes no number of its own there, as a replay
    /// would not know of it.
    private func refuse(_ bytes: [UInt8], for topic: TopicName, _ sequence: Sequence) {
        counters.oversize &+= 1
        counters.deadLetters &+= 1
        counters.records &+= 1
        bytes.withUnsafeBytes { value in
            let letter = DeadLetter(
                topic: task.inbox, partition: task.partition, offset: sequence.offset, key: nil, value: value,
                reason: "record of \(bytes.count) bytes for \(topic.text) is larger than \(limits.recordBytesMax)")
            _ = outbox.append(
                .deadletters, task.partition % layout[.deadletters], key: names.bytes(of: 0), bytesMax: .max
            ) {
                letter.write(into: &$0, id: id(sequence) + "-\(topic.text)", task: task)
            }
        }
    }

    private func cut(_ stream: Int, _ topic: TopicName, _ partition: Int32, _ heartbeat: Heartbeat?) {
        let writer = writers + stream
        if writer.pointee.count == 0 && heartbeat == nil { return }
        openBytes &-= writer.pointee.count == 0 ? 0 : writer.pointee.byteCount &- Self.emptyFrameBytes
        counters.frames &+= 1
        outbox.append(topic, partition) { buffer in
            writer.pointee.finish(
                sender: task, incarnation: incarnation, heartbeat: heartbeat, lastSent: chains[stream].last,
                settled: chains[stream].settled, into: &buffer)
        }
    }

    private static let emptyFrameBytes = 64

    /// Closes every open frame; called before a flush.
    package func cutAll() {
        for topic in topics {
            for partition in 0..<layout[topic] { cut(stream(topic, partition), topic, partition, nil) }
        }
    }

    /// Closes the open frame to every partition of `topic` with a heartbeat at its end.
    package func heartbeat(_ heartbeat: Heartbeat, topic: TopicName) {
        for partition in 0..<layout[topic] {
            cut(stream(topic, partition), topic, partition, nil)
            cut(stream(topic, partition), topic, partition, heartbeat)
        }
    }

    /// Bytes that are cut, and those in open frames.
    package var pendingBytes: Int { outbox.byteCount &+ openBytes }

    /// True while something is cut.
    package var hasOutgoing: Bool { outbox.count > 0 }

    /// Hands the waiting records over and forgets them, whatever comes of it: they have left the task.
    package func drain<E: Error>(_ body: (borrowing Outbox) throws(E) -> Void) throws(E) {
        defer { outbox.removeAll() }
        try body(outbox)
    }

    /// Takes copies of the waiting records.
    package func takeOutgoing() -> [OutgoingRecord] {
        defer { outbox.removeAll() }
        return outbox.copies
    }

    private static let tag = StateSection.numbering.tag

    /// The chain of numbers, as part of the task's snapshot.
    package func freeze(into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(UInt64(chains.count))
        for chain in chains {
            coder.write(chain.last.offset)
            coder.write(chain.last.index)
        }
        writer.add(tag: Self.tag, bytes: coder.bytes)
    }

    package func restore(from reader: StateReader) throws(StateError) {
        var decoder = try reader.decoder(tag: Self.tag)
        guard try decoder.readCount(max: Int(Int32.max)) == chains.count else {
            throw .invalid("the number of output partitions changed; replay into a new namespace")
        }
        for index in chains.indices {
            chains[index].last = Sequence(offset: try decoder.readInt64(), index: try decoder.readInt64())
            chains[index].settled = chains[index].last
        }
    }
}
