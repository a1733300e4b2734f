import Foundation
import TestKit
import Testing

@testable import Messages

@Suite struct JSONNumberTests {
    private func double(_ text: String) -> Double? {
        Array(text.utf8).withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            guard let value = try? reader.readDouble(), (try? reader.expectEnd()) != nil else { return nil }
            return value
        }
    }

    private func integer(_ text: String) -> Int64? {
        Array(text.utf8).withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            return try? reader.readInt64()
        }
    }

    /// Long multiplication and division in base 2^32, least digit first.
    private func powerOfFive(_ exponent: Int) -> [UInt64] {
        var digits: [UInt64] = [1]
        for _ in 0..<exponent {
            var carry: UInt64 = 0
            for index in digits.indices {
                let product = digits[index] * 5 + carry
                digits[index] = product & 0xffff_ffff
                carry = product >> 32
            }
            if carry > 0 { digits.append(carry) }
        }
        return digits
    }

    @Test func `the powers of five are what long arithmetic says`() {
        func bit(_ digits: [UInt64], _ index: Int) -> UInt64 {
            index >= 0 && index / 32 < digits.count ? digits[index / 32] >> UInt64(index % 32) & 1 : 0
        }
        for exponent in 0...PowersOfFive.exponentMax {
            let digits = powerOfFive(exponent)
            var top = digits.count * 32 - 1
            while bit(digits, top) == 0 { top -= 1 }
            var high: UInt64 = 0
            var low: UInt64 = 0
            for index in 0..<64 {
                high = high << 1 | bit(digits, top - index)
                low = low << 1 | bit(digits, top - 64 - index)
            }
            #expect(PowersOfFive.power(exponent) == (high, low), "5^\(exponent)")
        }
        // The reciprocal r of p to 128 bits, for the k that normalises it: p·(r-1) < 2^k <= p·r where it is
        // rounded up (to 5^-27), p·r < 2^k <= p·(r+1) where down.
        for exponent in 1...(-PowersOfFive.exponentMin) {
            let digits = powerOfFive(exponent)
            let power = PowersOfFive.power(-exponent)
            #expect(power.high >> 63 == 1)
            func product(_ high: UInt64, _ low: UInt64) -> [UInt64] {
                let factor = [low & 0xffff_ffff, low >> 32, high & 0xffff_ffff, high >> 32]
                var result = [UInt64](repeating: 0, count: digits.count + 5)
                for (i, a) in digits.enumerated() {
                    var carry: UInt64 = 0
                    for (j, b) in factor.enumerated() {
                        let sum = result[i + j] + a * b + carry
                        result[i + j] = sum & 0xffff_ffff
                        carry = sum >> 32
                    }
                    result[i + 4] += carry
                }
                return result
            }
            func length(_ digits: [UInt64]) -> Int {
                var top = digits.count * 32 - 1
                while bit(digits, top) == 0 { top -= 1 }
                return top
            }
            let isUp = exponent <= 27
            let (down, borrow) = power.low.subtractingReportingOverflow(1)
            let (up, carry) = power.low.addingReportingOverflow(1)
            let below =
                isUp ? product(power.high &- (borrow ? 1 : 0), down) : product(power.high, power.low)
            let above = isUp ? product(power.high, power.low) : product(power.high &+ (carry ? 1 : 0), up)
            #expect(length(above) == length(below) + 1, "5^-\(exponent)")
        }
    }

    @Test(arguments: [UInt64(41), 42])
    func `doubles printed in many ways agree with the standard library bit for bit`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<60_000 {
            let text: String
            switch round % 10 {
            case 0: text = String(Double(bitPattern: random.next() & 0x7fef_ffff_ffff_ffff))
            case 1: text = String(Double.random(in: -1...1, using: &random))
            case 2:
                text = String(
                    format: "%.*e", random.below(30), Double(bitPattern: random.next() & 0x7fef_ffff_ffff_ffff))
            case 3: text = String(format: "%.*f", random.below(40), Double.random(in: -1e6...1e6, using: &random))
            case 4: text = "\(random.next())e\(random.below(170) - 85)"
            case 5: text = "\(random.next())\(random.next() % 1_000_000).\(random.next())e\(random.below(100) - 50)"
            case 6:
                // Half way between two doubles, exactly and almost.
                let value = Double.random(in: 1...1e15, using: &random)
                let middle = String(format: "%.60f", value) + random.pick(["", "1", "000001", "4999", "5"])
                text = middle
            case 7: text = "\(9_007_199_254_740_992 + random.below(64)).\(random.pick(["5", "50", "500001", "49999"]))"
            case 8: text = "\(random.below(1_000)).\(random.below(1_000_000_000))e\(random.below(46) - 23)"
            default: text = "0." + String(repeating: "0", count: random.below(100)) + String(random.next())
            }
            let expected = Double(text)
            let read = double(text)
            let isOut =
                expected == nil || expected?.isInfinite == true
                || expected == 0 && text.contains { ("1"..."9").contains($0) && !text.hasPrefix("0e") }
            if isOut, read == nil { continue }
            #expect(read?.bitPattern == expected?.bitPattern, "seed \(seed), round \(round): \(text)")
        }
    }

    @Test func `numbers at the ends of the range`() {
        #expect(double("0")?.bitPattern == 0)
        #expect(double("-0")?.bitPattern == (-0.0).bitPattern)
        #expect(double("0e999999999999999999999") == 0)
        #expect(double("1e308") == 1e308)
        #expect(double("4.9e-324") == Double.leastNonzeroMagnitude)
        #expect(double("9007199254740993") == 9_007_199_254_740_992)
        #expect(double("1" + String(repeating: "0", count: 300) + "." + String(repeating: "7", count: 3_000)) == 1e300)
        #expect(double("0." + String(repeating: "0", count: 300) + "1e301") == 1)
        for refused in [
            "1e400", "-1e400", "1e-400", "2e-324", "01", "1.", ".5", "-", "+1", "1e", "1e+", "0x1", "NaN", "Infinity",
            "1.e5", "--1",
        ] {
            #expect(double(refused) == nil, "\(refused)")
        }
    }

    @Test func `integers follow JSONDecoder`() throws {
        let texts = [
            "0", "-0", "1", "-1", "1.0", "1e2", "1.5", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808", "-9223372036854775809", "9007199254740993.0", "1e18", "1e19",
            "-0.0", "1.0000000000000000001", "12345678901234567890123", "9007199254740993.00000000000000", "100e-2",
            "1e-2",
            "922337203685477580.7e1", "0.0", "1e400", "9223372036854775807.0", "18446744073709551617",
        ]
        for text in texts {
            let expected = try? JSONDecoder().decode([Int64].self, from: Data("[\(text)]".utf8))[0]
            #expect(integer(text) == expected, "\(text)")
        }
        // Here JSONDecoder rounds, which this reader does not call an integer.
        #expect(integer("9007199254740993.5") == nil && integer("1e-400") == nil)
    }
}
