import Messages
import Simulation
import StageKit
import Testing
import Topology
import TwinCore

/// From the noticed drift to the outlook that says so: drift-detector → observations → twin-updater → forecasts →
/// graph-propagator → outlooks.
@Suite("How soon a drift takes trust away")
struct DistrustTests {
    /// A drift event, or an outlook: when it was in the log, and of when it is.
    private struct Word {
        var series: String
        var written: Int64
        var time: Int64
        var isDistrusted = true
    }

    /// What a run of the topology with services that suddenly do twice as much has told.
    private struct Told {
        var report: Simulation.Report
        var drifts: [Word] = []
        var outlooks: [Word] = []
    }

    private static func run(seed: UInt64, faults: Faults) -> Told {
        var layout = TopicLayout(partitions: 1)
        layout[.telemetry] = 1
        var settings = Simulation.Settings(seed: seed)
        settings.faults = faults
        settings.workersPerStage = 1
        settings.stepsWithFaults = 4_000
        let simulation = Simulation(settings, pipeline: .real(layout: layout))
        // Before some 300 samples a reference knows too little.
        var feed = SimulatedFeed(
            records: 400, resources: 12, localities: 2, stepMilliseconds: 60_000,
            shiftAfterMilliseconds: 320 * 60_000, isSteady: true)
        var told = Told(report: simulation.run(&feed))
        let log = simulation.hub.log
        for record in log.records(TopicPartition(.drift, 0)) {
            let text = record.value.map { String(decoding: $0, as: UTF8.self) } ?? ""
            guard text.contains("\"io.twinscale.drift.v1\""), text.contains("\"distrusts\":true") else { continue }
            told.drifts.append(word(of: text, log.time(of: record.offset, in: TopicPartition(.drift, 0)) ?? .max))
        }
        let reader = FrameReader()
        for record in log.records(TopicPartition(.outlooks, 0)) {
            guard let value = record.value else { continue }
            let written = log.time(of: record.offset, in: TopicPartition(.outlooks, 0)) ?? .max
            value.withUnsafeBytes { bytes in
                guard (try? reader.decode(bytes)) != nil else { return }
                for entry in reader.entries where entry.kind == .outlook {
                    told.outlooks.append(
                        Word(
                            series: name(entry.resource, reader) + "/" + name(entry.object, reader), written: written,
                            time: entry.time.milliseconds,
                            isDistrusted: ForecastCode(raw: entry.code).isDistrusted))
                }
            }
        }
        return told
    }

    private static func name(_ number: UInt32, _ reader: FrameReader) -> String {
        number == 0 ? "" : String(decoding: reader.names[Int(number) - 1], as: UTF8.self)
    }

    private static func word(of event: String, _ written: Int64) -> Word {
        func field(_ name: String) -> String {
            guard let range = event.firstRange(of: "\"\(name)\":\"") else { return "" }
            return String(event[range.upperBound...].prefix { $0 != "\"" })
        }
        return Word(series: field("resource") + "/" + field("metric"), written: written, time: 0)
    }

    @Test("an outlook says so a few hops after the event", arguments: 1...4 as ClosedRange<UInt64>)
    func delay(seed: UInt64) {
        let told = Self.run(seed: seed, faults: .none)
        #expect(told.report.violations == [], "seed \(seed)")
        let delays = told.drifts.compactMap { drift in
            told.outlooks.first { $0.series == drift.series && $0.isDistrusted && $0.written >= drift.written }
                .map { $0.written - drift.written }
        }.sorted()
        print(
            "seed \(seed): \(told.drifts.count) drifts, distrusted in an outlook after \(delays) virtual milliseconds")
        #expect(delays.count >= 4)
    }
}
