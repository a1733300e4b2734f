import Runtime
import Synchronization

/// The tokens in force, read again when their file has changed: a line that is taken out lets nobody in any more.
final class Tokens: Sendable {
    /// How often the file is looked at, at most.
    static let intervalMilliseconds: Int64 = 2_000

    private struct Loaded {
        var text: String?
        var file: TokenFile
        var checkedAt: Int64
    }

    private let read: (@Sendable () -> String?)?
    private let mayBindTenants: Bool
    private let complain: @Sendable (String) -> Void
    private let loaded: Mutex<Loaded>

    /// - Parameters:
    ///   - text: what `file` was read from.
    ///   - mayBindTenants: a tag says whose a twin is; else a file that binds somebody to a tenant is not taken.
    ///   - read: reads the file; nil where it cannot be read.
    ///   - complain: hears why a changed file is not taken; the former tokens then stay.
    init(
        _ file: TokenFile, text: String, mayBindTenants: Bool, read: @escaping @Sendable () -> String?,
        complain: @escaping @Sendable (String) -> Void
    ) {
        self.read = read
        self.mayBindTenants = mayBindTenants
        self.complain = complain
        loaded = Mutex(Loaded(text: text, file: file, checkedAt: monotonicMilliseconds()))
    }

    /// Tokens that never change.
    init(_ file: TokenFile) {
        read = nil
        mayBindTenants = true
        complain = { _ in }
        loaded = Mutex(Loaded(file: file, checkedAt: 0))
    }

    /// Whose token it is.
    func principal(of token: String, now: Int64 = monotonicMilliseconds()) -> Principal? {
        current(now).principal(of: token)
    }

    private func current(_ now: Int64) -> TokenFile {
        let (known, text, isDue) = loaded.withLock { loaded in
            let isDue = read != nil && now - loaded.checkedAt >= Self.intervalMilliseconds
            if isDue { loaded.checkedAt = now }
            return (loaded.file, loaded.text, isDue)
        }
        guard isDue, let read else { return known }
        let new = read()
        guard new != text else { return known }
        // Looked at once: a complaint is made for each change, not for each look.
        let fault: String
        if let new {
            do throws(TokenFile.Fault) {
                let file = try TokenFile(text: new)
                guard mayBindTenants || !file.hasTenants else {
                    throw TokenFile.Fault(reason: "somebody is bound to a tenant, and api.tenantTag is not given")
                }
                loaded.withLock { ($0.text, $0.file) = (new, file) }
                return file
            } catch { fault = error.reason }
        } else {
            fault = "it cannot be read"
        }
        loaded.withLock { $0.text = new }
        complain(fault)
        return known
    }
}
