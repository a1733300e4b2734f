import ArgumentParser
import Foundation
import Messages
import Runtime
import Topology
import TwinCore

/// `twinscale replay`: a stage once more over its recorded inbox, beside the live one.
struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Run a stage, or the whole chain, once more over what is recorded, into parallel topics.",
        discussion: """
            Reads the recorded inbox of a stage from the chosen point to the end that it has now, and writes into the \
            topics NAMESPACE.forecasts, NAMESPACE.actions, … with a consumer group and snapshots of its own. The \
            live stages and topics are only read, and nobody acts on what it writes.

            From the beginning the stage starts empty. From an offset or a moment it starts from the newest live \
            snapshot \
            at or below it, if --store has one, else from the beginning, and says nothing before that point. One \
            stage with \
            the configuration of the live one writes the same entries, bit for bit; --verify compares them. With other \
            configuration, see what would have been. --stage all re-runs the chain: the normalizer over the live raw \
            topics, the others over what the replay writes; there the order between senders may differ from the live \
            one.

            Does the live stage do what its log says?
              twinscale replay --stage twin-updater --into check --verify
            What would other settings have decided yesterday?
              twinscale replay --stage scaling-decider --from 2026-11-23T00:00:00Z --into trial --config new.yaml
            """)

    @OptionGroup var broker: BrokerOptions

    @Option(help: ArgumentHelp("The stage to run, or all for the chain.", valueName: "stage"))
    var stage: String

    @Option(help: ArgumentHelp("Where to begin to speak: \(StartPoint.forms).", valueName: "point"))
    var from: StartPoint = .beginning

    @Option(help: ArgumentHelp("Namespace of the parallel topics.", valueName: "namespace"))
    var into: String

    @Option(help: ArgumentHelp("The stages' configuration file; without it their defaults.", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "An option of the stage's executable, such as stage-latenessSecondsMax=60. May be repeated.",
            valueName: "option=value"))
    var settings: [String] = []

    @Option(help: ArgumentHelp("Incarnation of the live stage.", valueName: "number"))
    var incarnation: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "Snapshot store of the live stages, where the replay also keeps its own, apart.", valueName: "url"))
    var store: String?

    @Flag(help: "Compare what was written with the live topics, entry by entry; exit code 1 if they differ.")
    var verify = false

    @Flag(help: "Go on with a replay into this namespace that was interrupted.")
    var resume = false

    @Flag(help: "To the end that the inbox has now; this is what it always does.")
    var toEnd = false

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
        if stage != "all", StageName(text: stage) == nil {
            let names = StageName.allCases.map(\.text).joined(separator: ", ")
            throw ValidationError("'\(stage)' is no stage: \(names), or all")
        }
        if let fault = Topology.fault(inNamespace: into) { throw ValidationError("--into: \(fault)") }
        if into.isEmpty || into == broker.namespace {
            throw ValidationError("--into names a namespace that is not the live one's, such as check1")
        }
        if from == .end { throw ValidationError("--from end would replay nothing") }
        if stage == "all", verify {
            throw ValidationError(
                "--verify compares one stage; a chain's order between senders may differ from the live one")
        }
        for pair in settings where !pair.dropFirst().contains("=") {
            throw ValidationError("--set '\(pair)' is not of the form option=value")
        }
        if incarnation < 1 { throw ValidationError("--incarnation is at least 1") }
    }

    /// The stages to run, in the order of the flow.
    var stages: [StageName] { StageName(text: stage).map { [$0] } ?? StageName.allCases }

    func run() throws {
        var isSame = true
        try reporting(broker) {
            stopOnInterrupt()
            let report = try Replay(self).run()
            print(json ? report.json : report.text)
            isSame = report.comparison?.isSame ?? true
        }
        if !isSame { throw ExitCode(1) }
    }
}
