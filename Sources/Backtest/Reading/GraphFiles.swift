import Messages
import TwinCore

/// An edge of the graph: `source` calls `target`, so often a second.
package struct EdgeRow: Sendable, Equatable {
    package var source: String
    package var target: String
    package var weight: Double
}

/// A planned event: `start,end,scope_key,scope_value,kind,uplift`.
package struct EventRow: Sendable, Equatable {
    package var id: String
    package var start: EventTime
    package var end: EventTime
    package var scopeKey: String
    package var scopeValue: String
    package var kind: String
    package var uplift: Double

    /// The event as `EventJSON` reads it.
    package func write(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("start")
        writer.time(start)
        writer.key("end")
        writer.time(end)
        writer.key("scope")
        writer.beginObject()
        writer.key("key")
        writer.string(scopeKey)
        writer.key("value")
        writer.string(scopeValue)
        writer.endObject()
        writer.key("kind")
        writer.string(kind)
        writer.key("uplift")
        writer.double(uplift)
        writer.endObject()
    }
}

/// Reads the small files beside the telemetry. They are written by hand or by a tool, so a bad row is an error that
/// names its line, not something to pass over.
package enum GraphFiles {
    /// Edges or events of a file.
    package static let rowsMax = 1_000_000

    /// Reads `source,target,weight`; a missing weight counts as 1.
    package static func edges(path: String) throws(BacktestError) -> [EdgeRow] {
        var csv = CSVReader(file: try InputFile(path: path))
        let header = try CSVHeader(&csv, path: path)
        let source = try header.require("source")
        let target = try header.require("target")
        let weight = header.find("weight")
        var edges: [EdgeRow] = []
        while try advance(&csv, path: path, rows: edges.count) {
            let number = try weight.flatMap { (column) throws(BacktestError) in
                try self.number(csv.field(column), "weight", least: 0, path: path, line: csv.line)
            }
            edges.append(
                EdgeRow(
                    source: try name(csv.field(source), "source", path: path, line: csv.line),
                    target: try name(csv.field(target), "target", path: path, line: csv.line), weight: number ?? 1))
        }
        return edges
    }

    /// Reads `start,end,scope_key,scope_value,kind,uplift`; a missing uplift counts as 1.
    package static func events(path: String) throws(BacktestError) -> [EventRow] {
        var csv = CSVReader(file: try InputFile(path: path))
        let header = try CSVHeader(&csv, path: path)
        let start = try header.require("start")
        let end = try header.require("end")
        let scopeKey = try header.require("scope_key")
        let scopeValue = try header.require("scope_value")
        let kind = try header.require("kind")
        let uplift = header.find("uplift")
        var events: [EventRow] = []
        while try advance(&csv, path: path, rows: events.count) {
            let line = csv.line
            let factor = try uplift.flatMap { (column) throws(BacktestError) in
                try number(csv.field(column), "uplift", least: 0, path: path, line: line)
            }
            let event = EventRow(
                id: "event-\(line)", start: try time(csv.field(start), "start", path: path, line: line),
                end: try time(csv.field(end), "end", path: path, line: line),
                scopeKey: try name(csv.field(scopeKey), "scope_key", path: path, line: line),
                scopeValue: try name(csv.field(scopeValue), "scope_value", path: path, line: line),
                kind: try name(csv.field(kind), "kind", path: path, line: line), uplift: factor ?? 1)
            guard event.end > event.start else { throw fault("the event ends before it starts", path, line) }
            guard event.uplift <= EventJSON.upliftMax else {
                throw fault("an uplift above \(Int(EventJSON.upliftMax))", path, line)
            }
            events.append(event)
        }
        return events
    }

    private static func advance(
        _ csv: inout CSVReader, path: String, rows: Int
    ) throws(BacktestError) -> Bool {
        switch try csv.next() {
        case .end: return false
        case .fault(let found): throw fault(found.text, path, csv.line)
        case .row:
            guard rows < rowsMax else { throw BacktestError(.limit, "\(path) has more than \(rowsMax) rows") }
            return true
        }
    }

    private static func fault(_ text: String, _ path: String, _ line: Int) -> BacktestError {
        BacktestError(.format, "\(path), line \(line): \(text)")
    }

    private static func name(
        _ field: UnsafeRawBufferPointer, _ column: String, path: String, line: Int
    ) throws(BacktestError) -> String {
        let text = trimmed(field)
        guard !text.isEmpty else { throw fault("\(column) is empty", path, line) }
        return text
    }

    private static func number(
        _ field: UnsafeRawBufferPointer, _ column: String, least: Double, path: String, line: Int
    ) throws(BacktestError) -> Double? {
        switch FieldNumber.read(field) {
        case .none: return nil
        case .number(let value) where value >= least: return value
        case .number: throw fault("\(column) is below \(Int(least))", path, line)
        case .malformed: throw fault("\(column) is not a number", path, line)
        }
    }

    private static func time(
        _ field: UnsafeRawBufferPointer, _ column: String, path: String, line: Int
    ) throws(BacktestError) -> EventTime {
        switch FieldNumber.readTime(field) {
        case .success(let time): return time
        case .failure(let found): throw fault("\(column): \(found.text)", path, line)
        }
    }
}
