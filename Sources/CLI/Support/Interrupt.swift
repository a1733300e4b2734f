import Foundation
import Synchronization

private let interrupted = Atomic<Bool>(false)

/// True once Ctrl-C or a request to end has come, after `stopOnInterrupt`.
var isInterrupted: Bool { interrupted.load(ordering: .relaxed) }

/// From now on the first Ctrl-C asks for an orderly end, the second ends at once.
func stopOnInterrupt() {
    for number in [SIGINT, SIGTERM] {
        signal(number) { number in
            interrupted.store(true, ordering: .relaxed)
            signal(number, SIG_DFL)
        }
    }
}
