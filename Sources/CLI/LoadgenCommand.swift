import ArgumentParser
import Foundation
import Kafka
import Messages
import Topology
import TwinCore

/// `twinscale loadgen`: telemetry of a made-up fleet at a chosen rate.
struct LoadgenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadgen",
        abstract: "Write the telemetry of a synthetic fleet at a chosen rate.",
        discussion: """
            Writes native JSON into the topic telemetry: resources with a daily and a weekly pattern and noise, each \
            in \
            one locality. Ends after --duration seconds or --count samples, or at Ctrl-C, and says what rate was \
            reached \
            and what it cost. Times are those of the clock, unless --event-step makes every round of the fleet so many \
            seconds later than the one before, which fills twins with days of history in minutes.

            A thousand samples a second: twinscale loadgen --rate 1000 --resources 200
            Two weeks in fast motion:    twinscale loadgen --rate 0 --resources 20 --event-step 300 --count 322560
            """)

    @OptionGroup var broker: BrokerOptions

    @Option(help: ArgumentHelp("Samples a second; 0 for as many as the broker takes.", valueName: "samples/s"))
    var rate = 1_000.0

    @Option(help: "Resources of the fleet.")
    var resources = 100

    @Option(help: "Metrics of each resource.")
    var metrics = 2

    @Option(help: "Localities that the resources are spread over.")
    var localities = 4

    @Option(help: ArgumentHelp("End after so long.", valueName: "seconds"))
    var duration: Double?

    @Option(help: ArgumentHelp("End after so many samples.", valueName: "samples"))
    var count: Int?

    @Option(help: "Same seed, same values.")
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Samples of one resource's partition that share a record.", valueName: "samples"))
    var batch = 1

    @Option(
        help: ArgumentHelp(
            "Let event time go on by so much each round, ending now, instead of following the clock.",
            valueName: "seconds"))
    var eventStep: Double?

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
        if !(0...1e9).contains(rate) { throw ValidationError("--rate is 0 to 1000000000 samples a second") }
        if !(1...1_000_000).contains(resources) { throw ValidationError("--resources is 1 to 1000000") }
        if !(1...FleetGenerator.metricsMax).contains(metrics) {
            throw ValidationError("--metrics is 1 to \(FleetGenerator.metricsMax)")
        }
        if !(1...100_000).contains(localities) { throw ValidationError("--localities is 1 to 100000") }
        if !(1...1_000).contains(batch) { throw ValidationError("--batch is 1 to 1000") }
        if let count, count < 1 { throw ValidationError("--count is at least 1") }
        if let duration, !(0.1...1e8).contains(duration) { throw ValidationError("--duration is at least 0.1 seconds") }
        if let eventStep, !(0.001...1e6).contains(eventStep) {
            throw ValidationError("--event-step is 0.001 to 1000000")
        }
        if eventStep != nil, count == nil {
            throw ValidationError("--event-step needs --count, to know where to begin")
        }
    }

    func run() throws {
        try reporting(broker) {
            let topic = Topology.brokerName(.telemetry, namespace: broker.namespace)
            let admin = try Admin(properties: broker.properties)
            let found = try admin.describeTopic(topic, timeoutMilliseconds: 10_000)
            admin.close(deadline: Deadline(milliseconds: 1_000))
            guard let found, !found.partitions.isEmpty else {
                throw ToolError(
                    "there is no topic '\(topic)'", hint: "create it with: twinscale topics apply\(broker.repeated)")
            }
            var generator = LoadGenerator(self, partitions: found.partitions.count)
            let result = try generator.run(topic: topic)
            print(json ? result.json : result.text)
        }
    }
}

/// What a run of the generator reached.
struct LoadResult {
    var samples = 0
    var records = 0
    var bytes = 0
    var seconds = 0.0
    var cpuSeconds = 0.0

    private var rate: Double { Double(samples) / max(seconds, 1e-9) }
    private var cpuPerMillion: Double { cpuSeconds / max(Double(samples), 1) * 1e6 }

    var text: String {
        """
        \(samples) samples in \(records) records, \(bytes / 1_048_576) MiB, \(EntryFields.short(seconds)) s
        \(Int(rate)) samples/s, \(EntryFields.short(cpuPerMillion)) CPU-seconds per million
        """
    }

    var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("samples")
        writer.int(samples)
        writer.key("records")
        writer.int(records)
        writer.key("bytes")
        writer.int(bytes)
        writer.key("seconds")
        writer.double(seconds)
        writer.key("samplesPerSecond")
        writer.double(rate)
        writer.key("cpuSeconds")
        writer.double(cpuSeconds)
        writer.key("cpuSecondsPerMillion")
        writer.double(cpuPerMillion)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// Paces and writes.
struct LoadGenerator {
    private static let ticksPerSecond = 100.0
    /// Longest wait for a broker that takes nothing.
    private static let patienceMilliseconds = 60_000
    /// Longest wait for acknowledgements once somebody wants us to end.
    private static let farewellMilliseconds = 2_000
    private static let sliceMilliseconds = 250

