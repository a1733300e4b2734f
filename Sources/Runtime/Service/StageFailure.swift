import TaskLoop

/// Why a stage's process ends other than by request; decides the exit code.
package struct StageFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the process does about it.
    package enum Kind: String, Sendable {
        /// The configuration, or what stands on the broker, does not allow a start; an operator decides.
        case refused
        /// Something failed that cannot be mended from inside; a restart may help.
        case broken
        /// Somebody newer has taken over; a restart would only be fenced again.
        case fenced
    }

    package let kind: Kind
    package let reason: String
    package let hint: String?

    package init(_ kind: Kind, _ reason: String, hint: String? = nil) {
        self.kind = kind
        self.reason = reason
        self.hint = hint
    }

    package var description: String { hint.map { "\(reason); \($0)" } ?? reason }

    package var exitCode: Int32 {
        switch kind {
        case .refused: ExitCode.refused
        case .broken: ExitCode.broken
        case .fenced: ExitCode.fenced
        }
    }

    /// Nil if the worker stopped because it was asked to.
    package init?(_ reason: StopReason) {
        switch reason {
        case .requested: return nil
        case .refused(let text): self.init(.refused, text)
        case .broken(let text): self.init(.broken, text)
        case .fenced(let text):
            self.init(.fenced, text, hint: "another incarnation or instance has taken over")
        }
    }
}

/// How a stage's process ends.
package enum ExitCode {
    /// It was asked to.
    package static let requested: Int32 = 0
    /// Wrong configuration, or a start that was refused.
    package static let refused: Int32 = 2
    package static let broken: Int32 = 3
    package static let fenced: Int32 = 4
}
