import DriftDetection
import Normalization
import Propagation
import Runtime
import Scaling
import StageKit
import TwinCore
import Twins

/// The five stages as their executables run them, by name.
enum StageCatalogue {
    /// A stage, configured as its executable would be by these arguments and this environment. Throws `ToolError` for
    /// what the configuration refuses.
    static func stage(
        _ stage: StageName, arguments: [String], environment: [String: String] = StageProcess.environment()
    ) throws -> (definition: StageDefinition, configuration: RuntimeConfiguration) {
        func configured(_ keys: [ConfigurationKey]) throws(ConfigurationError) -> RuntimeConfiguration {
            try RuntimeConfiguration(stage: stage, stageKeys: keys, arguments: arguments, environment: environment)
        }
        do throws(ConfigurationError) {
            switch stage {
            case .normalizer:
                let table = SettingsTable<NormalizerSettings>.normalizer()
                let configuration = try configured(table.keys)
                return (.normalizer(try table.normalizerSettings(configuration)), configuration)
            case .twinUpdater:
                let table = SettingsTable<TwinSettings>.twinUpdater()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return (.frames(TwinStage.self, settings: settings) { $0.hash(into: &$1) }, configuration)
            case .driftDetector:
                let table = SettingsTable<DriftSettings>.driftDetector()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return (.frames(DriftStage.self, settings: settings) { $0.hash(into: &$1) }, configuration)
            case .graphPropagator:
                let table = SettingsTable<PropagationSettings>.graphPropagator()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return (.frames(PropagationStage.self, settings: settings) { $0.hash(into: &$1) }, configuration)
            case .scalingDecider:
                let table = SettingsTable<ScalingSettings>.scalingDecider()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return (.frames(ScalingStage.self, settings: settings) { $0.hash(into: &$1) }, configuration)
            }
        } catch {
            throw ToolError("\(stage.text): \(error.reason)", hint: error.hint)
        }
    }
}
