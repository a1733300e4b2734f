import Forecasting
import StageKit
import TwinCore

/// What a backtest is asked to do: the options of `twinscale backtest`.
package struct BacktestOptions: Sendable {
    /// CSV, plain or gzip: `timestamp,resource,metric,value`.
    package var telemetry: String
    /// YAML: classes, tags, units, kinds and roles. Without it every metric is forecast as it stands.
    package var resources: String?
    /// CSV: `source,target,weight`.
    package var edges: String?
    /// CSV: `start,end,scope_key,scope_value,kind,uplift`.
    package var events: String?
    /// YAML: `policies: […]`.
    package var policies: String?
    /// CSV: `resource,metric,origin[,file]`; without it a forecast is written at every sample.
    package var origins: String?
    /// Seconds, ascending, each once.
    package var horizons: [Int] = [300, 900, 1_800, 3_600]
    /// The clock by which days and weeks are learned.
    package var clock = LocalTime.utc
    /// Directory of the results; made if it is not there.
    package var outputDirectory: String
    package var limits = TelemetrySource.Limits()

    package static let horizonsMax = HorizonPlan.horizonsMax
    package static let horizonSecondsMax = 31_536_000

    package init(telemetry: String, outputDirectory: String) {
        self.telemetry = telemetry
        self.outputDirectory = outputDirectory
    }

    /// Reads `300,900,1800,3600`.
    package static func horizons(_ text: String) throws(BacktestError) -> [Int] {
        var horizons: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = String(part).filter { $0 != " " }
            guard let seconds = Int(word), seconds > 0, seconds <= horizonSecondsMax else {
                throw BacktestError(
                    .format, "\"\(word)\" is no horizon", hint: "give whole seconds, such as 300,900,1800,3600")
            }
            if !horizons.contains(seconds) { horizons.append(seconds) }
        }
        guard horizons.count <= horizonsMax else {
            throw BacktestError(.limit, "\(horizons.count) horizons are more than \(horizonsMax)")
        }
        return horizons.sorted()
    }
}

/// How far a backtest has come.
package struct BacktestProgress: Sendable {
    /// What is being done.
    package enum Phase: Sendable {
        /// The telemetry is read, or checked if it is long.
        case reading
        /// The stages run.
        case running
    }

    package var phase: Phase
    /// Share of the phase that is done, 0…1.
    package var share: Double
}
