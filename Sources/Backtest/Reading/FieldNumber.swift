import Glibc
import Messages
import TwinCore

/// Numbers and moments in the fields of a CSV row.
enum FieldNumber {
    /// What a field that should hold a number holds.
    enum Reading: Equatable {
        case number(Double)
        /// Empty, or one of the words that exporters write where there is no value (`NaN`, `null`, `NA`, `-`).
        case none
        case malformed
    }

    /// Digits, a point, an exponent; a sign of either kind; blanks around. Correctly rounded.
    static func read(_ field: UnsafeRawBufferPointer) -> Reading {
        var first = 0
        var last = field.count
        while first < last, field[first] == 0x20 || field[first] == 0x09 { first &+= 1 }
        while first < last, field[last &- 1] == 0x20 || field[last &- 1] == 0x09 { last &-= 1 }
        if first == last { return .none }
        var index = first
        let isNegative = field[index] == 0x2d
        if isNegative || field[index] == 0x2b { index &+= 1 }
        var mantissa: UInt64 = 0
        var digits = 0
        var decimals = 0
        var isBehindPoint = false
        while index < last {
            let digit = field[index] &- 0x30
            if digit < 10 {
                // Up to 18 digits fit without overflow; longer numbers take the slow way.
                mantissa = mantissa &* 10 &+ UInt64(digit)
                digits &+= 1
                if isBehindPoint { decimals &+= 1 }
            } else if field[index] == 0x2e, !isBehindPoint {
                isBehindPoint = true
            } else {
                break
            }
            index &+= 1
        }
        if index == last, digits > 0, digits <= 18, mantissa < 1 << 53, decimals <= 22 {
            // Both are exact doubles, so the quotient is correctly rounded (Clinger 1990).
            let magnitude = Double(mantissa) / power(decimals)
            return .number(isNegative ? -magnitude : magnitude)
        }
        return readSlowly(UnsafeRawBufferPointer(rebasing: field[first..<last]))
    }

    /// 10^exponent for 0...22, exactly.
    @inline(__always)
    private static func power(_ exponent: Int) -> Double {
        var result = 1.0
        for _ in 0..<exponent { result *= 10 }
        return result
    }

    private static let numberBytesMax = 400

    private static func readSlowly(_ text: UnsafeRawBufferPointer) -> Reading {
        var hasDigit = false
        for byte in text {
            switch byte {
            case 0x30...0x39: hasDigit = true
            case 0x2b, 0x2d, 0x2e, 0x45, 0x65: continue
            default: return isWordForNone(text) ? .none : .malformed
            }
        }
        guard hasDigit, text.count <= numberBytesMax else { return isWordForNone(text) ? .none : .malformed }
        // Only ASCII digits, signs, points and e remain; the standard library rounds correctly.
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return .malformed }
        return .number(value)
    }

    private static func isWordForNone(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count <= 4 else { return false }
        var word = ""
        for byte in text where byte < 0x80 { word.unicodeScalars.append(Unicode.Scalar(byte | 0x20)) }
        return ["nan", "null", "na", "n/a", "none", "-"].contains(text.count == 1 && text[0] == 0x2d ? "-" : word)
    }

    /// The latest moment that is taken: the year 2100. Ten times later still is this moment in milliseconds of 2011.
    private static let secondsMax = 4_102_444_800.0
    private static let secondsMin = -62_135_596_800.0
    private static let millisecondsMin = 100_000_000_000.0

    /// Epoch seconds, whole or with a fraction (kept to the millisecond), or ISO 8601.
    static func readTime(_ field: UnsafeRawBufferPointer) -> Result<EventTime, RowFault> {
        if let time = readWholeSeconds(field) { return .success(time) }
        switch read(field) {
        case .number(let seconds):
            if seconds >= millisecondsMin { return .failure(.milliseconds) }
            guard seconds >= secondsMin, seconds <= secondsMax else { return .failure(.timestamp) }
            return .success(EventTime(milliseconds: Int64((seconds * 1_000).rounded())))
        case .none:
            return .failure(.timestamp)
        case .malformed:
            guard let time = ISO8601.parse(field), time.seconds >= secondsMin, time.seconds <= secondsMax else {
                return .failure(.timestamp)
            }
            return .success(time)
        }
    }

    /// Up to ten digits and nothing else: what most files hold.
    @inline(__always)
    private static func readWholeSeconds(_ field: UnsafeRawBufferPointer) -> EventTime? {
        guard field.count > 0, field.count <= 10 else { return nil }
        var seconds: Int64 = 0
        for byte in field {
            let digit = byte &- 0x30
            guard digit < 10 else { return nil }
            seconds = seconds &* 10 &+ Int64(digit)
        }
        return seconds <= Int64(secondsMax) ? EventTime(seconds: seconds) : nil
    }
}
