import Foundation
import Messages
import Topology

/// One thing that was measured, several times over.
struct Measurement {
    let name: String
    let unit: String
    let runs: [Double]
    /// At most this is wanted; nil where nothing is.
    let target: Double?
    let note: String

    init(_ name: String, _ unit: String, _ runs: [Double], target: Double? = nil, _ note: String = "") {
        self.name = name
        self.unit = unit
        self.runs = runs
        self.target = target
        self.note = note
    }

    /// The middle one of the runs; of two the mean.
    var median: Double {
        let sorted = runs.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// Whether the median keeps within what is wanted, and by how much it does not; nil where nothing is wanted.
    var isMet: Bool? { target.map { median <= $0 } }

    var verdict: String {
        guard let target, let isMet else { return "" }
        return isMet ? "met" : "MISSED by \(Int((100 * (median / target - 1)).rounded(.up))) %"
    }
}

/// All that one call of `twinscale bench` measured.
struct BenchReport {
    var measurements: [Measurement] = []
    var notes: [String] = []

    mutating func add(_ measurement: Measurement) { measurements.append(measurement) }

    var text: String {
        var rows = [["MEASURED", "MEDIAN", "UNIT", "TARGET", "", "RUNS", ""]]
        for measurement in measurements {
            rows.append([
                measurement.name, EntryFields.short(measurement.median), measurement.unit,
                measurement.target.map { "≤ \(EntryFields.short($0))" } ?? "", measurement.verdict,
                measurement.runs.map { EntryFields.short($0) }.joined(separator: " "), measurement.note,
            ])
        }
        var lines = Topology.aligned(rows)
        lines.append("")
        let verdicts = measurements.compactMap(\.isMet)
        if !verdicts.isEmpty {
            let met = verdicts.filter { $0 }.count
            lines.append("\(met) of \(verdicts.count) bounds met, each by the median of its runs")
        }
        lines.append(Usage.machine)
        #if DEBUG
            lines.append("NOTE: a debug build; only a release build says anything about speed (swift build -c release)")
        #endif
        lines += notes
        return lines.joined(separator: "\n")
    }

    var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("machine")
        writer.string(Usage.machine)
        writer.key("measurements")
        writer.beginArray()
        for measurement in measurements {
            writer.beginObject()
            writer.key("name")
            writer.string(measurement.name)
            writer.key("unit")
            writer.string(measurement.unit)
            writer.key("median")
            writer.double(measurement.median)
            writer.key("runs")
            writer.beginArray()
            for run in measurement.runs { writer.double(run) }
            writer.endArray()
            writer.key("target")
            if let target = measurement.target { writer.double(target) } else { writer.null() }
            writer.key("note")
            writer.string(measurement.note)
            writer.endObject()
        }
        writer.endArray()
        writer.key("notes")
        writer.beginArray()
        for note in notes { writer.string(note) }
        writer.endArray()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// CPU time of the calling thread, seconds.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
