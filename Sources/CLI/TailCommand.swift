import ArgumentParser
import Foundation
import Kafka
import Messages
import Topology
import TwinCore

/// `twinscale tail`: the records of a topic, decoded.
struct TailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail",
        abstract: "Print the records of a topic, decoded.",
        discussion: """
            Inner topics (observations, forecasts, outlooks) carry columnar frames: one line is printed for each \
            entry, \
            with its fields by name, and one for each heartbeat. All other topics carry JSON: one line is printed \
            for each \
            record. Without --from it begins ten records before the end of each partition. Reading joins no consumer \
            group \
            and changes nothing. What is not a frame or not JSON is shown as text, with control characters escaped.

            The last forecasts:              twinscale tail forecasts
            All that happens, as it happens: twinscale tail observations --from end --follow
            For programs:                    twinscale tail actions --from beginning --json
            """)

    @Argument(help: ArgumentHelp("The topic, as 'twinscale topology' names it.", valueName: "topic"))
    var topic: String

    @OptionGroup var broker: BrokerOptions

    @Option(help: "Only this partition; may be repeated.")
    var partition: [Int32] = []

    @Option(help: ArgumentHelp("Where to begin: \(StartPoint.forms).", valueName: "point"))
    var from: StartPoint?

    @Option(help: ArgumentHelp("End after so many lines.", valueName: "lines"))
    var max: Int?

    @Option(help: ArgumentHelp("Only entries about this resource, and records with this key.", valueName: "name"))
    var resource: String?

    @Flag(help: "Leave out heartbeats.")
    var noHeartbeats = false

    @Flag(help: "Go on with what is written from now on, until Ctrl-C.")
    var follow = false

    @Flag(help: "Print a JSON object a line.")
    var json = false

    func validate() throws {
        if let max, max < 1 { throw ValidationError("--max is at least 1") }
        if TopicName(text: topic) == nil {
            let names = TopicName.allCases.map(\.text).joined(separator: ", ")
            throw ValidationError("'\(topic)' is none of the pipeline's topics: \(names)")
        }
    }

    func run() throws {
        try reporting(broker) {
            var reader = try TopicReader.open(
                broker, topic: Topology.brokerName(topic, namespace: broker.namespace),
                only: partition.isEmpty ? nil : partition)
            try start(&reader)
            var printer = RecordPrinter(
                topic: topic, isJSON: json, resource: resource, showsHeartbeats: !noHeartbeats, linesMax: max ?? .max)
            while try reader.read(follows: follow, { printer.print($0) }) { fflush(nil) }
            fflush(nil)
            reader.close()
        }
    }

    private func start(_ reader: inout TopicReader) throws {
        switch from {
        case nil: try reader.start { $0.end - 10 }
        case .beginning?: try reader.start { $0.low }
        case .end?: try reader.start { $0.end }
        case .offset(let offset)?: try reader.start { _ in offset }
        case .time(let time)?:
            let found = try reader.offsets(at: time, broker)
            try reader.start { found[$0.partition] ?? $0.end }
        }
    }
}

/// Turns records into lines.
struct RecordPrinter: ~Copyable {
    let topic: String
    let isJSON: Bool
    let resource: String?
    let showsHeartbeats: Bool
    private var linesLeft: Int
    private let isFramed: Bool
    private let reader = FrameReader()
    private var writer = JSONWriter()
    private let output: (String) -> Void

    init(
        topic: String, isJSON: Bool, resource: String? = nil, showsHeartbeats: Bool = true, linesMax: Int = .max,
        output: @escaping (String) -> Void = { Swift.print($0) }
    ) {
        self.topic = topic
        self.isJSON = isJSON
        self.resource = resource
        self.showsHeartbeats = showsHeartbeats && resource == nil
        linesLeft = linesMax
        isFramed = ["observations", "forecasts", "outlooks"].contains(topic)
        self.output = output
    }

    /// Prints a record; false once as many lines as wanted are printed.
    mutating func print(_ record: borrowing Record) -> Bool {
        print(
            partition: record.partition, offset: record.offset, written: record.timestampMilliseconds, key: record.key,
            value: record.value)
    }

