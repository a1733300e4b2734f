import Messages
import TwinCore

/// What one entry of a frame says, field by field under its name; the same for people and for programs.
struct EntryFields {
    /// A field's value.
    enum Value {
        case text(String)
        case number(Double)
        case integer(Int64)
        case flag(Bool)
        case time(EventTime)
        /// As the platform or an operator wrote it.
        case json([UInt8])
        case numbers([Double])
        /// Forecasts by horizon.
        case horizons([Horizon])
    }

    /// One horizon of a forecast.
    struct Horizon {
        var seconds: Double
        var mean: Double
        var quantiles: [Double]
        /// What the neighbours' influence added; outlooks only.
        var influence: Double?
    }

    private(set) var fields: [(name: StaticString, value: Value)] = []

    /// - Parameter names: the frame's dictionary.
    init(_ entry: Entry, names: [UnsafeRawBufferPointer]) {
        func name(_ index: UInt32) -> String {
            index > 0 && Int(index) <= names.count ? printable(names[Int(index) - 1], bytesMax: 1_024) : ""
        }
        let resource = name(entry.resource)
        let object = name(entry.object)
        switch entry.kind {
        case .sample:
            let code = SampleCode(raw: entry.code)
            add("resource", .text(resource))
            add("metric", .text(object))
            add("value", .number(entry.value))
            add("time", .time(entry.time))
            add("role", .text(code.role.text))
            add("counter", .flag(code.isCounter))
            if code.isUnrouted { add("unrouted", .flag(true)) }
        case .tags:
            add("resource", .text(resource))
            add("locality", .text(object))
            add("tags", .json(Array(entry.text)))
        case .interaction:
            add("source", .text(resource))
            add("target", .text(object))
            add("callsPerSecond", .number(entry.value))
            if entry.numbers.count > 0 { add("bytesPerSecond", .number(Double(entry.numbers[0]))) }
            if entry.numbers.count > 1 { add("latencySeconds", .number(Double(entry.numbers[1]))) }
            add("otherPartition", .integer(Int64(entry.code)))
            add("time", .time(entry.time))
        case .event:
            add("event", .text(object))
            add("start", .time(entry.time))
            add("uplift", .number(entry.value))
            add("content", .json(Array(entry.text)))
        case .retrain:
            add("resource", .text(resource))
            add("metric", .text(object))
            add("changePoint", .time(entry.time))
            add("settleSteps", .number(entry.value))
            add("drift", .text(RetrainCode(raw: entry.code).kind?.text ?? "\(entry.code)"))
            add("distrustOnly", .flag(RetrainCode(raw: entry.code).isDistrustOnly))
        case .outcome:
            add("resource", .text(resource))
            add("time", .time(entry.time))
            add("status", .text(OutcomeCode(raw: entry.code).status.map { "\($0)" } ?? "unknown"))
            add("readyUnits", .number(entry.value))
            add("content", .json(Array(entry.text)))
        case .policy:
            add("policy", .text(object))
            add("version", .number(entry.value))
            if entry.text.isEmpty { add("deleted", .flag(true)) } else { add("content", .json(Array(entry.text))) }
        case .command: add("content", .json(Array(entry.text)))
        case .forecast, .outlook: addForecast(entry, resource, object)
        case .watermark: add("time", .time(entry.time))
        case .influence:
            add("source", .text(resource))
            add("target", .text(object))
            add("hop", .integer(Int64(entry.code)))
            add("expiry", .time(entry.time))
            add("contributions", .numbers(Self.list(entry.numbers)))
        case .gone:
            add("resource", .text(resource))
            add("locality", .text(object))
        }
    }

    private mutating func add(_ name: StaticString, _ value: Value) { fields.append((name, value)) }

    private static func list(_ numbers: FloatSlice) -> [Double] { (0..<numbers.count).map { Double(numbers[$0]) } }

