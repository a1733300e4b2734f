import TwinCore
import Twins

extension StageProcess {
    /// Runs the twin-updater, as its executable.
    package static func twinUpdater() async -> Never {
        let table = SettingsTable<TwinSettings>.twinUpdater()
        await main(
            .twinUpdater, purpose: "keeps a twin of every resource and forecasts its demand", keys: table.keys
        ) { (configuration) throws(ConfigurationError) in
            .frames(TwinStage.self, settings: try table.settings(configuration)) { $0.hash(into: &$1) }
        }
    }
}

extension SettingsTable<TwinSettings> {
    /// Which key sets what.
    package static func twinUpdater() -> SettingsTable {
        var table = SettingsTable(TwinSettings())
        table.numbers(
            "horizonSeconds", "Horizons of the forecasts.", get: { $0.horizonSeconds },
            set: { settings, numbers in settings.horizonSeconds = numbers })
        table.number("stepSecondsMin", \.stepSecondsMin, in: 0.001...86_400, "Samples closer together are one step.")
        table.integer("allowedLatenessSeconds", \.allowedLatenessSeconds, "How late a sample is still merged.")
        table.integer("resourcesMax", \.resourcesMax, in: 1...100_000_000, "Twins of one task.")
        table.integer("seriesMax", \.seriesMax, in: 1...100_000_000, "Series of one task.")
        table.integer("seriesPerResourceMax", \.seriesPerResourceMax, in: 1...100_000, "Series of one twin.")
        table.integer("eventsMax", \.eventsMax, in: 0...64, "Planned events known at a time.")
        table.integer(
            "summarySeconds", \.summarySeconds, in: 1...1_000_000_000, "How often a twin's summary is restated.")
        table.integer(
            "expireSeconds", \.expireSeconds, in: 1...1_000_000_000, "A twin without samples is then forgotten.")
        table.parsed(
            "timeZone", default: "UTC",
            "The clock by which days and weeks are learned: an IANA name or a rule such as CET-1CEST,M3.5.0,M10.5.0/3."
        ) { settings, text in
            do throws(TimeZoneError) {
                settings.clock = try LocalTime(zone: text)
                return nil
            } catch {
                return error.text
            }
        }
        return table
    }
}