    /// The same from its parts.
    mutating func print(
        partition: Int32, offset: Int64, written: Int64, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
    ) -> Bool {
        let place = Place(partition: partition, offset: offset, written: EventTime(milliseconds: written))
        guard isFramed, let value else {
            plain(place, key: key, value: value)
            return linesLeft > 0
        }
        do {
            try reader.decode(value)
        } catch {
            broken(place, value, "not a frame: \(error)")
            return linesLeft > 0
        }
        for index in reader.entries.indices where linesLeft > 0 { entry(place, index) }
        if showsHeartbeats, let heartbeat = reader.heartbeat { beat(place, heartbeat) }
        return linesLeft > 0
    }

    private struct Place {
        var partition: Int32
        var offset: Int64
        var written: EventTime
    }

    private mutating func line(_ text: String) {
        guard linesLeft > 0 else { return }
        linesLeft -= 1
        output(text)
    }

    private mutating func open(_ place: Place) {
        writer.removeAll()
        writer.beginObject()
        writer.key("topic")
        writer.string(topic)
        writer.key("partition")
        writer.int(Int(place.partition))
        writer.key("offset")
        writer.int(place.offset)
        writer.key("written")
        writer.time(place.written)
    }

    private mutating func close() {
        writer.endObject()
        line(String(decoding: writer.bytes, as: UTF8.self))
    }

    private func head(_ place: Place) -> String { "\(topic)[\(place.partition)]@\(place.offset)" }

    // MARK: frames

    private mutating func openFrame(_ place: Place) {
        open(place)
        writer.key("sender")
        writer.string("\(reader.header.sender)")
        writer.key("incarnation")
        writer.unsigned(reader.header.incarnation)
    }

    private mutating func entry(_ place: Place, _ index: Int) {
        let entry = reader.entries[index]
        if let resource {
            let ids = [entry.resource, entry.object].filter { $0 > 0 }
            guard ids.contains(where: { printable(reader.names[Int($0) - 1], bytesMax: 1_024) == resource }) else {
                return
            }
        }
        let fields = EntryFields(entry, names: reader.names)
        guard isJSON else {
            return line(
                "\(head(place)) \(reader.header.sender) \(reader.sequences[index])  \(entry.kind)  \(fields.text)")
        }
        openFrame(place)
        writer.key("sequence")
        writer.string("\(reader.sequences[index])")
        writer.key("kind")
        writer.string("\(entry.kind)")
        writer.key("entry")
        writer.beginObject()
        fields.write(into: &writer)
        writer.endObject()
        close()
    }

    private mutating func beat(_ place: Place, _ heartbeat: Heartbeat) {
        let isSilent = heartbeat.watermark == .distantPast
        guard isJSON else {
            let time = isSilent ? "none yet" : timeText(heartbeat.watermark)
            return line(
                "\(head(place)) \(reader.header.sender)  heartbeat  watermark=\(time) idle=\(heartbeat.isIdle) "
                    + "senders=\(heartbeat.senders.count)")
        }
        openFrame(place)
        writer.key("kind")
        writer.string("heartbeat")
        writer.key("watermark")
        if isSilent { writer.null() } else { writer.time(heartbeat.watermark) }
        writer.key("idle")
        writer.bool(heartbeat.isIdle)
        writer.key("senders")
        writer.int(heartbeat.senders.count)
        close()
    }

    // MARK: everything else

    private mutating func plain(_ place: Place, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?) {
        if let resource, key.map({ printable($0, bytesMax: 1_024) }) != resource { return }
        guard isJSON else {
            let name = key.map { " key=\(printable($0, bytesMax: 256))" } ?? ""
            let content = value.map { printable($0, bytesMax: 20_000) } ?? "(deleted)"
            return line("\(head(place))\(name)  \(content)")
        }
        open(place)
        writer.key("key")
        if let key { writer.string(key) } else { writer.null() }
        writer.key("value")
        if let value { writer.outside(value) } else { writer.null() }
        close()
    }

    private mutating func broken(_ place: Place, _ value: UnsafeRawBufferPointer, _ reason: String) {
        guard isJSON else {
            return line("\(head(place))  broken  \(reason); \(value.count) bytes: \(printable(value, bytesMax: 200))")
        }
        open(place)
        writer.key("problem")
        writer.string(reason)
        writer.key("bytes")
        writer.int(value.count)
        close()
    }
}
