/// Sine and cosine as short quotients, the same bits on every machine: |error| < 0.002 (Bhāskara I, 7th century).
enum Wave {
    /// The sine of a turn: 0 at 0, 1 at a quarter, 0 at a half.
    @inline(__always)
    static func sine(turns: Float) -> Float {
        let phase = turns - turns.rounded(.down)
        let half = phase < 0.5 ? 2 * phase : 2 * phase - 1
        let product = half * (1 - half)
        let value = 16 * product / (5 - 4 * product)
        return phase < 0.5 ? value : -value
    }

    @inline(__always)
    static func cosine(turns: Float) -> Float { sine(turns: turns + 0.25) }
}

extension Wave {
    /// 2ˣ for x ≤ 0 and a little above, to four digits, from the bits of a float.
    @inline(__always)
    static func exp2(_ x: Float) -> Float {
        let bounded = min(max(x, -60), 60)
        let whole = bounded.rounded(.down)
        let part = bounded - whole
        let mantissa = 1 + part * (0.695_65 + part * (0.226_17 + part * 0.078_02))
        return mantissa * Float(bitPattern: UInt32(Int32(whole) + 127) << 23)
    }

    /// A whole power of a number.
    @inline(__always)
    static func power(_ base: Float, _ exponent: UInt32) -> Float {
        var power: Float = 1
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 != 0 { power *= square }
            square *= square
            rest >>= 1
        }
        return power
    }
}
