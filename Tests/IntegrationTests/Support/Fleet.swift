import DriftDetection
import Glibc
import Normalization
import Propagation
import Runtime
import Scaling
import StageKit
import Topology
import TwinCore
import Twins

/// The workers of all stages as processes of their own, built executables over one broker.
final class Fleet {
    /// One place for a worker; whoever is killed comes back here.
    struct Slot {
        let stage: StageName
        let number: Int
        var process: ChildProcess?
        var starts = 0
        /// True once it was asked to go for good.
        var isRetired = false
    }

    let broker: any TestBroker
    let layout: TopicLayout
    let directory: TemporaryDirectory
    private(set) var slots: [Slot] = []
    /// Workers that ended though nobody asked them to, with their last words.
    private(set) var unexpected: [String] = []
    /// More options for all workers, and for those of one stage.
    var options: [String] = []
    /// A nervous detector: the feed must make drift, as retrain requests are one of the two loops of the topology.
    var stageOptions: [StageName: [String]] = [.driftDetector: ["--stage-average-run-length", "50"]]

    init(_ broker: any TestBroker, layout: TopicLayout, directory: TemporaryDirectory) {
        self.broker = broker
        self.layout = layout
        self.directory = directory
    }

    /// What other incarnations than the first are.
    var incarnations: [StageName: Int] = [:]

    /// Where the executables lie: beside the test bundle.
    static let binaries: String = {
        if let path = getenv("TWINSCALE_BIN") { return String(cString: path) }
        var bytes = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        let path = String(decoding: bytes.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }()

    /// The command line of a stage's workers.
    func arguments(_ stage: StageName) -> [String] {
        [
            "--kafka", "bootstrap.servers=\(broker.bootstrapServers)", "--kafka", "fetch.wait.max.ms=20",
            // A killed worker's partitions are given away after this; the tests' pace depends on it.
            "--kafka", "session.timeout.ms=4500", "--kafka", "heartbeat.interval.ms=800",
            "--loop-revoke-timeout-milliseconds", "2000",
            // A request to join whose answer a broker forgets is repeated after the longest time between polls.
            "--kafka", "max.poll.interval.ms=15000", "--loop-flush-timeout-milliseconds", "12000",
            "--partitions", "\(layout[.observations])", "--topics-telemetry-partitions", "\(layout[.telemetry])",
            "--clock", "event", "--snapshots-url", "file://\(directory.path)/snapshots",
            "--loop-commit-interval-milliseconds", "100", "--loop-snapshot-interval-milliseconds", "2500",
            "--loop-heartbeat-interval-milliseconds", "1000", "--loop-rebuild-backoff-milliseconds", "100",
            "--start-timeout-milliseconds", "20000", "--stop-timeout-milliseconds", "15000",
            "--incarnation", "\(incarnations[stage] ?? 1)",
        ] + options + (stageOptions[stage] ?? [])
    }

    /// The configuration that the executables make of the same command line.
    func configuration(_ stage: StageName) throws -> RuntimeConfiguration {
        let keys =
            switch stage {
            case .normalizer: SettingsTable<NormalizerSettings>.normalizer().keys
            case .twinUpdater: SettingsTable<TwinSettings>.twinUpdater().keys
            case .driftDetector: SettingsTable<DriftSettings>.driftDetector().keys
            case .graphPropagator: SettingsTable<PropagationSettings>.graphPropagator().keys
            case .scalingDecider: SettingsTable<ScalingSettings>.scalingDecider().keys
            }
        return try RuntimeConfiguration(stage: stage, stageKeys: keys, arguments: arguments(stage))
    }

    /// The stages' settings that the executables make of the same command lines.
    func settings() throws -> PipelineSettings {
        var settings = PipelineSettings()
        settings.normalizer = try SettingsTable<NormalizerSettings>.normalizer()
            .normalizerSettings(configuration(.normalizer))
        settings.twins = try SettingsTable<TwinSettings>.twinUpdater().settings(configuration(.twinUpdater))
        settings.drift = try SettingsTable<DriftSettings>.driftDetector().settings(configuration(.driftDetector))
        settings.propagation = try SettingsTable<PropagationSettings>.graphPropagator()
            .settings(configuration(.graphPropagator))
        settings.scaling = try SettingsTable<ScalingSettings>.scalingDecider()
            .settings(configuration(.scalingDecider))
        return settings
    }

    func log(_ slot: Slot) -> String { "\(directory.path)/\(slot.stage.text)-\(slot.number).log" }

    /// Starts so many workers of each stage.
    func start(perStage: Int = 2) throws {
        for stage in StageName.allCases { for _ in 0..<perStage { try add(stage) } }
    }

    /// Starts one more worker and returns its slot.
    @discardableResult
    func add(_ stage: StageName) throws -> Int {
        let number = slots.filter { $0.stage == stage }.count
        slots.append(Slot(stage: stage, number: number))
        try start(slots.count - 1)
        return slots.count - 1
    }

    func start(_ index: Int) throws {
        let slot = slots[index]
        slots[index].process = try ChildProcess(
            "\(Self.binaries)/\(slot.stage.text)", arguments(slot.stage), log: log(slot))
        slots[index].starts += 1
    }

    /// SIGKILL.
    func kill(_ index: Int) {
        slots[index].process?.killNow()
        slots[index].process = nil
    }

    /// SIGTERM; the worker commits and leaves. It will not be missed.
    func retire(_ index: Int) {
        slots[index].isRetired = true
        slots[index].process?.send(SIGTERM)
    }

    var running: [Int] {
        slots.indices.filter { !slots[$0].isRetired && slots[$0].process?.isRunning == true }
    }

    /// Notes and replaces workers that ended on their own.
    func mend() throws {
        for index in slots.indices {
            guard !slots[index].isRetired, let process = slots[index].process, !process.isRunning else { continue }
            unexpected.append(
                "\(slots[index].stage.text) #\(slots[index].number): \(process.ending)\n\(lastWords(log(slots[index])))"
            )
            slots[index].process = nil
            guard unexpected.count < 20 else { throw Trouble("too many workers end:\n\(unexpected[0])") }
            try start(index)
        }
    }

    /// Asks all workers of a stage to leave and waits for it; words for those that did not leave well.
    func stop(_ stages: [StageName] = StageName.allCases) -> [String] {
        let affected = slots.indices.filter { stages.contains(slots[$0].stage) }
        for index in affected { retire(index) }
        var faults: [String] = []
        for index in affected {
            guard let process = slots[index].process else { continue }
            if !process.waitForExit(seconds: 25) || process.exitCode != 0 {
                faults.append(
                    "\(slots[index].stage.text) #\(slots[index].number) did not leave in order: \(process.ending)\n"
                        + tail(log(slots[index])))
                process.killNow()
            }
            slots[index].process = nil
        }
        return faults
    }
}
