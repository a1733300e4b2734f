import ArgumentParser
import Foundation
import Messages
import Simulation
import StageKit
import Synchronization
import TwinCore

/// `twinscale simulate`: the whole topology under faults, reproducibly.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the whole pipeline under simulated faults and check that nothing is lost or doubled.",
        discussion: """
            The production loop and the production stages run over an in-memory log under virtual time, while workers \
            crash, hang and come back as zombies, sends and commits fail or lose their reply, snapshots are torn, and \
            partitions change hands. At the end every task's outputs and state must equal a single-threaded fold of \
            its \
            recorded inbox. Everything is decided by the seed: the same seed is the same run. Exit code 1 if a promise \
            was broken; the words then say which. Needs no broker.

            A hundred runs: twinscale simulate --seeds 1..100
            One of them again: twinscale simulate --seed 17
            """)

    @Option(help: "The run to make.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("A range of runs to make, such as 1..200.", valueName: "first..last"))
    var seeds: String?

    @Option(
        help: ArgumentHelp("Steps during which faults strike; then the pipeline must come to rest.", valueName: "steps")
    )
    var steps = 3_000

    @Option(help: "Raw records that the simulated platform writes.")
    var records = 400

    @Option(help: "Partitions of every topic that may have several.")
    var partitions: Int32 = 3

    @Flag(help: "No faults: what the same feed does in peace.")
    var calm = false

    @Flag(help: "Print a JSON object a run.")
    var json = false

    func validate() throws {
        if seed != nil, seeds != nil { throw ValidationError("give --seed or --seeds, not both") }
        if seeds != nil, range == nil { throw ValidationError("--seeds is of the form FIRST..LAST, such as 1..200") }
        if !(0...10_000_000).contains(steps) { throw ValidationError("--steps is 0 to 10000000") }
        if !(1...1_000_000).contains(records) { throw ValidationError("--records is 1 to 1000000") }
        if !(1...64).contains(partitions) { throw ValidationError("--partitions is 1 to 64") }
    }

    private var range: ClosedRange<UInt64>? {
        guard let seeds else { return (seed ?? 1)...(seed ?? 1) }
        guard let dots = seeds.firstRange(of: ".."), let first = UInt64(seeds[..<dots.lowerBound]),
            let last = UInt64(seeds[dots.upperBound...].drop { $0 == "." }), first <= last, last - first < 10_000_000
        else { return nil }
        return first...last
    }

    func run() throws {
        guard let range else { return }
        let runs = SeededRuns(range) { seed in Self.run(seed, self) }
        let bar = ProgressBar("simulate", isWanted: range.count > 1)
        var broken: [UInt64] = []
        var done = 0
        runs.inOrder(threads: min(ProcessInfo.processInfo.activeProcessorCount, range.count)) { report in
            bar.end()
            done += 1
            print(json ? Self.json(report) : Self.text(report))
            for violation in report.violations where !json { print("    \(violation)") }
            if !report.violations.isEmpty { broken.append(report.seed) }
            bar.show(done, of: range.count, "seed \(report.seed)")
        }
        bar.end()
        if !json, range.count > 1 {
            print(
                broken.isEmpty
                    ? "\(range.count) runs, nothing lost, nothing doubled"
                    : "\(broken.count) of \(range.count) runs broke a promise; again with: "
                        + "twinscale simulate --seed \(broken[0])"
            )
        }
        if !broken.isEmpty { throw ExitCode(1) }
    }

    /// One run.
    static func run(_ seed: UInt64, _ options: SimulateCommand) -> Simulation.Report {
        var scenario = Scenario(seed: seed)
        scenario.partitions = options.partitions
        scenario.steps = options.steps
        scenario.records = options.records
        scenario.isCalm = options.calm
        return scenario.run()
    }

    static func text(_ report: Simulation.Report) -> String {
        let verdict = report.violations.isEmpty ? "ok" : "BROKEN (\(report.violations.count))"
        return
            "seed \(report.seed): \(verdict)  \(report.records) records, \(report.entries) entries, \(report.repeats) "
            + "repeats dropped, \(report.actions) actions; \(report.crashes) crashes, \(report.zombies) zombies, "
            + "\(report.rebuilds) rebuilds, \(report.recoveries) recoveries (\(report.recoveriesFromSnapshot) from "
            + "snapshots), \(report.snapshotsDamaged) of \(report.snapshotsSaved) snapshots damaged"
    }

    private static func json(_ report: Simulation.Report) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("seed")
        writer.unsigned(report.seed)
        writer.key("ok")
        writer.bool(report.violations.isEmpty)
        writer.key("violations")
        writer.beginArray()
        for violation in report.violations { writer.string(violation) }
        writer.endArray()
        let numbers: [(StaticString, Int)] = [
            ("records", report.records), ("entries", report.entries), ("repeats", report.repeats),
            ("actions", report.actions), ("crashes", report.crashes), ("zombies", report.zombies),
            ("rebuilds", Int(report.rebuilds)), ("recoveries", report.recoveries),
            ("recoveriesFromSnapshot", report.recoveriesFromSnapshot), ("snapshotsSaved", report.snapshotsSaved),
            ("snapshotsDamaged", report.snapshotsDamaged), ("stepsToRest", report.stepsToRest),
        ]
        for (name, value) in numbers {
            writer.key(name)
            writer.int(value)
        }
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// Independent runs on several threads, whose reports come in the order of their seeds.
private final class SeededRuns: Sendable {
    private struct State {
        var next: UInt64?
        var waiting: [UInt64: Simulation.Report] = [:]
    }

    private let range: ClosedRange<UInt64>
    private let body: @Sendable (UInt64) -> Simulation.Report
    private let state: Mutex<State>
    private let arrived = DispatchSemaphore(value: 0)

    init(_ range: ClosedRange<UInt64>, _ body: @escaping @Sendable (UInt64) -> Simulation.Report) {
        self.range = range
        self.body = body
        state = Mutex(State(next: range.lowerBound))
    }

    func inOrder(threads: Int, _ give: (Simulation.Report) -> Void) {
        for _ in 0..<threads {
            let thread = Thread { self.work() }
            thread.stackSize = 16 << 20
            thread.start()
        }
        for seed in range {
            while true {
                if let report = state.withLock({ $0.waiting.removeValue(forKey: seed) }) {
                    give(report)
                    break
                }
                arrived.wait()
            }
        }
    }

    private func work() {
        while let seed = take() {
            let report = body(seed)
            state.withLock { $0.waiting[seed] = report }
            arrived.signal()
        }
    }

    private func take() -> UInt64? {
        state.withLock { state in
            guard let seed = state.next else { return nil }
            state.next = seed < range.upperBound ? seed + 1 : nil
            return seed
        }
    }
}
