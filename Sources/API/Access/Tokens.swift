import Runtime
import Synchronization

/// The tokens in force. Their file is looked at now and then on a thread of its own, never by who asks: a line that is
/// taken out lets nobody in any more, and a disk that hangs keeps nobody waiting.
final class Tokens: Sendable {
    /// Between two looks at the file.
    static let intervalMilliseconds: Int64 = 2_000

    private struct Loaded {
        /// What the file held when it was last looked at; nil where it could not be read.
        var text: String?
        var file: TokenFile
    }

    private let read: (@Sendable () -> String?)?
    private let mayBindTenants: Bool
    private let complain: @Sendable (String) -> Void
    private let loaded: Mutex<Loaded>
    private let isStopping = Atomic<Bool>(false)

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
        loaded = Mutex(Loaded(text: text, file: file))
    }

    /// Tokens that never change.
    init(_ file: TokenFile) {
        read = nil
        mayBindTenants = true
        complain = { _ in }
        loaded = Mutex(Loaded(file: file))
    }

    /// Whose token it is. Reads nothing.
    func principal(of token: String) -> Principal? { loaded.withLock { $0.file }.principal(of: token) }

    /// Begins to look at the file, until `stop`; false if the system gives no thread.
    func start(every milliseconds: Int64 = intervalMilliseconds) -> Bool {
        guard read != nil else { return true }
        return startThread(stackBytes: 1 << 20) {
            while !self.mustStop {
                sleepMilliseconds(milliseconds) { self.mustStop }
                if !self.mustStop { self.look() }
            }
        }
    }

    func stop() { isStopping.store(true, ordering: .releasing) }

    private var mustStop: Bool { isStopping.load(ordering: .acquiring) }

    /// Takes the file as it is now, if it has changed and can be used. A complaint is made for each change, not for
    /// each look. Called by one thread.
    func look() {
        guard let read else { return }
        let new = read()
        guard new != loaded.withLock({ $0.text }) else { return }
        loaded.withLock { $0.text = new }
        guard let new else { return complain("it cannot be read") }
        do throws(TokenFile.Fault) {
            let file = try TokenFile(text: new)
            guard mayBindTenants || !file.hasTenants else {
                throw TokenFile.Fault(reason: "somebody is bound to a tenant, and api.tenantTag is not given")
            }
            loaded.withLock { $0.file = file }
        } catch { complain(error.reason) }
    }
}
