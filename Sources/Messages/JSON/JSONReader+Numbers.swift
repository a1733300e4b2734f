/// A number as it was written, its grammar checked, not yet converted.
struct JSONNumber: BitwiseCopyable {
    var start: Int
    var end: Int
    /// The first nineteen significant digits, or all.
    var mantissa: UInt64
    /// The power of ten that belongs to `mantissa`.
    var exponent: Int
    var isNegative: Bool
    /// No fraction and no exponent.
    var isInteger: Bool
    /// Digits were left out of `mantissa`.
    var isCut: Bool
}

extension JSONReader {
    /// Reads a number as the nearest double, ties to even. Throws `numberOutOfRange`, behind the number, if that is
    /// infinite or if digits other than zero vanish to zero, as `JSONDecoder` does.
    @inline(__always)
    package mutating func readDouble() throws(JSONError) -> Double {
        let number = try scanNumber()
        guard let value = double(number) else { throw JSONError(.numberOutOfRange, at: number.start) }
        return value
    }

    /// Reads a 64-bit integer; `1.0` and `1e2` are integers too. Throws `numberOutOfRange`, behind the number, for a
    /// fraction or a number that does not fit.
    package mutating func readInt64() throws(JSONError) -> Int64 {
        let number = try scanNumber()
        guard let value = integer(number) else { throw JSONError(.numberOutOfRange, at: number.start) }
        return value
    }

