/// A model of the ensemble: it sees a series step by step and says what may come.
///
/// A plain value in the series' cell: no pointer, no padding, the same bits from the same steps. Whatever it is told,
/// it stays finite; what it says is in units of the moment, as changes from the base.
protocol Member: BitwiseCopyable {
    /// A model that knows nothing yet.
    init()

    /// Every index inside is in its range and no number is absurd, whatever the bytes came from.
    var isSound: Bool { get }

    /// Reads a step, and learns from it.
    mutating func observe(_ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>)

    /// Writes the quantiles of the change over an anchor's horizon, ascending, at the `ForecastLevels.spoken` first
    /// levels. `m` is that of the last `observe`.
    /// - Returns: false, with nothing written, while it has nothing to say.
    mutating func forecast(
        _ anchor: Int, _ m: UnsafePointer<Moment>, _ shared: UnsafeMutablePointer<SharedModels>,
        into out: UnsafeMutablePointer<Float>
    ) -> Bool

    /// Measures in another unit from now on.
    mutating func scale(by factor: Float)
}
