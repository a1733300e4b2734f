import TwinCore

/// Moments as text: `YYYY-MM-DDTHH:MM:SS[.fraction][Z|±HH:MM]` (RFC 3339, a profile of ISO 8601), years 0000 to 9999
/// of the proleptic Gregorian calendar.
package enum ISO8601 {
    /// Longer texts are refused unread; bounds the fraction.
    package static let bytesMax = 64

    /// Reads a moment; nil if the text is not one.
    ///
    /// A fraction is cut (not rounded) to milliseconds. Without a zone the moment is UTC. A lower-case `t` or `z` and
    /// a blank for the `T` are understood, as RFC 3339 suggests. The 24th hour and leap seconds are refused: event
    /// time has no room for them.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> EventTime? {
        guard bytes.count >= 19, bytes.count <= bytesMax else { return nil }
        guard bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] | 0x20 == UInt8(ascii: "t") || bytes[10] == UInt8(ascii: " "),
            bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":")
        else { return nil }
        let century = pair(bytes, 0)
        let year = century * 100 + pair(bytes, 2)
        let month = pair(bytes, 5)
        let day = pair(bytes, 8)
        let hour = pair(bytes, 11)
        let minute = pair(bytes, 14)
        let second = pair(bytes, 17)
        // A pair that is not two digits is at least `notDigits`, which is beyond every range.
        guard century < 100, year < 10_000, month >= 1, month <= 12, day >= 1, hour < 24, minute < 60, second < 60,
            day <= days(inMonth: month, year: year)
        else { return nil }
        var index = 19
        guard let milliseconds = fraction(bytes, &index), let offset = zone(bytes, &index), index == bytes.count else {
            return nil
        }
        let seconds = daysSinceEpoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
        return EventTime(milliseconds: Int64((seconds - offset * 60) * 1_000 + milliseconds))
    }

    private static let notDigits = 1_000_000

    /// Two decimal digits, or `notDigits`.
    @inline(__always)
    private static func pair(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Int {
        let tens = bytes[index] &- 0x30
        let ones = bytes[index + 1] &- 0x30
        guard tens < 10, ones < 10 else { return notDigits }
        return Int(tens) * 10 + Int(ones)
    }

    /// `.digits` if it stands here, in milliseconds; zero without; nil if a point is not followed by a digit.
    @inline(__always)
    private static func fraction(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) -> Int? {
        guard index < bytes.count, bytes[index] == UInt8(ascii: ".") else { return 0 }
        index += 1
        let first = index
        var value = 0
        while index < bytes.count, bytes[index] &- 0x30 < 10 {
            if index - first < 3 { value = value * 10 + Int(bytes[index] &- 0x30) }
            index += 1
        }
        switch index - first {
        case 0: return nil
        case 1: return value * 100
        case 2: return value * 10
        default: return value
        }
    }

    /// Minutes east of UTC, from `Z`, `±HH:MM` or nothing.
    @inline(__always)
    private static func zone(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) -> Int? {
        guard index < bytes.count else { return 0 }
        let sign = bytes[index]
        if sign | 0x20 == UInt8(ascii: "z") {
            index += 1
            return 0
        }
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), index + 6 <= bytes.count,
            bytes[index + 3] == UInt8(ascii: ":")
        else { return nil }
        let hours = pair(bytes, index + 1)
        let minutes = pair(bytes, index + 4)
        guard hours < 24, minutes < 60 else { return nil }
        index += 6
        return (hours * 60 + minutes) * (sign == UInt8(ascii: "-") ? -1 : 1)
    }

    @inline(__always)
    private static func days(inMonth month: Int, year: Int) -> Int {
        if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
    }

    /// Days from 1970-01-01, counting years from March so that the leap day comes last (H. Hinnant,
    /// "chrono-Compatible Low-Level Date Algorithms"). 2000-03-01 is day 11 017.
    @inline(__always)
    private static func daysSinceEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The first and the last moment that have a text.
    package static let writable =
        EventTime(milliseconds: -62_167_219_200_000)...EventTime(milliseconds: 253_402_300_799_999)

    private static let textBytesMax = 24

    /// Appends `2026-11-24T12:00:00Z`, with `.123` before the `Z` where the milliseconds are not zero. Returns false
    /// and appends nothing for a moment outside the years 0000 to 9999.
    @discardableResult
    package static func write(_ time: EventTime, to output: inout ByteBuffer) -> Bool {
        guard writable.contains(time) else { return false }
        var target = output.room(for: textBytesMax)
        write(time, to: &target)
        output.fill(to: target)
        return true
    }

    /// The same into an array.
    @discardableResult
    package static func write(_ time: EventTime, to output: inout [UInt8]) -> Bool {
        guard writable.contains(time) else { return false }
        RawCursor.append(to: &output, bytesMax: textBytesMax) { write(time, to: &$0) }
        return true
    }

    private static func write(_ time: EventTime, to target: inout RawCursor) {
        let milliseconds = Int(time.milliseconds)
        let day = milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds + 1) / 86_400_000 - 1
        let rest = milliseconds - day * 86_400_000
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        target.put(pair: year / 100)
        target.put(pair: year % 100)
        target.put(UInt8(ascii: "-"))
        target.put(pair: month)
        target.put(UInt8(ascii: "-"))
        target.put(pair: dayOfYear - (153 * marchMonth + 2) / 5 + 1)
        target.put(UInt8(ascii: "T"))
        target.put(pair: rest / 3_600_000)
        target.put(UInt8(ascii: ":"))
        target.put(pair: rest / 60_000 % 60)
        target.put(UInt8(ascii: ":"))
        target.put(pair: rest / 1_000 % 60)
        if rest % 1_000 != 0 {
            target.put(UInt8(ascii: "."))
            target.put(UInt8(0x30 + rest % 1_000 / 100))
            target.put(pair: rest % 100)
        }
        target.put(UInt8(ascii: "Z"))
    }
}
