import Kafka
import Messages
import Runtime
import StageKit
import TwinCore

/// Samples as the twins saw them, of a few resources.
struct RecordedSamples: Sendable {
    /// One sample, in canonical units.
    struct Row: Sendable {
        var time: Int64
        var series: Int32
        var value: Double
    }

    /// One series.
    struct Series: Sendable {
        var resource: String
        var metric: String
        var code: SampleCode
    }

    private(set) var series: [Series] = []
    private(set) var rows: [Row] = []
    /// There were more than were taken.
    private(set) var isCut = false
    private var indexByName: [String: [(metric: String, index: Int32)]] = [:]

    /// Resources whose samples are wanted.
    let resources: Set<String>
    let from: EventTime
    let to: EventTime
    let samplesMax: Int

    init(resources: Set<String>, from: EventTime, to: EventTime, samplesMax: Int) {
        self.resources = resources
        self.from = from
        self.to = to
        self.samplesMax = samplesMax
    }

    /// Takes a sample, if it is wanted.
    mutating func take(_ resource: String, _ metric: String, code: SampleCode, time: EventTime, value: Double) {
        guard time >= from, time <= to, value.isFinite, resources.contains(resource) else { return }
        guard rows.count < samplesMax else {
            isCut = true
            return
        }
        let known = indexByName[resource]?.first { $0.metric == metric }?.index
        let index = known ?? Int32(series.count)
        if known == nil {
            series.append(Series(resource: resource, metric: metric, code: code))
            indexByName[resource, default: []].append((metric, index))
        }
        rows.append(Row(time: time.milliseconds, series: index, value: value))
    }

    /// Brings the rows into the order of time; what came twice counts once.
    mutating func finish() {
        rows.sort { ($0.time, $0.series) < ($1.time, $1.series) }
        var kept: [Row] = []
        kept.reserveCapacity(rows.count)
        for row in rows {
            if let last = kept.last, last.time == row.time, last.series == row.series { continue }
            kept.append(row)
        }
        rows = kept
    }
}

/// Where recorded samples come from.
protocol RecordedSource: Sendable {
    /// Fills in what was recorded; `isStopping` is asked now and then.
    func read(_ samples: inout RecordedSamples, isStopping: () -> Bool) throws(PreviewError)
}

/// Why a preview came to nothing.
struct PreviewError: Error, Sendable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// Reads the topic `observations`, which holds what the twins were made from.
final class KafkaRecordedSource: RecordedSource {
    private static let requestMilliseconds = 10_000
    /// No record for so long means that the broker is away.
    private static let silenceMilliseconds: Int64 = 20_000
    /// Where event time and wall clock differ by more, records are not looked for by their age.
    private static let skewMilliseconds: Int64 = 3_600_000

    private let configuration: ProgramConfiguration

    init(_ configuration: ProgramConfiguration) { self.configuration = configuration }

    func read(_ samples: inout RecordedSamples, isStopping: () -> Bool) throws(PreviewError) {
        do throws(KafkaError) { try fetch(&samples, isStopping) } catch {
            throw PreviewError("the recorded observations cannot be read: \(error.reason)")
        }
    }

    private func fetch(_ samples: inout RecordedSamples, _ isStopping: () -> Bool) throws(KafkaError) {
        let name = configuration.naming.topic(.observations)
        var consumer = try Consumer(
            properties: configuration.kafka, groupID: configuration.naming.qualified("twin-api.previews"),
            topics: [name])
        var batch = RecordBatch(recordsMax: 2_000)
        let places = (0..<configuration.layout[.observations]).map { KafkaPartition(name, $0) }
        try consumer.assign(try starts(places, samples))
        var waiting = Set(places.map(\.partition))
        let frames = FrameReader()
        var heardAt = monotonicMilliseconds()
        while !waiting.isEmpty, !isStopping(), !samples.isCut {
            _ = try consumer.poll(into: &batch, timeoutMilliseconds: 100)
            batch.forEach { record in
                if let value = record.value { Self.take(value, frames, &samples) }
            }
            if batch.count > 0 { heardAt = monotonicMilliseconds() }
            for event in batch.events {
                switch event {
                case .end(_, let partition, _): waiting.remove(partition)
                case .failed(_, _, let error): if error.disposition != .retry { throw error }
                }
            }
            if monotonicMilliseconds() - heardAt > Self.silenceMilliseconds { break }
        }
        _ = consumer.close(clearing: batch, deadline: Deadline(milliseconds: 500))
    }

    private func starts(_ places: [KafkaPartition], _ samples: RecordedSamples) throws(KafkaError) -> [PartitionStart] {
        let isSkewed = (wallMilliseconds() - samples.to.milliseconds).magnitude > UInt64(Self.skewMilliseconds)
        var offsets = [Int64?](repeating: nil, count: places.count)
        if !isSkewed {
            let admin = try Admin(properties: configuration.kafka)
            do throws(KafkaError) {
                offsets = try admin.offsets(
                    atMilliseconds: samples.from.milliseconds, in: places,
                    timeoutMilliseconds: Self.requestMilliseconds)
            } catch {
                admin.close(deadline: Deadline(milliseconds: 500))
                throw error
            }
            admin.close(deadline: Deadline(milliseconds: 500))
        }
        return zip(places, offsets).map { PartitionStart($0, $1.map { .at($0) } ?? .beginning) }
    }

    /// Takes the samples of one frame.
    static func take(_ bytes: UnsafeRawBufferPointer, _ frames: FrameReader, _ samples: inout RecordedSamples) {
        do throws(WireError) { try frames.decode(bytes) } catch { return }
        // Most frames are about others; their names tell.
        let names = frames.names.map { String(decoding: $0, as: UTF8.self) }
        guard names.contains(where: { samples.resources.contains($0) }) else { return }
        for entry in frames.entries where entry.kind == .sample && entry.resource > 0 && entry.object > 0 {
            samples.take(
                names[Int(entry.resource) - 1], names[Int(entry.object) - 1], code: SampleCode(raw: entry.code),
                time: entry.time, value: entry.value)
        }
    }
}
