import Messages
import StageKit
import TestKit
import TwinCore

@testable import Propagation

/// All tasks of the propagator over some partitions, with the influence between them delivered as the broker would.
final class Wiring {
    let partitions: Int32
    private(set) var runs: [TestRun<PropagationStage>] = []
    private var senders: [TestSender] = []
    /// Deliveries of influence between partitions so far.
    private(set) var deliveries = 0

    init(partitions: Int32, settings: PropagationSettings) throws {
        self.partitions = partitions
        for partition in 0..<partitions {
            let layout = TopicLayout(partitions: partitions)
            let task = TaskID(stage: .graphPropagator, inbox: .forecasts, epoch: 1, partition: partition)
            runs.append(try TestRun(TaskSetting(task: task, layout: layout), settings: settings))
            senders.append(
                TestSender(
                    task: TaskID(stage: .twinUpdater, inbox: .observations, epoch: 1, partition: partition)))
        }
    }

    /// An entry from the twin-updater to one partition, and all that follows from it, until nothing is under way.
    func feed(_ entry: TestEntry, to partition: Int32) throws {
        try feed([entry], to: partition)
    }

    func feed(_ entries: [TestEntry], to partition: Int32) throws {
        try runs[Int(partition)].receive(senders[Int(partition)].frames(entries) { _ in 100 })
        var moved = true
        while moved {
            moved = false
            for run in runs {
                let waiting = run.outgoing
                run.outgoing = []
                for (target, bytes) in waiting {
                    moved = true
                    deliveries += 1
                    try runs[Int(target)].receive([bytes])
                }
            }
        }
    }

    func heartbeat(_ time: Int64) throws {
        for partition in 0..<Int(partitions) {
            try runs[partition].receive([senders[partition].frame([], heartbeat: EventTime(milliseconds: time))])
        }
    }

    /// An interaction, to the partitions of both ends.
    func interact(
        _ source: String, _ from: Int32, _ target: String, _ to: Int32, _ rate: Double, time: Int64 = 0
    )
        throws
    {
        try feed(.interaction(source, target, rate, time: time, otherEnd: to), to: from)
        if from != to { try feed(.interaction(source, target, rate, time: time, otherEnd: from), to: to) }
    }

    func outlooks(of resource: String) -> [TestEntry] {
        runs.flatMap { run in
            run.entries.filter { $0.topic == .outlooks && $0.entry.kind == .outlook && $0.entry.resource == resource }
                .map(\.entry)
        }
    }
}
