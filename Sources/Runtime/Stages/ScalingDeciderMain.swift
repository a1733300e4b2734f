import Scaling
import TwinCore

extension StageProcess {
    /// Runs the scaling-decider, as its executable.
    package static func scalingDecider() async -> Never {
        let table = SettingsTable<ScalingSettings>.scalingDecider()
        await main(
            .scalingDecider, purpose: "decides how much capacity each resource should have, and says why",
            keys: table.keys
        ) { (configuration) throws(ConfigurationError) in
            .frames(ScalingStage.self, settings: try table.settings(configuration)) { $0.hash(into: &$1) }
        }
    }
}

extension SettingsTable<ScalingSettings> {
    /// Which key sets what.
    package static func scalingDecider() -> SettingsTable {
        var table = SettingsTable(ScalingSettings())
        table.integer("resourcesMax", \.resourcesMax, in: 1...100_000_000, "Resources of one task.")
        table.integer("policiesMax", \.policiesMax, in: 1...1_000_000, "Policies, deleted ones included.")
        table.integer("policyBytesMax", \.policyBytesMax, in: 256...262_144, "The longest policy.")
        table.integer("policiesBytesMax", \.policiesBytesMax, in: 1_024...1_000_000_000, "All policies together.")
        table.integer("commandsMax", \.commandsMax, in: 1...1_000_000, "Commands that are remembered.")
        table.integer(
            "commandMemorySeconds", \.commandMemorySeconds, "How long a command without expiry is remembered.")
        table.integer(
            "decisionIntervalSeconds", \.decisionIntervalSeconds, in: 1...86_400,
            "Decision interval, unless a policy says.")
        table.number(
            "leadSecondsDefault", \.leadSecondsDefault, in: 0...86_400, "From an action to ready units, until learned.")
        table.integer(
            "policyRestateSeconds", \.policyRestateSeconds, in: 60...1_000_000_000,
            "Policies and orders in force are said again into outlooks so often; well below its retention.")
        table.integer(
            "restateSeconds", \.restateSeconds, in: 1...1_000_000_000, "When an unchanged decision is restated.")
        table.flag("restateEveryDecision", \.restateEveryDecision, "Restate at every evaluation.")
        table.integer("backoffSeconds", \.backoffSeconds, in: 1...86_400, "First wait after a failed action.")
        table.integer(
            "backoffSecondsMax", \.backoffSecondsMax, in: 1...1_000_000, "Longest wait after a failed action.")
        table.parsed(
            "actuation", default: "reported", "Who says that an action is done: reported or assumed."
        ) { settings, text in
            switch text {
            case "reported": settings.actuation = .reported
            case "assumed": settings.actuation = .assumed
            default: return "'\(text)' is neither reported nor assumed"
            }
            return nil
        }
        return table
    }
}
