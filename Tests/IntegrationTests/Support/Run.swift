import Foundation
import Kafka
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

extension Tag {
    /// Starts processes and a broker; takes a minute or more.
    @Tag static var integration: Self
}

/// Which broker a test runs against.
enum BrokerKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case embedded, tansu

    var testDescription: String { rawValue }

    /// The broker at hand: Tansu where `.ci/tansu` has installed it, else the embedded one.
    static var available: [BrokerKind] { TansuTestBroker.binary == nil ? [.embedded] : [.tansu] }

    func start(_ directory: TemporaryDirectory) throws -> any TestBroker {
        switch self {
        case .embedded: try EmbeddedTestBroker()
        case .tansu: try TansuTestBroker(directory: directory.path)
        }
    }
}

/// One run of the whole pipeline: broker, topics, workers, a stream of raw records, and what is done to them meanwhile.
final class PipelineRun {
    let seed: UInt64
    let layout: TopicLayout
    let broker: any TestBroker
    /// The workers; a test that upgrades puts others in their place.
    var fleet: Fleet
    let stream: RecordedStream
    var random: SeededGenerator
    /// False where the telemetry holds what another JSON reader would count otherwise.
    var checksSamples = true
    private let started = monotonicSeconds()
    private(set) var kills = 0
    /// What stood on the broker at the end.
    private(set) var contents: TopicContents?

    /// `TWINSCALE_KILL_SEED` reproduces a run's stream and moments; the processes' own timing remains.
    static func chooseSeed() -> UInt64 {
        if let text = getenv("TWINSCALE_KILL_SEED"), let seed = UInt64(String(cString: text)) { return seed }
        return UInt64.random(in: 1...1_000_000)
    }

    init(_ kind: BrokerKind, seed: UInt64, records: Int) throws {
        self.seed = seed
        random = SeededGenerator(seed: seed &* 31)
        var layout = TopicLayout(partitions: 3)
        layout[.telemetry] = 2
        self.layout = layout
        let directory = try TemporaryDirectory()
        broker = try kind.start(directory)
        for topic in TopicName.allCases { try broker.createTopic(topic.text, partitions: Int(layout[topic])) }
        fleet = Fleet(broker, layout: layout, directory: directory)
        stream = RecordedStream(seed: seed, records: records, layout: layout)
    }

    /// Begins to write the stream, or a part of it, over about so many seconds.
    func feed(_ part: Range<Int>? = nil, seconds: Double) -> StreamFeeder {
        let stream = part.map { self.stream.part($0) } ?? self.stream
        return StreamFeeder(
            stream, properties: broker.properties, recordsPerSecond: Double(stream.items.count) / seconds)
    }

    /// Sleeps while workers that ended on their own are noted and replaced.
    func pause(seconds: Double) throws {
        let end = monotonicSeconds() + seconds
        repeat {
            usleep(UInt32(min(max(end - monotonicSeconds(), 0), 0.05) * 1e6))
            try fleet.mend()
        } while monotonicSeconds() < end
    }

    /// Kills one random worker and brings it back after a random pause below `pauseSecondsMax`.
    /// - Parameter stallMilliseconds: how long the broker hangs before some of the kills.
    func killOne(pauseSecondsMax: Double, stallMilliseconds: UInt32 = 150) throws {
        let victims = fleet.running
        guard !victims.isEmpty else { return }
        let victim = victims[random.int(0...(victims.count - 1))]
        // Between output and commit lie a few milliseconds; a broker that is slow now and then makes them many.
        if random.chance(0.4) {
            broker.stall(milliseconds: stallMilliseconds) { fleet.kill(victim) }
        } else {
            fleet.kill(victim)
        }
        kills += 1
        try pause(seconds: random.unit() * pauseSecondsMax)
        try fleet.start(victim)
    }

    /// True once somebody has written again what stood there already.
    func hasRepeats() throws -> Bool { try TopicContents(broker, layout: layout).hasRepeats }

    /// Asks until `look` has nothing more to wait for. It gives what must change while something is on its way; what
    /// does not change for long is waited for in vain, however slow the machine is.
    private func wait<Sight: Equatable>(_ what: String, _ look: () throws -> (isDone: Bool, sight: Sight)) throws {
        var moved = monotonicSeconds()
        var last: Sight?
        while true {
            let (isDone, sight) = try look()
            if isDone { return }
            if sight != last { moved = monotonicSeconds() }
            last = sight
            guard monotonicSeconds() - moved < Self.restSecondsMax else {
                throw Trouble("waited in vain for \(what), last seen: \(sight)\(excerpts())")
            }
            try pause(seconds: 0.25)
        }
    }

    private static let restSecondsMax = 90.0

    /// Waits until all that was fed has passed all stages, stops everything, and compares.
    func finish(_ feeder: StreamFeeder, stages: [StageName] = StageName.allCases) throws -> Verdict {
        try wait("the feed") { (feeder.isDone, feeder.written) }
        if let failure = feeder.failure { throw Trouble("the feed failed: \(failure)") }
        try wait("the normalizers to take everything") {
            let lag = try GroupLag(
                broker, layout: layout, stages: [.normalizer], incarnations: fleet.incarnations)
            return (lag.total == 0, lag.byStage)
        }
        var faults = fleet.stop([.normalizer])
        var last: GroupLag?
        try wait("the groups to catch up") {
            let lag = try GroupLag(broker, layout: layout, incarnations: fleet.incarnations)
            defer { last = lag }
            return (lag.total == 0 && lag.ends == last?.ends, lag.byStage)
        }
        faults += fleet.stop()
        let rest = try GroupLag(broker, layout: layout, incarnations: fleet.incarnations)
        if rest.total != 0 { faults.append("the groups are behind after everything has stopped: \(rest.byStage)") }
        let contents = try TopicContents(broker, layout: layout)
        var verdict = try Verdict(contents, fleet, stages: stages, checksSamples: checksSamples)
        verdict.violations = faults + verdict.violations
        self.contents = contents
        return verdict
    }

    private func excerpts() -> String {
        fleet.slots.map { "\n\($0.stage.text) #\($0.number):\n\(tail(fleet.log($0), lines: 3))" }.joined()
    }

    /// One line for the log of the test run.
    func report(_ name: String, _ verdict: Verdict) {
        let seconds = Int(monotonicSeconds() - started)
        let share = Double(verdict.repeats) / Double(max(verdict.entries, 1)) * 100
        say(
            "\(name) on \(broker.name): seed \(seed), \(kills) kills, \(verdict.records) records, "
                + "\(verdict.entries) entries, \(verdict.repeats) repeats (\(String(format: "%.1f", share)) %), "
                + "\(verdict.samples) samples (\(verdict.samplesDistinct) different, \(verdict.samplesFolded) folded), "
                + "\(verdict.actions) actions, \(verdict.drifts) drifts, "
                + "\(verdict.snapshotsCompared) snapshots compared, "
                + "\(fleet.unexpected.count) unasked ends, \(seconds) s")
    }
}

/// Prints a line at once, even if the output goes to a file.
func say(_ line: String) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
