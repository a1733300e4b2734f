import Messages
import TwinCore

extension TwinView {
    /// Writes the members of a `TwinLine`; the object is the caller's.
    package func writeLine(into writer: inout JSONWriter, horizonSeconds: Double) {
        writeIdentity(into: &writer)
        writer.member("time", time)
        writer.member("readyUnits", readyUnits)
        writer.member("desiredUnits", decision?.desired)
        writer.member("policy", decision?.policy)
        writer.member("mode", decision?.mode)
        let series = primary
        writer.member("metric", series?.metric)
        writer.member("level", series?.level)
        writer.member("quality", series?.code.quality.text)
        writer.member("distrusted", series?.code.isDistrusted ?? false)
        writer.member("pricePerHour", pricePerHour)
        writer.key("risk")
        guard let risk = risk(withinSeconds: horizonSeconds) else { return writer.null() }
        writer.beginObject()
        writer.member("utilisation", Float(risk.utilisation))
        writer.member("target", decision?.targetUtilisation)
        writer.member("atSeconds", Float(risk.atSeconds))
        writer.member("shortfall", risk.shortfall)
        writer.endObject()
    }

    private func writeIdentity(into writer: inout JSONWriter) {
        writer.member("resource", resource)
        writer.member("locality", locality)
        writer.member("class", className)
        writer.key("tags")
        writer.beginObject()
        for tag in tags {
            writer.key(tag.name)
            writer.string(tag.value)
        }
        writer.endObject()
    }

    /// Writes what a twin has beyond its line and comes from the fleet's topics alone.
    package func writeModel(into writer: inout JSONWriter) {
        writer.member("asOf", EventTime?.none)
        writer.key("metrics")
        writer.beginArray()
        for series in series { series.writeMetric(into: &writer) }
        writer.endArray()
        writer.member("capacityPerUnit", decision?.capacityPerUnit)
        writer.member("targetUtilisation", decision?.targetUtilisation)
        writer.member("leadSeconds", decision?.leadSeconds)
    }

    /// Writes line and model as they were at a moment, from what is remembered.
    package func writeAsOf(_ moment: EventTime, into writer: inout JSONWriter) {
        let past = series.compactMap { series in series.past(moment).map { (series, $0) } }
        let own = past.first { $0.0.metric == primary?.metric }?.1
        writeIdentity(into: &writer)
        writer.member("time", own.map { EventTime(milliseconds: $0.point.time) })
        writer.member("readyUnits", own?.point.units ?? .nan)
        // The ledger knows what was wanted then; the twin does not.
        writer.member("desiredUnits", Int?.none)
        writer.member("policy", String?.none)
        writer.member("mode", String?.none)
        writer.member("metric", primary?.metric)
        writer.member("level", own?.point.level ?? .nan)
        writer.member("quality", own == nil ? "missing" : "fresh")
        writer.member("distrusted", false)
        writer.key("risk")
        writer.null()
        writer.member("asOf", moment)
        writer.key("metrics")
        writer.beginArray()
        for (series, point) in past { series.writeMetric(asOf: point, into: &writer) }
        writer.endArray()
        writer.member("capacityPerUnit", decision?.capacityPerUnit)
        writer.member("targetUtilisation", decision?.targetUtilisation)
        writer.member("leadSeconds", decision?.leadSeconds)
    }
}

extension SeriesView {
    /// A remembered level, and the forecast that was in force then.
    struct Past {
        var point: HistoryPoint
        var forecast: IssuedForecast?
    }

    /// What was known at a moment; nil if it is not remembered.
    func past(_ moment: EventTime) -> Past? {
        let before = points(before: moment.milliseconds &+ 1)
        guard before > 0 else { return nil }
        let count = issued.partition { $0.issued <= moment.milliseconds }
        return Past(point: point(before - 1), forecast: count > 0 ? issued[count - 1] : nil)
    }

    fileprivate func writeHead(_ writer: inout JSONWriter, level: Double, time: EventTime, quality: String) {
        writer.member("metric", metric)
        writer.member("role", code.role.text)
        writer.member("level", level)
        writer.member("quality", quality)
        writer.member("distrusted", code.isDistrusted)
        writer.member("young", code.isYoung)
        writer.member("stepSeconds", stepSeconds)
        writer.member("samples", sampleCount)
        writer.member("time", time)
    }

    func writeMetric(into writer: inout JSONWriter) {
        writer.beginObject()
        writeHead(&writer, level: level, time: time, quality: code.quality.text)
        writer.key("forecast")
        writeHorizons(into: &writer)
        writer.endObject()
    }

