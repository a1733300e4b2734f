import TwinCore

/// How a metric may be used. The raw value is on the wire.
package enum MetricRole: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    /// Forecast and shown; decided upon only where a policy names it.
    case unknown = 0
    /// Drives capacity: request rate, arrivals, cores used.
    case demand = 1
    /// A ratio of what is there now: demand = utilisation × ready capacity.
    case utilisation = 2
    /// Latency, errors: corrects the capacity per unit.
    case slo = 3
    /// Queue length, lag.
    case backlog = 4
    /// Memory, disk: vertical or alert only.
    case footprint = 5
    /// Units that are ready now (replicas, instances); what capacity is counted in, never forecast.
    case supply = 6

    package var text: String { String(describing: self) }

    /// All of them, for people.
    package static let words = (allCases.dropFirst() + [.unknown]).map(\.text).joined(separator: ", ")

    package init?(text: String) {
        guard let match = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = match
    }
}

/// The code of a `sample`: bits 0–3 the metric's role, bit 4 set for a counter, bit 5 set where the resource's locality
/// is not known, so that the entry went to all partitions: only the one where the resource lives keeps it.
package struct SampleCode: Sendable, BitwiseCopyable {
    package var raw: UInt32

    package init(raw: UInt32) { self.raw = raw }

    package init(role: MetricRole, isCounter: Bool) { raw = UInt32(role.rawValue) | (isCounter ? 16 : 0) }

    package var role: MetricRole { MetricRole(rawValue: UInt8(raw & 15)) ?? .unknown }
    package var isCounter: Bool { raw & 16 != 0 }
    package var isUnrouted: Bool {
        get { raw & 32 != 0 }
        set { raw = newValue ? raw | 32 : raw & ~32 }
    }
}

/// The code of an `outcome`: bits 0–3 its status, bit 5 set where it went to all partitions, as in a `SampleCode`.
package struct OutcomeCode: Sendable, BitwiseCopyable {
    package var raw: UInt32

    package init(raw: UInt32) { self.raw = raw }

    package init(status: OutcomeSample.Status, isUnrouted: Bool) {
        raw = UInt32(status.rawValue) | (isUnrouted ? 32 : 0)
    }

    /// Nil for a status that this build does not know.
    package var status: OutcomeSample.Status? { OutcomeSample.Status(rawValue: UInt8(raw & 15)) }
    package var isUnrouted: Bool { raw & 32 != 0 }
}

/// The code of an `interaction`: bits 0–30 the partition of the other end, all set where that is not known; bit 31 set
/// where the locality of an end is not known, so that the entry went to all partitions, as in a `SampleCode`.
package struct InteractionCode: Sendable, BitwiseCopyable {
    package var raw: UInt32

    package init(raw: UInt32) { self.raw = raw }

    package init(otherEnd: Int32?, isUnrouted: Bool) {
        raw = (otherEnd.map { UInt32(bitPattern: $0) } ?? .max) & 0x7fff_ffff | (isUnrouted ? 1 << 31 : 0)
    }

    package var otherEnd: Int32? { raw & 0x7fff_ffff == 0x7fff_ffff ? nil : Int32(raw & 0x7fff_ffff) }
    package var isUnrouted: Bool { raw >> 31 != 0 }
}

/// What is known about a metric right now. Missing, stale and zero are different things.
package enum DataQuality: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case fresh = 0
    /// The last sample is older than a few of the series' own steps.
    case stale = 1
    /// No sample for so long that its level says nothing any more.
    case missing = 2

    package var text: String { String(describing: self) }
}

/// What kind of change a drift is. The raw value is on the wire; the text is in `drift` events and files.
package enum DriftKind: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case none = 0
    case level = 1
    case trend = 2
    case variance = 3
    case season = 4
    /// Brief; no retraining.
    case anomaly = 5
    /// Missing, frozen, unit change.
    case data = 6
    /// The values stay at their ceiling while more is expected.
    case saturation = 7

    package var text: String { String(describing: self) }
}

