import StageKit
import TwinCore

/// How far event time has come in one raw partition.
///
/// The watermark is the largest event time consumed less the allowed lateness. One broken clock must not drag it into
/// the future, where all that follows would be late, so:
///
/// - a time at most `futureSecondsMax` ahead of the largest so far counts at once;
/// - a larger step, and the very first time, is a *jump*: it counts only when `jumpConfirmations` consecutive records
///   bring times within `futureSecondsMax` of each other. A record confirms once, however many samples it holds. A
///   record with an ordinary time in between forgets the jump; a lower jump replaces a higher one, which never counts
///   for it.
///
/// So a stray sample is harmless and a partition that resumes after a long silence catches up after three records.
/// A source that is wrong for several records in a row, while nobody else speaks, is believed: nothing tells it from
/// an outage that has ended. (While the task follows the wall clock, the heartbeat does not go beyond that either.)
struct EventClock {
    private let latenessMilliseconds: Int64
    private let jumpMilliseconds: Int64
    private let confirmationsMin: UInt64

    /// The largest event time that counts; `distantPast` before there is one.
    private(set) var largest = EventTime.distantPast
    /// Up to here a time counts at once.
    private var limit = EventTime.distantPast
    /// The lowest time of the jump that is being confirmed.
    private var candidate = EventTime.distantPast
    private var confirmations: UInt64 = 0
    /// The record at hand has confirmed already.
    private var hasConfirmed = false
    /// Samples that were ahead and did not count (yet).
    private(set) var samplesAhead: UInt64 = 0

    init(_ settings: NormalizerSettings) {
        // Bounds that keep the arithmetic far from overflow; a year is more than anybody wants.
        let secondsMax: Int64 = 31_622_400
        latenessMilliseconds = min(max(settings.latenessSecondsMax, 0), secondsMax) * 1_000
        jumpMilliseconds = min(max(settings.futureSecondsMax, 1), secondsMax) * 1_000
        confirmationsMin = max(settings.jumpConfirmations, 1)
    }

    /// All event time before this has been consumed, as far as can be known; nil before any time counts.
    var watermark: EventTime? {
        largest == .distantPast ? nil : largest.advanced(byMilliseconds: -latenessMilliseconds)
    }

    /// The moment that the wall clock allows: allowed lateness before it.
    func watermark(wallClock: EventTime) -> EventTime { wallClock.advanced(byMilliseconds: -latenessMilliseconds) }

    /// The times that follow belong to another record.
    @inline(__always)
    mutating func beginRecord() { hasConfirmed = false }

    @inline(__always)
    mutating func observe(_ time: EventTime) {
        if time > limit { return observeJump(time) }
        confirmations = 0
        if time > largest { count(time) }
    }

    private mutating func count(_ time: EventTime) {
        largest = time
        limit = time.advanced(byMilliseconds: jumpMilliseconds)
    }

    @inline(never)
    private mutating func observeJump(_ time: EventTime) {
        if confirmations == 0 || time < candidate.advanced(byMilliseconds: -jumpMilliseconds) {
            candidate = time
            confirmations = 1
            hasConfirmed = true
        } else if time <= candidate.advanced(byMilliseconds: jumpMilliseconds) {
            candidate = min(candidate, time)
            if !hasConfirmed { confirmations &+= 1 }
            hasConfirmed = true
        } else {
            samplesAhead &+= 1
            return
        }
        guard confirmations >= confirmationsMin else {
            samplesAhead &+= 1
            return
        }
        confirmations = 0
        count(time)
    }

    private static let tag = sectionTag("nclk")

    func freeze(into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(largest.milliseconds)
        coder.write(candidate.milliseconds)
        coder.write(confirmations)
        writer.add(tag: Self.tag, bytes: coder.bytes)
    }

    mutating func restore(from reader: StateReader) throws(StateError) {
        var decoder = try reader.decoder(tag: Self.tag)
        let largest = EventTime(milliseconds: try decoder.readInt64())
        if largest != .distantPast {
            guard EventTime.plausible.contains(largest) else { throw .invalid("implausible event time") }
            count(largest)
        }
        candidate = EventTime(milliseconds: try decoder.readInt64())
        confirmations = try decoder.readWord()
    }
}
