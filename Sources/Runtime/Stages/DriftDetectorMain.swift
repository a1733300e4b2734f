import DriftDetection
import TwinCore

extension StageProcess {
    /// Runs the drift-detector, as its executable.
    package static func driftDetector() async -> Never {
        let table = SettingsTable<DriftSettings>.driftDetector()
        await main(
            .driftDetector, purpose: "judges the twins' residuals and reports when a model no longer fits",
            keys: table.keys
        ) { (configuration) throws(ConfigurationError) in
            .frames(DriftStage.self, settings: try table.settings(configuration)) { $0.hash(into: &$1) }
        }
    }
}

extension SettingsTable<DriftSettings> {
    /// Which key sets what.
    package static func driftDetector() -> SettingsTable {
        var table = SettingsTable(DriftSettings())
        table.parsed("detector", default: "cusum", "cusum, pageHinkley, adwin or kswin.") { settings, text in
            guard let detector = DriftSettings.Detector.allCases.first(where: { "\($0)" == text }) else {
                return "'\(text)' is none of cusum, pageHinkley, adwin and kswin"
            }
            settings.detector = detector
            return nil
        }
        table.number("averageRunLength", \.averageRunLength, in: 50...1e12, "Samples between false alarms, per series.")
        table.integer("seriesMax", \.seriesMax, in: 1...100_000_000, "Series that one task watches.")
        table.integer("holdOffSamples", \.holdOffSamples, "Samples of silence after a drift.")
        table.number("retrainsPerHourMax", \.retrainsPerHourMax, "Retrain requests per task and hour of event time.")
        table.integer(
            "frozenSamplesMin", \.frozenSamplesMin, in: 2...1_000_000, "Equal values that call a series frozen.")
        table.integer("affectedMetricsMax", \.affectedMetricsMax, in: 0...1_000, "Other metrics named in an event.")
        table.number("groupWindowSeconds", \.groupWindowSeconds, in: 0...86_400, "Drifts looked at together.")
        table.integer("groupResourcesMin", \.groupResourcesMin, in: 2...1_000_000, "Resources that make a group.")
        table.number("groupShareMin", \.groupShareMin, in: 0...1, "Share of a locality that makes a group.")
        table.number("versionSeconds", \.versionSeconds, in: 0...604_800, "Time in which a release explains a drift.")
        table.number("alarmsPerDay", \.alarmsPerDay, in: 0...1e6, "Alarms for operators a day, of the whole fleet.")
        return table
    }
}
