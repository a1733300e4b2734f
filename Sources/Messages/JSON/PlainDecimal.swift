/// Numbers as plain decimals: the fewest digits that read back as the same double, never an exponent. For CSV, and
/// for JSON where the number is not absurdly long.
package enum PlainDecimal {
    /// Appends a double. Not-a-number and the infinities, which have no decimals, become `nan`, `inf` and `-inf`.
    package static func append(_ value: Double, to output: inout [UInt8]) {
        guard value.isFinite else {
            output.append(contentsOf: (value.isNaN ? "nan" : value < 0 ? "-inf" : "inf").utf8)
            return
        }
        if appendShort(value, to: &output) { return }
        appendPlain(value, to: &output)
    }

    /// Appends a double as a JSON number: plain from 10^-7 to 10^21, with an exponent beyond. False, and nothing
    /// appended, if it is not finite.
    static func appendJSON(_ value: Double, to output: inout [UInt8]) -> Bool {
        guard value.isFinite else { return false }
        if appendShort(value, to: &output) { return true }
        if value == 0 || value.magnitude >= 1e-7 && value.magnitude < 1e21 {
            appendPlain(value, to: &output)
        } else {
            output.append(contentsOf: value.description.utf8)
        }
        return true
    }

    /// Appends an integer.
    package static func append(_ value: Int64, to output: inout [UInt8]) {
        if value < 0 { output.append(UInt8(ascii: "-")) }
        append(magnitude: value.magnitude, to: &output)
    }

    /// Appends an unsigned integer.
    package static func append(magnitude value: UInt64, to output: inout [UInt8]) {
        append(magnitude: value, digitsMin: 1, to: &output)
    }

    /// Digits with leading zeros up to `digitsMin` (at most 20).
    private static func append(magnitude value: UInt64, digitsMin: Int, to output: inout [UInt8]) {
        // Twenty digits hold the largest 64-bit integer; they are gathered from the right in three words.
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { room in
            var rest = value
            var index = room.count
            while rest != 0 || room.count - index < digitsMin {
                index -= 1
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                room[index] = UInt8(truncatingIfNeeded: 0x30 + digit)
                rest = quotient
            }
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: room[index...]))
        }
    }

    /// Most measured numbers have few decimals. The least k for which round(v·10^k) / 10^k is v again gives the
    /// shortest text: below 2^53 the quotient is what reading that text yields (Clinger), and below 2^50 the product
    /// cannot miss the integer next to it. False if no k up to 9 does.
    private static func appendShort(_ value: Double, to output: inout [UInt8]) -> Bool {
        let magnitude = value.magnitude
        guard magnitude < 1_125_899_906_842_624 else { return false }
        var power = 1.0
        for decimals in 0...9 {
            let scaled = (magnitude * power).rounded(.toNearestOrEven)
            guard scaled < 1_125_899_906_842_624 else { return false }
            if scaled / power == magnitude {
                if value.sign == .minus { output.append(UInt8(ascii: "-")) }
                let whole = UInt64(scaled)
                let divisor = UInt64(power)
                append(magnitude: whole / divisor, to: &output)
                if decimals > 0 {
                    output.append(UInt8(ascii: "."))
                    append(magnitude: whole % divisor, digitsMin: decimals, to: &output)
                }
                return true
            }
            power *= 10
        }
        return false
    }

    /// Takes the standard library's shortest digits and moves the point by hand.
    private static func appendPlain(_ value: Double, to output: inout [UInt8]) {
        var text = value.description
        text.withUTF8 { bytes in
            var digits: [UInt8] = []
            digits.reserveCapacity(24)
            var point = 0  // digits before the point
            var exponent = 0
            var sawPoint = false
            var index = 0
            while index < bytes.count {
                let byte = bytes[index]
                index += 1
                if byte == UInt8(ascii: "-") {
                    output.append(byte)
                } else if byte == UInt8(ascii: ".") {
                    sawPoint = true
                } else if byte == UInt8(ascii: "e") {
                    exponent = readExponent(bytes, from: index)
                    break
                } else {
                    digits.append(byte)
                    if !sawPoint { point += 1 }
                }
            }
            place(digits, point: point + exponent, in: &output)
        }
    }

    private static func readExponent(_ bytes: UnsafeBufferPointer<UInt8>, from first: Int) -> Int {
        var value = 0
        var isNegative = false
        for byte in bytes[first...] {
            if byte == UInt8(ascii: "-") { isNegative = true }
            let digit = byte &- 0x30
            if digit < 10 { value = value * 10 + Int(digit) }
        }
        return isNegative ? -value : value
    }

    /// Writes digits with the point behind the first `point` of them (which may lie before or beyond them all),
    /// without zeros that say nothing.
    private static func place(_ digits: [UInt8], point: Int, in output: inout [UInt8]) {
        let last = digits.lastIndex { $0 != 0x30 } ?? -1
        let first = digits.firstIndex { $0 != 0x30 } ?? 0
        if point <= first {
            output.append(0x30)
        } else {
            for index in first..<point { output.append(index < digits.count ? digits[index] : 0x30) }
        }
        guard last >= max(point, 0) else { return }
        output.append(UInt8(ascii: "."))
        if point < 0 { output.append(contentsOf: repeatElement(0x30, count: -point)) }
        output.append(contentsOf: digits[max(point, 0)...last])
    }
}
