import Messages
import StageKit
import TwinCore

@testable import Runtime

/// Counts the samples of each resource and echoes each with its count, so that a lost, doubled or reordered sample
/// changes every later output.
struct EchoStage: Stage, ~Copyable {
    struct Settings: Sendable { var factor = 1_000.0 }

    struct Cell: BitwiseCopyable {
        var count: UInt64 = 0
        var sum: Double = 0
    }

    static let name = StageName.twinUpdater
    static let inbox = TopicName.observations
    static let outputs = [TopicName.forecasts]
    static let watermarkOutput: TopicName? = nil
    static let logicVersion: UInt32 = 1

    private let settings: Settings
    private let task: TaskID
    private var cells = PagedTable<Cell>(cellsMax: 10_000)
    private var index = PairIndex()
    private var resources: [NameID] = []
    private var refused: UInt64 = 0

    init(settings: Settings, task: TaskID, layout: TopicLayout, names: NameTable) {
        self.settings = settings
        self.task = task
    }

    mutating func receive(_ entry: Entry, into out: Emitter) {
        guard entry.kind == .sample else { return }
        let slot: Int
        if let known = index.find(entry.resource, 0) {
            slot = known
        } else {
            guard let added = cells.append(Cell()) else {
                refused += 1
                return
            }
            slot = added
            index.insert(entry.resource, 0, added)
            resources.append(entry.resource)
        }
        let cell = cells.write(slot)
        cell.pointee.count += 1
        cell.pointee.sum += entry.value
        let value = Double(cell.pointee.count) * settings.factor + cell.pointee.sum
        out.emit(
            Entry(kind: .sample, resource: entry.resource, object: entry.object, time: entry.time, value: value),
            to: .forecasts, partition: task.partition)
    }

    mutating func advance(to watermark: EventTime, into out: Emitter) {}

    mutating func freeze(into writer: inout StateWriter) {
        cells.freeze(tag: sectionTag("cell"), into: &writer)
        var coder = StateCoder()
        coder.write(UInt64(resources.count))
        for resource in resources { coder.write(UInt64(resource)) }
        writer.add(tag: sectionTag("reso"), bytes: coder.bytes)
    }

    mutating func restore(from reader: StateReader) throws(StateError) {
        try cells.restore(tag: sectionTag("cell"), from: reader)
        var decoder = try reader.decoder(tag: sectionTag("reso"))
        let count = try decoder.readCount(max: cells.count)
        for slot in 0..<count {
            let resource = NameID(truncatingIfNeeded: try decoder.readWord())
            resources.append(resource)
            index.insert(resource, 0, slot)
        }
    }

    var counters: [StageCounter] { [StageCounter("cellsRefused", refused)] }
}

typealias EchoTask = FrameTask<EchoStage>

/// The echo stage as the shell runs it.
func echo(factor: Double = 1_000) -> StageDefinition {
    StageDefinition.frames(EchoStage.self, settings: EchoStage.Settings(factor: factor)) { settings, digest in
        digest.combine(settings.factor.bitPattern)
    }
}