    /// Passes a number and gathers its digits.
    @inline(__always)
    mutating func scanNumber() throws(JSONError) -> JSONNumber {
        skipWhitespace()
        guard !isBehindValue else { throw unexpected() }
        let start = position
        var index = start
        var mantissa: UInt64 = 0
        let isNegative = peek() == UInt8(ascii: "-")
        if isNegative { index &+= 1 }
        let integerStart = index
        while index < end {
            let digit = bytes[index] &- 0x30
            guard digit < 10 else { break }
            mantissa = mantissa &* 10 &+ UInt64(digit)  // may wrap; redone with care below if there are many digits
            index &+= 1
        }
        let integerCount = index &- integerStart
        guard integerCount > 0 else {
            throw isNegative ? JSONError(.invalidNumber, at: start) : unexpected()
        }
        guard integerCount == 1 || bytes[integerStart] != 0x30 else { throw JSONError(.invalidNumber, at: start) }
        var fractionCount = 0
        var isInteger = true
        if index < end, bytes[index] == UInt8(ascii: ".") {
            isInteger = false
            index &+= 1
            let fractionStart = index
            while index < end {
                let digit = bytes[index] &- 0x30
                guard digit < 10 else { break }
                mantissa = mantissa &* 10 &+ UInt64(digit)
                index &+= 1
            }
            fractionCount = index &- fractionStart
            guard fractionCount > 0 else { throw JSONError(.invalidNumber, at: start) }
        }
        var exponent = -fractionCount
        if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            let written = try scanExponent(&index, numberStart: start)
            exponent &+= written  // both are far from the ends of the range
        }
        position = index
        isBehindValue = true
        var number = JSONNumber(
            start: start, end: index, mantissa: mantissa, exponent: exponent, isNegative: isNegative,
            isInteger: isInteger, isCut: false)
        if integerCount &+ fractionCount > 19 { regather(&number, from: integerStart) }
        return number
    }

    /// Passes `e`, its sign and digits; the value saturates at ±10^15, beyond any exponent that matters.
    private func scanExponent(_ index: inout Int, numberStart: Int) throws(JSONError) -> Int {
        index += 1
        var isNegative = false
        if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            isNegative = bytes[index] == UInt8(ascii: "-")
            index += 1
        }
        let first = index
        var value = 0
        while index < end {
            let digit = bytes[index] &- 0x30
            guard digit < 10 else { break }
            value = min(value * 10 + Int(digit), 1_000_000_000_000_000)
            index += 1
        }
        guard index > first else { throw JSONError(.invalidNumber, at: numberStart) }
        return isNegative ? -value : value
    }

    /// Gathers the digits of a long number again: leading zeros do not count, and only nineteen are kept.
    @inline(never)
    private func regather(_ number: inout JSONNumber, from first: Int) {
        var mantissa: UInt64 = 0
        var kept = 0
        var dropped = 0
        for index in first..<number.end {
            let byte = bytes[index]
            if byte == UInt8(ascii: ".") { continue }
            let digit = byte &- 0x30
            guard digit < 10 else { break }
            if kept < 19 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
                if mantissa != 0 { kept += 1 }
            } else {
                dropped += 1
                number.isCut = true
            }
        }
        number.mantissa = mantissa
        number.exponent += dropped
    }

    /// The double nearest to a number; nil if it is out of range.
    @inline(__always)
    func double(_ number: JSONNumber) -> Double? {
        // Clinger (1990): both parts are exact doubles, so one operation rounds once.
        if number.mantissa <= 1 << 53, !number.isCut, number.exponent >= -22, number.exponent <= 22 {
            let magnitude = DecimalToDouble.scale(Double(number.mantissa), byPowerOfTen: number.exponent)
            return number.isNegative ? -magnitude : magnitude
        }
        return slowDouble(number)
    }

    @inline(never)
    private func slowDouble(_ number: JSONNumber) -> Double? {
        if number.mantissa == 0 { return number.isNegative ? -0.0 : 0.0 }
        if let magnitude = DecimalToDouble.convert(number.mantissa, number.exponent) {
            // With digits left out the value lies between this mantissa and the next: trust only agreement.
            if !number.isCut || DecimalToDouble.convert(number.mantissa + 1, number.exponent) == magnitude {
                return number.isNegative ? -magnitude : magnitude
            }
        }
        // Rare: exponents beyond ±80 and true near-ties. The standard library rounds correctly at any length.
        let digits = UnsafeRawBufferPointer(rebasing: bytes[number.start..<number.end])
        guard let value = Double(String(decoding: digits, as: UTF8.self)), value.isFinite, value != 0 else {
            return nil
        }
        return value
    }

    /// The integer that a number is; nil if it is none or does not fit. Follows `JSONDecoder`: what looks like a
    /// fraction goes through the nearest double where that is exact (below 2^53) and is taken digit by digit above.
    func integer(_ number: JSONNumber) -> Int64? {
        if number.isInteger, !number.isCut {
            let magnitude = number.mantissa
            if !number.isNegative { return Int64(exactly: magnitude) }
            return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
        }
        guard let value = double(number), let whole = Int64(exactly: value) else { return nil }
        if value.magnitude < 9_007_199_254_740_992 { return whole }
        return exactInteger(number)
    }

    private func exactInteger(_ number: JSONNumber) -> Int64? {
        // A UInt128 holds 38 digits; more are refused, as Foundation's Decimal refuses them.
        var mantissa: UInt128 = 0
        var exponent = number.exponent
        var kept = 0
        for index in number.start..<number.end {
            let digit = bytes[index] &- 0x30
            if digit >= 10 {
                if bytes[index] | 0x20 == UInt8(ascii: "e") { break }
                continue
            }
            guard kept < 38 else { return nil }
            mantissa = mantissa * 10 + UInt128(digit)
            if mantissa != 0 { kept += 1 }
        }
        // `exponent` belongs to nineteen digits if some were cut; put it back to all of them.
        if number.isCut { exponent -= kept - 19 }
        while exponent < 0 {
            let (quotient, remainder) = mantissa.quotientAndRemainder(dividingBy: 10)
            guard remainder == 0, mantissa != 0 else { return nil }
            mantissa = quotient
            exponent += 1
        }
        while exponent > 0 {
            guard mantissa <= 1 << 63 else { return nil }
            mantissa *= 10
            exponent -= 1
        }
        if number.isNegative { return mantissa <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- mantissa) : nil }
        return Int64(exactly: mantissa)
    }
}
