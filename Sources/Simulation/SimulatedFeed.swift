import Messages
import StageKit
import TwinCore

/// The platform of a simulation: a small fleet whose telemetry comes late, twice, out of order and sometimes as
/// garbage, with traffic between its services, planned events, policies, commands and outcomes.
package struct SimulatedFeed {
    /// Raw records to write.
    package let recordsMax: Int
    package private(set) var written = 0
    /// Valid samples written, by resource, metric and time: repeats have the same key.
    package private(set) var samples = Set<SampleKey>()
    /// Samples written in all, repeats included.
    package private(set) var samplesWritten = 0

    /// What tells one sample from another.
    package struct SampleKey: Hashable, Sendable {
        package var resource: Int
        package var metric: Int
        package var time: Int64
    }

    private let telemetryOnly: Bool
    private let isSteady: Bool
    private let resources: Int
    private let localities: Int
    private let stepMilliseconds: Int64
    private let shiftAfterMilliseconds: Int64
    /// 2026-01-01.
    package static let start = EventTime(milliseconds: 1_767_225_600_000)
    private var time = start.milliseconds
    /// One resource moves to another locality in the middle.
    package let moves: Bool
    private static let moveMilliseconds: Int64 = 400_000
    private let renewMilliseconds: Int64
    private var recent: [(partition: Int32, value: [UInt8], samples: Int)] = []

    /// - Parameters:
    ///   - stepMilliseconds: event time passes by 0 to 4 of these per record.
    ///   - shiftAfterMilliseconds: when, in event time, every second resource begins to do twice as much.
    ///   - telemetryOnly: nothing but samples and their repeats, into one raw partition.
    ///   - isSteady: telemetry as it should be: a record has a sample of each resource, step by step.
    ///   - moves: one resource changes its locality in the middle.
    ///   - renewMilliseconds: after so long, again and again, every resource is replaced by one of another name.
    package init(
        records: Int, resources: Int = 12, localities: Int = 4, stepMilliseconds: Int64 = 1_000,
        shiftAfterMilliseconds: Int64 = .max / 2, telemetryOnly: Bool = false,
        isSteady: Bool = false, moves: Bool = false, renewMilliseconds: Int64 = .max
    ) {
        self.renewMilliseconds = max(renewMilliseconds, 1)
        self.moves = moves
        self.shiftAfterMilliseconds = shiftAfterMilliseconds
        self.telemetryOnly = telemetryOnly
        self.isSteady = isSteady
        self.stepMilliseconds = stepMilliseconds
        recordsMax = records
        self.resources = resources
        self.localities = localities
    }

    package var isDone: Bool { written >= recordsMax }

    private static let metrics = ["cpu", "requests", "memory"]

    /// Writes up to `most` raw records.
    package mutating func write(to hub: SimulationHub, most: Int) {
        for _ in 0..<most where !isDone {
            written += 1
            if isSteady {
                writeStep(hub)
                continue
            }
            time += Int64(hub.random.int(0...4)) * stepMilliseconds
            switch telemetryOnly ? hub.random.int(0...81) : hub.random.int(0...99) {
            case 0..<76: writeTelemetry(hub)
            case 76..<82: repeatRecent(hub)
            case 82..<88: writeInteraction(hub)
            case 88..<90: writePolicy(hub)
            case 90..<91: writeCommand(hub)
            case 91..<93: writeOutcome(hub)
            case 93..<95: writeEvent(hub)
            case 95..<97: write(hub, .telemetry, key: nil, value: nil)
            default: writeGarbage(hub)
            }
        }
    }

    private func write(_ hub: SimulationHub, _ topic: TopicName, key: [UInt8]?, value: [UInt8]?) {
        let partition = Int32(hub.random.int(0...Int(hub.log.layout[topic] - 1)))
        hub.log.append(TopicPartition(topic, partition), key: key, value: value)
    }

    private func name(_ resource: Int) -> String { name(resource, at: time) }

    private func name(_ resource: Int, at moment: Int64) -> String {
        let generation = (moment - Self.start.milliseconds) / renewMilliseconds
        return generation > 0 ? "svc-\(resource)-\(generation)" : "svc-\(resource)"
    }

    /// The last resource never says where it is.
    private func locality(_ resource: Int, at moment: Int64) -> String? {
        if resource == resources - 1 { return nil }
        let hasMoved = moves && resource == 0 && moment >= Self.start.milliseconds + Self.moveMilliseconds
        return "cluster-\((hasMoved ? resource + 1 : resource) % localities)"
    }

    /// Whether this is the resource that moves.
    func isMover(_ name: [UInt8]) -> Bool { moves && name.elementsEqual(self.name(0).utf8) }

    /// A record with one to five samples; a resource's series may be spread over raw partitions.
    private mutating func writeTelemetry(_ hub: SimulationHub) {
        var json = JSONWriter()
        let count = hub.random.int(1...5)
        json.beginArray()
        for _ in 0..<count {
            let resource = hub.random.int(0...(resources - 1))
            let metric = hub.random.int(0...(Self.metrics.count - 1))
            let late = hub.random.chance(0.1) ? Int64(hub.random.int(0...300)) * 1_000 : 0
            let moment = (time - late) / 1_000 * 1_000
            samplesWritten += 1
            samples.insert(SampleKey(resource: resource, metric: metric, time: moment))
            sample(&json, resource, metric, moment)
        }
        json.endArray()
        let partition = Int32(hub.random.int(0...Int(hub.log.layout[.telemetry] - 1)))
        hub.log.append(TopicPartition(.telemetry, partition), key: nil, value: json.bytes)
        recent.append((partition, json.bytes, count))
        if recent.count > 30 { recent.removeFirst() }
    }

    private mutating func writeStep(_ hub: SimulationHub) {
        time += stepMilliseconds
        var json = JSONWriter()
        json.beginArray()
        for resource in 0..<resources {
            samplesWritten += 1
            samples.insert(SampleKey(resource: resource, metric: 1, time: time))
            sample(&json, resource, 1, time)
        }
        json.endArray()
        write(hub, .telemetry, key: nil, value: json.bytes)
    }

    private func sample(_ json: inout JSONWriter, _ resource: Int, _ metric: Int, _ moment: Int64) {
        // The value is a function of series and time, so that a repeat is a repeat.
        let phase = Double(moment / 1_000 % 3_600) / 3_600 * 2 * .pi
        let noise = Double((moment / 1_000 &* 2_654_435_761 &+ Int64(resource * 97 + metric)) % 1_000) / 1_000
        json.beginObject()
        json.key("resource")
        json.string(name(resource, at: moment))
        json.key("metric")
        json.string(Self.metrics[metric])
        json.key("value")
        let isShifted = resource % 2 == 0 && moment - Self.start.milliseconds >= shiftAfterMilliseconds
        json.double(max(0, 50 + 40 * sine(phase) + 10 * noise) * (isShifted ? 2 : 1))
        json.key("ts")
        json.int(moment)
        if let locality = locality(resource, at: moment) {
            json.key("locality")
            json.string(locality)
        }
        json.key("class")
        json.string(resource % 3 == 0 ? "database" : "service")
        json.endObject()
    }

    private mutating func repeatRecent(_ hub: SimulationHub) {
        guard !recent.isEmpty else { return }
        let again = recent[hub.random.int(0...(recent.count - 1))]
        samplesWritten += again.samples
        // The same bytes, sometimes in another partition: two agents that report the same.
        let partition =
            hub.random.chance(0.5)
            ? again.partition : Int32(hub.random.int(0...Int(hub.log.layout[.telemetry] - 1)))
        hub.log.append(TopicPartition(.telemetry, partition), key: nil, value: again.value)
    }

    private func writeInteraction(_ hub: SimulationHub) {
        let source = hub.random.int(0...(resources - 1))
        let target = hub.random.int(0...(resources - 1))
        var json = JSONWriter()
        json.beginObject()
        json.key("source")
        json.string(name(source))
        json.key("target")
        json.string(name(target))
        json.key("ts")
        json.int(time)
        json.key("rate")
        json.int(hub.random.int(1...500))
        if hub.random.chance(0.8) {
            for (key, end) in [("sourceLocality" as StaticString, source), ("targetLocality", target)] {
                guard let locality = locality(end, at: time) else { continue }
                json.key(key)
                json.string(locality)
            }
        }
        json.endObject()
        write(hub, .interactions, key: nil, value: json.bytes)
    }

    private func writePolicy(_ hub: SimulationHub) {
        let resource = hub.random.int(0...(resources - 1))
        let key = Array("policy-\(resource)".utf8)
        if hub.random.chance(0.1) {
            hub.log.append(TopicPartition(.policies, 0), key: key, value: nil)
            return
        }
        let mode = ["observe", "recommend", "approve", "act", "act", "act"][hub.random.int(0...5)]
        let text =
            "{\"name\":\"policy-\(resource)\",\"version\":\(written),\"match\":{\"resource\":\"\(name(resource))\"},"
            + "\"mode\":\"\(mode)\",\"metric\":\"requests\",\"capacityPerReplica\":\(hub.random.int(5...40)),"
            + "\"targetUtilisation\":0.7,\"replicas\":{\"min\":1,\"max\":20,\"initial\":2},"
            + "\"decisionIntervalSeconds\":15,\"provisioningDelaySeconds\":60}"
        hub.log.append(TopicPartition(.policies, 0), key: key, value: Array(text.utf8))
    }

    private func writeCommand(_ hub: SimulationHub) {
        let verb = ["pause", "resume", "hold", "set"][hub.random.int(0...3)]
        let text =
            "{\"id\":\"command-\(written)\",\"verb\":\"\(verb)\","
            + "\"resource\":\"\(name(hub.random.int(0...(resources - 1))))\","
            + "\"value\":\(hub.random.int(1...9)),\"until\":\(time + 600_000),\"owner\":\"sim\","
            + "\"reason\":\"test\",\"ts\":\(time)}"
        hub.log.append(TopicPartition(.commands, 0), key: nil, value: Array(text.utf8))
    }

    /// The newest action of a partition of them, and its resource.
    private func issued(_ hub: SimulationHub) -> (action: Substring, resource: String)? {
        let partition = Int32(hub.random.int(0...Int(hub.log.layout[.actions] - 1)))
        let record = hub.log.records(TopicPartition(.actions, partition)).last
        guard let key = record?.key, let value = record?.value else { return nil }
        let parts = String(decoding: value, as: UTF8.self).split(separator: "\"action\":\"", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        return (parts[1].prefix { $0 != "\"" }, String(decoding: key, as: UTF8.self))
    }

    /// Of an action that was issued, or of none.
    private func writeOutcome(_ hub: SimulationHub) {
        if hub.random.chance(0.7), let (action, resource) = issued(hub) {
            let status = ["ready", "ready", "accepted", "failed"][hub.random.int(0...3)]
            let text =
                "{\"action\":\"\(action)\",\"resource\":\"\(resource)\",\"status\":\"\(status)\","
                + "\"readyReplicas\":\(hub.random.int(1...12)),\"ts\":\(time)}"
            return write(hub, .outcomes, key: nil, value: Array(text.utf8))
        }
        let resource = hub.random.int(0...(resources - 1))
        let status = ["ready", "applied", "failed", "unschedulable"][hub.random.int(0...3)]
        let text =
            "{\"action\":\"none\",\"resource\":\"\(name(resource))\","
            + (locality(resource, at: time).map { "\"locality\":\"\($0)\"," } ?? "")
            + "\"status\":\"\(status)\",\"readyReplicas\":\(hub.random.int(1...12)),\"ts\":\(time)}"
        write(hub, .outcomes, key: nil, value: Array(text.utf8))
    }

    private func writeEvent(_ hub: SimulationHub) {
        let text =
            "{\"id\":\"event-\(written)\",\"start\":\(time + 60_000),\"end\":\(time + 900_000),"
            + "\"scope\":{\"key\":\"resource\",\"value\":\"\(name(hub.random.int(0...(resources - 1))))\"},"
            + "\"kind\":\"campaign\",\"uplift\":1.\(hub.random.int(0...9))}"
        write(hub, .environment, key: nil, value: Array(text.utf8))
    }

    private func writeGarbage(_ hub: SimulationHub) {
        var bytes: [UInt8] = []
        for _ in 0..<hub.random.int(0...60) { bytes.append(UInt8(truncatingIfNeeded: hub.random.next())) }
        let topics: [TopicName] = [
            .telemetry, .interactions, .outcomes, .environment, .observations, .forecasts, .outlooks,
        ]
        let topic = topics[hub.random.int(0...(topics.count - 1))]
        write(hub, topic, key: hub.random.chance(0.5) ? [1, 2] : nil, value: bytes)
    }
}
