import Propagation
import TwinCore

extension StageProcess {
    /// Runs the graph-propagator, as its executable.
    package static func graphPropagator() async -> Never {
        let table = SettingsTable<PropagationSettings>.graphPropagator()
        await main(
            .graphPropagator, purpose: "lets an expected change be felt by the neighbours, ahead of their telemetry",
            keys: table.keys
        ) { (configuration) throws(ConfigurationError) in
            .frames(PropagationStage.self, settings: try table.settings(configuration)) { $0.hash(into: &$1) }
        }
    }
}

extension SettingsTable<PropagationSettings> {
    /// Which key sets what.
    package static func graphPropagator() -> SettingsTable {
        var table = SettingsTable(PropagationSettings())
        table.numbers(
            "horizonsSeconds", "Horizons on which influence is kept, ascending.",
            get: { $0.horizonsSeconds.map { Double($0) } },
            set: { settings, numbers in
                settings.horizonsSeconds = numbers.map { Int32(clamping: Int64(min(max($0, 0), 1e9))) }
            })
        table.integer("hopsMax", \.hopsMax, in: 0...3, "How many edges a change travels.")
        table.number("damping", \.damping, in: 0...1, "What a hop lets through.")
        table.number("epsilon", \.epsilon, in: 0...1, "A smaller relative change is not sent on.")
        table.number(
            "refreshShare", \.refreshShare, in: 0...1, "Change of an outlook that is published between forecasts.")
        table.number("relativeChangeMax", \.relativeChangeMax, in: 0...1_000, "Bound of expected relative changes.")
        table.integer(
            "influenceSeconds", \.influenceSeconds, "How long a forecast's influence counts without a new one.")
        table.integer(
            "rateHalfLifeSeconds", \.rateHalfLifeSeconds, in: 1...1_000_000_000, "Half-life of an edge's rate.")
        table.integer(
            "edgeHalfLifeSeconds", \.edgeHalfLifeSeconds, in: 1...1_000_000_000, "Half-life of confidence in an edge.")
        table.integer("edgeExpirySeconds", \.edgeExpirySeconds, "An edge not seen for so long counts nothing.")
        table.number("observationsHalf", \.observationsHalf, in: 0...1e6, "Observations that give half the confidence.")
        table.flag("takesDeclaredWeights", \.takesDeclaredWeights, "Interactions carry weights instead of rates.")
        table.number("declaredWeightMax", \.declaredWeightMax, in: 0...1_000, "Largest weight that can be declared.")
        table.number("proximityWeight", \.proximityWeight, in: 0...1_000, "Weight between resources of one locality.")
        table.integer("resourcesMax", \.resourcesMax, in: 1...10_000_000, "Resources of one task.")
        table.integer("edgesMax", \.edgesMax, in: 1...100_000_000, "Edges of one task.")
        table.integer(
            "edgesPerResourceMax", \.edgesPerResourceMax, in: 1...1_000_000, "Edges into a resource, and out of it.")
        return table
    }
}
