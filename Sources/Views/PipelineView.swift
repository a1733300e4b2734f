import Messages
import TwinCore

/// What the frames on `forecasts` and `outlooks` say about their senders: the event time that each has reached.
package struct PipelineView: Sendable {
    /// One sender of frames.
    package struct Sender: Sendable {
        package let task: TaskID
        /// Nil before it has said one.
        package var watermark: EventTime?
        package var frames: UInt64 = 0
    }

    /// Senders that are told apart.
    package static let sendersMax = 65_536

    /// By packed task, ascending.
    package private(set) var senders: [Sender] = []

    package init() {}

    /// Notes a frame: a heartbeat, or entries of which one may be a watermark. Returns the watermark of its sender.
    @discardableResult
    package mutating func receive(_ task: TaskID, watermark: EventTime?) -> EventTime? {
        var (low, high) = (0, senders.count)
        while low < high {
            let middle = (low + high) / 2
            if senders[middle].task.packed < task.packed { low = middle + 1 } else { high = middle }
        }
        if low == senders.count || senders[low].task != task {
            guard senders.count < Self.sendersMax else { return nil }
            senders.insert(Sender(task: task), at: low)
        }
        senders[low].frames &+= 1
        if let watermark, EventTime.plausible.contains(watermark) { senders[low].watermark = watermark }
        return senders[low].watermark
    }

    /// The least event time that the tasks of a stage have reached, of those that have said one.
    package func watermark(of stage: StageName) -> EventTime? {
        senders.filter { $0.task.stage == stage }.compactMap(\.watermark).min()
    }
}
