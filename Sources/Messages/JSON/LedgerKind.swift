/// What a record of the topic `decisions` tells of, as the `kind` of its data says.
package enum LedgerKind: String, Sendable, CaseIterable {
    /// What is wanted for a resource, and why.
    case decision
    /// What became of an action.
    case result
    case policyRejected
    case outcomeRefused
    case commandAccepted
    case commandRefused
}
