extension Int64 {
    /// Divides rounding down, by a divisor above 0: the remainder is never negative, so that a moment before the epoch
    /// lies within its day, too.
    @inlinable
    @inline(__always)
    package func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient &- 1, remainder &+ divisor) : (quotient, remainder)
    }
}