    func writeMetric(asOf past: Past, into writer: inout JSONWriter) {
        writer.beginObject()
        writeHead(
            &writer, level: Double(past.point.level), time: EventTime(milliseconds: past.point.time), quality: "fresh")
        writer.key("forecast")
        writer.beginArray()
        if let forecast = past.forecast {
            for (slot, seconds) in issuedHorizons.enumerated() {
                writer.beginObject()
                writer.member("horizonSeconds", seconds)
                writer.member("time", Self.moment(forecast.issued, plus: seconds))
                writer.member("mean", forecast.values[slot * 3])
                writer.member("q10", forecast.values[slot * 3 + 1])
                writer.member("q50", Float.nan)
                writer.member("q90", forecast.values[slot * 3 + 2])
                writer.member("q95", Float.nan)
                writer.member("q99", Float.nan)
                writer.member("q999", Float.nan)
                writer.member("tailCount", Float.nan)
                writer.member("influence", Float.nan)
                writer.endObject()
            }
        }
        writer.endArray()
        writer.endObject()
    }

    static func moment(_ milliseconds: Int64, plus seconds: Float) -> EventTime {
        guard seconds.isFinite, seconds.magnitude < 1e9 else { return EventTime(milliseconds: milliseconds) }
        return EventTime(milliseconds: milliseconds).advanced(byMilliseconds: Int64(seconds * 1_000))
    }

    /// Writes the outlook in force, one object per horizon.
    package func writeHorizons(into writer: inout JSONWriter) {
        writer.beginArray()
        for h in 0..<horizonCount {
            writer.beginObject()
            writer.member("horizonSeconds", horizonSeconds(h))
            writer.member("time", Self.moment(time.milliseconds, plus: horizonSeconds(h)))
            writer.member("mean", mean(h))
            writer.member("q10", quantile(0, h))
            writer.member("q50", quantile(1, h))
            writer.member("q90", quantile(2, h))
            writer.member("q95", quantile(3, h))
            writer.member("q99", quantile(4, h))
            writer.member("q999", quantile(5, h))
            writer.member("tailCount", tailCount(h))
            writer.member("influence", influence(h))
            writer.endObject()
        }
        writer.endArray()
    }

    /// Writes points from `from` on and before `to`; capacity = units × `capacityPerUnit`.
    package func writePoints(
        from: EventTime?, to: EventTime?, capacityPerUnit: Double?, into writer: inout JSONWriter
    ) {
        let first = from.map { points(before: $0.milliseconds) } ?? 0
        let end = to.map { points(before: $0.milliseconds) } ?? pointCount
        writer.beginArray()
        for index in first..<max(first, end) {
            let point = point(index)
            writer.beginObject()
            writer.member("time", EventTime(milliseconds: point.time))
            writer.member("level", point.level)
            writer.member("readyUnits", point.units)
            writer.member("capacity", capacityPerUnit.map { $0 * Double(point.units) })
            writer.endObject()
        }
        writer.endArray()
    }

    /// Writes the members of an `Accuracy`: what was forecast for one horizon, and what came.
    package func writeAccuracy(horizonSeconds wanted: Double?, into writer: inout JSONWriter) {
        let slot =
            wanted.map { seconds in
                issuedHorizons.indices.min {
                    (Double(issuedHorizons[$0]) - seconds).magnitude
                        < (Double(issuedHorizons[$1]) - seconds).magnitude
                } ?? 0
            } ?? 0
        let seconds = slot < issuedHorizons.count ? issuedHorizons[slot] : .nan
        writer.member("horizonSeconds", seconds)
        writer.key("horizons")
        writer.beginArray()
        for horizon in issuedHorizons { writer.single(horizon) }
        writer.endArray()
        var (count, covered, error, size) = (0, 0, 0.0, 0.0)
        var points = JSONWriter()
        points.beginArray()
        for index in 0..<issued.count where slot < issuedHorizons.count {
            let forecast = issued[index]
            let target = Self.moment(forecast.issued, plus: seconds)
            let tolerance = Int64(max(min(stepSeconds, 86_400), 60)) * 500 + 1
            let came = level(at: target.milliseconds, toleranceMilliseconds: max(tolerance, 30_000))
            let (mean, low, high) = (
                forecast.values[slot * 3], forecast.values[slot * 3 + 1], forecast.values[slot * 3 + 2]
            )
            if let came, mean.isFinite {
                count += 1
                error += Double((came - mean).magnitude)
                size += Double(came.magnitude)
                if came >= low, came <= high { covered += 1 }
            }
            points.beginObject()
            points.member("time", target)
            points.member("issued", EventTime(milliseconds: forecast.issued))
            points.member("mean", mean)
            points.member("q10", low)
            points.member("q90", high)
            points.member("came", came ?? .nan)
            points.endObject()
        }
        points.endArray()
        writer.member("count", count)
        writer.member("meanAbsoluteError", count > 0 ? error / Double(count) : nil)
        writer.member("weightedError", size > 0 ? error / size : nil)
        writer.member("coverage80", count > 0 ? Double(covered) / Double(count) : nil)
        writer.member("points", json: points.bytes)
    }
}
