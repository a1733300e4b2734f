import Yams

/// What is wrong with a YAML file, without a word of its values: they may be passwords.
enum YAMLFault {
    /// The line, the key that stands there, and the parser's own words.
    static func text(_ error: any Error, in content: String) -> String {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _)?, .parser(let context, let problem, let mark, _)?,
            .composer(let context, let problem, let mark, _)?:
            // Where the parser says what it was reading, the fault began there.
            let line = context?.mark.line ?? mark.line
            let name = key(line, in: content).map { ", at the key '\($0)'" } ?? ""
            return "line \(line)\(name): \(words(problem))"
        case .duplicatedKeysInMapping(_, let context)?: return "line \(context.mark.line): a key stands twice"
        default: return "it cannot be read"
        }
    }

    /// A parser's words hold nothing of the file unless they quote it.
    private static func words(_ problem: String) -> String {
        problem.contains { "'\"`".contains($0) } ? "a character is out of place" : problem
    }

    /// The key of a line such as `name: value`; nil if none is sure to stand there.
    private static func key(_ line: Int, in content: String) -> String? {
        let lines = content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.indices.contains(line - 1) else { return nil }
        let text = lines[line - 1].drop { $0 == " " }
        let name = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "_") }
        let rest = text.dropFirst(name.count)
        guard !name.isEmpty, name.count <= 64, rest.hasPrefix(": ") || rest == ":" else { return nil }
        return String(name)
    }
}
