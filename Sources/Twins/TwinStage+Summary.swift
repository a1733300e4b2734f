import Forecasting
import Messages
import StageKit
import TwinCore

extension TwinStage {
    func summaryPartition(of resource: NameID) -> Int32 {
        TwinCore.partition(of: names.bytes(of: resource), among: layout[.twins])
    }

    /// Writes a twin's summary when it is first seen, when a series' quality or trust changed, and now and then.
    mutating func summariseIfDue(_ slot: Int, at time: Int64, into out: Emitter) {
        let cell = series.write(slot)
        let owner = Int(cell.pointee.resource)
        let twin = resources.read(owner)
        let distrusted: UInt8 = cell.isDistrusted ? 1 : 0
        let hasChanged =
            cell.pointee.saidQuality != cell.pointee.quality || cell.pointee.saidDistrusted != distrusted
        let interval = max(settings.summarySeconds, 1) &* 1_000
        guard hasChanged || twin.pointee.isSummarised == 0 || time &- twin.pointee.summaryTime >= interval else {
            return
        }
        cell.pointee.saidQuality = cell.pointee.quality
        cell.pointee.saidDistrusted = distrusted
        let written = resources.write(owner)
        // A fleet begins at once: what is restated now and then is so at each twin's own time.
        let ahead = written.pointee.isSummarised == 0 ? Int64(owner) &* 2_654_435_761 % interval : 0
        written.pointee.isSummarised = 1
        written.pointee.summaryTime = max(time &- ahead, written.pointee.summaryTime)
        count.summaries &+= 1
        let name = written.pointee.name
        out.record(to: .twins, partition: summaryPartition(of: name), key: name) { writer, sequence in
            write(owner, at: time, sequence, id: out.id(sequence), into: &writer)
        }
    }

    private func write(
        _ slot: Int, at time: Int64, _ sequence: Sequence, id: String, into writer: inout JSONWriter
    ) {
        let twin = resources.read(slot)
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("resource")
        writer.string(names.bytes(of: twin.pointee.name))
        writer.key("sequence")
        writer.beginObject()
        writer.key("offset")
        writer.int(sequence.offset)
        writer.key("index")
        writer.int(sequence.index)
        writer.endObject()
        writer.key("locality")
        text(twin.pointee.locality, into: &writer)
        writer.key("class")
        text(twin.pointee.className, into: &writer)
        writer.key("tags")
        writer.beginObject()
        for index in 0..<min(Int(twin.pointee.tagCount), ResourceCell.tagsMax) {
            writer.key(names.bytes(of: twin.pointee.tagKeys[index]))
            writer.string(names.bytes(of: twin.pointee.tagValues[index]))
        }
        writer.endObject()
        writer.key("readyUnits")
        number(twin.pointee.readyUnits, into: &writer)
        writer.key("time")
        writer.time(EventTime(milliseconds: time))
        writer.key("metrics")
        writer.beginObject()
        var next = twin.pointee.firstSeries
        while next >= 0 {
            let cell = series.read(Int(next))
            next = cell.pointee.next
            guard cell.pointee.model.status.steps > 0 else { continue }
            writer.key(names.bytes(of: cell.pointee.metric))
            // A copy, as forecasting works in place and this cell may belong to a snapshot.
            var copy = cell.pointee
            withUnsafeMutablePointer(to: &copy) { writeMetric($0, mask: twin.pointee.eventMask, into: &writer) }
        }
        writer.endObject()
        writer.endObject()
    }

    private func writeMetric(_ cell: UnsafeMutablePointer<SeriesCell>, mask: UInt64, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("level")
        number(cell.pointee.level, into: &writer)
        writer.key("quality")
        writer.string(Self.word(DataQuality(rawValue: cell.pointee.quality) ?? .missing))
        writer.key("role")
        writer.string(Self.word(MetricRole(rawValue: cell.pointee.role) ?? .unknown))
        writer.key("step_s")
        number(cell.pointee.model.status.stepSeconds, into: &writer)
        writer.key("distrusted")
        writer.bool(cell.isDistrusted)
        writer.key("samples")
        writer.unsigned(UInt64(cell.pointee.model.status.steps))
        writer.key("forecast")
        writer.beginArray()
        for horizon in 0..<plan.count {
            forecast(cell, horizon: horizons[horizon], mask: mask, into: numbers)
            writer.beginObject()
            writer.key("horizon_s")
            number(horizons[horizon], into: &writer)
            writer.key("mean")
            number(numbers[0], into: &writer)
            writer.key("q50")
            number(numbers[2], into: &writer)
            writer.key("q90")
            number(numbers[3], into: &writer)
            writer.key("q99")
            number(numbers[5], into: &writer)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    private func text(_ name: NameID, into writer: inout JSONWriter) {
        if name == 0 { writer.null() } else { writer.string(names.bytes(of: name)) }
    }

    /// Six digits or a little more: what a person reads. Null if not finite.
    private func number(_ value: Float, into writer: inout JSONWriter) {
        let wide = Double(value)
        let size = wide.magnitude
        guard size < 1e15 else { return writer.double(wide) }
        let unit = size >= 1e5 ? 1.0 : size >= 100 ? 1e3 : size >= 0.1 ? 1e6 : 1e9
        let rounded = (wide * unit).rounded()
        if unit == 1 || rounded == 0 { return writer.int(Int64(rounded)) }
        writer.double(rounded / unit)
    }

    private static func word(_ quality: DataQuality) -> StaticString {
        switch quality {
        case .fresh: "fresh"
        case .stale: "stale"
        case .missing: "missing"
        }
    }

    private static func word(_ role: MetricRole) -> StaticString {
        switch role {
        case .unknown: "unknown"
        case .demand: "demand"
        case .utilisation: "utilisation"
        case .slo: "slo"
        case .backlog: "backlog"
        case .footprint: "footprint"
        case .supply: "supply"
        }
    }
}
