/// Swift text with everything that is not code blanked out: comments and the text of string literals, but not what is
/// interpolated into them. Lines and columns stay where they are.
///
/// Not a parser: enough of the lexical structure (nested comments, raw and multi-line strings, interpolations) that a
/// word in a comment or in a message is not taken for code. Regular-expression literals are not known.
struct Blanker {
    private enum Mode: Equatable {
        /// Code, with the number of parentheses open since it began; an interpolation ends at its own.
        case code(open: Int)
        case string(isMultiline: Bool, hashes: Int)
    }

    private let bytes: [UInt8]
    private var position = 0
    private var out: [UInt8] = []
    private var modes: [Mode] = [.code(open: 0)]

    static func blank(_ bytes: [UInt8]) -> [UInt8] {
        var blanker = Blanker(bytes)
        return blanker.run()
    }

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
        out.reserveCapacity(bytes.count)
    }

    private mutating func run() -> [UInt8] {
        while position < bytes.count {
            switch modes[modes.count - 1] {
            case .code(let open): code(open)
            case .string(let isMultiline, let hashes): string(isMultiline, hashes)
            }
        }
        return out
    }

    private func starts(with text: StaticString, at index: Int) -> Bool {
        guard index + text.utf8CodeUnitCount <= bytes.count else { return false }
        for offset in 0..<text.utf8CodeUnitCount where bytes[index + offset] != text.utf8Start[offset] { return false }
        return true
    }

    private mutating func keep(_ count: Int = 1) {
        out.append(contentsOf: bytes[position..<min(position + count, bytes.count)])
        position += count
    }

    private mutating func hide(_ count: Int = 1) {
        for byte in bytes[position..<min(position + count, bytes.count)] {
            out.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
        }
        position += count
    }

    private mutating func code(_ open: Int) {
        if starts(with: "//", at: position) {
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { hide() }
            return
        }
        if starts(with: "/*", at: position) { return comment() }
        switch bytes[position] {
        case UInt8(ascii: "("):
            modes[modes.count - 1] = .code(open: open + 1)
            keep()
        case UInt8(ascii: ")"):
            if open == 0, modes.count > 1 { modes.removeLast() } else { modes[modes.count - 1] = .code(open: open - 1) }
            keep()
        case UInt8(ascii: "#"), UInt8(ascii: "\""): quote()
        default: keep()
        }
    }

    private mutating func comment() {
        var depth = 0
        while position < bytes.count {
            if starts(with: "/*", at: position) {
                depth += 1
                hide(2)
            } else if starts(with: "*/", at: position) {
                depth -= 1
                hide(2)
                if depth == 0 { return }
            } else {
                hide()
            }
        }
    }

    private mutating func quote() {
        var hashes = 0
        while position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") { hashes += 1 }
        guard position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "\"") else {
            return keep(hashes)
        }
        let isMultiline = starts(with: "\"\"\"", at: position + hashes)
        modes.append(.string(isMultiline: isMultiline, hashes: hashes))
        keep(hashes + (isMultiline ? 3 : 1))
    }

    private func hasHashes(_ count: Int, at index: Int) -> Bool {
        index + count <= bytes.count && bytes[index..<(index + count)].allSatisfy { $0 == UInt8(ascii: "#") }
    }

    private mutating func string(_ isMultiline: Bool, _ hashes: Int) {
        let quotes = isMultiline ? 3 : 1
        let isEnd = isMultiline ? starts(with: "\"\"\"", at: position) : starts(with: "\"", at: position)
        if isEnd, hasHashes(hashes, at: position + quotes) {
            modes.removeLast()
            return keep(quotes + hashes)
        }
        if bytes[position] == UInt8(ascii: "\\"), hasHashes(hashes, at: position + 1) {
            let next = position + 1 + hashes
            if next < bytes.count, bytes[next] == UInt8(ascii: "(") {
                hide(1 + hashes)
                modes.append(.code(open: 0))
                return keep()
            }
            return hide(2 + hashes)
        }
        // A string on one line ends with it; whatever follows is code again, so that one mistake stays one.
        if !isMultiline, bytes[position] == UInt8(ascii: "\n") { modes.removeLast() }
        hide()
    }
}
