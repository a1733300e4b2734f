import Messages
import StageKit
import TwinCore

/// Writes the frames that the normalizer would write: numbered entries, the watermark at the end of a frame. Names are
/// those of the table it is given.
package final class EntryFeeder {
    /// The sender that the stages see.
    package static let task = TaskID(stage: .normalizer, inbox: .telemetry, epoch: 1, partition: 0)

    package let names: NameTable
    private var observations = Stream()
    private var outlooks = Stream()

    /// Entries of the open frame to one topic.
    private final class Stream {
        @exclusivity(unchecked) var writer = FrameWriter()
        @exclusivity(unchecked) var last = Sequence.none
        @exclusivity(unchecked) var offset: Int64 = 0
        @exclusivity(unchecked) var index: Int64 = 0
    }

    package init(names: NameTable) { self.names = names }

    private func stream(_ topic: TopicName) -> Stream { topic == .outlooks ? outlooks : observations }

    /// Entries in the open frame to a topic.
    package func count(_ topic: TopicName) -> Int { stream(topic).writer.count }

    /// Appends an entry to the open frame to `observations` or `outlooks`. Entries of one kind in one frame have
    /// equally many numbers; the caller cuts where that changes.
    package func emit(_ entry: Entry, to topic: TopicName) {
        let stream = stream(topic)
        let sequence = Sequence(offset: stream.offset, index: stream.index)
        stream.index += 1
        let names = self.names
        stream.writer.append(entry, sequence: sequence, previous: stream.last) { names.bytes(of: $0) }
        stream.last = sequence
    }

    /// Closes the open frame, with a heartbeat if there is a watermark; nil if there is nothing to say.
    package func cut(_ topic: TopicName, watermark: EventTime? = nil) -> [UInt8]? {
        let stream = stream(topic)
        if stream.writer.count == 0 && watermark == nil { return nil }
        stream.offset += 1
        stream.index = 0
        let heartbeat = watermark.map { Heartbeat(watermark: $0, isIdle: false, senders: [Self.task]) }
        return stream.writer.finish(sender: Self.task, incarnation: 1, heartbeat: heartbeat)
    }
}
