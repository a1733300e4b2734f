/// Decides who asks, from the `Authorization` header.
package struct Access: Sendable {
    /// The outcome.
    enum Verdict: Sendable, Equatable {
        case allowed(Principal)
        /// No credentials, or wrong ones.
        case unknown
    }

    private let tokens: Tokens?
    private let issuer: Issuer?

    /// Without tokens and issuer everybody is let in; the server then serves a loopback address only.
    init(tokens: Tokens?, issuer: Issuer?) {
        self.tokens = tokens
        self.issuer = issuer
    }

    /// Everybody is let in.
    package static let open = Access(tokens: nil, issuer: nil)

    /// Only holders of these tokens are let in.
    package init(tokens: TokenFile) { self.init(tokens: Tokens(tokens), issuer: nil) }

    package var isOpen: Bool { tokens == nil && issuer == nil }

    /// Begins to look after the file of the tokens; false if the system gives no thread.
    func start() -> Bool { tokens?.start() ?? true }

    func stop() { tokens?.stop() }

    func verdict(authorization: String?) async -> Verdict {
        if isOpen { return .allowed(.local) }
        guard let authorization else { return .unknown }
        let words = authorization.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2, words[0].lowercased() == "bearer" else { return .unknown }
        if let principal = tokens?.principal(of: words[1]) { return .allowed(principal) }
        // A JWT has three parts; nothing else is worth a signature check.
        if words[1].split(separator: ".", omittingEmptySubsequences: false).count == 3,
            let principal = await issuer?.principal(of: words[1])
        {
            return .allowed(principal)
        }
        return .unknown
    }
}
