/// Functions and declarations, found by their words in blanked code.
struct Declarations {
    struct Function {
        let name: String
        let firstLine: Int
        let lineCount: Int
    }

    /// Functions, initialisers and subscripts with a body.
    static func functions(in file: SourceFile) -> [Function] {
        let text = Array(file.code.joined(separator: "\n").utf8)
        var found: [Function] = []
        var line = 0
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "\n") { line += 1 }
            guard String.isWord(text[index]), index == 0 || !String.isWord(text[index - 1]) else {
                index += 1
                continue
            }
            let end = text[index...].firstIndex { !String.isWord($0) } ?? text.count
            let word = String(decoding: text[index..<end], as: UTF8.self)
            let isMember = index > 0 && (text[index - 1] == UInt8(ascii: ".") || text[index - 1] == UInt8(ascii: "`"))
            if ["func", "init", "deinit", "subscript"].contains(word), !isMember,
                let body = body(of: text, from: end), let close = close(of: text, from: body)
            {
                let rest = text[end...].prefix(60).drop { $0 == UInt8(ascii: " ") }
                let name = word == "func" ? String(decoding: rest.prefix { String.isWord($0) }, as: UTF8.self) : word
                let count = text[index...close].count { $0 == UInt8(ascii: "\n") } + 1
                found.append(Function(name: name, firstLine: line, lineCount: count))
            }
            index = end
        }
        return found
    }

    /// Where the body opens; nil for a requirement of a protocol, which has none.
    private static func body(of text: [UInt8], from start: Int) -> Int? {
        var depth = 0
        var index = start
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "{") where depth == 0: return index
            case UInt8(ascii: "}") where depth == 0: return nil
            default:
                guard depth == 0, String.isWord(text[index]), !String.isWord(text[index - 1]) else { break }
                let end = text[index...].firstIndex { !String.isWord($0) } ?? text.count
                let word = String(decoding: text[index..<end], as: UTF8.self)
                if ["func", "var", "let", "init", "case", "static", "subscript", "mutating", "package"].contains(word) {
                    return nil
                }
            }
            index += 1
        }
        return nil
    }

    private static func close(of text: [UInt8], from open: Int) -> Int? {
        var depth = 0
        for index in open..<text.count {
            if text[index] == UInt8(ascii: "{") { depth += 1 }
            if text[index] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }

    /// Names of functions and types that some protocol requires; the protocol says what they mean.
    static func requirements(in file: SourceFile) -> Set<String> {
        var names: Set<String> = []
        var isProtocol = false
        for line in file.code {
            let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "}" }
            if words.contains("protocol") { isProtocol = true }
            if line.hasPrefix("}") { isProtocol = false }
            let word = words.firstIndex { $0 == "func" || $0 == "associatedtype" }
            if isProtocol, let word, word + 1 < words.count {
                names.insert(String(words[word + 1]))
            }
        }
        return names
    }

    /// Lines that declare a type or function that others see, without a doc comment above. Those of these names are
    /// documented elsewhere.
    static func undocumented(in file: SourceFile, documentedElsewhere: Set<String> = []) -> [Int] {
        let kinds = ["struct", "enum", "class", "protocol", "actor", "func", "typealias", "macro"]
        return file.code.indices.filter { index in
            let words = file.code[index].split { !$0.isLetter && $0 != "_" }
            guard let access = words.firstIndex(where: { $0 == "package" || $0 == "public" }),
                words[..<access].allSatisfy({ ["inlinable", "inline", "__always", "discardableResult"].contains($0) }),
                words.dropFirst(access + 1).contains(where: { kinds.contains(String($0)) }),
                !words.dropFirst(access + 1).prefix(3).contains(where: { ["init", "var", "let", "set"].contains($0) })
            else { return false }
            if let word = words.firstIndex(of: "typealias"), documentedElsewhere.contains(String(words[word + 1])) {
                return false
            }
            if let word = words.firstIndex(of: "func") {
                // An operator has no letters, so its parameters follow at once.
                let isOperator = !file.code[index].contains("func \(words.dropFirst(word + 1).first ?? "?")")
                if isOperator || documentedElsewhere.contains(String(words[word + 1])) { return false }
            }
            var above = index - 1
            while above >= 0, file.lines[above].drop(while: { $0 == " " }).hasPrefix("@") { above -= 1 }
            return above < 0 || !file.lines[above].drop { $0 == " " }.hasPrefix("///")
        }
    }
}
