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
            event time how far the event time that the task has reached is behind the clock, from what it last wrote. \
            The lateness that the normalizer allows (stage.latenessSecondsMax) is part of it and no delay; the \
            drift-detector and the scaling-decider say none
            snapshot   offset and age of the newest snapshot, where --store names the store

            A task is late if it is more than --late-records behind but moves, stuck if it is behind and does not move \
            within --interval, new if its stage has never run and there is nothing to read, fenced if a higher \
            incarnation has run. Exit code 1 if a task is stuck or fenced, or no stage has ever run, else 0.
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
        var isAmiss = false
        try reporting(broker) {
            let tasks = try StatusCollector(self).collect()
            print(json ? Self.json(tasks) : Self.text(tasks, hasStore: store != nil))
            isAmiss =
                tasks.contains { [.stuck, .fenced].contains($0.verdict) } || !tasks.contains { $0.hasRun }
        }
        if isAmiss { throw ExitCode(1) }
    }

    static func text(_ tasks: [TaskOutlook], hasStore: Bool) -> String {
        var rows = [["TASK", "INCARNATION", "VERDICT", "LAG", "COMMITTED", "END", "EVENT TIME", "SNAPSHOT", ""]]
        for task in tasks {
            let snapshot = task.snapshot.map { "\($0.offset), \(age($0.ageSeconds))" } ?? (hasStore ? "none" : "-")
            rows.append([
                "\(task.task)", "\(task.incarnation)", task.verdict.rawValue, "\(task.lag)",
                task.committed.map { "\($0)" } ?? "never", "\(task.end)",
                task.watermarkAgeSeconds.map { "\(age($0)) behind" } ?? "-", snapshot, task.note,
            ])
        }
        var lines = Topology.aligned(rows)
        if tasks.contains(where: { $0.watermarkAgeSeconds != nil }) {
            lines += ["", "EVENT TIME trails the clock by the lateness that the normalizer allows, which is no delay."]
        }
        return (lines + ["", summary(tasks)]).joined(separator: "\n")
    }

    private static func summary(_ tasks: [TaskOutlook]) -> String {
        let all = counted(tasks.count, "task")
        if tasks.allSatisfy({ $0.verdict == .ok }) { return "\(all), all ok" }
        if !tasks.contains(where: \.hasRun) { return "\(all): no stage has run yet" }
        let verdicts = [TaskOutlook.Verdict.stuck, .fenced, .late, .new, .ok].compactMap { verdict in
            let count = tasks.filter { $0.verdict == verdict }.count
            return count > 0 ? "\(count) \(verdict.rawValue)" : nil
        }
        return "\(all): \(verdicts.joined(separator: ", "))"
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
        let isWell = tasks.allSatisfy { [.ok, .new].contains($0.verdict) } && tasks.contains { $0.hasRun }
        writer.bool(isWell)
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
    enum Verdict: String {
        case ok, late, stuck
        /// Its stage has never committed anything, and there is nothing to read.
        case new
        /// A higher incarnation has committed: receivers refuse what this one says.
        case fenced
    }

    var task: TaskID
    var group: String
    var incarnation: UInt64
    /// Nil if the group has never committed.
    var committed: Int64?
    /// The stage's group has committed something, here or elsewhere.
    var hasRun = true
    /// What other incarnations have committed here.
    var others: [(incarnation: UInt64, committed: Int64)] = []
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
        // The log's end was asked for before the last look at what is committed.
        end = max(end, committed ?? 0)
        if lag > 0, moved == false {
            verdict = .stuck
            note =
                committed == nil
                ? "no worker has ever committed here; does the stage run?"
                : "behind and not moving; does the stage run? See its log and its /status"
        } else if lag > lateRecords {
            verdict = .late
            note = "behind but moving; add workers if it lasts"
        } else if committed == nil {
            verdict = hasRun ? .ok : .new
            note = "nothing to read yet"
        }
        // Receivers refuse all but the highest incarnation.
        if let higher = others.last(where: { $0.incarnation > incarnation }) {
            verdict = .fenced
            note = "incarnation \(higher.incarnation) is in force, at \(higher.committed)"
        } else if let ahead = others.last(where: { $0.committed > committed ?? start }) {
            let lower = "incarnation \(ahead.incarnation) is ahead, at \(ahead.committed), and refused by receivers"
            note = note.isEmpty ? lower : "\(lower); \(note)"
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
