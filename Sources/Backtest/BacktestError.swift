/// Why a backtest cannot go on: a code to branch on, what happened in one line, and what to do about it.
package struct BacktestError: Error, Equatable, CustomStringConvertible {
    /// What kind of failure it is.
    package enum Code: Sendable, Equatable {
        /// A file cannot be opened, read or written.
        case file
        /// A file is not what its format asks for.
        case format
        /// More bad rows than the limit allows.
        case tooManyBadRows
        /// A stated limit is reached.
        case limit
        /// A stage stopped; never the fault of the telemetry.
        case stage
    }

    package let code: Code
    /// Lower case, one line, with the file and the line where they are known.
    package let reason: String
    /// What to do about it; empty when the reason says it.
    package let hint: String

    package init(_ code: Code, _ reason: String, hint: String = "") {
        self.code = code
        self.reason = reason
        self.hint = hint
    }

    package var description: String { hint.isEmpty ? reason : "\(reason); \(hint)" }
}