    private mutating func addForecast(_ entry: Entry, _ resource: String, _ metric: String) {
        let code = ForecastCode(raw: entry.code)
        add("resource", .text(resource))
        add("metric", .text(metric))
        add("level", .number(entry.value))
        add("time", .time(entry.time))
        add("quality", .text(code.quality.text))
        add("role", .text(code.role.text))
        if code.isDistrusted { add("distrusted", .flag(true)) }
        if code.isYoung { add("young", .flag(true)) }
        let isOutlook = entry.kind == .outlook
        guard let count = ForecastNumbers.horizons(in: entry.numbers, isOutlook: isOutlook) else {
            add("numbers", .numbers(Self.list(entry.numbers)))
            return
        }
        func header(_ index: Int) -> Value { .number(Double(entry.numbers[index])) }
        add("residual", header(ForecastNumbers.residual))
        add("referenceResidual", header(ForecastNumbers.referenceResidual))
        add("stepSeconds", header(ForecastNumbers.stepSeconds))
        add("readyUnits", header(ForecastNumbers.readyUnits))
        add("samples", header(ForecastNumbers.sampleCount))
        add("unitsAgeSeconds", header(ForecastNumbers.unitsAgeSeconds))
        let horizons = (0..<count).map { horizon in
            let block = ForecastNumbers.block(horizon)
            return Horizon(
                seconds: Double(entry.numbers[block]), mean: Double(entry.numbers[block + 1]),
                quantiles: (0..<QuantileLevels.count).map { Double(entry.numbers[block + 2 + $0]) },
                influence: isOutlook ? Double(entry.numbers[ForecastNumbers.influence(horizon, of: count)]) : nil)
        }
        add("horizons", .horizons(horizons))
    }
}

extension EntryFields {
    /// `resource=svc-1 metric=cpu …`, on one line.
    var text: String { fields.map { "\($0.name)=\(Self.text($0.value))" }.joined(separator: " ") }

    private static func text(_ value: Value) -> String {
        switch value {
        case .text(let text): text
        case .number(let number): short(number)
        case .integer(let number): "\(number)"
        case .flag(let flag): "\(flag)"
        case .time(let time): timeText(time)
        case .json(let bytes): bytes.withUnsafeBytes { printable($0) }
        case .numbers(let numbers): "[" + numbers.map { short($0) }.joined(separator: " ") + "]"
        case .horizons(let horizons):
            horizons.map { horizon in
                let influence = horizon.influence.map { " influence \(short($0))" } ?? ""
                let (low, high) = (horizon.quantiles.first ?? .nan, horizon.quantiles.dropLast().last ?? .nan)
                return "\(short(horizon.seconds))s:\(short(horizon.mean))(\(short(low))…\(short(high))\(influence))"
            }.joined(separator: " ")
        }
    }

    /// Four digits, as people read them.
    static func short(_ number: Double) -> String {
        guard number.isFinite, number.magnitude < 1e15 else { return "\(number)" }
        if number == number.rounded() { return "\(Int64(number))" }
        let digits = max(0, 3 - Int(max(number.magnitude, 1e-9).exponent) * 3 / 10)
        var unit = 1.0
        for _ in 0..<min(digits, 12) { unit *= 10 }
        let rounded = (number * unit).rounded() / unit
        return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
    }

    /// The members of an object that is open.
    func write(into writer: inout JSONWriter) {
        for field in fields {
            writer.key(field.name)
            Self.write(field.value, into: &writer)
        }
    }

    private static func write(_ value: Value, into writer: inout JSONWriter) {
        switch value {
        case .text(let text): writer.string(text)
        case .number(let number): writer.double(number)
        case .integer(let number): writer.int(number)
        case .flag(let flag): writer.bool(flag)
        case .time(let time): writer.time(time)
        case .json(let bytes): bytes.withUnsafeBytes { writer.outside($0) }
        case .numbers(let numbers):
            writer.beginArray()
            for number in numbers { writer.double(number) }
            writer.endArray()
        case .horizons(let horizons):
            writer.beginArray()
            for horizon in horizons { write(horizon, into: &writer) }
            writer.endArray()
        }
    }

    private static let quantileNames: [StaticString] = ["q10", "q50", "q90", "q95", "q99", "q999"]

    private static func write(_ horizon: Horizon, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("seconds")
        writer.double(horizon.seconds)
        writer.key("mean")
        writer.double(horizon.mean)
        for (name, value) in zip(quantileNames, horizon.quantiles) {
            writer.key(name)
            writer.double(value)
        }
        if let influence = horizon.influence {
            writer.key("influence")
            writer.double(influence)
        }
        writer.endObject()
    }
}
