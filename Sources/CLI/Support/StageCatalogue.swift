import DriftDetection
import Normalization
import Propagation
import Runtime
import Scaling
import StageKit
import TwinCore
import Twins

/// Does something with a stage whose type only the catalogue knows.
protocol StageVisitor {
    associatedtype Result
    func visit<Logic: TaskLogic & SendableMetatype>(
        _ definition: StageDefinition<Logic>, _ configuration: RuntimeConfiguration
    ) throws -> Result
}

/// The five stages as their executables run them, by name.
enum StageCatalogue {
    /// Configures a stage as its executable would be by these arguments and this environment, and hands it to the
    /// visitor. Throws `ToolError` for what the configuration refuses.
    static func visit<Visitor: StageVisitor>(
        _ stage: StageName, arguments: [String], environment: [String: String] = StageProcess.environment(),
        _ visitor: Visitor
    ) throws -> Visitor.Result {
        func configured(_ keys: [ConfigurationKey]) throws(ConfigurationError) -> RuntimeConfiguration {
            try RuntimeConfiguration(stage: stage, stageKeys: keys, arguments: arguments, environment: environment)
        }
        do {
            switch stage {
            case .normalizer:
                let table = SettingsTable<NormalizerSettings>.normalizer()
                let configuration = try configured(table.keys)
                return try visitor.visit(.normalizer(try table.normalizerSettings(configuration)), configuration)
            case .twinUpdater:
                let table = SettingsTable<TwinSettings>.twinUpdater()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return try visitor.visit(frames(TwinStage.self, settings) { $0.hash(into: &$1) }, configuration)
            case .driftDetector:
                let table = SettingsTable<DriftSettings>.driftDetector()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return try visitor.visit(frames(DriftStage.self, settings) { $0.hash(into: &$1) }, configuration)
            case .graphPropagator:
                let table = SettingsTable<PropagationSettings>.graphPropagator()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return try visitor.visit(frames(PropagationStage.self, settings) { $0.hash(into: &$1) }, configuration)
            case .scalingDecider:
                let table = SettingsTable<ScalingSettings>.scalingDecider()
                let configuration = try configured(table.keys)
                let settings = try table.settings(configuration)
                return try visitor.visit(frames(ScalingStage.self, settings) { $0.hash(into: &$1) }, configuration)
            }
        } catch let error as ConfigurationError {
            throw ToolError("\(stage.text): \(error.reason)", hint: error.hint)
        }
    }

    private static func frames<S: Stage & ~Copyable & SendableMetatype>(
        _ type: S.Type, _ settings: S.Settings, hash: @escaping @Sendable (S.Settings, inout Digest) -> Void
    ) -> StageDefinition<FrameTask<S>> {
        StageDefinition<FrameTask<S>>.frames(type, settings: settings, hash: hash)
    }
}
