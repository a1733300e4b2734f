import StageKit
import TwinCore

/// Runs stages in memory, single-threaded: each topic is a queue with offsets, each record goes to all tasks whose
/// inbox it is, what they write goes to the queues, until nothing moves. One partition per topic.
///
/// What a record causes is followed to its end before the caller gives the next one, so the result depends on the
/// records and their order alone.
package final class PipelineDriver {
    /// Records that one call of `pump` may move; more means that stages feed each other without end.
    package static let recordsMax = 1_000_000

    /// Sees every record that a stage writes, in order, before it is delivered.
    @exclusivity(unchecked) package var tap: ((OutgoingRecord) throws(BacktestError) -> Void)?

    private struct Running {
        let inbox: TopicName
        let logic: any TaskLogic
    }

    private let tasks: [Running]
    @exclusivity(unchecked) private var offsets = [Int64](repeating: 0, count: TopicName.allCases.count + 1)
    @exclusivity(unchecked) private var queue: [OutgoingRecord] = []

    /// - Parameters:
    ///   - tasks: in the order in which they get a record of a topic that several of them read.
    ///   - other: whose topics these tasks read on.
    package init(tasks: [(inbox: TopicName, logic: any TaskLogic)], continuing other: PipelineDriver? = nil) {
        self.tasks = tasks.map { Running(inbox: $0.inbox, logic: $0.logic) }
        guard let other else { return }
        tap = other.tap
        offsets = other.offsets
        queue = other.queue
    }

    /// Puts a record at the end of a topic.
    package func push(_ value: [UInt8], to topic: TopicName) {
        queue.append(OutgoingRecord(topic: topic, partition: 0, key: nil, value: value))
    }

    /// Delivers until nothing is left.
    package func pump() throws(BacktestError) {
        var head = 0
        while head < queue.count {
            let record = queue[head]
            head += 1
            guard head <= Self.recordsMax else {
                throw BacktestError(.stage, "the stages did not come to rest after \(Self.recordsMax) records")
            }
            try deliver(record)
        }
        queue.removeAll(keepingCapacity: true)
    }

    private func deliver(_ record: OutgoingRecord) throws(BacktestError) {
        guard let value = record.value else { return }
        let offset = offsets[Int(record.topic.rawValue)]
        offsets[Int(record.topic.rawValue)] = offset + 1
        for task in tasks where task.inbox == record.topic {
            let fault = value.withUnsafeBytes { bytes -> TaskFault? in
                do throws(TaskFault) {
                    try task.logic.receive(InboxRecord(offset: offset, key: nil, value: bytes), muted: false)
                    return nil
                } catch {
                    return error
                }
            }
            if let fault { throw BacktestError(.stage, fault.text) }
            task.logic.emitter.cutAll()
            for written in task.logic.emitter.takeOutgoing() {
                if let tap { try tap(written) }
                queue.append(written)
            }
        }
    }
}
