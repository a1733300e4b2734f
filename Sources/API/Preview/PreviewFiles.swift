import Backtest
import Foundation
import Messages
import Runtime
import TwinCore
import Views

/// The files that a backtest reads and writes, in a directory of its own that goes with it.
struct PreviewFiles {
    private let directory: String

    init() throws(PreviewError) {
        guard let directory = makeTemporaryDirectory("twin-preview") else {
            throw PreviewError("there is no room for temporary files")
        }
        self.directory = directory
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }

    private func write(_ name: String, _ bytes: [UInt8]) throws(PreviewError) -> String {
        let path = "\(directory)/\(name)"
        do { try Data(bytes).write(to: URL(fileURLWithPath: path)) } catch {
            throw PreviewError("temporary files cannot be written")
        }
        return path
    }

    /// A field of a CSV file, quoted where that is needed.
    private static func field(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0 == "\n" || $0 == "\r" }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }

    /// Telemetry, declarations, calls and planned events, once for all arms.
    func options(_ study: PreviewStudy) throws(PreviewError) -> BacktestOptions {
        var options = BacktestOptions(telemetry: try telemetry(study.samples), outputDirectory: directory)
        options.resources = try write("resources.yaml", resources(study))
        options.horizons = [60, 300, 900, 1_800, 3_600]
        // No forecast is asked for by itself: only decisions count here.
        options.origins = try write("origins.csv", Array("resource,metric,origin\n".utf8))
        if !study.edges.isEmpty {
            var text = "source,target,weight\n"
            for edge in study.edges { text += "\(Self.field(edge.source)),\(Self.field(edge.target)),\(edge.rate)\n" }
            options.edges = try write("edges.csv", Array(text.utf8))
        }
        if !study.events.isEmpty {
            var text = "start,end,scope_key,scope_value,kind,uplift\n"
            for event in study.events {
                let (start, end) = (JSONValue(event.start).text ?? "", JSONValue(event.end).text ?? "")
                text += "\(start),\(end),\(Self.field(event.scopeKey)),\(Self.field(event.scopeValue)),"
                text += "\(Self.field(event.kind)),\(event.uplift)\n"
            }
            options.events = try write("events.csv", Array(text.utf8))
        }
        return options
    }

    private func telemetry(_ samples: RecordedSamples) throws(PreviewError) -> String {
        var bytes = Array("timestamp,resource,metric,value\n".utf8)
        bytes.reserveCapacity(samples.rows.count * 48)
        let names = samples.series.map { ",\(Self.field($0.resource)),\(Self.field($0.metric)),".utf8 }
        for row in samples.rows {
            PlainDecimal.append(Double(row.time) / 1_000, to: &bytes)
            bytes.append(contentsOf: names[Int(row.series)])
            PlainDecimal.append(row.value, to: &bytes)
            bytes.append(0x0a)
        }
        return try write("telemetry.csv", bytes)
    }

    /// JSON is YAML too.
    private func resources(_ study: PreviewStudy) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 4_096)
        writer.beginObject()
        writer.key("resources")
        writer.beginArray()
        for resource in study.resources {
            writer.beginObject()
            writer.member("id", resource.name)
            if let name = resource.className { writer.member("class", name) }
            writer.key("tags")
            writer.beginObject()
            for tag in resource.tags {
                writer.key(tag.name)
                writer.string(tag.value)
            }
            writer.endObject()
            writer.key("metrics")
            writer.beginObject()
            for series in study.samples.series where series.resource == resource.name {
                writer.key(series.metric)
                writer.beginObject()
                writer.member("role", series.code.role.text)
                writer.member("kind", series.code.isCounter ? "counter" : "gauge")
                writer.endObject()
            }
            writer.endObject()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// Runs the stages with these policies; returns the decisions of each resource: time and units wanted.
    func decide(
        _ options: BacktestOptions, _ policies: [JSONValue], progress: (Double) -> Void
    ) throws(PreviewError) -> [String: [(time: Int64, units: Int)]] {
        var options = options
        let all = JSONValue.object([JSONValue.Member("policies", .array(policies))])
        options.policies = try write("policies.yaml", all.bytes)
        do throws(BacktestError) {
            _ = try Backtest(options).run { step in
                progress(step.phase == .reading ? step.share * 0.05 : 0.05 + step.share * 0.95)
            }
        } catch { throw PreviewError("the stages refuse it: \(error.reason)") }
        return try decisions()
    }

    private func decisions() throws(PreviewError) -> [String: [(time: Int64, units: Int)]] {
        guard let data = FileManager.default.contents(atPath: "\(directory)/decisions.csv") else {
            throw PreviewError("the stages wrote no decisions")
        }
        var found: [String: [(time: Int64, units: Int)]] = [:]
        for line in data.split(separator: 0x0a).dropFirst() {
            let fields = Self.fields(line)
            guard fields.count >= 3, let time = Double(fields[0]), let units = Double(fields[2]),
                time.magnitude < 1e12, (0...1e9).contains(units)
            else { continue }
            found[fields[1], default: []].append((Int64((time * 1_000).rounded()), Int(units)))
        }
        return found
    }

    /// The first three fields of a line; the first quoted one may hold commas.
    private static func fields(_ line: Data) -> [String] {
        var fields: [[UInt8]] = [[]]
        var isQuoted = false
        for byte in line {
            if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: ","), !isQuoted {
                if fields.count == 3 { break }
                fields.append([])
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        return fields.map { String(decoding: $0, as: UTF8.self) }
    }
}
