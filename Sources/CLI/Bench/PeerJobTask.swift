import Messages
import StageKit
import TwinCore

/// The job that stream processors are compared by: parse JSON, smooth each series by Holt's linear method, write one
/// JSON record for each record, on the same runtime as the stages. Not part of the pipeline.
final class PeerJobTask: TaskLogic {
    /// Level and trend of one series (Holt 1957), and how many values it has seen.
    struct Cell: BitwiseCopyable {
        var level: Double
        var trend: Double
        var count: Int64
        var resource: UInt32
        var metric: UInt32
    }

    static let output = TopicName.decisions
    private static let alpha = 0.3
    private static let beta = 0.1
    private static let seriesMax = 1_000_000

    let emitter: Emitter
    private let names: NameTable
    @exclusivity(unchecked) private var cells = PagedTable<Cell>(cellsMax: PeerJobTask.seriesMax)
    @exclusivity(unchecked) private var index = PairIndex()
    @exclusivity(unchecked) private var reader = TelemetryJSON()
    @exclusivity(unchecked) private var faults: UInt64 = 0

    init(_ setting: TaskSetting, restoring snapshot: StateReader?) throws(StateError) {
        names = NameTable(namesMax: setting.namesMax)
        emitter = Emitter(
            task: setting.task, incarnation: setting.incarnation, layout: setting.layout,
            outputs: [Self.output, .deadletters], names: names, limits: setting.emitterLimits)
        guard let snapshot else { return }
        try names.restore(tag: sectionTag("name"), from: snapshot)
        try emitter.restore(from: snapshot)
        try cells.restore(tag: sectionTag("cell"), from: snapshot)
        for slot in 0..<cells.count {
            let cell = cells.read(slot).pointee
            guard cell.resource != 0 || cell.metric != 0 else { throw .invalid("a series without a name") }
            index.insert(cell.resource, cell.metric, slot)
        }
    }

    func receive(_ record: InboxRecord, muted: Bool) throws(TaskFault) {
        emitter.begin(inputOffset: record.offset, muted: muted)
        guard let value = record.value else { return }
        reader.open(value)
        while true {
            switch reader.next() {
            case .sample: fold(reader.sample)
            case .fault: faults &+= 1
            case .end: return
            }
        }
    }

    private func fold(_ sample: borrowing TelemetrySample) {
        guard let resource = names.intern(sample.resource), let metric = names.intern(sample.metric) else { return }
        let slot: Int
        if let known = index.find(resource, metric) {
            slot = known
        } else {
            let fresh = Cell(level: sample.value, trend: 0, count: 0, resource: resource, metric: metric)
            guard let made = cells.append(fresh) else { return }
            index.insert(resource, metric, made)
            slot = made
        }
        let cell = cells.write(slot)
        let forecast = cell.pointee.level + cell.pointee.trend
        let level = Self.alpha * sample.value + (1 - Self.alpha) * forecast
        cell.pointee.trend = Self.beta * (level - cell.pointee.level) + (1 - Self.beta) * cell.pointee.trend
        cell.pointee.level = level
        cell.pointee.count &+= 1
        let (value, time) = (sample.value, sample.time)
        let (resourceName, metricName) = (sample.resource, sample.metric)
        let partition = partition(of: sample.resource, among: emitter.layout[Self.output])
        emitter.record(to: Self.output, partition: partition, key: resource) { writer, _ in
            writer.beginObject()
            writer.key("resource")
            writer.string(resourceName)
            writer.key("metric")
            writer.string(metricName)
            writer.key("ts")
            writer.int(time.milliseconds)
            writer.key("value")
            writer.double(value)
            writer.key("forecast")
            writer.double(rounded(forecast))
            writer.key("residual")
            writer.double(rounded(value - forecast))
            writer.endObject()
        }
    }

    func heartbeat(isCaughtUp: Bool, wallClock: EventTime?) {}

    func freeze() -> StateWriter {
        var writer = StateWriter()
        names.freeze(tag: sectionTag("name"), into: &writer)
        emitter.freeze(into: &writer)
        cells.freeze(tag: sectionTag("cell"), into: &writer)
        return writer
    }

    var watermark: EventTime? { nil }
    var stageCounters: [StageCounter] { [StageCounter("faults", faults)] }
}

/// Six decimals, as the hand-written job prints them.
private func rounded(_ value: Double) -> Double { (value * 1e6).rounded() / 1e6 }
