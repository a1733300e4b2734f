import Foundation
import Glibc

/// Says what happens: a line per thing, with the simulated time before it. Plain where nobody looks.
final class DemoVoice {
    /// What a line is about; decides its colour.
    enum Kind: String {
        case note, shop, forecast, action, drift, held, short, operator_ = "operator"

        fileprivate var colour: String {
            switch self {
            case .note: "2"
            case .shop: "1;36"
            case .forecast: "35"
            case .action: "32"
            case .drift: "33"
            case .held: "34"
            case .short: "31"
            case .operator_: "36"
            }
        }
    }

    private let isSilent: Bool
    private let isTerminal: Bool
    private var progressIsOpen = false
    private let put: (String) -> Void
    /// Things of a kind that are told in full at a time.
    private static let fullMax = 3

    /// `silent` for `--json`, where only the end is data.
    init(silent: Bool, put: ((String) -> Void)? = nil) {
        isSilent = silent
        self.put = put ?? { FileHandle.standardOutput.write(Data($0.utf8)) }
        isTerminal = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
    }

    func line(_ text: String = "") {
        guard !isSilent else { return }
        closeProgress()
        put(text + "\n")
    }

    func say(_ time: Int64, _ kind: Kind, _ text: String) {
        guard !isSilent else { return }
        let head = "\(Self.clock(time))  \(kind.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0))  "
        line(isTerminal ? "\u{1b}[\(kind.colour)m\(head)\u{1b}[0m\(text)" : head + text)
    }

    /// Says the first few of several things in full, the rest in one line.
    func say(_ time: Int64, _ kind: Kind, _ things: [(full: String, short: String)]) {
        for thing in things.prefix(Self.fullMax) { say(time, kind, thing.full) }
        let rest = things.dropFirst(Self.fullMax).map(\.short)
        if !rest.isEmpty { say(time, kind, "and \(rest.joined(separator: ", "))") }
    }

    /// A bar that is drawn over itself; without a terminal a line now and then.
    func progress(_ share: Double, _ text: String, isMilestone: Bool) {
        guard !isSilent else { return }
        if isTerminal {
            let full = Int(share * 30)
            let bar = String(repeating: "█", count: full) + String(repeating: "·", count: 30 - full)
            put("\r\(bar) \(text)\u{1b}[K")
            progressIsOpen = true
        } else if isMilestone {
            line("  \(text)")
        }
    }

    func closeProgress() {
        if progressIsOpen { put("\n") }
        progressIsOpen = false
    }

    /// `Mon 08:30`.
    static func clock(_ time: Int64) -> String {
        let names = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let day = names[Int(((time / 86_400) % 7 + 7) % 7)]
        let minute = Int(((time % 86_400) + 86_400) % 86_400) / 60
        return String(format: "%@ %02d:%02d", day, minute / 60, minute % 60)
    }

    /// A number with about three digits.
    static func short(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        let magnitude = value.magnitude
        return String(format: magnitude >= 100 ? "%.0f" : magnitude >= 10 ? "%.1f" : "%.2f", value)
    }

    /// The ending table in a sentence: ours beside the reactive rule's.
    static func verdict(
        short: (Double, Double), cost: (Double, Double), actions: (Int, Int)
    ) -> String {
        func change(_ pair: (Double, Double)) -> String {
            guard pair.1 > 0 else { return pair.0 > 0 ? "more" : "as many" }
            let percent = Int(((pair.0 / pair.1 - 1) * 100).rounded())
            return percent == 0 ? "as many" : "\(abs(percent)) % \(percent < 0 ? "fewer" : "more")"
        }
        let dearer = cost.1 > 0 ? (cost.0 / cost.1 - 1) * 100 : 0
        return "twinscale beside the reactive rule: \(change(short)) short minutes, "
            + String(format: "%+.1f %% cost, ", dearer)
            + "\(change((Double(actions.0), Double(actions.1)))) actions"
    }

    /// The first of some names, and how many more.
    static func list(_ names: [String]) -> String {
        let rest = names.count - 4
        if rest <= 1 { return names.joined(separator: ", ") }
        return names.prefix(4).joined(separator: ", ") + " and \(rest) more"
    }

    /// Cells in columns, the first flush left, with a rule below the head.
    static func columns(_ cells: [[String]]) -> [String] {
        guard let head = cells.first else { return [] }
        let widths = head.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = cells.map { row in
            zip(row, widths).enumerated().map { column, cell in
                let pad = String(repeating: " ", count: cell.1 - cell.0.count)
                return column == 0 ? cell.0 + pad : pad + cell.0
            }.joined(separator: "  ")
        }
        lines.insert(widths.map { String(repeating: "-", count: $0) }.joined(separator: "  "), at: 1)
        return lines
    }
}
