import Glibc
import Logging
import Messages
import TwinCore

/// Log lines on the standard error, one `write` each: logfmt for people, JSON for machines.
package struct LineLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let label: String
    private let format: RuntimeConfiguration.LogFormat
    private let descriptor: Int32

    package init(
        label: String, level: Logger.Level, format: RuntimeConfiguration.LogFormat, descriptor: Int32 = STDERR_FILENO
    ) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.descriptor = descriptor
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one line.
    package func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let own = event.metadata { fields.merge(own) { _, new in new } }
        var pairs = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        if let error = event.error { pairs.append(("error", "\(error)")) }
        let time = EventTime(milliseconds: wallMilliseconds())
        let line =
            format == .json
            ? Self.json(time, event.level, label, "\(event.message)", pairs)
            : Self.logfmt(time, event.level, label, "\(event.message)", pairs)
        line.withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
    }

    static func json(
        _ time: EventTime, _ level: Logger.Level, _ label: String, _ message: String, _ fields: [(String, String)]
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("time")
        writer.time(time)
        writer.key("level")
        writer.string(level.rawValue)
        writer.key("logger")
        writer.string(label)
        writer.key("message")
        writer.string(message)
        for (name, value) in fields {
            writer.key(name)
            writer.string(value)
        }
        writer.endObject()
        writer.endLine()
        return writer.bytes
    }

    static func logfmt(
        _ time: EventTime, _ level: Logger.Level, _ label: String, _ message: String, _ fields: [(String, String)]
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.time(time)
        let stamp = String(decoding: writer.bytes, as: UTF8.self).filter { $0 != "\"" }
        var line = "time=\(stamp) level=\(level.rawValue) logger=\(label) msg=\(quoted(message))"
        for (name, value) in fields { line += " \(name)=\(quoted(value))" }
        return Array((line + "\n").utf8)
    }

    /// In quotation marks where it must be; never more than one line.
    private static func quoted(_ text: String) -> String {
        let needs =
            text.isEmpty
            || text.unicodeScalars.contains { $0.value <= 32 || $0 == "\"" || $0 == "=" || $0.value == 127 }
        guard needs else { return text }
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default: out.unicodeScalars.append(scalar.value < 32 ? " " : scalar)
            }
        }
        return out + "\""
    }
}
