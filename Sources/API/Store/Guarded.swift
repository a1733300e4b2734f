import Synchronization

/// A value behind a lock. Unlike `Mutex` it lets a caller fold borrowed memory into the value: views copy what they
/// keep, which the compiler cannot see.
final class Guarded<Value: ~Copyable>: @unchecked Sendable {
    private let lock = Mutex<Void>(())
    private var value: Value

    init(_ value: consuming Value) { self.value = value }

    /// Runs the body with the value, alone.
    func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
        try lock.withLock { (_) throws(E) -> R in try body(&value) }
    }
}
