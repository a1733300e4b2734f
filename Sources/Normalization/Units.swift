/// What a unit measures; decides how a metric of that unit may be used.
enum UnitDimension: UInt8, BitwiseCopyable {
    case plain, time, bytes, cores, ratio, rate, byteRate
}

/// The way from a unit to the canonical one of its dimension: cores, bytes, seconds, ratios 0…1, rates per second.
/// A value is multiplied, then divided; one of the two is 1, so the result is the nearest double.
struct UnitConversion: BitwiseCopyable {
    var multiplier: Double
    var divisor: Double
    var dimension: UnitDimension

    init(_ dimension: UnitDimension, times multiplier: Double = 1, over divisor: Double = 1) {
        self.dimension = dimension
        self.multiplier = multiplier
        self.divisor = divisor
    }

    @inline(__always)
    func canonical(_ value: Double) -> Double { value * multiplier / divisor }
}

/// The units that are understood. Words are compared without regard to case, but for the few that differ by it
/// (`Mb` is a megabit, `MB` and the careless `mb` are megabytes, `Mbps` are bits and `MBps` bytes per second).
struct UnitTable {
    /// The longest unit that is looked at.
    private static let unitBytesMax = 32

    private let conversions: [[UInt8]: UnitConversion]
    private let exact: [[UInt8]: UnitConversion]

    init() {
        var conversions: [[UInt8]: UnitConversion] = [:]
        for (conversion, words) in Self.words {
            for word in words.split(separator: " ") { conversions[Array(word.utf8)] = conversion }
        }
        for multiple in Self.multiples {
            for word in multiple.words.split(separator: " ") {
                conversions[Array(word.utf8)] = UnitConversion(.bytes, times: multiple.factor)
                conversions[Array((word + "/s").utf8)] = UnitConversion(.byteRate, times: multiple.factor)
            }
        }
        self.conversions = conversions
        var exact: [[UInt8]: UnitConversion] = [:]
        for (letter, factor) in [("K", 1e3), ("M", 1e6), ("G", 1e9)] {
            exact[Array((letter + "b").utf8)] = UnitConversion(.bytes, times: factor / 8)
            exact[Array((letter + "b/s").utf8)] = UnitConversion(.byteRate, times: factor / 8)
            exact[Array((letter + "Bps").utf8)] = UnitConversion(.byteRate, times: factor)
        }
        exact[Array("kBps".utf8)] = UnitConversion(.byteRate, times: 1e3)
        self.exact = exact
    }

    /// Multiples of the byte, in lower case. UCUM, which OpenTelemetry uses, writes `By`.
    private static let multiples: [(words: String, factor: Double)] = [
        ("b by byte bytes", 1),
        ("kb kby kilobyte kilobytes", 1e3), ("mb mby megabyte megabytes", 1e6), ("gb gby gigabyte gigabytes", 1e9),
        ("tb tby terabyte terabytes", 1e12), ("pb pby petabyte petabytes", 1e15),
        ("kib kiby ki kibibyte kibibytes", 1_024), ("mib miby mi mebibyte mebibytes", 1_048_576),
        ("gib giby gi gibibyte gibibytes", 1_073_741_824), ("tib tiby ti tebibyte tebibytes", 1_099_511_627_776),
        ("pib piby pi pebibyte pebibytes", 1_125_899_906_842_624),
    ]

