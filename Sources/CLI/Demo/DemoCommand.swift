import ArgumentParser
import Backtest
import Foundation
import Glibc
import Kafka
import Simulation

/// `twinscale demo`: the whole pipeline on one machine, with something to watch.
package struct DemoCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Watch the whole pipeline run a simulated shop, beside a reactive autoscaler.",
        discussion: """
            Starts a broker and the five stages as processes of their own, warms the twins with two simulated weeks of \
            a shop of twenty services, then lets half a day pass before your eyes: surges, a campaign, one that never \
            comes, metrics that go missing, a silent change. The pipeline's actions steer one copy of the shop; a \
            reactive rule (the arithmetic of the Kubernetes autoscaler) steers another with the very same demand. It \
            ends with one table. Ctrl-C ends it early and cleanly.

            With --telemetry it replays a recorded trace instead: most of it fast, the end visibly.
            """)

    @Option(
        help: ArgumentHelp(
            "How long the live part lasts: seconds, or with a unit as in 90s, 5m, 1h.", valueName: "duration"))
    var duration = "180"

    @Option(help: "Same seed, same shop, same demand.")
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Simulated days that the twins learn from before the live part.", valueName: "days"))
    var history = 14

    @Option(help: ArgumentHelp("Simulated minutes in a second of the live part.", valueName: "minutes"))
    var speed = 4.0

    @Option(
        help: ArgumentHelp(
            "Replay this trace (timestamp,resource,metric,value) instead of the simulated shop.",
            valueName: "file.csv[.gz]"))
    var telemetry: String?

    @Option(help: ArgumentHelp("Who calls whom in that trace: source,target,weight.", valueName: "file.csv"))
    var edges: String?

    @Option(
        help: ArgumentHelp(
            "Only the last so many days of that trace.", valueName: "days"))
    var days = 10.0

    @Flag(
        inversion: .prefixedNo,
        help: "Let the shop live on behind its story, for the dashboard's sake; so it does in a terminal.")
    var linger: Bool?

    @Flag(help: "Leave logs and snapshots where they are.")
    var keep = false

    @Flag(help: "Print nothing but the result, as JSON.")
    var json = false

    package init() {}

    package func validate() throws {
        guard let seconds = Self.seconds(of: duration), seconds > 0, seconds <= 604_800 else {
            throw ValidationError("--duration '\(duration)' is not a length of time such as 180, 90s, 30m or 1h")
        }
        if !(0.01...10_000).contains(speed) { throw ValidationError("--speed is 0.01 to 10000") }
        if !(2...60).contains(history) { throw ValidationError("--history is 2 to 60 days") }
        if edges != nil, telemetry == nil { throw ValidationError("--edges goes with --telemetry") }
        if !(0.1...3_650).contains(days) { throw ValidationError("--days is 0.1 to 3650") }
    }

    /// Seconds of `180`, `90s`, `5m` or `1h`; nil if it is none of these.
    static func seconds(of text: String) -> Double? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3_600]
        guard let last = text.last else { return nil }
        if let unit = units[last] { return Double(text.dropLast()).map { $0 * unit } }
        return Double(text)
    }

    package func run() throws {
        StopSignal.install()
        let voice = DemoVoice(silent: json)
        let seconds = Self.seconds(of: duration) ?? 180
        let pace = DemoPace(liveSeconds: seconds, minutesPerSecond: speed)
        do {
            let trace = try telemetry.map { try TraceData(path: $0, edges: edges, days: days, voice: voice) }
            let result = try play(trace, voice, pace)
            if json { print(result) }
        } catch let error as DemoError {
            if StopSignal.isRaised {
                voice.line("stopped; processes ended")
                return
            }
            throw failure(error.description)
        } catch let error as KafkaError {
            throw failure(error.reason)
        } catch let error as BacktestError {
            throw failure("\(error)")
        }
    }

    /// The shop, or a trace; returns the result as JSON.
    private func play(_ trace: TraceData?, _ voice: DemoVoice, _ pace: DemoPace) throws -> String {
        let pipeline = try DemoPipeline(keep: keep)
        defer {
            pipeline.end()
            if keep { voice.line("logs and snapshots are kept in \(pipeline.directory)") }
        }
        voice.line(
            "what to look at: each line below is something that happens, foreseen or answered; the address of the "
                + "dashboard comes after the warm-up, and a table at the end compares with a reactive rule")
        voice.line("broker at \(pipeline.bootstrap)   (try: kcat -b \(pipeline.bootstrap) -L)")
        voice.line("processes: \(pipeline.processIDs)")
        voice.line("logs: \(pipeline.directory)/logs")
        if let trace {
            return try TraceDemo(pipeline: pipeline, voice: voice, pace: pace, trace: trace).run()
        }
        let setting = ShopDemo.Setting(
            seed: seed, historyDays: history,
            lingers: linger ?? (!json && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1))
        return try ShopDemo(pipeline: pipeline, voice: voice, pace: pace, setting: setting).run()
    }
}

/// How fast simulated time passes in the live part.
struct DemoPace {
    let liveSeconds: Double
    let minutesPerSecond: Double

    /// Simulated minutes of the live part.
    var liveMinutes: Int { max(Int((liveSeconds * minutesPerSecond).rounded()), 1) }

    /// Waits until a minute of the live part is due, if it is not yet; ends early when asked to stop.
    func wait(for minute: Int, since start: Double) {
        let due = start + Double(minute) / minutesPerSecond
        while !StopSignal.isRaised {
            let left = due - monotonicSeconds()
            if left <= 0 { return }
            usleep(UInt32(min(left, 0.05) * 1e6))
        }
    }
}