/// The code of a `forecast` or `outlook`: bits 0–1 data quality, bit 2 distrusted, bit 3 counter, bit 4 young
/// (too little history for its bands to be trusted), bit 5 capacity moved (an outcome was seen), bit 6 a planned event
/// is in force, bit 7 one that begins or ends within the horizons is in the forecast, bits 8–11 role.
package struct ForecastCode: Sendable, BitwiseCopyable {
    package var raw: UInt32

    package init(raw: UInt32) { self.raw = raw }

    package init(quality: DataQuality, role: MetricRole, isDistrusted: Bool, isYoung: Bool) {
        raw = UInt32(quality.rawValue) | (isDistrusted ? 4 : 0) | (isYoung ? 16 : 0) | UInt32(role.rawValue) << 8
    }

    package var quality: DataQuality { DataQuality(rawValue: UInt8(raw & 3)) ?? .missing }
    package var isDistrusted: Bool {
        get { raw & 4 != 0 }
        set { raw = newValue ? raw | 4 : raw & ~4 }
    }
    package var isYoung: Bool { raw & 16 != 0 }
    package var hasEvent: Bool {
        get { raw & 64 != 0 }
        set { raw = newValue ? raw | 64 : raw & ~64 }
    }
    package var expectsEvent: Bool {
        get { raw & 128 != 0 }
        set { raw = newValue ? raw | 128 : raw & ~128 }
    }
    /// The forecast counts on a planned event, in force or to come.
    package var knowsEvent: Bool { hasEvent || expectsEvent }
    package var role: MetricRole { MetricRole(rawValue: UInt8(raw >> 8 & 15)) ?? .unknown }
}

/// The code of a `retrain`: bits 0–7 the kind of drift, bit 8 set where the twin is to be distrusted only, as the
/// request to fit afresh has to wait.
package struct RetrainCode: Sendable, BitwiseCopyable {
    package var raw: UInt32

    package init(raw: UInt32) { self.raw = raw }

    package init(kind: DriftKind, isDistrustOnly: Bool) { raw = UInt32(kind.rawValue) | (isDistrustOnly ? 256 : 0) }

    /// Nil for a kind that this build does not know.
    package var kind: DriftKind? { DriftKind(rawValue: UInt8(raw & 255)) }
    package var isDistrustOnly: Bool { raw & 256 != 0 }
}

/// The quantile levels that travel with every forecast, in order.
package enum QuantileLevels {
    /// 10, 50, 90, 95, 99 and 99.9 %.
    package static let all: [Double] = [0.10, 0.50, 0.90, 0.95, 0.99, 0.999]
    package static let count = 6
}

/// The numbers of a `forecast` entry: a header of seven, then per horizon a block of nine.
///
/// | index | meaning |
/// |---|---|
/// | 0 | standardised residual of the last one-step forecast against the live ensemble |
/// | 1 | standardised residual against the frozen reference; NaN while there is none, and once after it was renewed |
/// | 2 | the series' own step, seconds |
/// | 3 | number of horizons |
/// | 4 | ready units of the resource, NaN if unknown |
/// | 5 | samples folded into the model so far |
/// | 6 | age of the ready units at the entry's time, seconds (negative: reported later); NaN if unknown |
/// | 7 + 9h | horizon h, seconds |
/// | 8 + 9h | mean |
/// | 9 + 9h … 14 + 9h | quantiles at `QuantileLevels.all` |
/// | 15 + 9h | values beyond the 95 % quantile that the tail at this horizon was fitted to |
///
/// An `outlook` has one number more per horizon, at the end: what the neighbours' influence added to its mean.
package enum ForecastNumbers {
    package static let headerCount = 7
    package static let blockCount = 3 + QuantileLevels.count
    package static let horizonsMax = 12

    package static let residual = 0
    package static let referenceResidual = 1
    package static let stepSeconds = 2
    package static let horizonCount = 3
    package static let readyUnits = 4
    package static let sampleCount = 5
    package static let unitsAgeSeconds = 6

    /// Index of horizon h's block: the horizon itself, the mean, the quantiles, the tail's count.
    @inlinable package static func block(_ horizon: Int) -> Int { 7 &+ horizon &* 9 }

    /// Index of the tail's count at horizon h.
    @inlinable package static func tailCount(_ horizon: Int) -> Int { block(horizon) &+ 8 }

    /// How many numbers a forecast with so many horizons has.
    @inlinable package static func count(horizons: Int) -> Int { 7 &+ horizons &* 9 }

    /// How many numbers an outlook with so many horizons has.
    @inlinable package static func outlookCount(horizons: Int) -> Int { 7 &+ horizons &* 10 }

    /// Index of the influence at horizon h in an outlook.
    @inlinable package static func influence(_ horizon: Int, of horizons: Int) -> Int { 7 &+ horizons &* 9 &+ horizon }

    /// How many horizons these numbers carry; nil if the count and the declared number disagree.
    package static func horizons(in numbers: FloatSlice, isOutlook: Bool) -> Int? {
        guard numbers.count >= headerCount else { return nil }
        let declared = numbers[horizonCount]
        guard declared >= 0, declared <= Float(horizonsMax), declared == declared.rounded() else { return nil }
        let horizons = Int(declared)
        let expected = isOutlook ? outlookCount(horizons: horizons) : count(horizons: horizons)
        return expected == numbers.count ? horizons : nil
    }
}
