/// Why a snapshot could not be written, read or believed. The code says what the caller must do, the reason says
/// it to the operator.
package struct SnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What the caller must do.
    package enum Code: String, Sendable, CaseIterable {
        /// The bytes are not what was written: use an older snapshot.
        case corrupt
        /// Written by another version of the format: use the matching program, or an older snapshot.
        case unsupported
        /// A declared limit would be passed: refuse, nothing was changed.
        case limit
        /// The caller's own argument or content is wrong: fix the configuration or the program.
        case invalid
        /// There is nothing of that name.
        case missing
        /// No room in the store: older snapshots are untouched, free space and the next one succeeds.
        case full
        /// The store may not be written or read by this process: older snapshots are untouched.
        case denied
        /// The store failed otherwise: try again with the next snapshot.
        case failed
        /// The writing was given up on request.
        case cancelled
    }

    /// What the caller must do.
    package var code: Code
    /// Lower-case, short, and ending in what to do where something can be done.
    package var reason: String

    /// An error with its words for the operator.
    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    /// Code and reason.
    package var description: String { "\(code.rawValue): \(reason)" }
}

/// A snapshot that was passed over, and why.
package struct SnapshotProblem: Hashable, Sendable {
    /// The snapshot as listed.
    package var info: SnapshotInfo
    /// Why it was not used.
    package var error: SnapshotError
}