    private static let words: [(UnitConversion, String)] = [
        (UnitConversion(.plain), "1 count none number unitless replicas pods instances units requests messages items"),
        (UnitConversion(.plain), "connections sessions errors jobs threads calls records events tasks operations"),
        (UnitConversion(.time), "s sec secs second seconds"),
        (UnitConversion(.time, over: 1e3), "ms msec millis millisecond milliseconds"),
        (UnitConversion(.time, over: 1e6), "us usec \u{b5}s \u{3bc}s micros microsecond microseconds"),
        (UnitConversion(.time, over: 1e9), "ns nsec nanos nanosecond nanoseconds"),
        (UnitConversion(.time, times: 60), "min mins minute minutes"),
        (UnitConversion(.time, times: 3_600), "h hr hour hours"),
        (UnitConversion(.time, times: 86_400), "d day days"),
        (UnitConversion(.ratio), "ratio fraction"),
        (UnitConversion(.ratio, over: 100), "% percent pct percentage"),
        (UnitConversion(.ratio, over: 1_000), "permille"),
        (UnitConversion(.cores), "core cores cpu cpus vcpu vcpus {cpu} {core} {cores}"),
        (UnitConversion(.cores, over: 1e3), "millicore millicores mcore mcores mcpu"),
        (UnitConversion(.cores, over: 1e6), "microcore microcores ucores"),
        (UnitConversion(.cores, over: 1e9), "nanocore nanocores ncores"),
        (UnitConversion(.bytes, over: 8), "bit bits"),
        (UnitConversion(.bytes, times: 125), "kbit"), (UnitConversion(.bytes, times: 125_000), "mbit"),
        (UnitConversion(.bytes, times: 125_000_000), "gbit"),
        (UnitConversion(.byteRate, over: 8), "bit/s bits/s bps"),
        (UnitConversion(.byteRate, times: 125), "kbit/s kbits/s kbps"),
        (UnitConversion(.byteRate, times: 125_000), "mbit/s mbits/s mbps"),
        (UnitConversion(.byteRate, times: 125_000_000), "gbit/s gbits/s gbps"),
        (UnitConversion(.rate), "rps qps tps ops iops hz per_second per_sec persecond"),
        (UnitConversion(.rate, over: 60), "rpm per_minute per_min perminute"),
        (UnitConversion(.rate, over: 3_600), "rph per_hour perhour"),
        (UnitConversion(.rate, over: 86_400), "per_day perday"),
    ]

    /// What things may be counted in a rate, and per what: `req/s`, `messages/min`, `1/h`, `{request}/s`, `/s`.
    private static let counted = [
        "", "1", "req", "reqs", "request", "requests", "msg", "msgs", "message", "messages", "op", "ops", "operations",
        "call", "calls", "event", "events", "item", "items", "query", "queries", "txn", "transactions", "packets",
        "errors", "records", "jobs", "count",
    ]

    /// The conversion of a unit; nil if it is not understood. An empty unit means that the value is canonical already.
    /// - Parameter isProcessor: the metric counts processors, so that `m` means thousandths of a core.
    func conversion(_ unit: UnsafeRawBufferPointer, isProcessor: Bool) -> UnitConversion? {
        if unit.isEmpty { return UnitConversion(.plain) }
        guard unit.count <= Self.unitBytesMax else { return nil }
        let written = [UInt8](unit)
        if let found = exact[written] { return found }
        if written == [UInt8(ascii: "m")] { return isProcessor ? UnitConversion(.cores, over: 1e3) : nil }
        if written == [UInt8(ascii: "n")] { return isProcessor ? UnitConversion(.cores, over: 1e9) : nil }
        let word = written.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        if let found = conversions[word] { return found }
        if let slash = word.lastIndex(of: UInt8(ascii: "/")) {
            return rate(of: Array(word[..<slash]), per: Array(word[(slash + 1)...]))
        }
        return isAnnotation(word) ? UnitConversion(.plain) : nil
    }

    private func rate(of counted: [UInt8], per time: [UInt8]) -> UnitConversion? {
        guard let seconds = conversions[time], seconds.dimension == .time else { return nil }
        if isAnnotation(counted) || Self.counted.contains(where: { $0.utf8.elementsEqual(counted) }) {
            return UnitConversion(.rate, times: seconds.divisor, over: seconds.multiplier)
        }
        // Bytes per minute, cores per second and the like: only bytes make sense.
        guard let bytes = conversions[counted], bytes.dimension == .bytes else { return nil }
        return UnitConversion(
            .byteRate, times: bytes.multiplier * seconds.divisor, over: bytes.divisor * seconds.multiplier)
    }

    /// `{request}`: UCUM's way to say what a plain number counts.
    private func isAnnotation(_ word: [UInt8]) -> Bool {
        word.count >= 2 && word.first == UInt8(ascii: "{") && word.last == UInt8(ascii: "}")
    }
}
