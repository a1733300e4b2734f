import Messages
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
/// So a stray sample does not move the watermark. One that lies further ahead than `aheadSecondsMax` is not to be
/// believed in any other way either, until it is confirmed; before the first time that counts all are.
///
/// So a stray sample is harmless and a partition that resumes after a long silence catches up after three records.
/// A source that is wrong for several records in a row, while nobody else speaks, is believed: nothing tells it from
/// an outage that has ended. (While the task follows the wall clock, the heartbeat does not go beyond that either.)
struct EventClock {
    private let latenessMilliseconds: Int64
    private let jumpMilliseconds: Int64
    private let aheadMilliseconds: Int64
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
        // A century is beyond all that is plausible.
        let ahead = min(max(settings.aheadSecondsMax, 0), 3_600_000_000) * 1_000
        aheadMilliseconds = max(ahead, jumpMilliseconds)
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

    /// Takes a time of the record at hand.
    /// - Returns: false if it is so far ahead that it is not to be believed before others confirm it.
    @inline(__always) @discardableResult
    mutating func observe(_ time: EventTime) -> Bool {
        if time > limit { return observeJump(time) }
        confirmations = 0
        if time > largest { count(time) }
        return true
    }

    /// Why a time was not believed.
    func doubt(_ time: EventTime) -> String {
        var words: [UInt8] = []
        ISO8601.write(time, to: &words)
        words += Array(", is more than \(aheadMilliseconds / 1_000) s after ".utf8)
        ISO8601.write(largest, to: &words)
        return "its time, " + String(decoding: words, as: UTF8.self)
            + ", the latest so far; it counts when \(confirmationsMin) records in a row agree on it (aheadSecondsMax)"
    }

    private mutating func count(_ time: EventTime) {
        largest = time
        limit = time.advanced(byMilliseconds: jumpMilliseconds)
    }

    @inline(never)
    private mutating func observeJump(_ time: EventTime) -> Bool {
        if confirmations == 0 || time < candidate.advanced(byMilliseconds: -jumpMilliseconds) {
            candidate = time
            confirmations = 1
            hasConfirmed = true
        } else if time <= candidate.advanced(byMilliseconds: jumpMilliseconds) {
            candidate = min(candidate, time)
            if !hasConfirmed { confirmations &+= 1 }
            hasConfirmed = true
        } else {
            return passAhead(time)
        }
        guard confirmations >= confirmationsMin else { return passAhead(time) }
        confirmations = 0
        count(time)
        return true
    }

    private mutating func passAhead(_ time: EventTime) -> Bool {
        samplesAhead &+= 1
        return largest == .distantPast || time <= largest.advanced(byMilliseconds: aheadMilliseconds)
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
