import Foundation

/// A bar on standard error for work that takes long; silent where nobody watches. What a command prints as its result
/// goes to standard output and is never mixed with it.
final class ProgressBar {
    private static let width = 30
    private static let intervalSeconds = 0.1

    private let isShown: Bool
    private let label: String
    private let begin = ProgressBar.now()
    private var last = -1.0
    private var isDrawn = false

    /// - Parameter isWanted: false keeps it silent on a terminal, too.
    init(_ label: String, isWanted: Bool = true) {
        self.label = label
        isShown = isWanted && isatty(STDERR_FILENO) == 1
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Seconds since the bar was made.
    var elapsedSeconds: Double { Self.now() - begin }

    /// Draws, at most ten times a second. `total` 0 means that nobody knows.
    func show(_ done: Int, of total: Int, _ note: @autoclosure () -> String = "") {
        guard isShown else { return }
        let now = ProgressBar.now()
        guard now - last >= Self.intervalSeconds else { return }
        last = now
        isDrawn = true
        var line = "\r\u{1b}[K\(label) "
        if total > 0 {
            let share = min(max(Double(done) / Double(total), 0), 1)
            let full = Int(share * Double(Self.width))
            line += "[" + String(repeating: "#", count: full) + String(repeating: ".", count: Self.width - full) + "] "
            line += "\(Int(share * 100)) %"
            if share > 0.01, share < 1 { line += ", \(Int((now - begin) * (1 - share) / share) + 1) s left" }
        } else {
            line += "\(done)"
        }
        let text = note()
        if !text.isEmpty { line += "  \(text)" }
        FileHandle.standardError.write(Data(line.utf8))
    }

    /// Takes the bar away, so that the result stands alone.
    func end() {
        guard isDrawn else { return }
        isDrawn = false
        FileHandle.standardError.write(Data("\r\u{1b}[K".utf8))
    }

    deinit { end() }
}