    private let options: LoadgenCommand
    private var fleet: FleetGenerator
    private let open: [OpenRecord]
    private var result = LoadResult()
    private let start = Usage.now
    /// Event time of the first round, where it does not follow the clock; milliseconds.
    private let eventStart: Int64

    init(_ options: LoadgenCommand, partitions: Int) {
        self.options = options
        fleet = FleetGenerator(
            resources: options.resources, metrics: options.metrics, localities: options.localities, seed: options.seed)
        open = (0..<partitions).map { _ in OpenRecord() }
        let rounds = Double(options.count ?? 0) / Double(options.resources * options.metrics)
        eventStart = Self.now - Int64(rounds * (options.eventStep ?? 0) * 1_000)
    }

    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    /// Writes until the end; everything is acknowledged when it returns.
    mutating func run(topic: String) throws -> LoadResult {
        var producer = try Producer(properties: options.broker.properties)
        do {
            try write(to: &producer, try producer.topic(topic))
        } catch {
            _ = producer.purgeAndDestroy(deadline: Deadline(milliseconds: 1_000))
            throw error
        }
        _ = producer.purgeAndDestroy(deadline: Deadline(milliseconds: 2_000))
        return result
    }

    private mutating func write(to producer: inout Producer, _ handle: Producer.Topic) throws {
        let total = options.count ?? Int.max
        let bar = ProgressBar("loadgen", isWanted: !options.json)
        stopOnInterrupt()
        while result.samples < total, !isInterrupted, elapsed < options.duration ?? .infinity {
            let due = options.rate == 0 ? result.samples + 10_000 : Int(options.rate * elapsed) + 1
            while result.samples < min(due, total) { try sample(&producer, handle) }
            if options.rate > 0 {
                try closeAll(&producer, handle)
                usleep(UInt32(1e6 / Self.ticksPerSecond))
            }
            producer.serve()
            let reached = options.duration.map { Int(elapsed / $0 * 1_000) } ?? result.samples
            bar.show(reached, of: options.duration == nil ? options.count ?? 0 : 1_000, "\(result.samples) samples")
        }
        try closeAll(&producer, handle)
        try settle(&producer)
        bar.end()
        let end = Usage.now
        result.seconds = end.wallSeconds - start.wallSeconds
        result.cpuSeconds = end.cpuSeconds - start.cpuSeconds
    }

    /// Waits until everything is acknowledged, in slices, to notice soon when somebody wants us to end.
    private func settle(_ producer: inout Producer) throws(KafkaError) {
        var deadline = Deadline(milliseconds: Self.patienceMilliseconds)
        var isLeaving = false
        while true {
            do throws(KafkaError) {
                return try producer.flush(timeoutMilliseconds: Self.sliceMilliseconds)
            } catch { if error.disposition != .retry || deadline.hasPassed { throw error } }
            if isInterrupted, !isLeaving {
                isLeaving = true
                deadline = Deadline(milliseconds: Self.farewellMilliseconds)
            }
        }
    }

    private var elapsed: Double { Usage.now.wallSeconds - start.wallSeconds }

    private mutating func sample(_ producer: inout Producer, _ topic: Producer.Topic) throws {
        let index = result.samples
        let series = options.resources * options.metrics
        let resource = index % series / options.metrics
        let metric = index % options.metrics
        let time = options.eventStep.map { eventStart + Int64(Double(index / series) * $0 * 1_000) } ?? Self.now
        let partition = Int(fleet.partition(resource: resource, among: open.count))
        if options.batch > 1, open[partition].samples == 0 { open[partition].writer.beginArray() }
        fleet.write(resource: resource, metric: metric, at: time, into: &open[partition].writer)
        open[partition].samples += 1
        result.samples += 1
        if open[partition].samples >= options.batch { try close(partition, &producer, topic) }
    }

    private mutating func closeAll(_ producer: inout Producer, _ topic: Producer.Topic) throws {
        for partition in open.indices where open[partition].samples > 0 { try close(partition, &producer, topic) }
    }

    private mutating func close(_ partition: Int, _ producer: inout Producer, _ topic: Producer.Topic) throws {
        if options.batch > 1 { open[partition].writer.endArray() }
        result.records += 1
        result.bytes += open[partition].writer.byteCount
        let deadline = Deadline(milliseconds: Self.patienceMilliseconds)
        var failure: KafkaError?
        repeat {
            failure = nil
            open[partition].writer.withBytes { value in
                do throws(KafkaError) {
                    try producer.produce(
                        to: topic, partition: Int32(partition), key: nil, value: value,
                        deadline: Deadline(milliseconds: Self.sliceMilliseconds))
                } catch { failure = error }
            }
        } while failure?.name == "_QUEUE_FULL" && !isInterrupted && !deadline.hasPassed
        if let failure { throw failure }
        open[partition].writer.removeAll()
        open[partition].samples = 0
    }
}
