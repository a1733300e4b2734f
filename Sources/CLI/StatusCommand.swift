import ArgumentParser
import Foundation
import Messages
import Topology
import TwinCore

/// `twinscale status`: how far every task is, as the broker and the snapshot store see it.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show for every task how far it is behind, its watermark and its snapshot.",
        discussion: """
            Asks the broker and the snapshot store, not the stages, so it works from anywhere and while stages are down.

            lag        records between the committed offset and the end of the inbox
            watermark  how long ago the event time is that the task has reached, from the heartbeats and watermarks \
            that it \
            last wrote; the drift-detector and the scaling-decider write none
            snapshot   offset and age of the newest snapshot, where --store names the store

            A task is late if it is more than --late-records behind but moves, stuck if it is behind and does not move \
            within --interval. Exit code 1 if a task is stuck, else 0.
            """)

    @OptionGroup var broker: BrokerOptions

    @Option(help: ArgumentHelp("Snapshot store of the stages: file:///directory or kafka:topic.", valueName: "url"))
    var store: String?

    @Option(help: ArgumentHelp("Only this stage.", valueName: "stage"))
    var stage: String?

    @Option(
        help: ArgumentHelp("Incarnation of the groups; without it the highest that has committed.", valueName: "number")
    )
    var incarnation: UInt64?

    @Option(help: ArgumentHelp("More lag than this is late.", valueName: "records"))
    var lateRecords: Int64 = 10_000

    @Option(help: ArgumentHelp("How long a task that is behind is watched for movement.", valueName: "seconds"))
    var interval = 3.0

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let stage, StageName(text: stage) == nil {
            let names = StageName.allCases.map(\.text).joined(separator: ", ")
            throw ValidationError("'\(stage)' is no stage: \(names)")
        }
        if !(0.1...600).contains(interval) { throw ValidationError("--interval is 0.1 to 600 seconds") }
        if lateRecords < 0 { throw ValidationError("--late-records is not negative") }
        if let incarnation, incarnation < 1 { throw ValidationError("--incarnation is at least 1") }
    }

    func run() throws {
        var isStuck = false
        try reporting(broker) {
            let tasks = try StatusCollector(self).collect()
            print(json ? Self.json(tasks) : Self.text(tasks, hasStore: store != nil))
            isStuck = tasks.contains { $0.verdict == .stuck }
        }
        if isStuck { throw ExitCode(1) }
    }

    private static func text(_ tasks: [TaskOutlook], hasStore: Bool) -> String {
        var rows = [["TASK", "VERDICT", "LAG", "COMMITTED", "END", "WATERMARK", "SNAPSHOT", ""]]
        for task in tasks {
            let snapshot = task.snapshot.map { "\($0.offset), \(age($0.ageSeconds))" } ?? (hasStore ? "none" : "-")
            rows.append([
                "\(task.task)", task.verdict.rawValue, "\(task.lag)", task.committed.map { "\($0)" } ?? "never",
                "\(task.end)", task.watermarkAgeSeconds.map { "\(age($0)) ago" } ?? "-", snapshot, task.note,
            ])
        }
        var lines = Topology.aligned(rows)
        let behind = tasks.filter { $0.verdict != .ok }
        lines.append("")
        lines.append(
            behind.isEmpty
                ? "\(counted(tasks.count, "task")), all ok"
                : "\(behind.filter { $0.verdict == .late }.count) of \(counted(tasks.count, "task")) late, "
                    + "\(behind.filter { $0.verdict == .stuck }.count) stuck")
        return lines.joined(separator: "\n")
    }

    /// `3.2 s`, `14 min`, `5 h`, `3 d`.
    static func age(_ seconds: Double) -> String {
        switch seconds {
        case ..<0: "0 s"
        case ..<100: "\(EntryFields.short((seconds * 10).rounded() / 10)) s"
        case ..<6_000: "\(Int(seconds / 60)) min"
        case ..<172_800: "\(Int(seconds / 3_600)) h"
        default: "\(Int(min(seconds / 86_400, 1e9))) d"
        }
    }

    private static func json(_ tasks: [TaskOutlook]) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("ok")
        writer.bool(tasks.allSatisfy { $0.verdict == .ok })
        writer.key("tasks")
        writer.beginArray()
        for task in tasks { task.write(into: &writer) }
        writer.endArray()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// One task as it looks from outside.
struct TaskOutlook {
    enum Verdict: String { case ok, late, stuck }

    var task: TaskID
    var group: String
    var incarnation: UInt64
    /// Nil if the group has never committed.
    var committed: Int64?
    var start: Int64
    var end: Int64
    var watermarkMilliseconds: Int64?
    var watermarkAgeSeconds: Double?
    var snapshot: (offset: Int64, ageSeconds: Double)?
    var verdict = Verdict.ok
    var note = ""

    /// Records by offset, holes included; never negative.
    var lag: Int64 { max(end - max(committed ?? start, start), 0) }

    /// Judges: `moved` since the first look, where there was a second one.
    mutating func judge(moved: Bool?, lateRecords: Int64) {
        guard lag > 0 else {
            note = committed == nil ? "nothing to read yet" : ""
            return
        }
        if moved == false {
            verdict = .stuck
            note =
                committed == nil
                ? "no worker has ever committed here; does the stage run?"
                : "behind and not moving; does the stage run? See its log and its /status"
        } else if lag > lateRecords {
            verdict = .late
            note = "behind but moving; add workers if it lasts"
        }
    }

    /// One object.
    func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.task(task)
        writer.key("group")
        writer.string(group)
        writer.key("incarnation")
        writer.unsigned(incarnation)
        writer.key("verdict")
        writer.string(verdict.rawValue)
        writer.key("lag")
        writer.int(lag)
        writer.key("committed")
        if let committed { writer.int(committed) } else { writer.null() }
        writer.key("start")
        writer.int(start)
        writer.key("end")
        writer.int(end)
        writer.key("watermark")
        if let watermarkMilliseconds {
            writer.time(EventTime(milliseconds: watermarkMilliseconds))
        } else {
            writer.null()
        }
        writer.key("watermarkAgeSeconds")
        if let watermarkAgeSeconds { writer.double(watermarkAgeSeconds) } else { writer.null() }
        writer.key("snapshotOffset")
        if let snapshot { writer.int(snapshot.offset) } else { writer.null() }
        writer.key("snapshotAgeSeconds")
        if let snapshot { writer.double(snapshot.ageSeconds) } else { writer.null() }
        writer.key("note")
        writer.string(note)
        writer.endObject()
    }
}
