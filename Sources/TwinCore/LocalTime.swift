/// The clock that people live by, as a rule: an offset from UTC and, where there is one, daylight saving from one day
/// of the year to another. What a day and a week look like is learned by it, so that a shift of the clocks moves
/// nothing.
///
/// The rule is that of POSIX's `TZ` (IEEE Std 1003.1, section 8.3), for example `CET-1CEST,M3.5.0,M10.5.0/3`; the last
/// line of every file of the IANA time zone database is one. Past changes of the rule are not known.
package struct LocalTime: Sendable, Equatable, BitwiseCopyable {
    /// A day of the year as "the n-th weekday of a month" and a time of that day.
    struct Turn: Sendable, Equatable, BitwiseCopyable {
        /// 1…12, 1…5 (5 is the last), 0…6 (0 is Sunday).
        var month: Int32
        var week: Int32
        var weekday: Int32
        /// Seconds from midnight, by the clock before the turn; may lie on another day.
        var seconds: Int32

        /// Days since the epoch.
        func day(in year: Int64) -> Int64 {
            let first = LocalTime.day(year: year, month: Int64(month))
            // 1970-01-01 was a Thursday.
            let ahead = (Int64(weekday) &- first &- 4).flooredDivision(by: 7).remainder
            let day = first &+ ahead &+ 7 &* Int64(week &- 1)
            let isLast = month == 12
            let next = LocalTime.day(year: isLast ? year &+ 1 : year, month: isLast ? 1 : Int64(month) &+ 1)
            return day >= next ? day &- 7 : day
        }
    }

    /// Seconds east of UTC, in winter and in summer.
    let standardSeconds: Int32
    let daylightSeconds: Int32
    /// Begin and end of summer; equal if there is none.
    let begin: Turn
    let end: Turn

    package static var utc: LocalTime {
        let never = Turn(month: 1, week: 1, weekday: 0, seconds: 0)
        return LocalTime(standardSeconds: 0, daylightSeconds: 0, begin: never, end: never)
    }

    /// Adds the rule to a fingerprint, as what is learned by it hangs on it.
    package func hash(into digest: inout Digest) {
        for number in [
            standardSeconds, daylightSeconds, begin.month, begin.week, begin.weekday, begin.seconds,
            end.month, end.week, end.weekday, end.seconds,
        ] {
            digest.combine(UInt64(bitPattern: Int64(number)))
        }
    }

    /// What the clock shows at a moment (milliseconds since the epoch), counted as if it were UTC.
    package func local(_ milliseconds: Int64) -> Int64 { milliseconds &+ offset(at: milliseconds) }

    /// Milliseconds that the clock is ahead of UTC at a moment, milliseconds since the epoch.
    package func offset(at milliseconds: Int64) -> Int64 {
        if begin == end { return Int64(standardSeconds) &* 1_000 }
        return Int64(isDaylight(at: milliseconds) ? daylightSeconds : standardSeconds) &* 1_000
    }

    @inline(never)
    private func isDaylight(at milliseconds: Int64) -> Bool {
        let seconds = milliseconds.flooredDivision(by: 1_000).quotient
        let year = Self.year(of: (seconds &+ Int64(standardSeconds)).flooredDivision(by: 86_400).quotient)
        let on = begin.day(in: year) &* 86_400 &+ Int64(begin.seconds) &- Int64(standardSeconds)
        let off = end.day(in: year) &* 86_400 &+ Int64(end.seconds) &- Int64(daylightSeconds)
        return on < off ? seconds >= on && seconds < off : seconds >= on || seconds < off
    }

    /// Days since the epoch of the first of a month (H. Hinnant, "chrono-compatible low-level date algorithms", 2013).
    private static func day(year: Int64, month: Int64) -> Int64 {
        let year = month <= 2 ? year &- 1 : year
        let (era, yearOfEra) = year.flooredDivision(by: 400)
        let dayOfYear = (153 &* (month > 2 ? month &- 3 : month &+ 9) &+ 2) / 5
        return era &* 146_097 &+ yearOfEra &* 365 &+ yearOfEra / 4 &- yearOfEra / 100 &+ dayOfYear &- 719_468
    }

    /// The year of a day since the epoch (the same).
    private static func year(of day: Int64) -> Int64 {
        let (era, dayOfEra) = (day &+ 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        // Years of this reckoning begin in March.
        return yearOfEra &+ era &* 400 &+ (dayOfYear >= 306 ? 1 : 0)
    }
}

// MARK: Text

extension LocalTime {
    /// Reads a rule of POSIX's `TZ`; nil if it is none, or one by Julian days.
    package init?(posix text: some StringProtocol) {
        var scanner = RuleScanner(text.utf8)
        guard scanner.skipName(), let west = scanner.time(hoursMax: 24) else { return nil }
        var east = -west
        standardSeconds = east
        guard !scanner.isAtEnd else {
            daylightSeconds = east
            begin = Self.utc.begin
            end = begin
            return
        }
        guard scanner.skipName() else { return nil }
        east += 3_600
        if !scanner.isNext(UInt8(ascii: ",")) {
            guard let west = scanner.time(hoursMax: 24) else { return nil }
            east = -west
        }
        daylightSeconds = east
        guard let begin = scanner.turn(), let end = scanner.turn(), scanner.isAtEnd, begin != end else { return nil }
        self.begin = begin
        self.end = end
    }
}

/// Reads the parts of a rule from the front.
private struct RuleScanner {
    private var rest: [UInt8]

    init(_ bytes: some Swift.Sequence<UInt8>) { rest = bytes.reversed() }

    var isAtEnd: Bool { rest.isEmpty }

    func isNext(_ byte: UInt8) -> Bool { rest.last == byte }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard isNext(byte) else { return false }
        rest.removeLast()
        return true
    }

    /// Three letters or more, or anything between < and >.
    mutating func skipName() -> Bool {
        if skip(UInt8(ascii: "<")) {
            while let byte = rest.popLast() { if byte == UInt8(ascii: ">") { return true } }
            return false
        }
        var letters = 0
        while let byte = rest.last, (65...90).contains(byte) || (97...122).contains(byte) {
            rest.removeLast()
            letters += 1
        }
        return letters >= 3
    }

    private mutating func number(_ range: ClosedRange<Int32>) -> Int32? {
        var value: Int32?
        while let byte = rest.last, (48...57).contains(byte), (value ?? 0) < 1_000 {
            value = (value ?? 0) * 10 + Int32(byte - 48)
            rest.removeLast()
        }
        return value.flatMap { range.contains($0) ? $0 : nil }
    }

    /// [+|-]hh[:mm[:ss]] in seconds.
    mutating func time(hoursMax: Int32) -> Int32? {
        let isNegative = skip(UInt8(ascii: "-"))
        if !isNegative { _ = skip(UInt8(ascii: "+")) }
        guard var seconds = number(0...hoursMax).map({ $0 * 3_600 }) else { return nil }
        for unit in [60, 1] as [Int32] where skip(UInt8(ascii: ":")) {
            guard let part = number(0...59) else { return nil }
            seconds += part * unit
        }
        return isNegative ? -seconds : seconds
    }

    /// ,Mm.w.d[/time]
    mutating func turn() -> LocalTime.Turn? {
        guard skip(UInt8(ascii: ",")), skip(UInt8(ascii: "M")), let month = number(1...12), skip(UInt8(ascii: ".")),
            let week = number(1...5), skip(UInt8(ascii: ".")), let weekday = number(0...6)
        else { return nil }
        guard skip(UInt8(ascii: "/")) else {
            return LocalTime.Turn(month: month, week: week, weekday: weekday, seconds: 7_200)
        }
        return time(hoursMax: 167).map { LocalTime.Turn(month: month, week: week, weekday: weekday, seconds: $0) }
    }
}
