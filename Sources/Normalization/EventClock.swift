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
/// believed in any other way either, until it is confirmed; before the first time that counts all are. And of such a
/// step no source convinces by itself, as its clock may be wrong for good:
///
/// - a source confirms once, so as many of them must agree as records are asked for; or
/// - `loneRecords` records in a row agree, whoever sent them, on a step of a year at most: a partition that one source
///   feeds goes on after an outage, but nobody takes it to the end of the century.
///
/// So a stray sample is harmless, a source that is wrong for good is refused for as long as anybody else speaks, and a
/// partition that resumes after a long silence catches up after three records, or thirty of one source. Several sources
/// that are wrong in the same way, while nobody else speaks, are believed: nothing tells them from an outage that has
/// ended. (While the task follows the wall clock, the heartbeat does not go beyond that either.)
struct EventClock {
    private let latenessMilliseconds: Int64
    private let jumpMilliseconds: Int64
    private let aheadMilliseconds: Int64
    private let confirmationsMin: UInt64
    /// Records in a row that one source must send to be believed alone.
    static let loneRecords: UInt64 = 30
    /// Sources that are told apart while they confirm.
    static let sourcesMax = 8
    /// A year is more than anybody wants: of lateness, and of an outage.
    private static let secondsMax: Int64 = 31_622_400

    /// The largest event time that counts; `distantPast` before there is one.
    private(set) var largest = EventTime.distantPast
    /// Up to here a time counts at once.
    private var limit = EventTime.distantPast
    /// The lowest time of the jump that is being confirmed.
    private var candidate = EventTime.distantPast
    /// The highest that has confirmed it.
    private var newest = EventTime.distantPast
    private var confirmations: UInt64 = 0
    /// Those who have confirmed it, by their hashes.
    private var sources: [UInt64] = []
    /// The record at hand has confirmed already, and brought a source.
    private var hasConfirmed = false
    private var hasBroughtSource = false
    /// Samples that were ahead and did not count (yet).
    private(set) var samplesAhead: UInt64 = 0

    init(_ settings: NormalizerSettings) {
        // Bounds that keep the arithmetic far from overflow.
        latenessMilliseconds = min(max(settings.latenessSecondsMax, 0), Self.secondsMax) * 1_000
        jumpMilliseconds = min(max(settings.futureSecondsMax, 1), Self.secondsMax) * 1_000
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
    mutating func beginRecord() {
        hasConfirmed = false
        hasBroughtSource = false
    }

    /// Takes a time of the record at hand; `source`: the name of who sent it.
    /// - Returns: false if it is so far ahead that it is not to be believed before others confirm it.
    @inline(__always) @discardableResult
    mutating func observe(_ time: EventTime, of source: UnsafeRawBufferPointer) -> Bool {
        if time > limit { return observeJump(time, source) }
        confirmations = 0
        if time > largest { count(time) }
        return true
    }

    /// Why a time was not believed.
    func doubt(_ time: EventTime, of source: UnsafeRawBufferPointer) -> String {
        var words = Array("ahead: the time of '".utf8) + source.prefix(200) + Array("', ".utf8)
        ISO8601.write(time, to: &words)
        words += Array(", is more than \(aheadMilliseconds / 1_000) s after ".utf8)
        ISO8601.write(largest, to: &words)
        words += Array(
            """
            , the latest so far; it counts when \(confirmationsMin) records in a row, each of another resource, agree \
            on it, or \(max(Self.loneRecords, confirmationsMin)) of any within a year (aheadSecondsMax)
            """.utf8)
        return String(decoding: words, as: UTF8.self)
    }

    private mutating func count(_ time: EventTime) {
        largest = time
        limit = time.advanced(byMilliseconds: jumpMilliseconds)
    }

    @inline(never)
    private mutating func observeJump(_ time: EventTime, _ source: UnsafeRawBufferPointer) -> Bool {
        if confirmations == 0 || time < candidate.advanced(byMilliseconds: -jumpMilliseconds) {
            candidate = time
            newest = time
            confirmations = 0
            hasConfirmed = false
            hasBroughtSource = false
            sources.removeAll(keepingCapacity: true)
        } else if time > (isFarAhead(time) ? newest : candidate).advanced(byMilliseconds: jumpMilliseconds) {
            // What one source must say for long is not all said within that span.
            return passAhead(time)
        }
        candidate = min(candidate, time)
        newest = max(newest, time)
        confirm(source)
        guard isConfirmed(time) else { return passAhead(time) }
        confirmations = 0
        count(time)
        return true
    }

    private mutating func confirm(_ source: UnsafeRawBufferPointer) {
        if !hasConfirmed { confirmations &+= 1 }
        hasConfirmed = true
        guard !hasBroughtSource, sources.count < Self.sourcesMax else { return }
        let hash = fnv1a64(source)
        guard !sources.contains(hash) else { return }
        sources.append(hash)
        hasBroughtSource = true
    }

    private func isConfirmed(_ time: EventTime) -> Bool {
        guard confirmations >= confirmationsMin else { return false }
        if !isFarAhead(time) || sources.count >= min(Int(clamping: confirmationsMin), Self.sourcesMax) { return true }
        return confirmations >= Self.loneRecords
            && time <= largest.advanced(byMilliseconds: Self.secondsMax * 1_000)
    }

    private func isFarAhead(_ time: EventTime) -> Bool {
        largest != .distantPast && time > largest.advanced(byMilliseconds: aheadMilliseconds)
    }

    private mutating func passAhead(_ time: EventTime) -> Bool {
        samplesAhead &+= 1
        return !isFarAhead(time)
    }

    private static let tag = StateSection.rawTime.tag

    func freeze(into writer: inout StateWriter) {
        var coder = StateCoder()
        coder.write(largest.milliseconds)
        coder.write(candidate.milliseconds)
        coder.write(newest.milliseconds)
        coder.write(confirmations)
        coder.write(UInt64(sources.count))
        for source in sources { coder.write(source) }
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
        newest = EventTime(milliseconds: try decoder.readInt64())
        confirmations = try decoder.readWord()
        for _ in 0..<(try decoder.readCount(max: Self.sourcesMax)) { sources.append(try decoder.readWord()) }
    }
}
