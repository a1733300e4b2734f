import Glibc
import Synchronization

private let stopSignals = Atomic<Int>(0)

/// Ctrl-C and SIGTERM as a question that loops ask, instead of as a sudden end.
package enum StopSignal {
    /// From now on both signals are only remembered; the third one ends the process as usual.
    package static func install() {
        _ = stopSignals.load(ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if stopSignals.wrappingAdd(1, ordering: .relaxed).newValue > 2 {
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// Somebody wants us to end.
    package static var isRaised: Bool { stopSignals.load(ordering: .relaxed) > 0 }
}
