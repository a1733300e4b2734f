import ArgumentParser
import Runtime

/// `twinscale`: everything that is not a stage.
package struct TwinscaleCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "twinscale",
        abstract: "Digital twins of a platform's resources that scale it ahead of its load.",
        discussion: """
            Twinscale reads telemetry from Kafka, keeps a twin of every resource (its history, its state, a forecast \
            of its demand), and writes actions that say how much capacity each resource should have, and why. Five \
            stages do that, each a program of its own: normalizer, twin-updater, drift-detector, graph-propagator, \
            scaling-decider. This program is for everything around them.

            To see it all run on this machine: twinscale demo
            To see what it would have said about your own past: twinscale backtest --telemetry FILE.csv --out results
            To look around without a broker: twinscale topology
            To prepare a broker of your own: twinscale topics apply --bootstrap HOST:9092
            To see who is at risk, through a running twin-api: twinscale twin fleet
            To have commands completed, for bash: source <(twinscale --generate-completion-script bash)
            """,
        version: "twinscale \(StageProcess.version)",
        subcommands: [
            BacktestCommand.self,
            TopologyCommand.self,
            TopicsCommand.self,
            HealthCommand.self,
            BrokerCommand.self,
            DemoCommand.self,
            TwinCommand.self,
            GraphCommand.self,
            DecisionsCommand.self,
            ActionsCommand.self,
            DriftCommand.self,
            PolicyCommand.self,
            EventCommand.self,
            PauseCommand.self,
            ResumeCommand.self,
            OverrideCommand.self,
            ApproveCommand.self,
            RejectCommand.self,
            CommandsCommand.self,
            StatusCommand.self,
            TailCommand.self,
            DeadLettersCommand.self,
            SnapshotsCommand.self,
            LoadgenCommand.self,
            ReplayCommand.self,
            SimulateCommand.self,
            BenchCommand.self,
        ])

    package init() {}

    /// Runs what the command line says, prints help and errors, and ends the process with its exit code.
    package static func start() async { await main() }
}
