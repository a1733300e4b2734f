import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, everywhere. A test that uses it says its
/// seed.
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// In 0..<1.
    package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// In 0..<count; 0 where nothing is below.
    package mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(count, 1))) }

    /// True with this probability, in percent.
    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    package mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// Standard normal, by the polar method (Marsaglia and Bray 1964).
    package mutating func normal() -> Double {
        while true {
            let a = 2 * uniform() - 1
            let b = 2 * uniform() - 1
            let square = a * a + b * b
            if square > 0 && square < 1 { return a * (-2 * log(square) / square).squareRoot() }
        }
    }

    /// Student's t: heavy tails, the heavier the fewer degrees of freedom.
    package mutating func student(_ degrees: Int) -> Double {
        let top = normal()
        var squares = 0.0
        for _ in 0..<degrees {
            let x = normal()
            squares += x * x
        }
        return top / (squares / Double(degrees)).squareRoot()
    }
}
