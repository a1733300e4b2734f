import ArgumentParser
import Backtest
import Glibc
import Runtime
import TwinCore

/// `twinscale backtest`: the stages over recorded telemetry, without a broker.
package struct BacktestCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "backtest",
        abstract: "Run the stages over recorded telemetry and write what they would have said.",
        discussion: """
            Reads a CSV file of telemetry and drives the same stages as in production over it, in memory, as fast as \
            they go; no broker is needed. It shows how well your own past would have been forecast, which changes \
            would have been noticed, and, with policies, how many replicas there would have been, and why.

            A forecast, decision or drift stamped t uses nothing after t. The same files give the same results.

            TELEMETRY is CSV, plain or gzip, with the header timestamp,resource,metric,value (in any order; other \
            columns are passed over). Timestamps are epoch seconds or ISO 8601. The file may be in the order of time \
            (any length) or grouped by resource (up to 200 million rows).

            Results, in the directory given by --out:
              forecasts.csv  issued_at,resource,metric,horizon_s,mean,q10,q50,q90,q95,q99
              decisions.csv  timestamp,resource,desired_replicas,reason
              drift.csv      timestamp,resource,metric,kind,score
                             kinds: level, trend, variance, season (drift), anomaly (brief),
                             data (missing, frozen, unit)
              summary.json   counts, accuracy by metric and horizon, run time

            Examples:
              twinscale backtest --telemetry day.csv.gz --out results
              twinscale backtest --telemetry day.csv --edges calls.csv --policies policies.yaml --out results

            A resources file, to convert units and to tell counters from gauges:
              resources:
                - id: shop
                  class: service
                  tags: {cluster: eu-1a}
                  metrics:
                    requests: {unit: req/min, kind: gauge, role: demand, capacityPerUnit: 600}

            A policies file; one policy alone, as twinscale policy get prints it, or a list of them will do as well:
              policies:
                - name: shop
                  match: {resource: shop}
                  mode: act
                  capacityPerReplica: 600
                  targetUtilisation: 0.7
                  replicas: {min: 1, max: 40, initial: 2}
                  provisioningDelaySeconds: 180
                  decisionIntervalSeconds: 60
                  shortageTarget: 0.01
            """)

    @Option(help: ArgumentHelp("The recorded telemetry: CSV, plain or gzip.", valueName: "file.csv[.gz]"))
    var telemetry: String

    @Option(
        help: ArgumentHelp(
            "What the resources are: class, tags, and unit, kind and role of their metrics. Without it every metric is "
                + "forecast as it stands.", valueName: "file.yaml"))
    var resources: String?

    @Option(help: ArgumentHelp("Who calls whom: source,target,weight (calls per second).", valueName: "file.csv"))
    var edges: String?

    @Option(
        help: ArgumentHelp(
            "Planned events: start,end,scope_key,scope_value,kind,uplift.", valueName: "file.csv"))
    var events: String?

    @Option(
        help: ArgumentHelp(
            "Scaling policies, or one as twinscale policy get prints it; without them nothing is decided.",
            valueName: "file.yaml"))
    var policies: String?

    @Option(help: ArgumentHelp("How far to forecast, in seconds.", valueName: "s,s,…"))
    var horizons: String = "300,900,1800,3600"

    @Option(
        help: ArgumentHelp(
            "Write forecasts only where this file asks for them: resource,metric,origin, and file where it covers "
                + "several traces. Without it one is written at every sample.", valueName: "file.csv"))
    var origins: String?

    @Option(
        help: ArgumentHelp(
            "The clock by which days and weeks are learned: an IANA name such as Europe/Berlin, or a rule such as "
                + "CET-1CEST,M3.5.0,M10.5.0/3.", valueName: "zone"))
    var timeZone = "UTC"

    @Option(help: ArgumentHelp("Directory of the results; made if it is not there.", valueName: "dir"))
    var out: String

    @Flag(help: "Print the summary as JSON instead of a table.")
    var json = false

    @Flag(inversion: .prefixedNo, help: "Show a progress bar on standard error. (default: if it is a terminal)")
    var progress: Bool?

    package init() {}

    package func validate() throws {
        do {
            _ = try BacktestOptions.horizons(horizons)
        } catch {
            throw ValidationError("--horizons: \(error)")
        }
        _ = try clock()
    }

    private func clock() throws(ValidationError) -> LocalTime {
        do throws(TimeZoneError) {
            return try LocalTime(zone: timeZone)
        } catch {
            throw ValidationError("--time-zone: \(error.text)")
        }
    }

    package func run() throws {
        let clock = try self.clock()
        let hasSamples: Bool
        do throws(BacktestError) {
            var options = BacktestOptions(telemetry: telemetry, outputDirectory: out)
            options.resources = resources
            options.edges = edges
            options.events = events
            options.policies = policies
            options.origins = origins
            options.horizons = try BacktestOptions.horizons(horizons)
            options.clock = clock
            let bar = BacktestBar(isShown: progress ?? (isatty(2) == 1))
            defer { bar.clear() }
            let summary = try Backtest(options).run { bar.show($0) }
            bar.clear()
            if json {
                print(String(decoding: summary.json(), as: UTF8.self), terminator: "")
            } else {
                print(summary.text(outputDirectory: out), terminator: "")
            }
            for warning in summary.warnings { complain("twinscale backtest: warning: \(warning)\n") }
            hasSamples = summary.telemetry.rows > 0
        } catch {
            complain("twinscale backtest: \(error.reason)\n")
            if !error.hint.isEmpty { complain("  \(error.hint)\n") }
            throw ExitCode(1)
        }
        if !hasSamples { throw ExitCode(1) }
    }
}

private func complain(_ text: String) {
    var text = text
    _ = text.withUTF8 { write(2, $0.baseAddress, $0.count) }
}

/// A progress bar on standard error, redrawn in place.
private final class BacktestBar {
    private let isShown: Bool
    private var shown = ""

    init(isShown: Bool) { self.isShown = isShown }

    func show(_ progress: BacktestProgress) {
        guard isShown else { return }
        let width = 40
        let filled = min(max(Int(progress.share * Double(width)), 0), width)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        let label = progress.phase == .reading ? "reading" : "running"
        let text = "\(label) \(bar) \(Int(progress.share * 100)) %"
        guard text != shown else { return }
        shown = text
        complain("\r\(text)")
    }

    func clear() {
        guard isShown, !shown.isEmpty else { return }
        shown = ""
        complain("\r\u{1b}[K")
    }
}
