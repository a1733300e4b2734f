import ArgumentParser
import Foundation
import Kafka
import Messages
import Topology
import TwinCore

/// `twinscale deadletters`: what the stages could not understand, and why.
struct DeadLettersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deadletters",
        abstract: "Show the records that no stage could understand, and why.",
        discussion: """
            A record that cannot be understood does not stop the pipeline: it goes to the topic deadletters, whole, \
            with \
            the reason and the place that it came from. Here they are, the oldest first, the raw value as text with \
            control characters escaped. --export writes them to a file, one JSON object a line with the raw key and \
            value \
            in base 64, to be mended and sent again.
            """)

    @OptionGroup var broker: BrokerOptions

    @Option(help: ArgumentHelp("Where to begin: \(StartPoint.forms).", valueName: "point"))
    var from: StartPoint = .beginning

    @Option(help: ArgumentHelp("End after so many.", valueName: "letters"))
    var max: Int?

    @Option(help: ArgumentHelp("Only those whose reason holds this text.", valueName: "text"))
    var reason: String?

    @Flag(help: "Go on with what comes, until Ctrl-C.")
    var follow = false

    @Flag(help: "Print a JSON object a line.")
    var json = false

    @Option(help: ArgumentHelp("Write them to this file; it must not be there yet.", valueName: "file"))
    var export: String?

    func validate() throws {
        if let max, max < 1 { throw ValidationError("--max is at least 1") }
        if export != nil, follow { throw ValidationError("--export ends with what is there; leave out --follow") }
    }

    func run() throws {
        try reporting(broker) {
            var file: FileHandle?
            if let export { file = try Self.create(export) }
            var reader = try TopicReader.open(
                broker, topic: Topology.brokerName(.deadletters, namespace: broker.namespace))
            switch from {
            case .beginning: try reader.start { $0.low }
            case .end: try reader.start { $0.end }
            case .offset(let offset): try reader.start { _ in offset }
            case .time(let time):
                let found = try reader.offsets(at: time, broker)
                try reader.start { found[$0.partition] ?? $0.end }
            }
            let count = try show(&reader, file)
            reader.close()
            if let export {
                print("\(count) dead letters in \(export)")
            } else if count == 0, !json {
                print("No dead letters\(reason.map { " with '\($0)' in their reason" } ?? "").")
            }
        }
    }

    /// Prints or exports until the end; returns how many there were.
    private func show(_ reader: inout TopicReader, _ file: FileHandle?) throws -> Int {
        var count = 0
        var failure: (any Error)?
        let bar = ProgressBar("exporting", isWanted: file != nil)
        var goesOn = true
        while goesOn {
            goesOn = try reader.read(follows: follow) { record in
                guard let value = record.value else { return true }
                let letter = LetterText(value)
                if let reason, !(letter.reason ?? "").contains(reason) { return true }
                count += 1
                do {
                    try give(letter, value, partition: record.partition, offset: record.offset, file)
                } catch {
                    failure = error
                    return false
                }
                return count < max ?? .max
            }
            if let failure { throw failure }
            fflush(nil)
            let progress = reader.progress
            bar.show(progress.done, of: progress.total)
        }
        bar.end()
        return count
    }

    private func give(
        _ letter: LetterText, _ value: UnsafeRawBufferPointer, partition: Int32, offset: Int64, _ file: FileHandle?
    ) throws {
        if json || file != nil {
            var writer = JSONWriter()
            letter.write(value, isExport: file != nil, into: &writer)
            writer.endLine()
            guard let file else {
                print(String(decoding: writer.bytes, as: UTF8.self), terminator: "")
                return
            }
            do {
                try file.write(contentsOf: Data(writer.bytes))
            } catch {
                throw ToolError("cannot write to '\(export ?? "")': \(error.localizedDescription)")
            }
        } else {
            print(letter.text(partition: partition, offset: offset, value))
        }
    }

    private static func create(_ path: String) throws -> FileHandle {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw ToolError("cannot create '\(path)': \(reason)", hint: "name a file that is not there yet")
        }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }
}

/// A dead letter as it is shown. Every field is optional: the topic may hold anything.
struct LetterText {
    private struct Fields: Decodable {
        var id: String?
        var stage: String?
        var reason: String?
        var topic: String?
        var partition: Int32?
        var offset: Int64?
        var key: String?
        var value: String?
        var truncated: Bool?
        var bytes: Int?
    }

    private let fields: Fields?

    init(_ bytes: UnsafeRawBufferPointer) {
        fields = isJSON(bytes) ? try? JSONDecoder().decode(Fields.self, from: Data(bytes)) : nil
    }

    /// Nil if it is no dead letter of ours.
    var reason: String? { fields?.reason }

    /// The raw value that could not be understood.
    var value: [UInt8]? { fields?.value.flatMap { Data(base64Encoded: $0) }.map { Array($0) } }

    private var key: [UInt8]? { fields?.key.flatMap { Data(base64Encoded: $0) }.map { Array($0) } }

    /// Two lines for people.
    func text(partition: Int32, offset: Int64, _ raw: UnsafeRawBufferPointer) -> String {
        guard let fields else {
            return "deadletters[\(partition)]@\(offset)  no dead letter of this pipeline\n    \(printable(raw))"
        }
        let place = "\(fields.topic ?? "?")[\(fields.partition.map { "\($0)" } ?? "?")]@\(fields.offset ?? -1)"
        var line =
            "\(printable(place))  \(printable(fields.stage ?? "?"))  \(printable(fields.reason ?? "no reason given"))"
        if fields.truncated == true { line += "  (cut; it had \(fields.bytes ?? 0) bytes)" }
        if let key { line += "\n    key: \(key.withUnsafeBytes { printable($0, bytesMax: 256) })" }
        line += "\n    " + (value.map { $0.withUnsafeBytes { printable($0) } } ?? "(no value)")
        return line
    }

    /// One JSON object: with the value as text, or, for an export, as it stands in the topic.
    func write(_ raw: UnsafeRawBufferPointer, isExport: Bool, into writer: inout JSONWriter) {
        guard let fields, !isExport else { return writer.outside(raw) }
        writer.beginObject()
        func text(_ name: StaticString, _ value: String?) {
            writer.key(name)
            if let value { writer.string(value) } else { writer.null() }
        }
        text("id", fields.id)
        text("stage", fields.stage)
        text("reason", fields.reason)
        text("topic", fields.topic)
        writer.key("partition")
        writer.int(Int64(fields.partition ?? -1))
        writer.key("offset")
        writer.int(fields.offset ?? -1)
        writer.key("key")
        if let key { key.withUnsafeBytes { writer.string($0) } } else { writer.null() }
        writer.key("value")
        if let value { value.withUnsafeBytes { writer.string($0) } } else { writer.null() }
        writer.key("truncated")
        writer.bool(fields.truncated ?? false)
        writer.endObject()
    }
}
