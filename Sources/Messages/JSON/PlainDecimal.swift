/// Numbers as plain decimals: the fewest digits that read back as the same double, never an exponent. For CSV, and
/// for JSON where the number is not absurdly long.
package enum PlainDecimal {
    /// The longest text of a number that is written without the standard library: a sign, 16 digits, a point; or a
    /// sign and the 20 digits of the largest integer.
    static let shortBytesMax = 24

    /// Appends a double. Not-a-number and the infinities, which have no decimals, become `nan`, `inf` and `-inf`.
    package static func append(_ value: Double, to output: inout [UInt8]) {
        guard value.isFinite else {
            output.append(contentsOf: (value.isNaN ? "nan" : value < 0 ? "-inf" : "inf").utf8)
            return
        }
        var isShort = false
        RawCursor.append(to: &output, bytesMax: shortBytesMax) { isShort = writeShort(value, to: &$0) }
        if !isShort { appendPlain(value, to: &output) }
    }

    /// Appends an integer.
    package static func append(_ value: Int64, to output: inout [UInt8]) {
        RawCursor.append(to: &output, bytesMax: shortBytesMax) { write(value, to: &$0) }
    }

    /// Appends a double as a JSON number: plain from 10^-7 to 10^21, with an exponent beyond. False, and nothing
    /// appended, if it is not finite.
    @discardableResult
    package static func appendJSON(_ value: Double, to output: inout ByteBuffer) -> Bool {
        guard value.isFinite else { return false }
        var target = output.room(for: shortBytesMax)
        if writeShort(value, to: &target) {
            output.fill(to: target)
            return true
        }
        var text: [UInt8] = []
        if value == 0 || value.magnitude >= 1e-7 && value.magnitude < 1e21 {
            appendPlain(value, to: &text)
        } else {
            text.append(contentsOf: value.description.utf8)
        }
        text.withUnsafeBytes { output.append($0) }
        return true
    }

    /// Appends an integer.
    static func append(_ value: Int64, to output: inout ByteBuffer) {
        var target = output.room(for: shortBytesMax)
        write(value, to: &target)
        output.fill(to: target)
    }

    /// Appends an unsigned integer.
    static func append(magnitude value: UInt64, to output: inout ByteBuffer) {
        var target = output.room(for: shortBytesMax)
        write(magnitude: value, to: &target)
        output.fill(to: target)
    }

    private static func write(_ value: Int64, to target: inout RawCursor) {
        if value < 0 { target.put(UInt8(ascii: "-")) }
        write(magnitude: value.magnitude, to: &target)
    }

    @inline(__always)
    private static func write(magnitude value: UInt64, to target: inout RawCursor) {
        var digits = 1
        var rest = value
        while rest >= 10_000 {
            rest /= 10_000
            digits &+= 4
        }
        digits &+= rest >= 1_000 ? 3 : rest >= 100 ? 2 : rest >= 10 ? 1 : 0
        target.put(value, digits: digits)
    }

    /// Beyond, a double's neighbours lie so close that a product may miss the integer next to it.
    private static let shortBelow = 1_125_899_906_842_624.0

    /// Most measured numbers have few decimals. The least k for which round(v·10^k) / 10^k is v again gives the
    /// shortest text: below 2^53 the quotient is what reading that text yields (Clinger), and below 2^50 the product
    /// cannot miss the integer next to it. If some k will do, so will every larger one, with zeros behind: so six is
    /// tried first, and its zeros are cut. False if no k up to 9 does.
    @inline(__always)
    private static func writeShort(_ value: Double, to target: inout RawCursor) -> Bool {
        let magnitude = value.magnitude
        guard magnitude < shortBelow else { return false }
        let millionths = nearest(magnitude * 1e6)
        guard magnitude * 1e6 < shortBelow, Double(millionths) / 1e6 == magnitude else {
            return writeUncommon(value, to: &target)
        }
        if value.sign == .minus { target.put(UInt8(ascii: "-")) }
        write(magnitude: millionths / 1_000_000, to: &target)
        var fraction = millionths % 1_000_000
        guard fraction != 0 else { return true }
        var decimals = 6
        while fraction % 10 == 0 {
            fraction /= 10
            decimals &-= 1
        }
        target.put(UInt8(ascii: "."))
        target.put(fraction, digits: decimals)
        return true
    }

    /// More than six decimals, or a number so large that only fewer can be told.
    @inline(never)
    private static func writeUncommon(_ value: Double, to target: inout RawCursor) -> Bool {
        let magnitude = value.magnitude
        var power: UInt64 = 1
        for decimals in 0...9 {
            guard magnitude * Double(power) < shortBelow else { return false }
            let scaled = nearest(magnitude * Double(power))
            if Double(scaled) / Double(power) == magnitude {
                if value.sign == .minus { target.put(UInt8(ascii: "-")) }
                write(magnitude: scaled / power, to: &target)
                if decimals > 0 {
                    target.put(UInt8(ascii: "."))
                    target.put(scaled % power, digits: decimals)
                }
                return true
            }
            power *= 10
        }
        return false
    }

    /// The nearest integer to a number from zero to 2^51, ties to even: with 2^52 added, the last bit of a double
    /// stands for one.
    @inline(__always)
    private static func nearest(_ value: Double) -> UInt64 {
        (value + 4_503_599_627_370_496).bitPattern & 0xf_ffff_ffff_ffff
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

extension RawCursor {
    /// The pairs of decimal digits from 00 to 99.
    private static var pairs: UnsafeRawPointer {
        let text: StaticString = """
            0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
            5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
            """
        return UnsafeRawPointer(text.utf8Start)
    }

    /// Writes a number from 0 to 99 as two digits.
    @inline(__always)
    mutating func put(pair value: Int) {
        precondition(value >= 0 && value < 100, "no pair of digits")
        position.storeBytes(of: Self.pairs.loadUnaligned(fromByteOffset: value &* 2, as: UInt16.self), as: UInt16.self)
        position += 2
    }

    /// Writes the last `digits` digits of a number, with zeros in front where it has fewer.
    @inline(__always)
    mutating func put(_ value: UInt64, digits: Int) {
        var rest = value
        var left = digits
        while left >= 2 {
            left &-= 2
            let pair = Int(truncatingIfNeeded: rest % 100)
            rest /= 100
            position.storeBytes(
                of: Self.pairs.loadUnaligned(fromByteOffset: pair &* 2, as: UInt16.self), toByteOffset: left,
                as: UInt16.self)
        }
        if left == 1 { position.storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: rest % 10), as: UInt8.self) }
        position += digits
    }

    /// Appends to an array what `body` writes, at most `bytesMax` bytes.
    static func append(to output: inout [UInt8], bytesMax: Int, _ body: (inout RawCursor) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: bytesMax, alignment: 1) { room in
            guard let start = room.baseAddress else { return }
            var cursor = RawCursor(position: start)
            body(&cursor)
            let count = UnsafeRawPointer(cursor.position) - UnsafeRawPointer(start)
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: room[..<count]))
        }
    }
}
