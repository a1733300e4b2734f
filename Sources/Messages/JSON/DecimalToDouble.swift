/// Decimal digits to the nearest double, without strings.
///
/// After D. Lemire, "Number Parsing at a Gigabyte per Second" (Software: Practice and Experience 51, 2021), which
/// rests on M. Eisel's idea and on W. D. Clinger, "How to Read Floating Point Numbers Accurately" (PLDI 1990). The
/// powers of five reach from -80 to 80, enough for what is ever measured; results there are normal numbers, so
/// neither overflow nor subnormals arise.
enum DecimalToDouble {
    /// `value · 10^exponent` for exponents in -22...22, where the power is an exact double.
    @inline(__always)
    static func scale(_ value: Double, byPowerOfTen exponent: Int) -> Double {
        if exponent < 0 { return value / exactPower(-exponent) }
        return value * exactPower(exponent)
    }

    /// 10^exponent for 0...22, exactly: a product of two exact powers whose result is exact too.
    @inline(__always)
    private static func exactPower(_ exponent: Int) -> Double {
        let low = small(exponent & 7)
        if exponent < 8 { return low }
        return low * (exponent < 16 ? 1e8 : 1e16)
    }

    @inline(__always)
    private static func small(_ exponent: Int) -> Double {
        switch exponent {
        case 0: 1
        case 1: 10
        case 2: 100
        case 3: 1_000
        case 4: 10_000
        case 5: 100_000
        case 6: 1_000_000
        default: 10_000_000
        }
    }

    /// `mantissa · 10^exponent`, correctly rounded; nil if this method cannot decide. `mantissa` is not zero.
    static func convert(_ mantissa: UInt64, _ exponent: Int) -> Double? {
        guard mantissa != 0, exponent >= PowersOfFive.exponentMin, exponent <= PowersOfFive.exponentMax else {
            return nil
        }
        let leading = mantissa.leadingZeroBitCount
        let digits = mantissa << UInt64(leading)
        let power = PowersOfFive.power(exponent)
        var product = digits.multipliedFullWidth(by: power.high)
        // Nine bits below the 55 that are needed decide; all ones mean that the lower half of the power matters.
        if product.high & 0x1ff == 0x1ff {
            let lower = digits.multipliedFullWidth(by: power.low)
            let (sum, carry) = product.low.addingReportingOverflow(lower.high)
            product.low = sum
            if carry { product.high &+= 1 }
        }
        if product.low == .max, exponent < -27 || exponent > 55 { return nil }
        let upper = Int(product.high >> 63)
        let shift = UInt64(upper + 64 - 52 - 3)
        var fraction = product.high >> shift
        // floor(exponent · log2(10)) + 63, the paper's constant; the range of exponents keeps it small.
        var binary = ((152_170 + 65_536) * exponent) >> 16 + 63 + upper - leading + 1_023
        if product.low <= 1, exponent >= -4, exponent <= 23, fraction & 3 == 1, fraction << shift == product.high {
            fraction &= ~1  // exactly half way: to even
        }
        fraction += fraction & 1
        fraction >>= 1
        if fraction >= 1 << 53 {
            fraction = 1 << 52
            binary += 1
        }
        guard binary > 0, binary < 2_047 else { return nil }
        return Double(bitPattern: fraction & ~(1 << 52) | UInt64(binary) << 52)
    }
}
